"""ldcache.py reads and writes what glibc's linker takes; compat.py says whose CUDA comes first."""

import json
import os
import platform
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyruntime.edits.nvidia import compat, ldcache
from pyruntime.edits.nvidia.rootfs import Rootfs
from tests.fakes.driver import MACHINE, NUMBER
from tests.fakes.elf import library, note

HOST_CACHE = Path("/etc/ld.so.cache")
KIND = ldcache.MACHINES[MACHINE, 64] | ldcache.ELF_LIBC6

has_cache = pytest.mark.skipif(not HOST_CACHE.exists(), reason="this machine has no cache of its linker")
is_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root")


def listed(cache):
    return [(entry.name, entry.path, entry.flags, entry.hwcap, entry.os_version) for entry in cache.entries]


@has_cache
def test_the_cache_of_this_machine():
    """Order and content of what ldconfig has written come back."""
    data = HOST_CACHE.read_bytes()
    cache = ldcache.parse(data)
    again = ldcache.parse(ldcache.build(cache, ldcache.hwcap_names(cache, data)))
    assert listed(again) == listed(cache)
    assert again.sections == cache.sections
    assert len(listed(cache)) > 10


def ldconfig_reads(path):
    program = shutil.which("ldconfig", path="/usr/sbin:/sbin")
    if program is None:
        pytest.skip("ldconfig is not installed")
    shown = subprocess.run([program, "-p", "-C", path], capture_output=True, text=True, check=True).stdout
    return {(line.split()[0], line.split()[-1]) for line in shown.splitlines()[1:] if "=>" in line}


@has_cache
def test_ldconfig_reads_what_is_written(tmp_path):
    (tmp_path / "cache").write_bytes(
        ldcache.extend(HOST_CACHE.read_bytes(), [("libcuda.so.1", "/usr/lib/nvidia/libcuda.so.1", 64)], MACHINE)
    )
    found = ldconfig_reads(tmp_path / "cache")
    assert ("libcuda.so.1", "/usr/lib/nvidia/libcuda.so.1") in found
    assert found >= ldconfig_reads(HOST_CACHE) - {entry for entry in found if entry[0] == "libcuda.so.1"}


LOAD = """
import ctypes, sys
ctypes.CDLL(sys.argv[1])
print([line.split()[-1] for line in open("/proc/self/maps") if "libstub" in line][0])
"""


@is_root
@has_cache
def test_the_linker_finds_what_is_written(tmp_path):
    """By the cache alone: the directory is not one that the linker looks into by itself."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not installed")
    stub = tmp_path / "libstub.so.1"
    stub.write_bytes(library("libstub.so.1", NUMBER[MACHINE]))
    made = ldcache.extend(HOST_CACHE.read_bytes(), [("libstub.so.1", str(stub), 64)], MACHINE)
    (tmp_path / "cache").write_bytes(made)
    script = 'mount --bind "$1" /etc/ld.so.cache && exec "$2" -ISc "$3" libstub.so.1'
    argv = ["unshare", "-m", "sh", "-c", script, "sh", tmp_path / "cache", sys.executable, LOAD]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(stub), done.stderr


def test_a_cache_from_nothing():
    data = ldcache.extend(None, [("libx.so.1", "/a/libx.so.1", 64), ("libx.so.1", "/b/libx.so.1", 64)], MACHINE)
    assert listed(ldcache.parse(data)) == [("libx.so.1", "/a/libx.so.1", KIND, 0, 0)]


def test_ours_come_in_place_of_the_images():
    """An image may have a stub of libcuda. Those for other machines stay."""
    old = ldcache.Cache(
        [
            ldcache.Entry("libcuda.so.1", "/stubs/libcuda.so.1", KIND),
            ldcache.Entry("libcuda.so.1", "/fast/libcuda.so.1", KIND, hwcap=ldcache.HWCAP_EXTENSION),
            ldcache.Entry("libcuda.so.1", "/arm/libcuda.so.1", 0x0903),
            ldcache.Entry("libz.so.1", "/lib/libz.so.1", KIND),
        ]
    )
    data = ldcache.extend(ldcache.build(old), [("libcuda.so.1", "/ours/libcuda.so.1", 64)], MACHINE)
    assert {entry.path for entry in ldcache.parse(data).entries} == {
        "/ours/libcuda.so.1", "/arm/libcuda.so.1", "/lib/libz.so.1",
    }  # fmt: skip


def test_the_old_format_in_front():
    """glibc before 2.32 wrote both."""
    new = ldcache.build(ldcache.Cache([ldcache.Entry("libz.so.1", "/lib/libz.so.1", KIND)]))
    for count in (0, 1, 2):
        old = b"ld.so-1.7.0\0" + struct.pack("<I", count) + bytes(12 * count)
        data = old + bytes(-len(old) % 8) + new
        assert listed(ldcache.parse(data)) == [("libz.so.1", "/lib/libz.so.1", KIND, 0, 0)]


def test_names_of_hardware_capabilities():
    cache = ldcache.Cache(
        [
            ldcache.Entry("liba.so.1", "/lib/liba.so.1", KIND),
            ldcache.Entry("liba.so.1", "/lib/v3/liba.so.1", KIND, hwcap=ldcache.HWCAP_EXTENSION | 1),
            ldcache.Entry("liba.so.1", "/lib/v2/liba.so.1", KIND, hwcap=ldcache.HWCAP_EXTENSION),
        ]
    )
    cache.sections = [(0, 0, b"by a test"), (ldcache.HWCAPS_TAG, 0, b"")]
    data = ldcache.build(cache, ["x86-64-v2", "x86-64-v3"])
    longer = ldcache.extend(data, [("libb.so", "/x/libb.so", 64)], MACHINE)
    for each in (data, longer):
        found = ldcache.parse(each)
        assert ldcache.hwcap_names(found, each) == ["x86-64-v2", "x86-64-v3"]
        assert [entry.path for entry in found.entries if entry.name == "liba.so.1"] == [
            "/lib/v2/liba.so.1", "/lib/v3/liba.so.1", "/lib/liba.so.1",
        ]  # fmt: skip
        assert found.sections[0] == (0, 0, b"by a test")


def test_numbers_in_names_are_compared_as_numbers():
    names = ["libx.so.9", "libx.so.10", "libx.so.9a", "libx.so", "liby.so.1", "lib10.so", "liba.so"]
    cache = ldcache.Cache([ldcache.Entry(name, f"/lib/{name}", KIND) for name in names])
    assert [entry.name for entry in ldcache.parse(ldcache.build(cache)).entries] == [
        "lib10.so", "liby.so.1", "libx.so.10", "libx.so.9a", "libx.so.9", "libx.so", "liba.so",
    ]  # fmt: skip


@has_cache
def test_directories_of_libraries():
    entry = ldcache.parse(HOST_CACHE.read_bytes()).entries[0]
    assert os.path.dirname(entry.path) in ldcache.directories(HOST_CACHE.read_bytes(), [entry.name])
    assert ldcache.directories(HOST_CACHE.read_bytes(), ["libnothing.so"]) == []


NAMES = st.text(st.characters(min_codepoint=1, max_codepoint=0x2FF), min_size=1, max_size=12)
ENTRIES = st.lists(
    st.builds(
        ldcache.Entry,
        NAMES,
        NAMES.map(lambda name: f"/{name}"),
        st.integers(-(2**31), 2**31 - 1),
        st.integers(0, 2**64 - 1),
    )
)


@given(ENTRIES)
def test_what_is_written_can_be_read(entries):
    cache = ldcache.Cache(entries)
    found = ldcache.parse(ldcache.build(cache))
    assert sorted(listed(found)) == sorted(listed(cache))


@given(st.binary(max_size=300))
def test_any_bytes(data):
    for head in (b"", ldcache.MAGIC, ldcache.OLD_MAGIC, ldcache.OLD_MAGIC + bytes(4) + ldcache.MAGIC):
        harmless(head + data)


SMALL = ldcache.Cache([ldcache.Entry("libz.so.1", "/lib/libz.so.1", KIND), ldcache.Entry("a", "/b/a", KIND)])
SMALL.sections = [(0, 0, b"someone"), (ldcache.HWCAPS_TAG, 0, b"")]
SMALL_BYTES = ldcache.build(SMALL, ["x86-64-v2"])


@given(st.integers(0, len(SMALL_BYTES)), st.binary(min_size=1, max_size=8))
def test_changed_bytes(at, change):
    data = bytearray(SMALL_BYTES)
    data[at : at + len(change)] = change
    harmless(bytes(data))


@given(st.integers(0, len(SMALL_BYTES)))
def test_files_cut_off(length):
    harmless(SMALL_BYTES[:length])


def harmless(data):
    try:
        cache = ldcache.parse(data)
        names = ldcache.hwcap_names(cache, data)
        ldcache.build(cache, names)
    except ldcache.BadCache:
        pass


def test_a_count_that_would_fill_the_memory():
    data = ldcache.HEADER.pack(ldcache.MAGIC, 0xFFFFFFFF, 0xFFFFFFFF, 2, 0)
    with pytest.raises(ldcache.BadCache, match="too many entries"):
        ldcache.parse(data)
    data = ldcache.HEADER.pack(ldcache.MAGIC, 60000, 0, 2, 0)
    with pytest.raises(ldcache.BadCache, match="cut off"):
        ldcache.parse(data)


def test_a_cache_that_takes_long_to_read():
    """Of many names, each the tail of the one before: small as a file, and large once it is read."""
    text = b"/" + b"1" * 4000 + b"\0"
    count = 60000
    first = ldcache.HEADER.size + count * ldcache.ENTRY.size
    table = b"".join(
        ldcache.ENTRY.pack(KIND, first + 3990, first + number % 4000 + number // 4000 * len(text), 0, 0)
        for number in range(count)
    )
    strings = text * 16
    data = ldcache.HEADER.pack(ldcache.MAGIC, count, len(strings), 2, 0) + table + strings
    start = time.monotonic()
    with pytest.raises(ldcache.BadCache, match="too long"):
        ldcache.parse(data)
    assert time.monotonic() - start < 5


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the flags of this cache are those of x86-64")
def test_a_cache_of_another_byte_order_is_left_alone():
    data = ldcache.HEADER.pack(ldcache.MAGIC, 0, 0, 3, 0)
    with pytest.raises(ldcache.BadCache, match="byte order"):
        ldcache.extend(data, [], "x86_64")


# ---- CUDA of the image


@pytest.fixture
def image(tmp_path):
    top = tmp_path / "rootfs"
    (top / "usr/local/cuda/compat").mkdir(parents=True)
    fd = os.open(top, os.O_PATH | os.O_DIRECTORY)
    yield Rootfs(fd), top / "usr/local/cuda/compat"
    os.close(fd)


def add(directory, version, drivers=None, payload=None):
    if drivers is not None:
        payload = json.dumps({"Format": 1, "CUDA Version": "13.5", "Driver": drivers}).encode()
    data = note("NVIDIA Corporation", 1, payload) if payload is not None else b""
    (directory / f"libcuda.so.{version}").write_bytes(library("libcuda.so.1", NUMBER[MACHINE], data))
    (directory / "libcuda.so.1").unlink(missing_ok=True)
    (directory / "libcuda.so.1").symlink_to(f"libcuda.so.{version}")


@pytest.mark.parametrize(
    ("version", "drivers", "host", "used"),
    [
        ("590.10", None, "580.159.04", True),
        ("580.200.01", None, "580.159.04", False),
        ("570.10", None, "580.159.04", False),
        ("590.10", [580, 570], "580.159.04", True),
        ("590.10", ["580"], "580.159.04", True),
        ("590.10", [570], "580.159.04", False),
        ("580.200.01", [580], "580.159.04", True),
        ("580.100.01", [580], "580.159.04", False),
        ("590.10", "580", "580.159.04", False),
        ("590.10", None, "", False),
    ],
)
def test_which_cuda_is_used(image, version, drivers, host, used):
    root, directory = image
    add(directory, version, drivers)
    found = compat.find(root, host)
    assert (found is not None) == used
    if found:
        assert (found.version, found.cuda) == (version, "13.5" if drivers else "")
        assert found.libraries == [("libcuda.so.1", "/usr/local/cuda/compat/libcuda.so.1", 64)]


def test_two_versions_are_none(image):
    root, directory = image
    add(directory, "590.10")
    add(directory, "591.10")
    assert compat.find(root, "580.159.04") is None


def test_a_note_that_is_garbage(image):
    root, directory = image
    add(directory, "590.10", payload=b"{")
    assert compat.find(root, "580.159.04") is None


def test_files_that_lead_out_of_the_image(image, tmp_path):
    root, directory = image
    (tmp_path / "outside").write_bytes(library("libcuda.so.1", NUMBER[MACHINE]))
    (directory / "libcuda.so.590.10").symlink_to(tmp_path / "outside")
    assert compat.find(root, "580.159.04") is None
    (directory / "libcuda.so.590.10").unlink()
    os.mkfifo(directory / "libcuda.so.590.10")
    assert compat.find(root, "580.159.04") is None


def test_an_image_without(image):
    assert compat.find(image[0], "580.159.04") is None
