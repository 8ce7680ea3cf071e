"""elf.py reads what linkers write, and takes no harm from anything else."""

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyruntime.edits.nvidia import elf
from tests.fakes.elf import AARCH64, I386, X86_64, library, note

CUDA_NOTE = note("NVIDIA Corporation", 1, b'{"Driver":[535]}')


def opened(data):
    fd = os.memfd_create("elf")
    os.write(fd, data)
    return fd


def read(data):
    fd = opened(data)
    try:
        return elf.read(fd)
    finally:
        os.close(fd)


@pytest.mark.parametrize(("machine", "bits"), [(I386, 32), (X86_64, 64), (AARCH64, 64)])
def test_what_is_read(machine, bits):
    found = read(library("libcuda.so.1", machine, CUDA_NOTE))
    assert (found.bits, found.machine, found.soname, found.interpreter) == (bits, machine, "libcuda.so.1", "")


def test_a_library_without_a_name():
    assert read(library("")).soname == ""


def test_programs_have_an_interpreter():
    found = read(library("", interpreter="/lib64/ld-linux-x86-64.so.2"))
    assert found.interpreter == "/lib64/ld-linux-x86-64.so.2"


def test_notes():
    fd = opened(library("libcuda.so.1", notes=note("GNU", 3, b"id") + CUDA_NOTE))
    assert list(elf.notes(fd)) == [("GNU", 3, b"id"), ("NVIDIA Corporation", 1, b'{"Driver":[535]}')]
    os.close(fd)


def test_the_stub_is_one_that_the_linker_loads(tmp_path):
    """Else the other tests would read only what they made up themselves."""
    path = tmp_path / "libstub.so.1"
    path.write_bytes(library("libstub.so.1", {"x86_64": X86_64, "aarch64": AARCH64}[os.uname().machine]))
    ctypes.CDLL(str(path))


def test_libraries_of_this_machine_agree_with_readelf():
    if shutil.which("readelf") is None:
        pytest.skip("readelf is not installed")
    compared = 0
    for path in sorted(Path("/usr/lib").glob("*-linux-gnu/*.so.*"))[:60]:
        said = subprocess.run(["readelf", "-d", path], capture_output=True, text=True, check=False)
        if said.returncode or "not an ELF" in said.stderr.lower():
            continue
        line = next((line for line in said.stdout.splitlines() if "(SONAME)" in line), "")
        assert elf.read_file(str(path)).soname == line.partition("[")[2].rstrip("]"), path
        compared += 1
    assert compared


@pytest.mark.parametrize("name", ["a/b", "..", "a\nb", "a\x7f"])
def test_names_that_lead_elsewhere_are_refused(name):
    """A SONAME becomes a file name in the container."""
    with pytest.raises(elf.BadElf):
        read(library(name))


def test_a_name_without_end_is_refused():
    data = library("x" * 300)
    with pytest.raises(elf.BadElf):
        read(data)


@given(st.binary(max_size=400))
def test_any_bytes(data):
    with pytest.raises(elf.BadElf):
        read(b"#" + data)
    harmless(b"\x7fELF" + data)


@given(st.sampled_from([I386, X86_64, AARCH64]), st.integers(0, 500), st.binary(min_size=1, max_size=8))
def test_changed_bytes(machine, at, change):
    data = bytearray(library("libcuda.so.1", machine, CUDA_NOTE))
    data[at : at + len(change)] = change
    harmless(bytes(data))


@given(st.integers(0, 600))
def test_files_cut_off(length):
    harmless(library("libcuda.so.1", notes=CUDA_NOTE)[:length])


def harmless(data):
    """Either is understood or refused with the one exception."""
    fd = opened(data)
    for reader in (elf.read, lambda fd: list(elf.notes(fd))):
        try:
            reader(fd)
        except elf.BadElf:
            continue
    os.close(fd)
