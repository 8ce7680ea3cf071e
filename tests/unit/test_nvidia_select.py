"""select.py: what a request for GPUs puts into a container."""

import json
import os

import pytest

from pyruntime.edits import form
from pyruntime.edits.nvidia import driver, ldcache, select
from pyruntime.edits.nvidia.compat import Compat
from pyruntime.edits.nvidia.request import Request
from pyruntime.edits.nvidia.rootfs import Image
from pyruntime.errors import DriverError
from tests.fakes.driver import MACHINE, PARAMS, REAL_NODES, TWO_GPUS, VERSION, FakeGpu, FakeHost

pytestmark = pytest.mark.skipif(not REAL_NODES, reason="only root can make device nodes")

LIB = f"/usr/lib/{MACHINE}-linux-gnu"
DEBIAN = Image(LIB, "/usr/lib/i386-linux-gnu")
DIVIDED = FakeGpu(1, "0000:07:00.0", "GPU-1", migs=[(1, 0), (2, 0)])


@pytest.fixture
def host(tmp_path):
    return FakeHost(tmp_path).make()


def selected(host, *devices, classes=("utility", "compute"), image=DEBIAN, ask=None):
    found = driver.discover(str(host.root), machine=host.machine)
    return select.select(Request("the test", devices, classes), found, image, ask)


def paths(edits):
    return [device.path for device in edits.devices]


def destinations(edits):
    return {mount.destination: mount.source for mount in edits.mounts}


def test_all(host):
    edits = selected(host, "all")
    control = ["/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools"]
    assert paths(edits) == [*control, "/dev/nvidia1", "/dev/nvidia0"]
    assert [(device.type, device.major, device.minor, device.access) for device in edits.devices[3:]] == [
        ("c", 195, 1, "rw"),
        ("c", 195, 0, "rw"),
    ]
    assert edits.gids == []
    assert edits.notes == []


def test_a_library_has_both_its_names(host):
    """Neither a cache nor a link is needed for libcuda.so.1."""
    found = destinations(selected(host, "all"))
    source = f"{host.root}{LIB}/libcuda.so.{VERSION}"
    assert found[f"{LIB}/libcuda.so.{VERSION}"] == source
    assert found[f"{LIB}/libcuda.so.1"] == source
    assert {mount.options[0] for mount in selected(host, "all").mounts} == {"ro"}


def test_names_that_programs_open(host):
    edits = selected(host, "all", classes=["compute", "graphics", "video"])
    links = {link.path: link.target for link in edits.links}
    assert links[f"{LIB}/libcuda.so"] == "libcuda.so.1"
    assert links[f"{LIB}/libGLX_indirect.so.0"] == "libGLX_nvidia.so.0"
    assert links[f"{LIB}/gbm/nvidia-drm_gbm.so"] == "../libnvidia-allocator.so.1"
    assert links["/dev/dri/by-path/pci-0000:07:00.0-card"] == "../card0"
    assert f"{LIB}/vdpau/libvdpau_nvidia.so.1" in destinations(edits)


def test_a_root_that_is_read_only(host):
    image = Image(LIB, "/usr/lib32", readonly=True)
    edits = selected(host, "all", image=image)
    assert edits.links == []
    assert f"{LIB}/libcuda.so" in destinations(edits)


@pytest.mark.parametrize(
    ("classes", "there", "not_there"),
    [
        (["utility"], ["libnvidia-ml.so.1", "/usr/bin/nvidia-smi"], ["libcuda.so.1", "libGLX_nvidia.so.0"]),
        (["compute"], ["libcuda.so.1", "/etc/OpenCL/vendors/nvidia.icd"], ["libnvidia-ml.so.1", "/usr/bin/nvidia-smi"]),
        (["graphics"], ["libGLX_nvidia.so.0", "/etc/vulkan/icd.d/nvidia_icd.json"], ["libcuda.so.1"]),
        (["video"], ["libnvcuvid.so.1", "libcuda.so.1"], ["libGLX_nvidia.so.0"]),
        (["ngx"], ["libnvidia-ngx.so.1"], ["libcuda.so.1", "libnvidia-ml.so.1"]),
    ],
)
def test_capabilities(host, classes, there, not_there):
    found = destinations(selected(host, "all", classes=classes))
    for name in there:
        assert (name if name[0] == "/" else f"{LIB}/{name}") in found
    for name in not_there:
        assert (name if name[0] == "/" else f"{LIB}/{name}") not in found


def test_only_graphics_has_nodes_to_draw_with(host):
    for name, classes in (("utility", ["utility"]), ("graphics", ["graphics"])):
        edits = selected(host, "0", classes=classes)
        assert ("/dev/dri/renderD128" in paths(edits)) == (name == "graphics")
        assert "/dev/dri/renderD129" not in paths(edits)
        assert "/dev/nvidia-uvm" not in paths(edits)


def test_32_bit_libraries_have_to_be_asked_for(tmp_path):
    host = FakeHost(tmp_path, machine="x86_64", libraries="usr/lib64").make()
    host.add_32_bit()
    image = Image("/usr/lib64", "/usr/lib")
    assert "/usr/lib/libcuda.so.1" not in destinations(selected(host, "all", image=image))
    found = destinations(selected(host, "all", classes=["compute", "compat32"], image=image))
    assert found["/usr/lib/libcuda.so.1"] == f"{host.root}/usr/lib/i386-linux-gnu/libcuda.so.{VERSION}"


def test_without_an_image_libraries_stay_where_they_are(tmp_path):
    host = FakeHost(tmp_path, libraries="usr/local/nvidia/lib64").make()
    found = destinations(selected(host, "all", image=None))
    assert "/usr/local/nvidia/lib64/libcuda.so.1" in found


def test_none_has_the_driver_and_no_gpu(host):
    edits = selected(host, "none")
    assert [path for path in paths(edits) if path[-1].isdigit()] == []
    assert "/dev/nvidiactl" in paths(edits)
    assert edits.proc == ["params", "registry", "version"]


@pytest.mark.parametrize("name", ["0", TWO_GPUS[0].uuid, "0000:07:00.0", "00000000:07:00.0"])
def test_names_of_one_gpu(host, name):
    """Its index is 0 and its minor 1."""
    edits = selected(host, name)
    assert [path for path in paths(edits) if path[-1].isdigit()] == ["/dev/nvidia1"]
    assert edits.proc == ["params", "registry", "version", "gpus/0000:07:00.0"]


@pytest.mark.parametrize("name", ["2", "GPU-", TWO_GPUS[0].uuid[:12], "-1", "0:0", "../1", "0000:0f:00.1", "00"])
def test_names_of_none(host, name):
    with pytest.raises(DriverError) as caught:
        selected(host, name)
    assert str(caught.value) == (f'no GPU "{name}": this machine has 0 ({TWO_GPUS[0].uuid}), 1 ({TWO_GPUS[1].uuid})')


def test_the_order_and_number_of_names_do_not_matter(host):
    assert paths(selected(host, "1", "0", TWO_GPUS[0].uuid)) == paths(selected(host, "all"))


def test_mig_devices(tmp_path):
    host = FakeHost(tmp_path, gpus=[DIVIDED, TWO_GPUS[1]]).make()
    edits = selected(host, "0:1")
    assert paths(edits)[3:] == ["/dev/nvidia1", "/dev/nvidia-caps/nvidia-cap5", "/dev/nvidia-caps/nvidia-cap6"]
    top = "capabilities/gpu1/mig/gi2"
    assert edits.proc[3:] == ["gpus/0000:07:00.0", f"{top}/access", f"{top}/ci0/access"]
    assert paths(selected(host, "MIG-GPU-1/2/0")) == paths(edits)
    assert len(paths(selected(host, "all"))) == 3 + 2 + 4
    assert edits.notes == []
    (note,) = selected(host, "0").notes
    assert note.startswith("GPU 0 is divided into MIG devices (0:0 to 0:1)")


def test_mig_devices_by_uuid(tmp_path):
    """Only NVML knows those: it is asked when one is named, and else not."""
    host = FakeHost(tmp_path, gpus=[DIVIDED]).make()
    asked = []

    def ask(found):
        asked.append(found)
        found.gpus[0].migs[1].uuid = "MIG-abc"

    assert paths(selected(host, "MIG-abc", ask=ask)) == paths(selected(host, "0:1", ask=ask))
    assert len(asked) == 1
    with pytest.raises(DriverError, match='no GPU "MIG-xyz"'):
        selected(host, "MIG-xyz", ask=ask)


def test_nvml_keeps_its_hands_off_the_nodes(host):
    (file,) = selected(host, "all").files
    assert (file.path, file.over) == ("/proc/driver/nvidia/params", True)
    assert file.content == PARAMS.replace("ModifyDeviceFiles: 1", "ModifyDeviceFiles: 0")


def test_graphics_on_some_of_the_gpus(host):
    files = {file.path: file.content for file in selected(host, "0", classes=["graphics"]).files}
    made = json.loads(files["/etc/nvidia/nvidia-application-profiles-rc.d/10-container.conf"])
    assert made["profiles"][0]["settings"] == ["EGLVisibleDGPUDevices", 2]
    assert len(selected(host, "all", classes=["graphics"]).files) == 1


def test_groups_of_nodes(host):
    """A user that is not root gets at /dev/dri by the group alone."""
    for name in ("card0", "renderD128"):
        path = host.root / "dev/dri" / name
        os.chown(path, 0, 44)
    assert selected(host, "0", classes=["graphics"]).gids == [44]


def test_compute_needs_uvm(host):
    (host.root / "dev/nvidia-uvm").unlink()
    with pytest.raises(DriverError) as caught:
        selected(host, "all")
    assert str(caught.value) == (
        f"compute was requested, but /dev/nvidia-uvm cannot be used: {host.root}/dev/nvidia-uvm does not exist. "
        "Make it with: nvidia-modprobe -c 0 -u -m"
    )
    assert selected(host, "all", classes=["utility"]).notes == []


def test_a_node_that_can_be_done_without(host):
    (host.root / "dev/nvidia-uvm-tools").unlink()
    (note,) = selected(host, "all").notes
    assert note.startswith("/dev/nvidia-uvm-tools is left out: ")


def test_a_gpu_without_its_node(host):
    (host.root / "dev/nvidia1").unlink()
    with pytest.raises(DriverError, match="dev/nvidia1 does not exist"):
        selected(host, "0")
    selected(host, "1")


def test_the_cache(host):
    edits = selected(host, "all", classes=["compute", "video"])
    assert ("libcuda.so.1", f"{LIB}/libcuda.so.1", 64) in edits.cache.libraries
    assert edits.cache.directories == [LIB, f"{LIB}/vdpau"]
    assert edits.cache.compat == ""
    assert selected(host, "all", image=None).cache.compat == VERSION
    assert selected(host, "all", image=Image("/usr/lib", "/usr/lib32", cached=False)).cache is None


def test_cuda_of_the_image(host):
    """It comes first in the cache, and is not mounted."""
    image = Image(LIB, "/usr/lib32")
    image.compat = Compat("/usr/local/cuda/compat", "590.10", "13.5")
    image.compat.libraries = [("libcuda.so.1", "/usr/local/cuda/compat/libcuda.so.1", 64)]
    edits = selected(host, "all", image=image)
    assert edits.cache.libraries[0] == image.compat.libraries[0]
    assert edits.cache.directories == ["/usr/local/cuda/compat", LIB]
    assert not [mount for mount in edits.mounts if "compat" in mount.source or "compat" in mount.destination]
    made = ldcache.parse(ldcache.extend(None, edits.cache.libraries, MACHINE))
    (entry,) = [entry for entry in made.entries if entry.name == "libcuda.so.1"]
    assert entry.path == "/usr/local/cuda/compat/libcuda.so.1"
    assert "590.10" in edits.notes[0]
    assert selected(host, "all", image=image, classes=["utility"]).cache.directories == [LIB]


# ---- requirements


def required(host, text, *devices, image=None, ask=None):
    request = Request("the test", devices or ("all",))
    request.requirements = [("NVIDIA_REQUIRE_X", text)]
    return select.select(request, driver.discover(str(host.root)), image, ask)


def brands(found):
    for gpu in found.gpus:
        gpu.brand, gpu.arch = "tesla", f"{9 - gpu.index}.0"


def test_requirements_that_the_version_answers(host):
    """NVML is not asked: there is none."""
    required(host, "cuda>=13.0 brand=tesla,driver<471")
    with pytest.raises(DriverError, match=r"the image needs cuda>=13\.2, this driver \(580\.159\.04\) has CUDA 13\.0"):
        required(host, "cuda>=13.2")


def test_requirements_that_nvml_answers(host):
    required(host, "brand=tesla,arch>=8", ask=brands)
    with pytest.raises(DriverError, match=r"arch>=8\.5, this GPU has compute capability 8\.0"):
        required(host, "arch>=8.5", ask=brands)
    required(host, "arch>=8.5", "0", ask=brands)
    with pytest.raises(DriverError, match="requirements about arch, which is not known"):
        required(host, "arch>=8")


def test_requirements_that_nvml_cannot_answer(host):
    def ask(_):
        raise DriverError("NVML did not answer")

    with pytest.raises(DriverError, match="about brand, which only NVML knows: NVML did not answer"):
        required(host, "brand=tesla", ask=ask)


def test_requirements_without_a_gpu(host):
    """What is said of GPUs holds of none."""
    required(host, "arch>=99,brand=x,cuda>=12", "none")
    with pytest.raises(DriverError, match="cuda>=14"):
        required(host, "cuda>=14", "none")


def test_requirements_that_the_cuda_of_the_image_meets(host):
    image = Image(LIB, "/usr/lib32")
    image.compat = Compat("/usr/local/cuda/compat", "590.10", "13.5")
    required(host, "cuda>=13.2", image=image)
    with pytest.raises(DriverError, match=r"cuda>=13\.6"):
        required(host, "cuda>=13.6", image=image)


def test_a_mismatch_of_versions(tmp_path):
    host = FakeHost(tmp_path, module="570.86.10").make()
    with pytest.raises(DriverError, match=r"570\.86\.10 but the installed libraries are 580\.159\.04"):
        selected(host, "all")


def test_edits_can_be_written_as_cdi(host):
    document = form.to_json(selected(host, "all", classes=["graphics", "compute"]))
    assert form.to_json(form.parse(document, "x")) == document
    assert document["deviceNodes"][0]["hostPath"] == f"{host.root}/dev/nvidiactl"
