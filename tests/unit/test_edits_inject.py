"""inject.py: a config before and after, by each of the ways in which a device can be asked for."""

import copy
import json
import os

import pytest

from pyruntime.config.check import check
from pyruntime.config.verdict import is_valid
from pyruntime.edits import inject
from pyruntime.edits.nvidia import driver, ldcache, spec
from pyruntime.edits.settings import Settings
from pyruntime.errors import CdiError, DriverError
from tests.fakes.driver import MACHINE, REAL_NODES, VERSION, FakeHost
from tests.fakes.elf import library

pytestmark = pytest.mark.skipif(not REAL_NODES, reason="only root can make device nodes")

LIB = f"/usr/lib/{MACHINE}-linux-gnu"
CONFIG = {
    "ociVersion": "1.2.0",
    "root": {"path": "rootfs"},
    "process": {"args": ["x"], "cwd": "/", "env": ["PATH=/bin"]},
    "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
    "linux": {"namespaces": [{"type": "mount"}], "resources": {"devices": [{"allow": False, "access": "rwm"}]}},
}


@pytest.fixture
def scene(tmp_path):
    """A host with a driver, a root file system, settings, and a directory for CDI files."""
    host = FakeHost(tmp_path / "host").make()
    (tmp_path / f"rootfs{LIB}").mkdir(parents=True)
    (tmp_path / "cdi").mkdir()
    settings = Settings()
    settings.host_root = str(host.root)
    settings.spec_dirs = [str(tmp_path / "cdi")]
    return host, tmp_path / "rootfs", settings


def run(scene, *env, enabled=True, **changes):
    config = copy.deepcopy({**CONFIG, **changes})
    config["process"]["env"] += env
    left = inject.inject(config, scene[2], str(scene[1]), enabled=enabled)
    assert is_valid(config)
    assert check(config) == []
    return config, left


def test_the_variable(scene):
    config, left = run(scene, "NVIDIA_VISIBLE_DEVICES=0")
    assert [node["path"] for node in config["linux"]["devices"]][-1] == "/dev/nvidia1"
    assert {"allow": True, "type": "c", "major": 195, "minor": 1, "access": "rw"} in config["linux"]["resources"][
        "devices"
    ]
    assert config["mounts"][0] == CONFIG["mounts"][0]
    assert f"{LIB}/libcuda.so.1" in {mount["destination"] for mount in config["mounts"]}
    assert config["process"]["env"] == ["PATH=/bin", "NVIDIA_VISIBLE_DEVICES=0"]
    assert f"{LIB}/libcuda.so" in {link.path for link in left.links}
    assert left.proc[-1] == "gpus/0000:07:00.0"


def test_nothing_without_leave(scene):
    config, left = run(scene, "NVIDIA_VISIBLE_DEVICES=all", enabled=False)
    assert left is None
    assert config["mounts"] == CONFIG["mounts"]
    assert "devices" not in config["linux"]


@pytest.mark.parametrize("env", [[], ["NVIDIA_VISIBLE_DEVICES=void"], ["NVIDIA_VISIBLE_DEVICES="]])
def test_nothing_when_nothing_is_asked(scene, env):
    config, left = run(scene, *env)
    assert left is None
    assert config == {**CONFIG, "process": {**CONFIG["process"], "env": ["PATH=/bin", *env]}}


def test_the_hook_of_an_engine_is_leave(scene):
    """`docker run --gpus` sets the variable and adds the hook, which then need not be installed."""
    path = "/usr/bin/nvidia-container-runtime-hook"
    hooks = {"prestart": [{"path": path, "args": [path, "prestart"]}]}
    config, left = run(scene, "NVIDIA_VISIBLE_DEVICES=1", enabled=False, hooks=hooks)
    assert config["hooks"]["prestart"] == []
    assert [node["path"] for node in config["linux"]["devices"]][-1] == "/dev/nvidia0"
    assert left.cache is not None


def test_hooks_of_a_cdi_file_that_an_engine_has_applied(scene):
    path = "/usr/bin/nvidia-cdi-hook"
    entry = {"path": path, "args": ["nvidia-cdi-hook", "create-symlinks", "--link", f"libcuda.so.1::{LIB}/libcuda.so"]}
    config, left = run(scene, enabled=False, hooks={"createContainer": [entry]})
    assert config["hooks"]["createContainer"] == []
    assert [(link.path, link.target) for link in left.links] == [(f"{LIB}/libcuda.so", "libcuda.so.1")]


def write_spec(scene, **options):
    document, _ = spec.generate(driver.discover(str(scene[0].root)), **options)
    (scene[1].parent / "cdi/nvidia.yaml").write_text(json.dumps(document))


@pytest.mark.parametrize("way", ["annotation", "variable"])
def test_cdi_devices(scene, way):
    write_spec(scene)
    name = "nvidia.com/gpu=1"
    if way == "annotation":
        config, left = run(scene, enabled=False, annotations={"cdi.k8s.io/x": name})
    else:
        config, left = run(scene, f"NVIDIA_VISIBLE_DEVICES={name}")
    paths = {node["path"] for node in config["linux"]["devices"]}
    assert "/dev/nvidia0" in paths
    assert "/dev/nvidia1" not in paths
    assert "NVIDIA_VISIBLE_DEVICES=void" in config["process"]["env"]
    depths = [mount["destination"].count("/") for mount in config["mounts"]]
    assert depths == sorted(depths)
    assert (left.links, left.cache) == ([], None)


def test_hooks_of_a_cdi_file_are_done_here(scene):
    """Five programs less, none of which has to be installed; the libraries are those of the way by the variable."""
    write_spec(scene, hook="/usr/bin/nvidia-cdi-hook", classes=["utility", "compute"])
    config, left = run(scene, enabled=False, annotations={"cdi.k8s.io/x": "nvidia.com/gpu=0"})
    _, native = run(scene, "NVIDIA_VISIBLE_DEVICES=0")
    assert "hooks" not in config
    assert set(left.cache.libraries) == set(native.cache.libraries)
    assert left.cache.compat == ""
    assert {(link.path, link.target) for link in left.links} == {(link.path, link.target) for link in native.links}
    assert [file.content for file in left.files] == [file.content for file in native.files]


def test_a_vendor_of_another_kind(scene):
    node = {"path": "/dev/thing", "hostPath": "/dev/null"}
    document = {
        "cdiVersion": "0.6.0",
        "kind": "vendor.com/thing",
        "devices": [{"name": "a", "containerEdits": {"deviceNodes": [node]}}],
    }
    (scene[1].parent / "cdi/thing.json").write_text(json.dumps(document))
    config, _ = run(scene, enabled=False, annotations={"cdi.k8s.io/x": "vendor.com/thing=a"})
    assert config["linux"]["devices"] == [
        {"path": "/dev/thing", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666}
    ]


def test_errors_come_before_anything_is_changed(scene):
    for env, changes, error in (
        (["NVIDIA_VISIBLE_DEVICES=9"], {}, DriverError),
        (["NVIDIA_VISIBLE_DEVICES=0", "NVIDIA_REQUIRE_CUDA=cuda>=99"], {}, DriverError),
        ([], {"annotations": {"cdi.k8s.io/x": "a.b/c=d"}}, CdiError),
    ):
        config = copy.deepcopy({**CONFIG, **changes})
        config["process"]["env"] = env
        before = copy.deepcopy(config)
        with pytest.raises(error):
            inject.inject(config, scene[2], str(scene[1]), enabled=True)
        assert config == before


def test_cuda_of_the_image(scene):
    directory = scene[1] / "usr/local/cuda/compat"
    directory.mkdir(parents=True)
    (directory / "libcuda.so.590.10").write_bytes(library("libcuda.so.1"))
    (directory / "libcuda.so.1").symlink_to("libcuda.so.590.10")
    _, left = run(scene, "NVIDIA_VISIBLE_DEVICES=0")
    assert left.cache.libraries[0] == ("libcuda.so.1", "/usr/local/cuda/compat/libcuda.so.1", 64)
    hook = {
        "path": "/x/nvidia-cdi-hook",
        "args": ["nvidia-cdi-hook", "enable-cuda-compat", f"--host-driver-version={VERSION}"],
    }
    _, left = run(scene, enabled=False, hooks={"createContainer": [hook]})
    assert left.cache.libraries[0] == ("libcuda.so.1", "/usr/local/cuda/compat/libcuda.so.1", 64)


@pytest.mark.parametrize("readonly", [False, True])
def test_directories_that_a_later_ldconfig_has_to_keep(scene, tmp_path, readonly):
    """Those that the linker knows are not named, nor those of plug-ins, which are opened by their path."""
    directory = scene[1] / "usr/local/cuda/compat"
    directory.mkdir(parents=True)
    (directory / "libcuda.so.590.10").write_bytes(library("libcuda.so.1"))
    (directory / "libcuda.so.1").symlink_to("libcuda.so.590.10")
    host = FakeHost(tmp_path / "other", libraries="usr/local/nvidia/lib64").make()
    scene[2].host_root = str(host.root)
    document, _ = spec.generate(driver.discover(str(host.root)), hook="/x/nvidia-cdi-hook")
    (tmp_path / "cdi/nvidia.json").write_text(json.dumps(document))
    root = {"path": "rootfs", "readonly": readonly}
    _, left = run(scene, annotations={"cdi.k8s.io/x": "nvidia.com/gpu=all"}, root=root)
    files = {file.path: file.content for file in left.files if "ld.so.conf.d" in file.path}
    assert files == ({} if readonly else {
        "/etc/ld.so.conf.d/00-compat-pyruntime.conf": "/usr/local/cuda/compat\n",
        "/etc/ld.so.conf.d/00-nvidia-pyruntime.conf": "/usr/local/nvidia/lib64\n/usr/local/nvidia/lib64/vdpau\n",
    })  # fmt: skip
    _, left = run(scene, "NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_DRIVER_CAPABILITIES=all", root=root)
    assert [file.path for file in left.files] == ["/proc/driver/nvidia/params"] + [
        "/etc/ld.so.conf.d/00-compat-pyruntime.conf"
    ] * (not readonly)


def cache_of(scene, edits):
    fd = os.open(scene[1], os.O_PATH | os.O_DIRECTORY)
    try:
        return inject.cache_bytes(edits, fd, MACHINE)
    finally:
        os.close(fd)


def test_the_cache_of_the_container(scene):
    _, left = run(scene, "NVIDIA_VISIBLE_DEVICES=0")
    found = {entry.name: entry.path for entry in ldcache.parse(cache_of(scene, left)).entries}
    assert found["libcuda.so.1"] == f"{LIB}/libcuda.so.1"
    assert left.notes == []


@pytest.mark.parametrize("kind", ["garbage", "fifo", "directory", "huge", "link"])
def test_a_cache_in_the_image_that_is_none(scene, kind):
    """It is left alone, with a note; nothing waits for it, and nothing outside is read."""
    (scene[1] / "etc").mkdir()
    path = scene[1] / "etc/ld.so.cache"
    if kind == "garbage":
        path.write_bytes(b"x" * 1000)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "huge":
        with path.open("wb") as file:
            file.truncate(2 << 30)
    else:
        path.symlink_to("/dev/zero")
    _, left = run(scene, "NVIDIA_VISIBLE_DEVICES=0")
    made = cache_of(scene, left)
    if kind == "link":  # to nothing, in the image: there is no cache
        assert made is not None
    else:
        assert made is None
        assert "of the image is left alone" in left.notes[0]
