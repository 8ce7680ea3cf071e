"""root, devices, masked and read-only paths."""

import os
import stat
import subprocess
from pathlib import Path

import pytest


def test_read_only_root(bundle):
    bundle.config["root"]["readonly"] = True
    result = bundle.run("touch /x", check=False)
    assert result.code == 1
    assert "Read-only file system" in result.err
    assert not (bundle.rootfs / "x").exists()


def test_writable_root(bundle):
    bundle.run("echo y > /x")
    assert (bundle.rootfs / "x").read_text() == "y\n"


def test_root_by_absolute_path(bundle):
    bundle.config["root"]["path"] = str(bundle.rootfs)
    assert bundle.run("echo here").out == "here\n"


def test_root_through_a_link(bundle, tmp_path):
    (bundle.path / "link").symlink_to("rootfs")
    bundle.config["root"]["path"] = "link"
    message = bundle.fails()
    assert "root.path: enter-root" in message
    assert "is, or is reached through, a symbolic link" in message


def test_root_that_is_missing(bundle):
    bundle.config["root"]["path"] = "nosuch"
    assert "the root directory does not exist" in bundle.fails()


def test_root_that_is_a_file(bundle):
    (bundle.path / "file").touch()
    bundle.config["root"]["path"] = "file"
    assert "not a directory" in bundle.fails()


def test_the_hosts_files_are_gone(bundle, tmp_path):
    (tmp_path / "secret").write_text("secret")
    out = bundle.run(f"ls {tmp_path} 2>/dev/null; ls /proc/1/root/..; cut -d' ' -f5 /proc/self/mountinfo").out
    assert "secret" not in out
    assert str(tmp_path) not in out  # no mount point of the host's


def test_default_devices_and_links(bundle):
    out = bundle.run(
        "cd /dev; stat -c '%n %F %t:%T %a %u:%g' null zero full random urandom tty;"
        "for l in fd stdin stdout stderr ptmx; do readlink $l; done"
    ).out
    assert out.splitlines() == [
        "null character special file 1:3 666 0:0",
        "zero character special file 1:5 666 0:0",
        "full character special file 1:7 666 0:0",
        "random character special file 1:8 666 0:0",
        "urandom character special file 1:9 666 0:0",
        "tty character special file 5:0 666 0:0",
        "/proc/self/fd",
        "/proc/self/fd/0",
        "/proc/self/fd/1",
        "/proc/self/fd/2",
        "pts/ptmx",
    ]


def test_links_only_to_what_is_there(bundle):
    """runtime-linux.md: if the source file exists after processing mounts."""
    bundle.mounts[:] = [mount for mount in bundle.mounts if mount["destination"] != "/proc"]
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    assert "fd" not in bundle.run("ls /dev").out.split()


def test_devices_of_the_config(bundle):
    bundle.linux["devices"] = [
        {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640, "uid": 7, "gid": 8},
        {"path": "/opt/disk", "type": "b", "major": 7, "minor": 300, "fileMode": 0o060600},
        {"path": "/dev/pipe", "type": "p", "fileMode": 0o622},
        {"path": "/dev/old", "type": "u", "major": 4, "minor": 1},
        {"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o600},
    ]
    out = bundle.run("stat -c '%n %F %t:%T %a %u:%g' /dev/fuse /opt/disk /dev/pipe /dev/old /dev/null").out
    assert out.splitlines() == [
        "/dev/fuse character special file a:e5 640 7:8",
        "/opt/disk block special file 7:12c 600 0:0",
        "/dev/pipe fifo 0:0 622 0:0",
        "/dev/old character special file 4:1 666 0:0",
        "/dev/null character special file 1:3 600 0:0",
    ]


@pytest.mark.parametrize("kind", ["file", "other device", "link"])
def test_a_device_whose_name_is_taken(bundle, kind):
    """config-linux.md: if a file already exists at path that does not match, the runtime must generate an error."""
    path = bundle.rootfs / "thing"
    if kind == "file":
        path.touch()
    elif kind == "link":
        path.symlink_to("/etc/passwd")
    else:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))
    bundle.linux["devices"] = [{"path": "/thing", "type": "c", "major": 1, "minor": 3}]
    message = bundle.fails()
    assert "linux.devices[0]: device /thing" in message
    assert "there is another file of that name" in message


def test_a_device_that_is_there_already(bundle):
    os.mknod(bundle.rootfs / "thing", stat.S_IFCHR | 0o640, os.makedev(1, 3))
    bundle.linux["devices"] = [{"path": "/thing", "type": "c", "major": 1, "minor": 3}]
    assert bundle.run("stat -c %t:%T /thing").out == "1:3\n"


def test_a_device_without_numbers(bundle):
    bundle.linux["devices"] = [{"path": "/dev/x", "type": "c"}]
    assert 'linux.devices[0]: major and minor are needed for type "c"' in bundle.fails()


def test_a_dev_that_is_a_link_stays_inside(bundle, tmp_path):
    """CVE-2026-47766: devices were made where /dev of the image pointed."""
    outside = tmp_path / "outside"
    outside.mkdir()
    bundle.mounts[:] = [mount for mount in bundle.mounts if not mount["destination"].startswith("/dev")]
    (bundle.rootfs / "dev").rmdir()
    (bundle.rootfs / "dev").symlink_to(f"../../../../../../../..{outside}")
    bundle.run("true")
    assert list(outside.iterdir()) == []
    assert (bundle.rootfs / str(outside).lstrip("/") / "null").is_char_device()


def test_a_dev_that_is_bound_is_left_alone(bundle, tmp_path):
    folder = tmp_path / "dev"
    folder.mkdir()
    (folder / "mine").touch()
    bundle.mounts[:] = [mount for mount in bundle.mounts if not mount["destination"].startswith("/dev")]
    bundle.mounts.append({"destination": "/dev", "type": "none", "source": str(folder), "options": ["bind"]})
    assert bundle.run("ls /dev").out == "mine\n"


def test_masked_and_read_only_paths(bundle):
    for name in ("dir/inside", "ro/sub"):
        (bundle.rootfs / name).mkdir(parents=True)
    (bundle.rootfs / "file").write_text("secret\n")
    (bundle.rootfs / "dir/x").write_text("secret\n")
    bundle.linux["maskedPaths"] += ["/file", "/dir", "/nosuch", "/dir"]
    bundle.linux["readonlyPaths"] += ["/ro", "/nosuch"]
    bundle.mounts.append({"destination": "/ro/sub", "type": "tmpfs", "source": "tmpfs"})
    out = bundle.run(
        "cat /file; ls -A /dir; touch /dir/y 2>/dev/null || echo masked; touch /ro/x 2>/dev/null || echo read-only;"
        "touch /ro/sub/x 2>/dev/null || echo below too; stat -c %t:%T /file; cat /proc/kcore | head -c 10 | wc -c;"
        "echo 1 > /proc/sys/kernel/shmmax 2>/dev/null || echo refused"
    ).out
    assert out == "masked\nread-only\nbelow too\n1:3\n0\nrefused\n"
    assert (bundle.rootfs / "file").read_text() == "secret\n"


def test_masks_come_from_the_host(bundle):
    """CVE-2025-31133: an image whose /dev/null is something else gets no say in what masks are made of."""
    bundle.mounts[:] = [mount for mount in bundle.mounts if not mount["destination"].startswith("/dev")]
    os.mknod(bundle.rootfs / "dev/null", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    assert "there is another file of that name" in bundle.fails()
    bundle.mounts.append(
        {"destination": "/dev", "type": "none", "source": str(bundle.rootfs / "dev"), "options": ["bind"]}
    )
    assert bundle.run("stat -c %t:%T /dev/null /proc/timer_list").out == "1:5\n1:3\n"


def test_masked_path_through_a_link(bundle):
    (bundle.rootfs / "secret").write_text("secret\n")
    (bundle.rootfs / "link").symlink_to("/secret")
    bundle.linux["maskedPaths"] = ["/link"]
    assert bundle.run("cat /secret /link | wc -c").out == "0\n"


@pytest.mark.parametrize(
    ("value", "optional"),
    [
        (None, []),
        ("private", []),
        ("rprivate", []),
        ("shared", ["shared"]),
        ("rshared", ["shared"]),
        ("unbindable", ["unbindable"]),
        ("slave", ["master"]),
        ("rslave", ["master"]),
    ],
)
def test_propagation_of_the_root(bundle, value, optional):
    """The bundle lies on a shared mount of its own, so that a slave has a master."""
    subprocess.run(["mount", "--bind", str(bundle.path), str(bundle.path)], check=True)
    subprocess.run(["mount", "--make-shared", str(bundle.path)], check=True)
    try:
        if value is not None:
            bundle.linux["rootfsPropagation"] = value
        lines = bundle.run("cat /proc/self/mountinfo").out.splitlines()
        (line,) = [line for line in lines if line.split()[4] == "/"]
        fields = line.partition(" - ")[0].split()[6:]
        assert sorted({field.split(":")[0] for field in fields} - {"propagate_from"}) == optional
    finally:
        subprocess.run(["umount", "-l", str(bundle.path)], check=True)


def test_shared_root_is_not_shared_with_the_host(bundle):
    """config-linux.md: "Note this does not mean that it's shared with the host."."""
    bundle.linux["rootfsPropagation"] = "shared"
    everything = ["CAP_SYS_ADMIN"]
    bundle.process["capabilities"] = dict.fromkeys(("bounding", "permitted", "effective"), everything)
    before = Path("/proc/self/mountinfo").read_text()
    bundle.run("mount -t tmpfs x /tmp")
    assert Path("/proc/self/mountinfo").read_text() == before


@pytest.mark.parametrize("flag", ["--no-pivot"])
def test_no_pivot(bundle, flag):
    bundle.config["root"]["readonly"] = True
    result = bundle.run("touch /x 2>/dev/null || echo read-only; head -1 /etc/passwd; ls /proc/1/root/", flag)
    assert result.out.splitlines()[:2] == ["read-only", "root:x:0:0:root:/root:/bin/sh"]
    assert "pyruntime" not in result.out


def test_no_pivot_hides_the_hosts_proc(bundle):
    """The host's procfs would let a container mount its own without masks."""
    out = bundle.run("cat /proc/self/mountinfo", "--no-pivot").out
    procs = [line.split()[4] for line in out.splitlines() if " - proc " in line and line.split()[3] == "/"]
    assert procs == ["/proc"]
