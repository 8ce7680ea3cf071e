"""Programs that call a runtime: they must not notice that it is not runc."""

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
BUSYBOX = "/bin/busybox"


def pytest_collection_modifyitems(items):
    if os.geteuid() != 0:
        for item in items:
            if "clients" in item.path.parts:
                item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.fixture
def runtime_path():
    return os.environ.get("RUNTIME", str(ROOT / "build/root/sbin/pyruntime"))


@pytest.fixture
def rootfs(tmp_path):
    root = tmp_path / "rootfs"
    for name in ("bin", "dev", "etc", "proc", "sys", "tmp"):
        (root / name).mkdir(parents=True)
    shutil.copy(BUSYBOX, root / "bin/busybox")
    for name in ("sh", "cat", "echo", "id", "sleep", "tty", "ls"):
        (root / "bin" / name).symlink_to("busybox")
    return root
