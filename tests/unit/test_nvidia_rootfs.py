"""rootfs.py looks at roots of containers, hostile ones among them, and never leaves them."""

import os
import subprocess
import sys
import time

import pytest

from pyruntime.edits.nvidia.rootfs import Rootfs, look
from pyruntime.errors import DriverError


@pytest.fixture
def top(tmp_path):
    path = tmp_path / "rootfs"
    path.mkdir()
    (tmp_path / "secret").write_text("secret")
    return path


@pytest.fixture
def root(top):
    fd = os.open(top, os.O_PATH | os.O_DIRECTORY)
    yield Rootfs(fd)
    os.close(fd)


def make(top, *directories, files=()):
    for name in directories:
        (top / name).mkdir(parents=True, exist_ok=True)
    for name in files:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).touch()


@pytest.mark.parametrize(
    ("directories", "files", "wanted"),
    [
        (["usr/lib/x86_64-linux-gnu", "usr/lib64"], ["etc/debian_version"], "/usr/lib/x86_64-linux-gnu"),
        (["usr/lib64", "usr/lib"], [], "/usr/lib64"),
        (["usr/lib"], ["lib/ld-musl-x86_64.so.1"], "/usr/lib"),
        ([], ["etc/debian_version"], "/usr/lib/x86_64-linux-gnu"),
        ([], [], "/usr/lib64"),
    ],
)
def test_the_library_directory(top, directories, files, wanted):
    make(top, *directories, files=files)
    found = look(str(top), "x86_64")
    assert found.directories[64] == wanted
    assert found.cached == ("lib/ld-musl-x86_64.so.1" not in files)


def test_a_library_directory_behind_links(top):
    """usr-merge: /lib64 and /usr/lib64 are one."""
    make(top, "usr/lib/x86_64-linux-gnu", files=["usr/lib64/ld-linux-x86-64.so.2"])
    (top / "lib64").symlink_to("usr/lib64")
    assert look(str(top), "x86_64").directories[64] == "/usr/lib/x86_64-linux-gnu"


def test_an_image_for_another_machine(top):
    make(top, files=["lib/ld-linux-aarch64.so.1"])
    with pytest.raises(DriverError, match="the image is for aarch64, the driver's libraries for x86_64"):
        look(str(top), "x86_64")
    look(str(top), "aarch64")


@pytest.mark.parametrize("target", ["../secret", "../../../../../../secret", "{outside}"])
def test_links_out_of_the_root(top, root, target):
    (top / "link").symlink_to(target.format(outside=top.parent / "secret"))
    assert root.read("/link", 100) is None
    assert root.read("/../secret", 100) is None
    assert root.mode("/link") == 0


def test_links_inside_the_root(top, root):
    make(top, "a/b", "c")
    (top / "c/file").write_text("content")
    (top / "a/b/absolute").symlink_to("/c/file")
    (top / "a/b/relative").symlink_to("../../c/../../c/file")
    assert root.read("/a/b/absolute", 100) == b"content"
    assert root.read("/a/b/relative", 100) == b"content"


def test_links_that_never_end(top, root):
    (top / "a").symlink_to("b")
    (top / "b").symlink_to("a")
    assert root.read("/a", 100) is None


def test_what_is_no_file(top, root):
    """Opening a FIFO would wait for its writer."""
    os.mkfifo(top / "fifo")
    make(top, "directory")
    assert root.read("/fifo", 100) is None
    assert root.read("/directory", 100) is None
    assert root.entries("/fifo") == []
    assert set(root.entries("/")) == {"fifo", "directory"}


def test_a_file_of_any_size(top, root):
    with (top / "huge").open("wb") as file:
        file.truncate(2 << 30)
    assert root.read("/huge", 32 << 20) is None
    (top / "small").write_bytes(b"x" * 100)
    assert root.read("/small", 99) is None
    assert root.read("/small", 100) == b"x" * 100


SWAP = """
import os, sys
inside, outside, kept = sys.argv[1:]
while True:
    os.rename(inside, kept)
    os.symlink(outside, inside)
    os.unlink(inside)
    os.rename(kept, inside)
"""


def test_a_tree_that_changes_while_it_is_read(top, root):
    """A directory that becomes a link out and back again, which is how runtimes have been tricked."""
    make(top, "a")
    (top / "a/secret").write_text("mine")
    with subprocess.Popen([sys.executable, "-ISc", SWAP, top / "a", top.parent, top / "kept"]) as swapping:
        found, count, end = set(), 0, time.monotonic() + 30
        while (count < 3000 or found != {None, b"mine"}) and time.monotonic() < end:
            found.add(root.read("/a/secret", 100))
            count += 1
        swapping.kill()
    assert found == {None, b"mine"}


def test_no_descriptor_is_left(top, root):
    make(top, "a/b")
    (top / "a/b/loop").symlink_to("loop")
    before = os.listdir("/proc/self/fd")
    for path in ("/a/b", "/a/b/loop", "/nothing", "/a/../a/b"):
        root.mode(path)
        root.read(path, 10)
        root.entries(path)
    assert os.listdir("/proc/self/fd") == before
