"""The terminal and the standard streams of a container, in an image that has something else at their places.

CVE-2015-3627, CVE-2025-52565, CVE-2026-88264, CVE-2026-88265.
"""

import os
import socket
import stat

import pytest
from containers import Refused


@pytest.fixture
def listener(tmp_path):
    """The socket that terminals are sent to."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "console"))
        listener.listen()
        listener.settimeout(5)
        yield listener


def without_dev(bundle):
    bundle.mounts[:] = [mount for mount in bundle.mounts if not mount["destination"].startswith("/dev")]


def with_terminal(bundle, listener, script="sleep 1000"):
    """Creates a container with a terminal; returns it and the terminal, or nothing when it is refused.

    The container ends when the terminal is closed.
    """
    bundle.process["terminal"] = True
    try:
        container = bundle.create(script, flags=["--console-socket", listener.getsockname()])
    except Refused:
        return None, -1
    connection, _ = listener.accept()
    with connection:
        _, fds, _, _ = socket.recv_fds(connection, 4096, 1)
    return container, fds[0]


def is_terminal_of(path):
    """Whether this is the slave of a pseudo terminal: characters of major number 136 and up (devices.txt)."""
    status = os.stat(path)
    return stat.S_ISCHR(status.st_mode) and 136 <= os.major(status.st_rdev) <= 143


@pytest.mark.parametrize("devpts", [True, False], ids=["devpts", "image"])
@pytest.mark.parametrize("where", ["host", "procfs", "dangling"])
def test_console_that_is_a_link(bundle, listener, outside, where, devpts):
    """CVE-2025-52565, CVE-2026-88264: the terminal is mounted at /dev/console, which the image has as a link.

    It was opened, made or covered where the link led to: on the host, or over a file of procfs that was to be masked.
    """
    target = {"host": f"{outside}/file", "procfs": "/proc/keys", "dangling": f"{outside}/missing"}[where]
    devpts_mount = next(mount for mount in bundle.mounts if mount["destination"] == "/dev/pts")
    without_dev(bundle)
    bundle.linux["maskedPaths"] = ["/proc/keys"]
    (bundle.rootfs / "dev/console").symlink_to(target)
    if devpts:
        (bundle.rootfs / "dev/pts").mkdir()
        bundle.mounts.append(devpts_mount)
    container, terminal = with_terminal(bundle, listener)
    if container is None:
        return
    keys = os.stat(f"/proc/{container.pid}/root/proc/keys")
    os.close(terminal)
    assert (os.major(keys.st_rdev), os.minor(keys.st_rdev)) == (1, 3)


@pytest.mark.parametrize("kind", ["file", "link", "null"])
def test_terminals_come_from_devpts_alone(bundle, listener, outside, kind):
    """CVE-2025-52565: /dev/pts of the image is no devpts, and has what looks like a terminal."""
    without_dev(bundle)
    (bundle.rootfs / "dev/pts").mkdir()
    for name in ("ptmx", "0", "1"):
        path = bundle.rootfs / "dev/pts" / name
        if kind == "file":
            path.write_text("the image's\n")
        elif kind == "link":
            path.symlink_to(f"{outside}/file")
        else:
            os.mknod(path, 0o20666, os.makedev(1, 3))
    container, terminal = with_terminal(bundle, listener)
    if container is not None:
        places = [f"/proc/{container.pid}/fd/0", f"/proc/{container.pid}/root/dev/console"]
        found = [is_terminal_of(place) for place in places]
        os.close(terminal)
        assert found == [True, True]


def test_the_terminal_and_the_console_are_the_same(bundle, listener):
    """CVE-2025-52565, where the image has nothing in the way: what is at /dev/console is the container's terminal."""
    container, terminal = with_terminal(bundle, listener)
    assert container is not None
    try:
        assert is_terminal_of(f"/proc/{container.pid}/fd/0")
        own, console = os.stat(f"/proc/{container.pid}/fd/0"), os.stat(f"/proc/{container.pid}/root/dev/console")
        assert (own.st_dev, own.st_ino) == (console.st_dev, console.st_ino)
    finally:
        os.close(terminal)


@pytest.mark.parametrize("kind", ["block", "zero", "file", "link", "fifo"])
def test_null_on_a_standard_stream(bundle, outside, kind):
    """CVE-2015-3627, CVE-2026-88265: the runtime reopens /dev/null in the container, and gives it to the user.

    Known by its number alone, it could be a disk; known by its name, any file.
    """
    without_dev(bundle)
    path = bundle.rootfs / "dev/null"
    if kind == "block":
        os.mknod(path, 0o60600, os.makedev(1, 3))
    elif kind == "zero":
        os.mknod(path, 0o20600, os.makedev(1, 5))
    elif kind == "file":
        path.write_text("the image's\n")
    elif kind == "link":
        path.symlink_to(f"{outside}/file")
    else:
        os.mkfifo(path)
    before, host = path.lstat(), os.stat("/dev/null")
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    with open("/dev/null", "r+b") as null:
        try:
            container = bundle.create("sleep 1000", stdin=null, stdout=null, stderr=null)
        except Refused:
            container = None
    if container is not None:
        for stream in range(3):
            status = os.stat(f"/proc/{container.pid}/fd/{stream}")
            assert stat.S_ISCHR(status.st_mode)
            assert (os.major(status.st_rdev), os.minor(status.st_rdev)) == (1, 3)
    after = path.lstat()
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)
    assert (os.stat("/dev/null").st_uid, os.stat("/dev/null").st_gid) == (host.st_uid, host.st_gid)


def test_files_of_the_caller_are_not_given_to_the_user(bundle, tmp_path):
    """CVE-2026-88265, for streams that are files of the host."""
    log = tmp_path / "log"
    log.touch()
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    with log.open("ab") as file:
        bundle.run("echo written", stdout=file)
    assert (log.stat().st_uid, log.read_text()) == (0, "written\n")
