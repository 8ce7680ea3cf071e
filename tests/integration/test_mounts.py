"""mounts: every option of the specification's table, seen from inside in /proc/self/mountinfo."""

import os
import subprocess
import time
from pathlib import Path

import pytest


def mount(destination, kind="tmpfs", source="tmpfs", *options):
    return {"destination": destination, "type": kind, "source": str(source), "options": list(options)}


def bind(source, destination, *options):
    return mount(destination, "none", source, *options)


class Line:
    """A line of mountinfo."""

    def __init__(self, line):
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        self.point = fields[4]
        self.options = set(fields[5].split(","))
        self.optional = [field.split(":")[0] for field in fields[6:]]
        self.kind, self.source, self.superblock = after.split(" ")
        self.superblock = set(self.superblock.split(","))


def mountinfo(bundle, point):
    lines = [Line(line) for line in bundle.run("cat /proc/self/mountinfo").out.splitlines()]
    found = [line for line in lines if line.point == point]
    assert found, [line.point for line in lines]
    return found[-1]


@pytest.fixture
def host_mount(tmp_path):
    """A tmpfs on the host with another one inside; made and removed in this process's own mount namespace."""
    top = tmp_path / "host"
    top.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "top", str(top)], check=True)
    (top / "inner").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "inner", str(top / "inner")], check=True)
    (top / "file").write_text("top\n")
    (top / "inner/file").write_text("inner\n")
    yield top
    subprocess.run(["umount", "-R", "-l", str(top)], check=True)


ATTRIBUTES = {
    "ro": ("ro", True),
    "rw": ("rw", True),
    "nosuid": ("nosuid", True),
    "suid": ("nosuid", False),
    "nodev": ("nodev", True),
    "dev": ("nodev", False),
    "noexec": ("noexec", True),
    "exec": ("noexec", False),
    "noatime": ("noatime", True),
    "atime": ("relatime", True),
    "relatime": ("relatime", True),
    "norelatime": ("relatime", True),
    "strictatime": ("relatime", False),
    "nostrictatime": ("relatime", True),
    "nodiratime": ("nodiratime", True),
    "diratime": ("nodiratime", False),
    "nosymfollow": ("nosymfollow", True),
    "symfollow": ("nosymfollow", False),
}


@pytest.mark.parametrize("option", ATTRIBUTES)
def test_attributes_of_a_file_system(bundle, option):
    shown, there = ATTRIBUTES[option]
    bundle.mounts.append(mount("/mnt", "tmpfs", "tmpfs", option))
    assert (shown in mountinfo(bundle, "/mnt").options) is there


@pytest.mark.parametrize("option", ATTRIBUTES)
def test_attributes_of_a_bind(bundle, host_mount, option):
    shown, there = ATTRIBUTES[option]
    bundle.mounts.append(bind(host_mount, "/mnt", "rbind", option))
    assert (shown in mountinfo(bundle, "/mnt").options) is there
    # not recursive: what is mounted below stays as it was
    inner = mountinfo(bundle, "/mnt/inner").options
    assert not inner & {"ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "nosymfollow"}


@pytest.mark.parametrize("option", ATTRIBUTES)
def test_recursive_attributes(bundle, host_mount, option):
    shown, there = ATTRIBUTES[option]
    bundle.mounts.append(bind(host_mount, "/mnt", "rbind", f"r{option}"))
    for point in ("/mnt", "/mnt/inner"):
        assert (shown in mountinfo(bundle, point).options) is there


def test_clearing_what_the_source_has(bundle, host_mount):
    subprocess.run(["mount", "-o", "remount,bind,ro,nosuid,nodev,noexec,noatime", str(host_mount)], check=True)
    bundle.mounts.append(bind(host_mount, "/mnt", "bind", "rw", "suid", "dev", "exec", "relatime"))
    options = mountinfo(bundle, "/mnt").options
    assert not options & {"ro", "nosuid", "nodev", "noexec", "noatime"}
    # and what no option speaks of is kept: a bind never weakens by itself
    bundle.mounts[-1]["options"] = ["bind", "rw"]
    assert {"nosuid", "nodev", "noexec", "noatime"} <= mountinfo(bundle, "/mnt").options


def test_later_options_win(bundle):
    bundle.mounts.append(mount("/mnt", "tmpfs", "tmpfs", "ro", "noexec", "rw", "exec", "nosuid"))
    options = mountinfo(bundle, "/mnt").options
    assert {"rw", "nosuid"} <= options
    assert "noexec" not in options


@pytest.mark.parametrize("option", ["sync", "dirsync", "lazytime", "mand"])
def test_options_of_the_superblock(bundle, option):
    bundle.mounts.append(mount("/mnt", "tmpfs", "tmpfs", option))
    assert option in mountinfo(bundle, "/mnt").superblock or option == "mand"  # mand: ignored since Linux 5.15


@pytest.mark.parametrize(
    "options", [["async"], ["nolazytime"], ["nomand"], ["defaults"], ["loud"], ["silent"], ["iversion"], ["noiversion"]]
)
def test_options_that_say_what_is_usual(bundle, options):
    bundle.mounts.append(mount("/mnt", "tmpfs", "tmpfs", *options))
    assert mountinfo(bundle, "/mnt").options == {"rw", "relatime"}


PROPAGATION = {
    "private": ([], []),
    "rprivate": ([], []),
    "unbindable": (["unbindable"], []),
    "runbindable": (["unbindable"], ["unbindable"]),
}


@pytest.mark.parametrize("option", PROPAGATION)
def test_propagation_that_cuts_off(bundle, host_mount, option):
    top, inner = PROPAGATION[option]
    bundle.linux["rootfsPropagation"] = "private"
    bundle.mounts.append(bind(host_mount, "/mnt", "rbind", option))
    assert mountinfo(bundle, "/mnt").optional == top
    assert mountinfo(bundle, "/mnt/inner").optional == inner


def new_mount_is_seen(bundle, host, script, inside):
    """Runs a container, mounts something on the host meanwhile, and lets it look."""
    fifo = bundle.rootfs / "go"
    os.mkfifo(fifo)
    bundle.shell(f"{script}; echo ready > /go; read x < /go; ls {inside}")
    with (bundle.path / "out").open("w") as out:
        name, _ = bundle.create(stdout=out)
    bundle.runtime("start", name)
    assert fifo.read_text() == "ready\n"
    subprocess.run(["mount", "-t", "tmpfs", "late", str(host)], check=True)
    (host / "late").touch()
    fifo.write_text("go\n")
    bundle.runtime.wait_status(name, "stopped")
    subprocess.run(["umount", str(host)], check=True)
    return "late" in (bundle.path / "out").read_text()


@pytest.mark.parametrize(
    ("options", "seen"), [(["rslave"], True), (["slave"], True), (["rshared"], True), (["rprivate"], False), ([], True)]
)
def test_mounts_of_the_host_arrive(bundle, host_mount, options, seen):
    """Without an option too, as runc has it for a root that is not private."""
    subprocess.run(["mount", "--make-rshared", str(host_mount)], check=True)
    (host_mount / "late").mkdir()
    bundle.mounts.append(bind(host_mount, "/mnt", "rbind", *options))
    assert new_mount_is_seen(bundle, host_mount / "late", "true", "/mnt/late") is seen


@pytest.mark.parametrize(
    ("option", "seen"), [("rshared", True), ("shared", True), ("rslave", False), ("rprivate", False)]
)
def test_mounts_of_the_container_arrive_on_the_host(bundle, host_mount, option, seen):
    """Bidirectional propagation, as Kubernetes calls it; only where it is asked for."""
    subprocess.run(["mount", "--make-rshared", str(host_mount)], check=True)
    (host_mount / "made").mkdir()
    everything = ["CAP_SYS_ADMIN"]
    bundle.process["capabilities"] = dict.fromkeys(("bounding", "permitted", "effective"), everything)
    bundle.mounts.append(bind(host_mount, "/mnt", "rbind", option))
    fifo = bundle.rootfs / "go"
    os.mkfifo(fifo)
    bundle.shell("mount -t tmpfs made /mnt/made && echo ready > /go; read x < /go")
    name, _ = bundle.create()
    bundle.runtime("start", name)
    assert fifo.read_text() == "ready\n"
    assert os.path.ismount(host_mount / "made") is seen
    fifo.write_text("go\n")
    bundle.runtime.wait_status(name, "stopped")


def test_nothing_done_inside_reaches_the_host(bundle):
    before = Path("/proc/self/mountinfo").read_text()
    bundle.mounts.append(mount("/deep/er", "tmpfs", "tmpfs"))
    bundle.run("true")
    assert Path("/proc/self/mountinfo").read_text() == before


def test_bind_of_a_file_and_of_a_directory(bundle, host_mount):
    bundle.mounts.extend([bind(host_mount / "file", "/new/file", "bind"), bind(host_mount, "/dir", "bind")])
    assert bundle.run("cat /new/file /dir/file; ls -A /dir/inner").out == "top\ntop\n"


def test_rbind_takes_what_is_mounted_below(bundle, host_mount):
    bundle.mounts.append(bind(host_mount, "/dir", "rbind"))
    assert bundle.run("cat /dir/inner/file").out == "inner\n"


def test_a_relative_source_is_the_bundles(bundle):
    (bundle.path / "data").mkdir()
    (bundle.path / "data/x").write_text("here\n")
    bundle.mounts.append(bind("data", "/data", "bind"))
    assert bundle.run("cat /data/x").out == "here\n"


def test_a_relative_destination_is_the_roots(bundle):
    bundle.mounts.append(mount("data", "tmpfs", "tmpfs"))
    assert mountinfo(bundle, "/data").kind == "tmpfs"


def test_order_is_that_of_the_list(bundle):
    bundle.mounts.extend(
        [mount("/a", "tmpfs", "first"), mount("/a/b", "tmpfs", "second"), mount("/a", "tmpfs", "third")]
    )
    lines = [Line(line) for line in bundle.run("cat /proc/self/mountinfo").out.splitlines()]
    assert [line.source for line in lines if line.point.startswith("/a")] == ["first", "second", "third"]
    assert bundle.run("ls /a").out == ""


def test_read_only_tmpfs_can_hold_mounts(bundle):
    """It becomes read-only when all others are in place."""
    bundle.mounts.extend([mount("/a", "tmpfs", "a", "ro"), mount("/a/b", "tmpfs", "b")])
    assert bundle.run("touch /a/b/x && touch /a/y 2>/dev/null || echo refused").out == "refused\n"


@pytest.mark.parametrize("target", ["/outside", "../../../../../../outside", "/tmp/../outside"])
def test_links_are_resolved_inside(bundle, tmp_path, target):
    """CVE-2021-30465 and its kind: a link in the image leads to the image's own file, however it is written."""
    (bundle.rootfs / "link").symlink_to(target)
    bundle.mounts.append(mount("/link", "tmpfs", "inside"))
    assert mountinfo(bundle, "/outside").source == "inside"
    assert not Path("/outside").exists()


def test_links_in_the_middle_and_dangling(bundle):
    (bundle.rootfs / "a").symlink_to("/b/c")
    (bundle.rootfs / "b").mkdir()
    (bundle.rootfs / "b/c").symlink_to("../d")
    bundle.mounts.append(mount("/a/e/f", "tmpfs", "deep"))
    assert mountinfo(bundle, "/d/e/f").source == "deep"


def test_a_loop_of_links(bundle):
    (bundle.rootfs / "a").symlink_to("b")
    (bundle.rootfs / "b").symlink_to("a")
    bundle.mounts.append(mount("/a/x", "tmpfs", "x"))
    assert "too many levels of symbolic links" in bundle.fails()


@pytest.mark.parametrize("name", ["proc", "sys"])
def test_proc_and_sys_must_not_be_links(bundle, name):
    """CVE-2019-19921, CVE-2023-28642: a link would move the real thing aside."""
    (bundle.rootfs / name).rmdir()
    (bundle.rootfs / "other").mkdir()
    (bundle.rootfs / name).symlink_to("other")
    assert "too many levels of symbolic links" in bundle.fails()


def test_nothing_else_goes_over_proc(bundle, host_mount):
    for entry, text in (
        (mount("/proc", "tmpfs", "x"), '"/proc" cannot be mounted because it is not of type proc'),
        (bind(host_mount, "/proc/self/attr", "bind"), "cannot be mounted because it is inside /proc"),
        (bind(host_mount, "/proc", "bind"), "only procfs may be mounted there"),
    ):
        bundle.mounts.append(entry)
        assert text in bundle.fails()
        bundle.mounts.pop()
    # through a link that only the kernel sees to lead there
    (bundle.rootfs / "way").symlink_to("/proc/sys")
    bundle.mounts.append(bind(host_mount, "/way", "bind"))
    assert "the target lies on procfs" in bundle.fails()


def test_what_lxcfs_covers_may_be_covered(bundle, host_mount):
    bundle.mounts.append(bind(host_mount / "file", "/proc/uptime", "bind"))
    assert bundle.run("cat /proc/uptime").out == "top\n"


def test_proc_of_the_host_may_be_bound(bundle):
    bundle.namespace("pid", False)
    bundle.mounts[0] = bind("/proc", "/proc", "rbind")
    assert bundle.run("cat /proc/1/comm").out == Path("/proc/1/comm").read_text()


def test_tmpfs_takes_the_mode_of_what_it_covers(bundle):
    (bundle.rootfs / "m").mkdir(mode=0o700)
    (bundle.rootfs / "m").chmod(0o1751)
    bundle.mounts.append(mount("/m", "tmpfs", "tmpfs"))
    assert bundle.run("stat -c %a /m").out == "1751\n"
    bundle.mounts[-1]["options"] = ["mode=0711"]
    assert bundle.run("stat -c %a /m").out == "711\n"


def test_copy_up(bundle):
    """tmpcopyup: content, modes, owners, times, links; the image stays as it was."""
    source = bundle.rootfs / "src"
    (source / "sub/deeper").mkdir(parents=True)
    (source / "file").write_text("content\n" * 1000)
    os.chown(source / "file", 11, 12)
    (source / "file").chmod(0o4754)
    os.utime(source / "file", (1000000000, 1100000000))
    (source / "sub/deeper/x").write_text("deep\n")
    (source / "sub").chmod(0o711)
    (source / "link").symlink_to("/etc/shadow")
    os.lchown(source / "link", 13, 14)
    os.mkfifo(source / "fifo")
    bundle.mounts.append(mount("/src", "tmpfs", "tmpfs", "tmpcopyup"))
    result = bundle.run(
        "cd /src; md5sum < file; stat -c '%a %u:%g %Y' file; cat sub/deeper/x; stat -c %a sub; readlink link;"
        "stat -c %u:%g link; test -p fifo && echo fifo; stat -f -c %T ."
    ).out.split("\n")
    expected = subprocess.run(["md5sum"], input="content\n" * 1000, capture_output=True, text=True, check=True)
    assert result[:9] == [
        expected.stdout.strip(),
        "4754 11:12 1100000000",
        "deep",
        "711",
        "/etc/shadow",
        "13:14",
        "fifo",
        "tmpfs",
        "",
    ]
    assert (source / "file").read_text() == "content\n" * 1000


def test_copy_up_of_a_bottomless_directory(bundle):
    """Bounded, and an error: neither a crash nor half a copy that passes for whole."""
    path = bundle.rootfs / "src"
    script = "mkdir src; cd src; i=0; while [ $i -lt 300 ]; do mkdir d && cd d; i=$((i+1)); done"
    subprocess.run(["sh", "-c", script], cwd=bundle.rootfs, check=True)
    assert path.exists()
    bundle.mounts.append(mount("/src", "tmpfs", "tmpfs", "tmpcopyup"))
    assert "copy up: too many levels of symbolic links" in bundle.fails()


def test_remount(bundle, host_mount):
    bundle.mounts.extend(
        [
            bind(host_mount, "/mnt", "bind"),
            mount("/mnt", "none", "", "bind", "remount", "ro", "nosuid"),
            mount("/t", "tmpfs", "t", "size=1m"),
            mount("/t", "tmpfs", "t", "remount", "size=2m", "noexec"),
        ]
    )
    assert {"ro", "nosuid"} <= mountinfo(bundle, "/mnt").options
    line = mountinfo(bundle, "/t")
    assert "size=2048k" in line.superblock
    assert "noexec" in line.options


def test_data_reaches_the_file_system(bundle):
    bundle.mounts.append(mount("/t", "tmpfs", "t", "size=3m", "nr_inodes=77", "mode=1700"))
    assert {"size=3072k", "nr_inodes=77", "mode=1700"} <= mountinfo(bundle, "/t").superblock


def test_kernel_types(bundle):
    shown = {line.point: line.kind for line in map(Line, bundle.run("cat /proc/self/mountinfo").out.splitlines())}
    assert {
        "/proc": "proc",
        "/dev": "tmpfs",
        "/dev/pts": "devpts",
        "/dev/shm": "tmpfs",
        "/dev/mqueue": "mqueue",
        "/sys": "sysfs",
    }.items() <= shown.items()


BAD = [
    (
        mount("/d", "ext4", "/dev/nosuch"),
        ['error mounting "/dev/nosuch" to rootfs at "/d"', "no such file or directory"],
    ),
    (mount("/d", "nosuchfs", "x"), ["no such device", "the kernel does not know this file system"]),
    (bind("/nosuch", "/d", "bind"), ['error mounting "/nosuch" to rootfs at "/d"', "no such file or directory"]),
    (
        mount("/d", "tmpfs", "t", "nosuchoption"),
        ["nosuchoption", "Unknown parameter 'nosuchoption'", "invalid argument"],
    ),
    (mount("/d", "tmpfs", "t", "size=banana"), ["size", "Bad value for 'size': invalid argument"]),
    (
        bind("/etc/hostname", "/d", "bind", "size=1m"),
        ["bind mounts cannot have any filesystem-specific options applied: size=1m"],
    ),
    (mount("/", "tmpfs", "t"), ["is the container's root"]),
    ({"destination": "/d"}, ["mounts[7].type: is missing"]),
    ({"destination": "/d", "options": ["bind"]}, ["mounts[7].source: a bind mount needs one"]),
    (bind("/etc/passwd", "/tmp", "bind"), ["the target is a directory"]),
    (bind("/etc", "/etc/passwd", "bind"), ["the target is not a directory", "not a directory"]),
    (mount("/d", "tmpfs", "t", "lowerdir=" + "x" * 256), ["options are limited to 255 bytes each"]),
    (mount("/d", "tmpfs", "t", "x" * 256), ["options are limited to 255 bytes each"]),
    (mount("/d", "tmpfs", "x" * 256), ["source: file name too long (options are limited to 255 bytes each)"]),
    (mount("/d", "tmpfs", "t", "size=" + "x" * 255), ["Bad value for 'size': invalid argument"]),
]


@pytest.mark.parametrize(("entry", "texts"), BAD)
def test_bad_mounts(bundle, entry, texts):
    """One line: what, where in the config, and what the kernel said; and nothing is left."""
    bundle.mounts.append(entry)
    message = bundle.fails()
    assert "mounts[7]" in message
    assert "config.json, line" in message
    for text in texts:
        assert text in message


def mounts_of_the_host():
    return Path("/proc/self/mountinfo").read_text()


def test_without_a_mount_namespace_and_mounts(bundle):
    bundle.namespace("mount", False)
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    bundle.mounts.clear()
    before = mounts_of_the_host()
    script = "readlink /proc/self/ns/mnt; echo $(ls /dev); head -1 /etc/passwd"
    assert bundle.run(script).out.splitlines()[-2:] == [
        "full null ptmx random tty urandom zero",
        "root:x:0:0:root:/root:/bin/sh",
    ]
    assert mounts_of_the_host() == before


@pytest.mark.parametrize("end", ["delete", "killed", "failed"])
def test_without_a_mount_namespace_mounts_are_made_on_the_host_and_go_again(bundle, tmp_path, end):
    """runc leaves them there; here they are all below one mount, with which they go."""
    (tmp_path / "source").mkdir()
    bundle.namespace("mount", False)
    bundle.mounts.append(bind(str(tmp_path / "source"), "/data", "rbind"))
    bundle.config["root"]["readonly"] = True
    # somebody else's, which has to stay
    subprocess.run(["mount", "--bind", str(bundle.rootfs), str(bundle.rootfs)], check=True)
    try:
        before = mounts_of_the_host()
        if end == "failed":
            bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/false"}]}
            bundle.fails()
        else:
            script = "readlink /proc/1/ns/mnt; touch /x; cat /proc/keys; touch /proc/sys/x; touch /data/x; sleep 100"
            name, result = bundle.shell(script).create()
            assert f" {bundle.rootfs}/proc " in mounts_of_the_host()
            bundle.runtime("start", name)
            seen = bundle.runtime.state(name)["pid"]
            own = os.readlink("/proc/self/ns/mnt")
            assert os.readlink(f"/proc/{seen}/ns/mnt") == own
            deadline = time.monotonic() + 10
            while not (tmp_path / "source/x").exists():
                assert time.monotonic() < deadline
            assert "/x: Read-only file system" in result.err
            if end == "killed":
                bundle.runtime("kill", name, "KILL")
                bundle.runtime.wait_status(name, "stopped")
            bundle.runtime("delete", "--force", name)
        assert mounts_of_the_host() == before
    finally:
        subprocess.run(["umount", str(bundle.rootfs)], check=True)


def test_mounts_with_a_user_namespace_need_a_mount_namespace(bundle):
    bundle.namespace("mount", False)
    bundle.namespace("user")
    maps = [{"containerID": 0, "hostID": 0, "size": 65536}]
    bundle.linux.update(uidMappings=maps, gidMappings=maps)
    assert "mounts: with a user namespace they need a mount namespace" in bundle.fails()


def test_a_thousand_binds(bundle):
    bundle.mounts.extend([bind("/etc/hostname", f"/m/{number}", "bind", "ro") for number in range(1000)])
    assert bundle.run("ls /m | wc -l; grep -c ' /m/' /proc/self/mountinfo").out == "1000\n1000\n"


version_1 = pytest.mark.skipif(
    Path("/sys/fs/cgroup/cgroup.controllers").exists(), reason="this host has no cgroups of version 1"
)


@version_1
def test_cgroup_mount_is_read_only_and_shows_the_own_cgroup(bundle):
    out = bundle.run(
        "cat /sys/fs/cgroup/pids/cgroup.procs; mkdir /sys/fs/cgroup/pids/x 2>/dev/null || echo refused"
    ).out
    assert out.split()[-1] == "refused"
    assert "1" in out.split()


@version_1
def test_cgroup_mount_without_a_namespace_of_its_own(bundle):
    bundle.namespace("cgroup", False)
    name_seen = bundle.run("cat /sys/fs/cgroup/pids/pids.max; ls -d /sys/fs/cgroup/pids/*/ 2>/dev/null | wc -l").out
    assert name_seen == "max\n0\n"


@pytest.mark.parametrize("limits", [[], [{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 512}]])
def test_more_bind_mounts_than_the_soft_limit_on_open_files(bundle, tmp_path, limits):
    """Each is a descriptor until all are in place; the container gets the limit of the caller, or of its config."""
    for number in range(100):
        bundle.mounts.append(
            {"destination": f"/m/{number}", "type": "bind", "source": str(tmp_path), "options": ["bind"]}
        )
    bundle.process["rlimits"] = limits
    bundle.runtime.prefix = ["prlimit", "--nofile=80:4096"]
    result = bundle.run("grep -c ' /m/' /proc/self/mountinfo; ulimit -Sn; ulimit -Hn")
    assert result.out.split() == ["100", *(["64", "512"] if limits else ["80", "4096"])]
