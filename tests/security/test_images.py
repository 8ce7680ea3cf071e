"""What an image may have where the runtime makes, mounts or looks something up: links, devices, programs, huge files.

CVE-2015-3627, CVE-2015-3629, CVE-2019-14271, CVE-2019-18837, CVE-2019-19921, CVE-2023-27561, CVE-2023-28642,
CVE-2024-45310, CVE-2025-24965, CVE-2025-54867, CVE-2026-41567, CVE-2026-41579, CVE-2026-47262, CVE-2026-47766,
CVE-2026-84042.
"""

import os

import pytest
from containers import Refused
from trees import snapshot

PROCFS, SYSFS = "9fa0", "62656572"


def links_to(path):
    """The ways to say it: absolute, and by climbing further than there is to climb."""
    return [str(path), "../" * 16 + str(path)[1:]]


def without_dev(bundle):
    """Leaves /dev to the image."""
    bundle.mounts[:] = [mount for mount in bundle.mounts if not mount["destination"].startswith("/dev")]


def attempt(bundle, script="true", **kwargs):
    """Runs a container that may also be refused; returns its output."""
    try:
        return bundle.run(script, **kwargs).out
    except Refused:
        return ""


# ---- mount points


def mount_points(path):
    """What a config may want at a path of the image."""
    return {
        "directory": {"destination": f"{path}/sub", "type": "bind", "source": "/usr/share", "options": ["rbind", "ro"]},
        "directory-on-it": {"destination": path, "type": "bind", "source": "/usr/share", "options": ["rbind", "ro"]},
        "file": {"destination": f"{path}/file", "type": "bind", "source": "/etc/passwd", "options": ["bind", "ro"]},
        "new-file": {"destination": f"{path}/a/b", "type": "bind", "source": "/etc/passwd", "options": ["bind", "ro"]},
        "tmpfs": {"destination": f"{path}/pts", "type": "tmpfs", "source": "tmpfs"},
        "new-tmpfs": {"destination": f"{path}/c/d", "type": "tmpfs", "source": "tmpfs"},
        "mqueue": {"destination": f"{path}/mqueue", "type": "mqueue", "source": "mqueue"},
    }


@pytest.mark.parametrize("at", range(2), ids=["absolute", "climbing"])
@pytest.mark.parametrize("what", mount_points("x"))
def test_mount_points_stay_inside(bundle, outside, what, at):
    """CVE-2015-3629, CVE-2019-18837, CVE-2024-45310: the destination goes through a link of the image."""
    (bundle.rootfs / "evil").symlink_to(links_to(outside)[at])
    bundle.mounts.append(mount_points("/evil")[what])
    assert "the host's" not in attempt(bundle, "cat /evil/file")


def test_mount_points_through_a_chain_of_links(bundle, outside):
    """CVE-2024-45310: a link in the middle, to a link that dangles, to the host."""
    (bundle.rootfs / "one").symlink_to("/two/inner")
    (bundle.rootfs / "two").mkdir()
    (bundle.rootfs / "two/inner").symlink_to("../../../three")
    (bundle.rootfs / "three").symlink_to(f"{outside}/missing")
    bundle.mount("/one/new/file", "bind", "/etc/passwd", ["bind", "ro"])
    attempt(bundle)


@pytest.mark.parametrize(("name", "magic"), [("proc", PROCFS), ("sys", SYSFS)])
def test_proc_and_sys_are_not_moved_aside(bundle, name, magic):
    """CVE-2019-19921, CVE-2023-27561, CVE-2023-28642, CVE-2025-54867: a link has the name, and the image a false one.

    What the runtime writes there, labels above all, would go to files of the image.
    """
    (bundle.rootfs / name).rmdir()
    (bundle.rootfs / "aside").mkdir()
    (bundle.rootfs / "false/sys/kernel").mkdir(parents=True)
    (bundle.rootfs / name).symlink_to("aside")
    script = f"rm /{name} 2>/dev/null && mv /false /{name}; stat -fc %t /{name}"
    assert attempt(bundle, script).strip() in ("", magic)


# ---- /dev


@pytest.mark.parametrize("at", range(2), ids=["absolute", "climbing"])
def test_a_dev_that_is_a_link(bundle, outside, at):
    """CVE-2026-47766, CVE-2026-41579: devices were made on the host, and a file named ptmx removed there."""
    without_dev(bundle)
    (bundle.rootfs / "dev").rmdir()
    (bundle.rootfs / "dev").symlink_to(links_to(outside)[at])
    attempt(bundle)


@pytest.mark.parametrize("name", ["null", "zero", "full", "random", "urandom", "tty", "ptmx", "fd", "stdin", "console"])
def test_a_device_that_is_a_link(bundle, outside, name):
    """CVE-2015-3627, CVE-2026-88264: a device or link of the runtime's goes where the image has a link to the host."""
    without_dev(bundle)
    (bundle.rootfs / "dev" / name).symlink_to(f"{outside}/file")
    assert "the host's" not in attempt(bundle, f"cat /dev/{name} < /dev/null | head -c 100")


def test_devices_of_the_config_stay_inside(bundle, outside):
    """CVE-2024-45310, for what is made and not mounted, with an owner and a mode."""
    (bundle.rootfs / "evil").symlink_to(outside)
    node = {"type": "c", "major": 1, "minor": 3, "fileMode": 0o666, "uid": 1000, "gid": 1000}
    for path in ("/evil/node", "/evil/file", "/evil/new/node"):
        bundle.linux["devices"] = [node | {"path": path}]
        attempt(bundle)


# ---- what is in the image stays as it is, and is not run


def test_the_image_is_not_written_to(bundle):
    """CVE-2025-24965: a runtime wrote its own file into the image. Mount points are all that it may make."""
    for name in ("passwd", "group", "hosts", "resolv.conf", "mtab", "hostname"):
        bundle.file(f"etc/{name}", f"{name}\n")
    (bundle.rootfs / ".config.json").symlink_to("/etc/passwd")
    bundle.mount("/new/directory", "tmpfs", "tmpfs")
    bundle.mount("/new/file", "bind", "/etc/hostname", ["bind"])
    before = {entry[0]: entry for entry in snapshot(bundle.rootfs)}
    bundle.run("true")
    after = {entry[0]: entry for entry in snapshot(bundle.rootfs)}
    new = {str(bundle.rootfs / "new"), str(bundle.rootfs / "new/directory"), str(bundle.rootfs / "new/file")}
    assert set(after) - set(before) == new
    assert after[str(bundle.rootfs / "new/file")][4] == 0
    changed = {name for name in before if after.get(name) != before[name] and not os.path.isdir(name)}
    assert changed == set()


PROGRAMS = (
    "bin/sh bin/mount bin/passt sbin/modprobe sbin/iptables sbin/ldconfig sbin/ldconfig.real usr/bin/newuidmap "
    "usr/bin/newgidmap usr/bin/passt usr/bin/pasta usr/bin/criu usr/bin/python3 usr/sbin/apparmor_parser usr/bin/env "
    "usr/bin/ps usr/bin/systemctl usr/bin/nvidia-container-cli usr/bin/dbus-daemon"
)


def test_programs_and_libraries_of_the_image_are_not_run(bundle, runtime, outside):
    """CVE-2019-14271, CVE-2026-41567, CVE-2026-84042: a helper or a library was taken from the image.

    Every one that is run, or is loaded, leaves a file.
    """
    (bundle.rootfs / "bin/sh").unlink()
    for name in PROGRAMS.split():
        (bundle.rootfs / name).unlink(missing_ok=True)
        bundle.file(name, "#!/bin/busybox sh\nbusybox touch /tmp/run\n", 0o755)
    bundle.file("etc/ld.so.preload", "/tmp/preload.so\n")
    bundle.file("etc/nsswitch.conf", "passwd: evil\n")
    bundle.process["env"].append("LD_PRELOAD=/tmp/preload.so")
    bundle.process["args"] = ["/bin/busybox", "sleep", "1000"]
    container = bundle.create()
    container.start()
    runtime("exec", "--user", "1000", container.name, "/bin/busybox", "true")
    runtime("state", container.name)
    container.stop()
    container.delete()
    assert list((bundle.rootfs / "tmp").iterdir()) == []


@pytest.mark.parametrize("kind", ["fifo", "endless", "device"])
def test_files_of_users_cannot_hold_a_create_up(bundle, kind):
    """CVE-2026-47262: a runtime that looks for HOME in the image reads what the image has there, if it ever ends."""
    (bundle.rootfs / "etc").mkdir(exist_ok=True)
    for name in ("passwd", "group"):
        path = bundle.rootfs / "etc" / name
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "device":
            os.mknod(path, 0o20666, os.makedev(1, 5))
        else:
            with path.open("wb") as file:
                file.truncate(1 << 40)
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    try:
        # a program that does not look itself
        assert bundle.out(["/bin/probe", "ids"]).split()[0] == "1000"
    except Refused:
        return
