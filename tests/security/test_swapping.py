"""An image that changes while a container is made of it: a directory and a link to the host change places.

CVE-2019-19921, CVE-2021-30465, CVE-2025-52565, CVE-2026-88264; what is made and mounted at other places is in
tests/integration/test_races.py.
"""

import contextlib
import ctypes
import os
import socket
import threading
import time
from pathlib import Path

import pytest
from trees import snapshot

AT_FDCWD, RENAME_EXCHANGE = -100, 2
SECONDS = 2.5


@contextlib.contextmanager
def swapping(one, other):
    """Makes two names change places as fast as can be (renameat2(2)); yields a list with the number of times."""
    renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    names = os.fsencode(one), os.fsencode(other)
    stop, count = threading.Event(), [0]

    def swap():
        while not stop.is_set():
            if renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE) == 0:
                count[0] += 1
            if count[0] % 64 == 0:
                time.sleep(0)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield count
    finally:
        stop.set()
        thread.join()


@contextlib.contextmanager
def linking(file, name):
    """Puts a hard link to a file at a name and takes it away, again and again; yields the number of times."""
    stop, count = threading.Event(), [0]
    spare = f"{name}-spare"

    def link():
        while not stop.is_set():
            with contextlib.suppress(FileExistsError):
                os.link(file, spare)
            os.rename(spare, name)
            # a link that has the name already stays beside it (rename(2))
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
            count[0] += 1

    thread = threading.Thread(target=link)
    thread.start()
    try:
        yield count
    finally:
        stop.set()
        thread.join()


def rounds(bundle, *flags):
    """Creates containers of the bundle for a while; yields each that comes to be."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        name = bundle.runtime.new_name()
        bundle.write(name)
        pid_file = bundle.path / "pid"
        words = ["create", "--bundle", bundle.path, "--pid-file", pid_file, *flags, name]
        done = bundle.runtime(*words, check=False)
        assert "Traceback" not in done.err
        yield int(pid_file.read_text()) if done.code == 0 else 0
        bundle.runtime("delete", "--force", name, check=False)
        bundle.runtime.names.remove(name)


@contextlib.contextmanager
def procfs_at(path):
    """Yields a path to a directory that stays the same, or nothing when it is no procfs."""
    try:
        fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        yield ""
        return
    try:
        place = f"/proc/self/fd/{fd}"
        yield place if os.path.lexists(f"{place}/filesystems") else ""
    finally:
        os.close(fd)


@pytest.mark.parametrize("target", ["outside", "inside"])
def test_proc_is_swapped(bundle, outside, target):
    """CVE-2019-19921: what was to be covered in procfs was covered in something else, and procfs itself lay open.

    Wherever procfs is in the end, what was to be masked is, and what was to be read-only is.
    """
    bundle.linux["maskedPaths"], bundle.linux["readonlyPaths"] = ["/proc/keys"], ["/proc/sys"]
    (bundle.rootfs / "false/sys").mkdir(parents=True)
    (bundle.rootfs / "false/keys").touch()
    link = bundle.rootfs / "link"
    link.symlink_to(outside if target == "outside" else "/false")
    bundle.process["args"] = ["true"]
    found = []
    with swapping(bundle.rootfs / "proc", link) as count:
        for pid in rounds(bundle):
            for name in ("proc", "link") if pid else ():
                with procfs_at(f"/proc/{pid}/root/{name}") as place:
                    if place:
                        found.append(name)
                        keys = os.stat(f"{place}/keys")
                        assert (os.major(keys.st_rdev), os.minor(keys.st_rdev)) == (1, 3), f"{name}/keys is open"
                        assert os.statvfs(f"{place}/sys").f_flag & os.ST_RDONLY, f"{name}/sys can be written to"
    assert count[0] > 100, "nothing was swapped"
    assert found, "procfs was nowhere"


def test_console_is_swapped(bundle, outside, tmp_path):
    """CVE-2025-52565, CVE-2026-88264: between a look and the mount, /dev/console is a link to the host."""
    devpts = next(mount for mount in bundle.mounts if mount["destination"] == "/dev/pts")
    bundle.mounts[:] = [mount for mount in bundle.mounts if not mount["destination"].startswith("/dev")]
    bundle.mounts.append(devpts)
    (bundle.rootfs / "dev/pts").mkdir()
    (bundle.rootfs / "dev/console").touch()
    (bundle.rootfs / "dev/link").symlink_to(outside / "file")
    bundle.process.update(terminal=True, args=["true"])
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "console"))
        listener.listen(1000)
        with swapping(bundle.rootfs / "dev/console", bundle.rootfs / "dev/link") as count:
            for pid in rounds(bundle, "--console-socket", tmp_path / "console"):
                assert (outside / "file").read_text() == "the host's\n"
                assert not pid or not os.path.exists(f"/proc/{pid}/root{outside}")
    assert count[0] > 100, "nothing was swapped"


def test_dev_is_swapped(bundle, outside):
    """CVE-2021-30465, CVE-2026-41579, CVE-2026-47766: devices and links are made in /dev, or ptmx is taken away."""
    bundle.mounts[:] = [mount for mount in bundle.mounts if not mount["destination"].startswith("/dev")]
    (bundle.rootfs / "link").symlink_to(outside)
    bundle.process["args"] = ["true"]
    before = snapshot(outside)
    with swapping(bundle.rootfs / "dev", bundle.rootfs / "link") as count:
        for _ in rounds(bundle):
            assert snapshot(outside) == before
    assert count[0] > 100, "nothing was swapped"
    assert str(outside) not in Path("/proc/self/mountinfo").read_text()


def test_a_device_that_is_swapped_is_not_given_away(bundle, outside):
    """CVE-2024-45310: between its making and its change of owner, the name of a device is that of another file.

    Somebody who can write to the directory makes it a hard link, which no resolver can tell from the file itself.
    """
    folder = bundle.rootfs / "devices"
    folder.mkdir()
    bundle.process["args"] = ["true"]
    bundle.linux["devices"] = [{"path": "/devices/node", "type": "p", "fileMode": 0o666, "uid": 1000, "gid": 1000}]
    with linking(outside / "file", folder / "node") as count:
        for _ in rounds(bundle):
            assert (outside / "file").stat().st_uid == 0, "a file of the host was given away"
    assert count[0] > 100, "nothing was swapped"
