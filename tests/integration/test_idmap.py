"""Id-mapped mounts: the files of a mount seem to belong to others, in there and nowhere else."""

import os
import subprocess
from pathlib import Path

import pytest

OWN = [{"containerID": 0, "hostID": 100000, "size": 65536}]
SHIFTED = [{"containerID": 0, "hostID": 200000, "size": 65536}]


@pytest.fixture
def source(tmp_path):
    """A directory with files of several owners, and a mount below it."""
    source = tmp_path / "source"
    (source / "below").mkdir(parents=True)
    for name, uid in (("root", 0), ("user", 1000), ("unmapped", 70000)):
        (source / name).write_text(name)
        os.chown(source / name, uid, uid + 1)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(source / "below")], check=True)
    (source / "below/user").write_text("below")
    os.chown(source / "below/user", 1000, 1001)
    yield source
    subprocess.run(["umount", str(source / "below")], check=True)


def bind(source, *options, maps=OWN):
    entry = {"destination": "/data", "type": "bind", "source": str(source), "options": ["rbind", *options]}
    return entry | ({"uidMappings": maps, "gidMappings": maps} if maps else {})


def owners(bundle, *names):
    names = [f"/data/{name}" for name in names]
    return bundle.run(f"stat -c %u:%g {' '.join(names)}").out.split()


@pytest.mark.parametrize(
    ("options", "below"), [((), "1000:1001"), (("idmap",), "1000:1001"), (("ridmap",), "101000:101001")]
)
def test_maps_of_the_mount(bundle, source, options, below):
    """Without an option for it the maps alone say so; "ridmap" is for all that is mounted below as well."""
    bundle.mounts.append(bind(source, *options))
    seen = owners(bundle, "root", "user", "unmapped", "below/user")
    # what has no counterpart is nobody's
    assert seen == ["100000:100001", "101000:101001", "65534:65534", below]


def test_what_is_written_belongs_to_the_mapped_user(bundle, source):
    bundle.mounts.append(bind(source, "idmap"))
    os.chown(source, 0, 0)
    bundle.process["user"] = {"uid": 100000, "gid": 100000}
    bundle.run("echo new > /data/new")
    status = (source / "new").stat()
    assert (status.st_uid, status.st_gid) == (0, 0)


def test_two_mounts_with_maps_of_their_own(bundle, source):
    bundle.mounts.append(bind(source, "idmap"))
    bundle.mounts.append(bind(source, "idmap", maps=SHIFTED) | {"destination": "/other"})
    bundle.mounts.append(bind(source) | {"destination": "/third"})
    out = bundle.run("stat -c %u /data/user /other/user /third/user").out
    assert out.split() == ["101000", "201000", "101000"]


def with_user_namespace(bundle):
    bundle.namespace("user")
    bundle.linux.update(uidMappings=OWN, gidMappings=OWN)
    subprocess.run(["chown", "-hR", "100000:100000", str(bundle.rootfs)], check=True)
    for folder in [bundle.path, *bundle.path.parents]:
        if str(folder).startswith("/tmp/pytest"):
            folder.chmod(0o755)


@pytest.mark.parametrize("maps", [None, OWN])
def test_maps_of_the_container(bundle, source, maps):
    """Files look as they do on the host, although the container's root is another user."""
    with_user_namespace(bundle)
    bundle.mounts.append(bind(source, "ridmap", maps=maps))
    assert owners(bundle, "root", "user", "below/user") == ["0:1", "1000:1001", "1000:1001"]


def test_without_a_map_files_of_the_host_are_nobodys(bundle, source):
    with_user_namespace(bundle)
    bundle.mounts.append(bind(source, maps=None))
    assert owners(bundle, "root", "user") == ["65534:65534", "65534:65534"]


def test_maps_of_a_namespace_that_is_joined(bundle, source):
    holder = subprocess.Popen(["unshare", "--user", "cat"], stdin=subprocess.PIPE)
    try:
        own = os.readlink("/proc/self/ns/user")
        while os.readlink(f"/proc/{holder.pid}/ns/user") == own:
            assert holder.poll() is None
        for name in ("gid_map", "uid_map"):
            Path(f"/proc/{holder.pid}/{name}").write_text("0 100000 65536")
        with_user_namespace(bundle)
        del bundle.linux["uidMappings"], bundle.linux["gidMappings"]
        bundle.namespace("user", f"/proc/{holder.pid}/ns/user")
        bundle.mounts.append(bind(source, "idmap", maps=None))
        assert owners(bundle, "root", "user") == ["0:1", "1000:1001"]
    finally:
        holder.stdin.close()
        holder.wait(10)


def test_a_file_system_that_is_mounted_anew(bundle):
    entry = {"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": ["idmap", "mode=1777"]}
    bundle.mounts.append(entry | {"uidMappings": OWN, "gidMappings": OWN})
    assert bundle.run("stat -c %u:%g /data").out == "100000:100000\n"


def test_other_options_hold_as_well(bundle, source):
    bundle.mounts.append(bind(source, "idmap", "ro", "nosuid"))
    assert "Read-only file system" in bundle.run("touch /data/x", check=False).err
    assert "nosuid" in bundle.run("grep ' /data ' /proc/self/mountinfo").out


def test_no_process_stays_for_the_maps(bundle, source):
    """The namespace is made by a process that only waits; it is gone when create is."""
    bundle.mounts.append(bind(source, "idmap"))
    bundle.shell("sleep 100")
    _, result = bundle.create()
    assert result.err == ""
    spaces = subprocess.run(["lsns", "-t", "user", "-n", "-o", "NPROCS"], capture_output=True, text=True, check=True)
    assert len(spaces.stdout.split()) == 1


def test_a_file_system_that_cannot_be_mapped_is_named(bundle):
    entry = {"destination": "/data", "type": "bind", "source": "/proc", "options": ["bind", "idmap"]}
    bundle.mounts.append(entry | {"uidMappings": OWN, "gidMappings": OWN})
    number = len(bundle.mounts) - 1
    assert f"mounts[{number}] (/data): idmap " in bundle.fails()


def test_the_cgroup_file_system_cannot_be_mapped(bundle):
    for number, mount in enumerate(bundle.mounts):
        if mount["type"] == "cgroup":
            mount.update(uidMappings=OWN, gidMappings=OWN)
            assert f"mounts[{number}] (/sys/fs/cgroup): the cgroup file system cannot be id-mapped" in bundle.fails()
