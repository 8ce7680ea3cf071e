"""driver.py finds what a host has, in the layouts that distributions give it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pyruntime.edits.nvidia import driver, ldcache, nodes
from pyruntime.edits.nvidia.root import Root
from pyruntime.errors import DriverError
from tests.fakes.driver import LIBRARIES, MACHINE, REAL_NODES, TWO_GPUS, VERSION, FakeGpu, FakeHost
from tests.fakes.elf import library

real_nodes = pytest.mark.skipif(not REAL_NODES, reason="only root can make device nodes")


def discover(host):
    return driver.discover(str(host.root), machine=host.machine)


def names(found, bits=64):
    return {library.name for library in found.libraries if library.bits == bits}


def test_a_whole_host(tmp_path):
    found = discover(FakeHost(tmp_path).make())
    assert (found.module, found.version) == (VERSION, VERSION)
    assert len(names(found)) == len(LIBRARIES)
    assert {library.name: library.soname for library in found.libraries}[f"libcuda.so.{VERSION}"] == "libcuda.so.1"
    assert [(gpu.index, gpu.minor, gpu.uuid, gpu.bus) for gpu in found.gpus] == [
        (index, gpu.minor, gpu.uuid, gpu.bus) for index, gpu in enumerate(TWO_GPUS)
    ]
    assert found.gpus[0].drm == ["card0", "renderD128"]
    assert found.notes == []
    kinds = {file.kind for file in found.files}
    assert kinds == {"binary", "configuration", "firmware"}
    found.check("NVIDIA_VISIBLE_DEVICES=all")


@real_nodes
def test_nodes_of_the_driver(tmp_path):
    found = discover(FakeHost(tmp_path).make())
    assert {node.path: (node.major, node.minor) for node, _ in found.control} == {
        "/dev/nvidiactl": (195, 255),
        "/dev/nvidia-uvm": (511, 0),
        "/dev/nvidia-uvm-tools": (511, 1),
        "/dev/nvidia-modeset": (195, 254),
    }
    assert found.missing == {}


def test_a_host_without_a_driver(tmp_path):
    (tmp_path / "proc").mkdir()
    found = driver.discover(str(tmp_path))
    assert (found.module, found.version, found.libraries, found.gpus) == ("", "", [], [])
    with pytest.raises(DriverError, match=r"no NVIDIA driver is loaded.*modprobe nvidia"):
        found.check("NVIDIA_VISIBLE_DEVICES=all")


@pytest.mark.parametrize(
    ("libraries", "programs"),
    [
        ("usr/lib64", "usr/bin"),
        (f"usr/lib/{MACHINE}-linux-gnu", "usr/bin"),
        ("usr/lib", "usr/bin"),
        ("usr/local/nvidia/lib64", "usr/local/nvidia/bin"),
        ("home/kubernetes/bin/nvidia/lib64", "home/kubernetes/bin/nvidia/bin"),
        ("run/nvidia/driver/usr/lib64", "run/nvidia/driver/usr/bin"),
        ("var/lib/nvidia/lib64", "var/lib/nvidia/bin"),
        ("opt/nvidia/lib", "opt/nvidia/bin"),
    ],
)
def test_where_drivers_are(tmp_path, libraries, programs):
    found = discover(FakeHost(tmp_path, libraries=libraries, programs=programs).make())
    assert len(names(found)) == len(LIBRARIES)
    assert all(os.path.exists(library.source) for library in found.libraries)
    assert {file.path for file in found.files if file.kind == "binary"} >= {"/usr/bin/nvidia-smi"}


def test_alternatives_of_debian(tmp_path):
    """libcuda.so.1 leads through /etc/alternatives to a directory that holds all of them."""
    host = FakeHost(tmp_path, libraries=f"usr/lib/{MACHINE}-linux-gnu/elsewhere/current").make()
    top = f"usr/lib/{MACHINE}-linux-gnu"
    host.link(f"{top}/libcuda.so.1", f"/etc/alternatives/nvidia--libcuda.so.1-{MACHINE}-linux-gnu")
    host.link(f"etc/alternatives/nvidia--libcuda.so.1-{MACHINE}-linux-gnu", f"/{host.libraries}/libcuda.so.1")
    assert len(names(discover(host))) == len(LIBRARIES)


def test_a_directory_that_only_the_cache_knows(tmp_path):
    host = FakeHost(tmp_path, libraries="srv/driver").make()
    assert discover(host).version == ""
    entries = [ldcache.Entry("libcuda.so.1", "/srv/driver/libcuda.so.1", 0x303)]
    host.write("etc/ld.so.cache", ldcache.build(ldcache.Cache(entries)))
    assert len(names(discover(host))) == len(LIBRARIES)


@pytest.mark.parametrize("cache", [b"", b"garbage", ldcache.MAGIC + bytes(100), b"\0" * (33 << 20)])
def test_a_cache_that_is_broken(tmp_path, cache):
    host = FakeHost(tmp_path, libraries="srv/driver").make()
    host.write("etc/ld.so.cache", cache)
    assert discover(host).version == ""


def test_links_into_a_store(tmp_path):
    """NixOS: the directory holds absolute links, and the files are what is to be mounted."""
    host = FakeHost(tmp_path, libraries="nix/store/abc-nvidia/lib").make()
    for path in sorted((tmp_path / host.libraries).rglob("*.so.*")):
        name = path.relative_to(tmp_path / host.libraries)
        host.link(f"run/opengl-driver/lib/{name}", f"/{host.libraries}/{name}")
    found = discover(host)
    assert len(names(found)) == len(LIBRARIES)
    assert all(library.path.startswith("/nix/store/") for library in found.libraries)


def test_links_stay_inside_the_root(tmp_path):
    """An absolute link of the driver container means its own /usr, not the host's."""
    host = FakeHost(tmp_path / "host", libraries="run/nvidia/driver/opt/lib").make()
    host.link("run/nvidia/driver/usr/lib64", "/opt/lib")
    found = discover(host)
    assert len(names(found)) == len(LIBRARIES)
    assert found.libraries[0].path.startswith("/opt/lib/")


def test_a_driver_root_that_is_given(tmp_path):
    host = FakeHost(tmp_path / "host").make()
    FakeHost(tmp_path / "other", libraries="lib64").make()
    found = driver.discover(str(host.root), str(tmp_path / "other"))
    assert {library.source.startswith(str(tmp_path / "other/lib64")) for library in found.libraries} == {True}


def test_two_versions_side_by_side(tmp_path):
    host = FakeHost(tmp_path).make()
    host.add_libraries("570.86.10", host.libraries)
    host.add_libraries("590.10", host.libraries)
    found = discover(host)
    assert found.version == VERSION
    assert not [name for name in names(found) if "570" in name or "590" in name]


def test_the_place_of_the_loaded_version_wins(tmp_path):
    """Old libraries that a package has left in /usr/lib must not hide those of the driver that runs."""
    host = FakeHost(tmp_path, libraries="usr/local/nvidia/lib64").make()
    host.add_libraries("470.57.02", "usr/lib64")
    found = discover(host)
    assert (found.version, found.place) == (VERSION, "/usr/local/nvidia")


def test_versions_that_differ(tmp_path):
    found = discover(FakeHost(tmp_path, module="570.86.10").make())
    message = "the kernel has NVIDIA driver 570.86.10 but the installed libraries are 580.159.04"
    with pytest.raises(DriverError, match=message):
        found.check("all")


def test_a_module_without_libraries(tmp_path):
    host = FakeHost(tmp_path).make()
    shutil.rmtree(tmp_path / "usr")
    with pytest.raises(DriverError, match=r"libraries of the driver 580\.159\.04 were not found"):
        discover(host).check("all")


@pytest.mark.parametrize(
    "line",
    [
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023",
        "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  535.104.05  Release Build  (x@y)  Tue",
    ],
)
def test_version_from_proc(tmp_path, line):
    """Where /sys is hidden; the two kinds of module write different lines."""
    host = FakeHost(tmp_path, version="535.104.05").make()
    shutil.rmtree(tmp_path / "sys/module")
    host.write("proc/driver/nvidia/version", f"{line}\nGCC version:  gcc version 12.2.0\n")
    assert discover(host).module == "535.104.05"


def test_libraries_of_another_machine_are_left_out(tmp_path):
    found = driver.discover(str(FakeHost(tmp_path).make().root), machine="riscv64")
    assert found.libraries == []


def test_32_bit_libraries_are_kept_apart(tmp_path):
    host = FakeHost(tmp_path, machine="x86_64", libraries="usr/lib64").make()
    host.add_32_bit()
    found = discover(host)
    assert names(found, 32) == names(found, 64)
    assert {library.bits for library in found.libraries if "i386" in library.path} == {32}


def test_a_library_that_the_table_does_not_have(tmp_path):
    host = FakeHost(tmp_path).make()
    host.add_library(host.libraries, "libnvidia-brandnew", VERSION, "libnvidia-brandnew.so.1")
    found = discover(host)
    (new,) = [library for library in found.libraries if "brandnew" in library.name]
    assert new.classes == ("compute", "graphics")
    assert found.notes == [f"libnvidia-brandnew.so.{VERSION} is not in the table, and is taken for compute graphics"]


def test_a_file_of_the_driver_that_is_broken(tmp_path):
    host = FakeHost(tmp_path).make()
    host.write(f"{host.libraries}/libnvidia-ngx.so.{VERSION}", "garbage")
    found = discover(host)
    assert f"libnvidia-ngx.so.{VERSION}" not in names(found)
    assert "libnvidia-ngx.so" in found.notes[0]
    assert "not an ELF file" in found.notes[0]


@pytest.mark.parametrize(("links", "wanted"), [(True, "1.1.2"), (False, "1.1.10")])
def test_one_of_several_versions_of_its_own(tmp_path, links, wanted):
    """The one that the host's own link leads to, else the newest."""
    host = FakeHost(tmp_path, links=links).make()
    for version in ("1.1.10", "1.1.9"):
        host.write(f"{host.libraries}/libnvidia-egl-gbm.so.{version}", library("libnvidia-egl-gbm.so.1"))
    assert [name for name in names(discover(host)) if "gbm" in name] == [f"libnvidia-egl-gbm.so.{wanted}"]


def test_links_beside_the_libraries(tmp_path):
    host = FakeHost(tmp_path).make()
    host.link(f"{host.libraries}/libnvidia-ml.so", "libnvidia-ml.so.1")
    host.link(f"{host.libraries}/libcuda.so", "stubs/libcuda.so")
    assert discover(host).links == [("libnvidia-ml.so", "libnvidia-ml.so.1")]


def test_gpus_that_are_odd(tmp_path):
    gpus = [
        FakeGpu(0, "0000:07:00.0", "GPU-????????-????-????-????-????????????"),
        FakeGpu(1, "0000:08:00.0", "GPU-1", excluded=True),
        FakeGpu(2, "0001:01:00.0", "GPU-2"),
    ]
    found = discover(FakeHost(tmp_path, gpus=gpus).make())
    assert [(gpu.index, gpu.minor, gpu.uuid) for gpu in found.gpus] == [(0, 0, ""), (1, 2, "GPU-2")]
    assert [note.split(" is ")[0].split(" has ")[0] for note in found.notes] == ["GPU 0000:07:00.0", "GPU 0000:08:00.0"]


def test_gpus_where_proc_shows_none(tmp_path):
    host = FakeHost(tmp_path).make()
    shutil.rmtree(tmp_path / "proc/driver/nvidia/gpus")
    found = discover(host)
    assert [(gpu.index, gpu.minor, gpu.uuid) for gpu in found.gpus] == [(0, 0, ""), (1, 1, "")]
    assert "counted by their device nodes" in found.notes[0]


def test_mig_devices(tmp_path):
    gpus = [FakeGpu(3, "0000:07:00.0", "GPU-1", migs=[(1, 0), (2, 0), (2, 1), (11, 0)]), TWO_GPUS[1]]
    found = discover(FakeHost(tmp_path, gpus=gpus).make())
    shown = [(mig.index, mig.gi, mig.ci, mig.gi_minor, mig.ci_minor) for mig in found.gpus[0].migs]
    assert shown == [(0, 1, 0, 3, 4), (1, 2, 0, 5, 6), (2, 2, 1, 5, 7), (3, 11, 0, 8, 9)]
    assert found.gpus[1].migs == []


def test_a_socket_of_a_service(tmp_path):
    host = FakeHost(tmp_path).make()
    host.socket()
    (found,) = [file for file in discover(host).files if file.kind == "socket"]
    assert found.path == "/run/nvidia-persistenced/socket"


def test_what_only_looks_like_a_socket(tmp_path):
    host = FakeHost(tmp_path).make()
    host.write("run/nvidia-persistenced/socket", "")
    assert [file for file in discover(host).files if file.kind == "socket"] == []


@real_nodes
def test_a_node_with_the_wrong_numbers(tmp_path):
    """Left from before a reboot, or put there by somebody: it would be another device."""
    host = FakeHost(tmp_path).make()
    host.node("nvidia-uvm", 1, 1)
    found = discover(host)
    assert "/dev/nvidia-uvm" not in {node.path for node, _ in found.control}
    assert "is device 1:1, where the driver's is 511:0" in found.missing["/dev/nvidia-uvm"]


def test_a_node_that_is_none(tmp_path):
    host = FakeHost(tmp_path).make()
    (tmp_path / "dev/nvidiactl").unlink()
    host.link("dev/nvidiactl", "/dev/null")
    assert "is not a character device" in discover(host).missing["/dev/nvidiactl"]


def test_a_module_that_is_not_loaded(tmp_path):
    host = FakeHost(tmp_path, majors={"nvidia": 195}).make()
    assert "modprobe nvidia-uvm" in discover(host).missing["/dev/nvidia-uvm"]


@real_nodes
def test_nodes_of_mig_and_of_graphics(tmp_path):
    gpus = [FakeGpu(0, "0000:07:00.0", "GPU-1", card=0, migs=[(1, 0)])]
    host = FakeHost(tmp_path, gpus=gpus).make()
    root, numbers = Root(str(tmp_path)), nodes.majors(Root(str(tmp_path)))
    assert nodes.caps_node(root, numbers, 3).major == 236
    assert nodes.drm_node(root, "renderD128").mode == 0o660
    assert nodes.gpu_node(root, numbers, 0).source == f"{host.root}/dev/nvidia0"
    with pytest.raises(DriverError, match="does not exist"):
        nodes.gpu_node(root, numbers, 9)


def test_links_that_never_end(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert Root(str(tmp_path)).find("/a") == ""


def test_links_out_of_a_root(tmp_path):
    (tmp_path / "root/sub").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "root/sub/up").symlink_to("../../../../secret")
    (tmp_path / "root/sub/absolute").symlink_to(tmp_path / "secret")
    root = Root(str(tmp_path / "root"))
    assert root.read("/sub/up") == ""
    assert root.read("/sub/absolute") == ""


AUDIT = """
import sys
sys.path.append(sys.argv[1])
from pyruntime.edits.nvidia import driver, others
events = []
sys.addaudithook(lambda name, arguments: events.append((name, str(arguments[0]) if arguments else "")))
found = driver.discover(sys.argv[2])
opened = [path for name, path in events if name == "open"]
print(len(found.libraries), len(opened), len(set(opened)), len([1 for name, _ in events if name == "os.listdir"]))
print(*sorted({name for name, _ in events}))
"""


def test_what_discovery_does(tmp_path):
    """It opens each library once, and little else; it runs nothing and loads nothing. On the machines that were
    measured that takes a millisecond."""
    host = FakeHost(tmp_path).make()
    root = Path(__file__).resolve().parent.parent.parent
    argv = [sys.executable, "-ISc", AUDIT, root, host.root]
    counts, names = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    libraries, opened, different, listed = map(int, counts.split())
    assert libraries == len(LIBRARIES)
    assert opened == different
    assert opened <= libraries + 10
    assert listed <= 20
    assert set(names.split()) <= {"open", "os.listdir", "import"}
