"""nvml.py asks the driver's own library, a stub here, and takes no harm from it."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from pyruntime.cli.main import main
from pyruntime.edits.nvidia import driver, nvml
from pyruntime.errors import DriverError
from tests.fakes.driver import VERSION, FakeGpu, FakeHost

SOURCE = Path(__file__).resolve().parent.parent / "fakes/nvml.c"
STATE = """driver 580.159.04
cuda 13000
gpu 00000000:07:00.0 1 GPU-1 2 9 0
mig MIG-b 2 0
mig MIG-a 1 0
gpu 00000000:0F:00.0 0 GPU-2 5 8 6
"""
GPUS = [
    FakeGpu(1, "0000:07:00.0", "GPU-????????-????", migs=[(1, 0), (2, 0)]),
    FakeGpu(0, "0000:0f:00.0", "GPU-2"),
]


@pytest.fixture(scope="module")
def stub(tmp_path_factory):
    """The library and the file that says what it says."""
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler to make the stub with")
    directory = tmp_path_factory.mktemp("nvml")
    target, state = directory / "libnvidia-ml.so", directory / "state"
    flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", f'-DSTATE="{state}"']
    subprocess.run(["cc", *flags, SOURCE, "-o", target], check=True)
    return target, state


@pytest.fixture
def host(tmp_path, stub):
    fake = FakeHost(tmp_path, gpus=GPUS).make()
    shutil.copy(stub[0], tmp_path / fake.libraries / f"libnvidia-ml.so.{VERSION}")
    stub[1].write_text(STATE)
    return fake


def discover(host):
    return driver.discover(str(host.root))


def test_what_was_not_known(host):
    found = discover(host)
    assert (found.gpus[0].uuid, found.gpus[0].arch) == ("", "")
    notes = len(found.notes)
    nvml.ask(found)
    first, second = found.gpus
    assert (first.uuid, first.arch, first.brand) == ("GPU-1", "9.0", "tesla")
    assert (second.uuid, second.arch, second.brand) == ("GPU-2", "8.6", "geforce")
    assert [(mig.index, mig.gi, mig.uuid) for mig in first.migs] == [(0, 2, "MIG-b"), (1, 1, "MIG-a")]
    assert found.cuda == "13.0"
    assert len(found.notes) == notes


def test_what_nvml_says_otherwise(host, stub):
    stub[1].write_text("driver 570.1\ncuda 12080\ngpu 00000000:0F:00.0 3 GPU-3 99 8 6\n")
    found = discover(host)
    del found.notes[:]
    nvml.ask(found)
    assert found.notes == [
        f"NVML says that the driver is 570.1, and the libraries are {VERSION}",
        "NVML finds 1 GPUs, and /proc/driver/nvidia 2",
        "NVML does not find GPU 0 (0000:07:00.0)",
        "GPU 1: its index is 1, and 0 for NVML",
        "GPU 1: its minor is 0, and 3 for NVML",
        "GPU 1: its uuid is GPU-2, and GPU-3 for NVML",
    ]
    assert found.cuda == "12.8"
    assert found.gpus[1].brand == "unknown"


def test_gpus_that_are_known_by_their_nodes_alone(host):
    shutil.rmtree(host.root / "proc/driver/nvidia/gpus")
    found = discover(host)
    nvml.ask(found)
    assert [(gpu.minor, gpu.uuid) for gpu in found.gpus] == [(0, "GPU-2"), (1, "GPU-1")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("init 9", r"nvmlInitWithFlags: Driver Not Loaded \(9\)"),
        ("init 18", r"Driver/library version mismatch \(18\)"),
        ("crash 1", "ended with signal 9"),
    ],
)
def test_when_it_fails(host, stub, line, message):
    stub[1].write_text(line)
    with pytest.raises(DriverError, match=message):
        nvml.ask(discover(host))


def test_when_it_hangs(host, stub):
    stub[1].write_text("sleep 60")
    start = time.monotonic()
    with pytest.raises(DriverError, match=r"NVML did not answer in 0\.3 s.*nvidia-smi -pm 1"):
        nvml.ask(discover(host), 0.3)
    assert time.monotonic() - start < 10


def test_it_prints_nothing(host, capfd):
    nvml.ask(discover(host))
    assert capfd.readouterr() == ("", "")


def test_a_library_that_is_none_of_it(tmp_path):
    """The stub of another test has no functions."""
    host = FakeHost(tmp_path).make()
    with pytest.raises(DriverError, match="it has no function nvmlInitWithFlags"):
        nvml.ask(discover(host))
    with pytest.raises(DriverError, match=r"NVML .*/missing"):
        nvml.query(str(tmp_path / "missing"))


def test_a_driver_without_nvml(tmp_path):
    host = FakeHost(tmp_path).make()
    (host.root / host.libraries / f"libnvidia-ml.so.{VERSION}").unlink()
    with pytest.raises(DriverError, match=r"there is no libnvidia-ml\.so"):
        nvml.ask(discover(host))


def test_no_child_is_left(host):
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    before = children.read_text()
    nvml.ask(discover(host))
    assert children.read_text() == before


def test_the_command_shows_what_nvml_says(host, capfd):
    assert main(["gpu", "--host-root", str(host.root)]) == 0
    text = capfd.readouterr().out
    assert "NVML           answers" in text
    assert "GPU-1" in text
    assert "MIG-a" in text
    assert "(9.0)" in text
    assert main(["gpu", "--json", "--no-nvml", "--host-root", str(host.root)]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["driver"]["nvml"] == "not asked"
    assert found["gpus"][0]["uuid"] == ""


def test_the_command_does_without_nvml(host, stub, capfd):
    stub[1].write_text("init 9")
    assert main(["gpu", "--json", "--host-root", str(host.root)]) == 0
    found = json.loads(capfd.readouterr().out)
    assert "Driver Not Loaded" in found["driver"]["nvml"]
    assert len(found["gpus"]) == 2
