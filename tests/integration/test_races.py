"""The image changes while it is made use of: somebody who shares it swaps a directory with a link to the host.

CVE-2019-16884, CVE-2021-30465, CVE-2025-31133, CVE-2025-52565 and CVE-2025-52881 were all won that way. A path that is
walked once, by the kernel, with the container's root as its root, cannot be; the swapping finds out.
"""

import ctypes
import os
import threading
import time
from pathlib import Path

import pytest

AT_FDCWD, RENAME_EXCHANGE = -100, 2
SECONDS = 3


class Swapper:
    """Exchanges two names in the image as fast as it can (renameat2(2))."""

    def __init__(self, one, other):
        self.names = [os.fsencode(one), os.fsencode(other)]
        self.count = 0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.swap)

    def swap(self):
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
        while not self.stop.is_set():
            # a pause now and then, or the walks of the kernel retry more than they get done
            if renameat2(AT_FDCWD, self.names[0], AT_FDCWD, self.names[1], RENAME_EXCHANGE) == 0:
                self.count += 1
            if self.count % 64 == 0:
                time.sleep(0)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


def add_mounts(config):
    config["mounts"] += [
        {"destination": "/swap/new/tmpfs", "type": "tmpfs", "source": "tmpfs"},
        {"destination": "/swap/bind", "type": "bind", "source": "/usr/share", "options": ["rbind", "ro"]},
        {"destination": "/swap/file", "type": "bind", "source": "/etc/hostname", "options": ["bind"]},
        {"destination": "/swap/copy", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]},
    ]


def add_devices(config):
    config["linux"]["devices"] = [
        {"path": f"/swap/node{number}", "type": "p", "fileMode": 0o666, "uid": 1000, "gid": 1000} for number in range(8)
    ]


def add_masks(config):
    config["linux"]["maskedPaths"] += ["/swap/file", "/swap/bind", "/swap/copy"]
    config["linux"]["readonlyPaths"] += ["/swap", "/swap/bind"]


def add_working_directory(config):
    config["process"]["cwd"] = "/swap/made/here"


def remove_dev(config):
    """Leaves /dev to the image, which swaps it."""
    config["mounts"] = [mount for mount in config["mounts"] if not mount["destination"].startswith("/dev")]


def tree(path):
    return sorted((str(entry), entry.lstat().st_mode, entry.lstat().st_uid) for entry in (path, *path.rglob("*")))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("swap", add_mounts),
        ("swap", add_devices),
        ("swap", add_masks),
        ("swap", add_working_directory),
        ("dev", remove_dev),
    ],
)
def test_nothing_happens_outside_while_the_image_changes(bundle, runtime, tmp_path, name, change):
    outside = tmp_path / "outside"
    directory, link = bundle.rootfs / name, bundle.rootfs / "link"
    for base in (outside, directory):
        for inner in ("bind", "copy", "pts", "shm"):
            (base / inner).mkdir(parents=True)
        (base / "file").write_text("untouched")
    link.symlink_to(outside)
    change(bundle.config)
    bundle.process["args"] = ["true"]
    bundle.write()
    before = tree(outside)
    mounts = Path("/proc/self/mountinfo").read_text()
    outcomes = {0: 0, 1: 0}
    with Swapper(directory, link) as swapper:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            container = runtime.new_id()
            result = runtime("create", "-b", bundle.path, container, check=False)
            outcomes[result.code] += 1
            assert "Traceback" not in result.err
            runtime("delete", "--force", container)
            runtime.ids.remove(container)
            assert tree(outside) == before
    assert Path("/proc/self/mountinfo").read_text() == mounts
    assert swapper.count > 100, "nothing was swapped"
    assert sum(outcomes.values()) >= 3, "nothing was created"
