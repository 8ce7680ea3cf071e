"""mounts (config.md, Mounts, Linux mount options, POSIX-platform Mounts)."""

import os
import subprocess

import pytest
from containers import Refused, not_applicable, requirement
from host import kernel, mount_at, mount_points

INFO = "cat /proc/self/mountinfo"


# ---- order, places, types and sources


@requirement("config.mounts.order")
def test_mounts_lie_over_each_other_in_the_order_of_the_list(bundle):
    for name in ("first", "second"):
        (bundle.path / name).mkdir()
        (bundle.path / name / "mark").write_text(name)
        bundle.mount("/mnt", "bind", bundle.path / name, ["bind"])
    assert bundle.out("cat /mnt/mark") == "second"


@requirement("config.mounts.order")
def test_a_mount_inside_an_earlier_one(bundle):
    bundle.mount("/mnt", "tmpfs", "tmpfs")
    bundle.mount("/mnt/inner", "tmpfs", "inner")
    points = [mount.point for mount in mount_points(bundle.out(INFO)) if mount.point.startswith("/mnt")]
    assert points == ["/mnt", "/mnt/inner"]


@requirement("config.mounts.order")
def test_a_mount_that_a_later_one_covers(bundle):
    (bundle.rootfs / "mnt/inner").mkdir()
    bundle.mount("/mnt/inner", "tmpfs", "inner")
    bundle.mount("/mnt", "tmpfs", "tmpfs")
    assert bundle.out("ls /mnt") == ""


@requirement("config.mounts.destination.required")
def test_no_destination(bundle):
    bundle.mounts.append({"type": "tmpfs", "source": "tmpfs"})
    bundle.is_refused()


@requirement("config.mounts.destination")
def test_a_destination_is_a_path_of_the_container(bundle):
    (bundle.rootfs / "a/b").mkdir(parents=True)
    bundle.mount("/a/b", "tmpfs", "tmpfs")
    assert mount_at(bundle.out(INFO), "/a/b").kind == "tmpfs"


@requirement("config.mounts.destination")
def test_a_destination_through_a_link_stays_in_the_container(bundle, tmp_path):
    """A link of the root directory leads nowhere else."""
    (tmp_path / "host").mkdir()
    (bundle.rootfs / "link").symlink_to(tmp_path / "host")
    bundle.mount("/link", "tmpfs", "tmpfs")
    try:
        bundle.run("echo x > /link/file")
    except Refused:
        return
    assert not (tmp_path / "host/file").exists()


@requirement("config.mounts.destination.relative")
@pytest.mark.parametrize("destination", ["mnt", "./mnt", "mnt/inner"])
def test_a_relative_destination_is_the_roots(bundle, destination):
    (bundle.rootfs / "mnt/inner").mkdir()
    bundle.process["cwd"] = "/tmp"
    bundle.mount(destination, "tmpfs", "tmpfs", ["size=4k"])
    place = f"/{destination.removeprefix('./')}"
    assert mount_at(bundle.out(INFO), place).kind == "tmpfs"


@requirement("config.mounts.type", "linux.default-filesystems")
@pytest.mark.parametrize(
    ("kind", "place"), [("proc", "/proc"), ("sysfs", "/sys"), ("devpts", "/dev/pts"), ("tmpfs", "/dev/shm")]
)
def test_the_file_systems_of_every_container(bundle, kind, place):
    assert mount_at(bundle.out(INFO), place).kind == kind


@requirement("config.mounts.type")
@pytest.mark.parametrize("kind", ["tmpfs", "ramfs", "mqueue", "sysfs"])
def test_types(bundle, kind):
    bundle.mount("/mnt", kind, kind)
    assert mount_at(bundle.out(INFO), "/mnt").kind == kind


@requirement("config.mounts.type", "config.values.invalid")
def test_a_type_that_the_kernel_does_not_know(bundle):
    bundle.mount("/mnt", "nosuchfs", "none")
    bundle.is_refused()


@requirement("config.mounts.bind", "config.mounts.options.bind")
@pytest.mark.parametrize("kind", ["bind", "none", "", "nosuchfs", "tmpfs"])
def test_the_type_of_a_bind_mount_is_a_dummy(bundle, kind):
    (bundle.path / "source").mkdir()
    (bundle.path / "source/mark").write_text("here")
    bundle.mount("/mnt", kind, bundle.path / "source", ["bind"])
    assert bundle.out("cat /mnt/mark") == "here"


@requirement("config.mounts.bind")
def test_a_bind_mount_of_a_file(bundle):
    (bundle.path / "file").write_text("here")
    bundle.mount("/etc/file", "bind", bundle.path / "file", ["bind"])
    assert bundle.out("cat /etc/file") == "here"


@requirement("config.mounts.source.bundle")
@pytest.mark.parametrize("source", ["source", "./source", "deep/../source"])
def test_a_relative_source_is_the_bundles(bundle, runtime, tmp_path, source):
    for name in ("source", "deep"):
        (bundle.path / name).mkdir()
    (bundle.path / "source/mark").write_text("here")
    bundle.mounts.append({"destination": "/mnt", "type": "bind", "source": source, "options": ["bind"]})
    # the caller is somewhere else
    assert bundle.out("cat /mnt/mark", cwd=tmp_path) == "here"


@requirement("config.mounts.bind", "config.values.invalid")
def test_a_source_that_is_not_there(bundle):
    bundle.mount("/mnt", "bind", bundle.path / "missing", ["bind"])
    bundle.is_refused()
    assert not (bundle.path / "missing").exists(), "the source was made"


@requirement("config.mounts.options.bind", "config.mounts.options.rbind")
@pytest.mark.parametrize("option", ["bind", "rbind"])
def test_what_is_mounted_below_a_source(bundle, host_mounts, option):
    top = host_mounts("-t", "tmpfs", "tmpfs", at=bundle.path / "source")
    host_mounts("-t", "tmpfs", "tmpfs", at=top / "inner")
    (top / "inner/mark").write_text("x")
    bundle.mount("/mnt", "bind", top, [option])
    assert bundle.out("ls /mnt /mnt/inner | grep -c mark || :") == ("1" if option == "rbind" else "0")


# ---- options that are attributes of a mount, or of a file system


def options(*cases):
    """Parametrizes a test with (option, ...), each held by the requirement for the option."""
    return [
        pytest.param(
            *case,
            # an option that is not in the specification's table
            marks=requirement(f"config.mounts.options.{'custom' if case[0] == 'rnodev' else case[0]}"),
            id=case[0].replace(",", "-"),
        )
        for case in cases
    ]


ATTRIBUTES = [
    # option, options before it, what mountinfo then shows of the mount, what it does not
    ("ro", [], {"ro"}, {"rw"}),
    ("rw", ["ro"], {"rw"}, {"ro"}),
    ("nosuid", [], {"nosuid"}, set()),
    ("suid", ["nosuid"], set(), {"nosuid"}),
    ("nodev", [], {"nodev"}, set()),
    ("dev", ["nodev"], set(), {"nodev"}),
    ("noexec", [], {"noexec"}, set()),
    ("exec", ["noexec"], set(), {"noexec"}),
    ("noatime", [], {"noatime"}, {"relatime"}),
    ("atime", ["noatime"], set(), {"noatime"}),
    ("relatime", [], {"relatime"}, {"noatime"}),
    ("norelatime", [], set(), {"noatime"}),
    ("strictatime", [], set(), {"noatime", "relatime"}),
    ("nostrictatime", ["strictatime"], {"relatime"}, {"noatime"}),
    ("nodiratime", [], {"nodiratime"}, set()),
    ("diratime", ["nodiratime"], set(), {"nodiratime"}),
    ("nosymfollow", [], {"nosymfollow"}, set()),
    ("symfollow", ["nosymfollow"], set(), {"nosymfollow"}),
    ("defaults", [], {"rw"}, {"nosuid", "nodev", "noexec", "noatime"}),
    ("loud", [], {"rw"}, set()),
    ("silent", [], {"rw"}, set()),
    ("iversion", [], {"rw"}, set()),
    ("noiversion", [], {"rw"}, set()),
]
PARAMETERS = [
    # option, options before it, what mountinfo shows of the file system, what it does not
    ("sync", [], {"sync"}, set()),
    ("async", ["sync"], set(), {"sync"}),
    ("dirsync", [], {"dirsync"}, set()),
    ("lazytime", [], {"lazytime"}, set()),
    ("nolazytime", ["lazytime"], set(), {"lazytime"}),
]


@requirement("config.mounts.options.table")
@pytest.mark.parametrize(("option", "before", "shown", "hidden"), options(*ATTRIBUTES))
def test_options_of_a_file_system(bundle, option, before, shown, hidden):
    bundle.mount("/mnt", "tmpfs", "tmpfs", [*before, option])
    found = mount_at(bundle.out(INFO), "/mnt").options
    assert shown <= found
    assert not hidden & found


@requirement("config.mounts.options.table")
@pytest.mark.parametrize(("option", "before", "shown", "hidden"), options(*ATTRIBUTES))
def test_options_of_a_bind_mount(bundle, option, before, shown, hidden):
    (bundle.path / "source").mkdir()
    bundle.mount("/mnt", "bind", bundle.path / "source", ["bind", *before, option])
    found = mount_at(bundle.out(INFO), "/mnt").options
    # a bind mount has, where nothing is said, what its source has
    assert shown - {"rw", "relatime"} <= found
    assert not hidden & found - {"relatime"}


@requirement("config.mounts.options.table")
@pytest.mark.parametrize(("option", "before", "shown", "hidden"), options(*PARAMETERS))
def test_options_of_the_superblock(bundle, option, before, shown, hidden):
    bundle.mount("/mnt", "tmpfs", "tmpfs", [*before, option])
    found = mount_at(bundle.out(INFO), "/mnt").parameters
    assert shown <= found
    assert not hidden & found


EFFECTS = [
    # option, script, exit status
    ("ro", "echo x > /mnt/file", 1),
    ("rw", "echo x > /mnt/file", 0),
    ("noexec", "cp() { cat $1 > $2; chmod 755 $2; }; cp /bin/busybox /mnt/sh; /mnt/sh true", 126),
    ("exec", "cp() { cat $1 > $2; chmod 755 $2; }; cp /bin/busybox /mnt/true; /mnt/true", 0),
    ("nodev", "mknod /mnt/null c 1 3; echo x > /mnt/null", 1),
    ("dev", "mknod /mnt/null c 1 3; echo x > /mnt/null", 0),
    ("nosymfollow", "ln -s /bin/sh /mnt/link; cat /mnt/link > /dev/null", 1),
    ("symfollow", "ln -s /bin/sh /mnt/link; cat /mnt/link > /dev/null", 0),
]


@pytest.mark.parametrize(("option", "script", "code"), options(*EFFECTS))
def test_effects(bundle, option, script, code):
    bundle.grant("CAP_MKNOD", "CAP_DAC_OVERRIDE")
    bundle.mount("/mnt", "tmpfs", "tmpfs", [option])
    assert bundle.run(script).code == code


@pytest.mark.parametrize(("option", "effective"), options(("nosuid", "1000"), ("suid", "0")))
def test_the_effect_on_bits_that_change_the_user(bundle, option, effective):
    bundle.process["noNewPrivileges"] = False
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    (bundle.path / "source").mkdir()
    (bundle.path / "source/probe").write_bytes((bundle.rootfs / "bin/probe").read_bytes())
    (bundle.path / "source/probe").chmod(0o4755)
    bundle.mount("/mnt", "bind", bundle.path / "source", ["bind", option])
    assert bundle.out("/mnt/probe ids").split()[1] == effective


@requirement("config.mounts.options.table")
def test_of_two_options_the_later_counts(bundle):
    bundle.mount("/mnt", "tmpfs", "tmpfs", ["rw", "nosuid", "ro", "suid"])
    found = mount_at(bundle.out(INFO), "/mnt").options
    assert "ro" in found
    assert "nosuid" not in found


RECURSIVE = [
    # option, options of the mounts on the host, what each mount shows, what it does not
    ("rro", "rw", {"ro"}, set()),
    ("rrw", "ro", {"rw"}, set()),
    ("rnosuid", "suid", {"nosuid"}, set()),
    ("rsuid", "nosuid", set(), {"nosuid"}),
    ("rnodev", "dev", {"nodev"}, set()),
    ("rdev", "nodev", set(), {"nodev"}),
    ("rnoexec", "exec", {"noexec"}, set()),
    ("rexec", "noexec", set(), {"noexec"}),
    ("rnoatime", "relatime", {"noatime"}, set()),
    ("ratime", "noatime", set(), {"noatime"}),
    ("rrelatime", "noatime", {"relatime"}, {"noatime"}),
    ("rnorelatime", "noatime", set(), {"noatime"}),
    ("rstrictatime", "relatime", set(), {"relatime", "noatime"}),
    ("rnostrictatime", "strictatime", {"relatime"}, {"noatime"}),
    ("rnodiratime", "diratime", {"nodiratime"}, set()),
    ("rdiratime", "nodiratime", set(), {"nodiratime"}),
    ("rnosymfollow", "symfollow", {"nosymfollow"}, set()),
    ("rsymfollow", "nosymfollow", set(), {"nosymfollow"}),
]


@pytest.mark.parametrize(("option", "given", "shown", "hidden"), options(*RECURSIVE))
def test_recursive_options(bundle, host_mounts, option, given, shown, hidden):
    top = host_mounts("-t", "tmpfs", "tmpfs", at=bundle.path / "source")
    host_mounts("-t", "tmpfs", "tmpfs", at=top / "inner")
    for place in (top / "inner", top):
        subprocess.run(["mount", "-o", f"remount,bind,{given}", str(place)], check=True)
    bundle.mount("/mnt", "bind", top, ["rbind", option])
    info = bundle.out(INFO)
    for place in ("/mnt", "/mnt/inner"):
        found = mount_at(info, place).options
        assert shown <= found, place
        assert not hidden & found, place


@pytest.mark.parametrize("option", ["ro", "nosuid", "noexec"])
@requirement("config.mounts.options.table")
def test_options_that_are_not_recursive(bundle, host_mounts, option):
    """They are for the mount itself, and not for what is below."""
    top = host_mounts("-t", "tmpfs", "tmpfs", at=bundle.path / "source")
    host_mounts("-t", "tmpfs", "tmpfs", at=top / "inner")
    bundle.mount("/mnt", "bind", top, ["rbind", option])
    info = bundle.out(INFO)
    assert option in mount_at(info, "/mnt").options
    assert option not in mount_at(info, "/mnt/inner").options


# ---- remount, propagation, data


@requirement("config.mounts.options.remount")
def test_remount_of_a_bind_mount(bundle):
    (bundle.path / "source").mkdir()
    bundle.mount("/mnt", "bind", bundle.path / "source", ["bind"])
    bundle.mount("/mnt", "bind", bundle.path / "source", ["remount", "bind", "ro", "nosuid"])
    found = mount_at(bundle.out(INFO), "/mnt").options
    assert {"ro", "nosuid"} <= found


@requirement("config.mounts.options.remount")
def test_remount_of_a_file_system(bundle):
    bundle.mount("/mnt", "tmpfs", "tmpfs", ["size=64k"])
    bundle.mount("/mnt", "tmpfs", "tmpfs", ["remount", "size=128k"])
    info = bundle.out(INFO)
    assert "size=128k" in mount_at(info, "/mnt").parameters
    assert len([mount for mount in mount_points(info) if mount.point == "/mnt"]) == 1, "there are two mounts"


PROPAGATIONS = [
    # option, what mountinfo shows, what it does not
    ("private", set(), {"shared", "master", "unbindable"}),
    ("slave", {"master"}, {"shared"}),
    ("shared", {"shared"}, set()),
    ("unbindable", {"unbindable"}, {"shared", "master"}),
]
RECURSIVE_PROPAGATIONS = [(f"r{option}", *rest) for option, *rest in PROPAGATIONS]


@pytest.fixture
def shared(bundle, host_mounts):
    """A mount of the host, with another below, both in peer groups."""
    top = host_mounts("-t", "tmpfs", "tmpfs", at=bundle.path / "source")
    host_mounts("-t", "tmpfs", "tmpfs", at=top / "inner")
    subprocess.run(["mount", "--make-rshared", str(top)], check=True)
    return top


@pytest.mark.parametrize(("option", "shown", "hidden"), options(*PROPAGATIONS, *RECURSIVE_PROPAGATIONS))
def test_propagation(bundle, shared, option, shown, hidden):
    bundle.mount("/mnt", "bind", shared, ["rbind", option])
    info = bundle.out(INFO)
    for place in ("/mnt", "/mnt/inner") if option[0] == "r" else ("/mnt",):
        found = mount_at(info, place).propagation
        assert shown <= found, place
        assert not hidden & found, place


@pytest.mark.parametrize(("option", "arrives"), options(("rslave", True), ("rprivate", False)))
def test_what_the_host_mounts_later(bundle, shared, host_mounts, option, arrives):
    """A slave gets it, a private mount does not."""
    bundle.mount("/mnt", "bind", shared, ["rbind", option])
    container = bundle.create("sleep 1000")
    (shared / "later").mkdir()
    host_mounts("-t", "tmpfs", "later", at=shared / "later")
    points = [mount.point for mount in mount_points(container.proc("mountinfo"))]
    assert ("/mnt/later" in points) == arrives


@pytest.mark.parametrize("option", options(("rslave",), ("rprivate",)))
def test_what_the_container_mounts_does_not_reach_the_host(bundle, shared, option):
    bundle.grant("CAP_SYS_ADMIN")
    (shared / "later").mkdir()
    bundle.mount("/mnt", "bind", shared, ["rbind", option])
    bundle.out("mount -t tmpfs tmpfs /mnt/later && echo > /mnt/later/mark")
    assert not (shared / "later/mark").exists()


@requirement("config.mounts.options.unbindable")
def test_an_unbindable_mount_cannot_be_bound(bundle, shared):
    bundle.grant("CAP_SYS_ADMIN")
    bundle.mount("/mnt", "bind", shared, ["bind", "unbindable"])
    assert bundle.run("mkdir /tmp/x; mount -o bind /mnt /tmp/x").code


@requirement("config.mounts.options.data")
@pytest.mark.parametrize(
    ("options", "parameter"), [(["size=64k"], "size=64k"), (["nr_inodes=11", "mode=711"], "nr_inodes=11")]
)
def test_other_options_are_handed_to_the_file_system(bundle, options, parameter):
    bundle.mount("/mnt", "tmpfs", "tmpfs", [*options, "nosuid"])
    found = mount_at(bundle.out(INFO), "/mnt")
    assert parameter in found.parameters
    assert "nosuid" in found.options


@requirement("config.mounts.options.data", "config.values.invalid")
def test_an_option_that_the_file_system_does_not_know(bundle):
    bundle.mount("/mnt", "tmpfs", "tmpfs", ["nosuchoption"])
    bundle.is_refused()


@requirement("config.values.invalid")
def test_a_bad_value_of_an_option(bundle):
    bundle.mount("/mnt", "tmpfs", "tmpfs", ["size=many"])
    bundle.is_refused()


@pytest.mark.parametrize("option", options(("tmpcopyup",)))
def test_tmpcopyup(bundle, option):
    bundle.file("data/file", "content")
    bundle.file("data/deep/other", "more", 0o600)
    (bundle.rootfs / "data/link").symlink_to("file")
    bundle.mount("/data", "tmpfs", "tmpfs", [option])
    done = bundle.out("cat /data/link /data/deep/other; stat -c %a /data/deep/other; echo x > /data/file")
    assert done.replace("\n", "") == "contentmore600"
    assert (bundle.rootfs / "data/file").read_text() == "content"


# ---- id-mapped mounts


@pytest.fixture
def source(bundle, host_mounts):
    """A directory of the host with a file of user 7 and group 8, and a file system below with another."""
    if kernel() < (6, 3):
        not_applicable("this kernel cannot map the ids of a tmpfs (Linux 6.3)")
    top = host_mounts("-t", "tmpfs", "tmpfs", at=bundle.path / "source")
    inner = host_mounts("-t", "tmpfs", "tmpfs", at=top / "inner")
    for place in (top, inner):
        (place / "file").write_text("x")
        os.chown(place / "file", 7, 8)
    return top


def maps(host, size=1000):
    return [{"containerID": 0, "hostID": host, "size": size}]


@pytest.mark.parametrize(
    "option",
    [
        pytest.param(
            "idmap",
            marks=requirement(
                "config.mounts.idmap",
                "config.mounts.idmap.supported",
                "config.mounts.idmap.no-data",
                "config.mounts.idmap.own-maps",
                "config.mounts.idmap.by-attribute",
            ),
            id="idmap",
        ),
        pytest.param(
            "ridmap",
            marks=requirement(
                "config.mounts.ridmap",
                "config.mounts.ridmap.supported",
                "config.mounts.ridmap.no-data",
                "config.mounts.ridmap.own-maps",
                "config.mounts.ridmap.by-attribute",
            ),
            id="ridmap",
        ),
    ],
)
def test_maps_of_the_mount(bundle, source, option):
    """What is written there belongs, on the host, to whom the map says."""
    entry = {"destination": "/mnt", "type": "bind", "source": str(source), "options": ["rbind", option]}
    bundle.mounts.append(entry | {"uidMappings": maps(5000), "gidMappings": maps(6000)})
    assert bundle.out("stat -c %u:%g /mnt/file") == "5007:6008"
    inner = bundle.out("stat -c %u:%g /mnt/inner/file")
    assert inner == ("5007:6008" if option == "ridmap" else "7:8")
    assert (source / "file").stat().st_uid == 7


@pytest.mark.parametrize(
    "option",
    [
        pytest.param(
            "idmap",
            marks=requirement(
                "config.mounts.idmap.container-maps",
                "config.mounts.idmap.by-attribute",
            ),
            id="idmap",
        ),
        pytest.param(
            "ridmap",
            marks=requirement(
                "config.mounts.ridmap.container-maps",
                "config.mounts.ridmap.by-attribute",
            ),
            id="ridmap",
        ),
    ],
)
def test_maps_of_the_container(bundle, source, option):
    bundle.map_ids(100000)
    entry = {"destination": "/mnt", "type": "bind", "source": str(source), "options": ["rbind", option]}
    bundle.mounts.append(entry)
    assert bundle.out("stat -c %u:%g /mnt/file") == "7:8"
    assert bundle.out("stat -c %u:%g /mnt/inner/file") == ("7:8" if option == "ridmap" else "65534:65534")
    assert (source / "file").stat().st_uid == 7


@pytest.mark.parametrize(
    "option",
    [
        pytest.param(
            "idmap",
            marks=requirement(
                "config.mounts.idmap.no-maps",
            ),
            id="idmap",
        ),
        pytest.param(
            "ridmap",
            marks=requirement(
                "config.mounts.ridmap.no-maps",
            ),
            id="ridmap",
        ),
    ],
)
def test_no_maps(bundle, source, option):
    bundle.mount("/mnt", "bind", source, ["rbind", option])
    bundle.is_refused()


@requirement("config.mounts.uid-mappings.by-attribute", "config.mounts.gid-mappings.by-attribute")
def test_maps_without_the_option(bundle, source):
    """The option says how far they reach; the maps alone are enough for the mount itself."""
    entry = {"destination": "/mnt", "type": "bind", "source": str(source), "options": ["bind"]}
    bundle.mounts.append(entry | {"uidMappings": maps(5000), "gidMappings": maps(6000)})
    assert bundle.out("stat -c %u:%g /mnt/file") == "5007:6008"
    status = (source / "file").stat()
    assert (status.st_uid, status.st_gid) == (7, 8)


@requirement("config.mounts.uid-mappings.both", "config.mounts.gid-mappings.both")
@pytest.mark.parametrize("name", ["uidMappings", "gidMappings"])
def test_one_kind_of_map_alone(bundle, source, name):
    entry = {"destination": "/mnt", "type": "bind", "source": str(source), "options": ["bind", "idmap"]}
    bundle.mounts.append(entry | {name: maps(5000)})
    bundle.is_refused()
