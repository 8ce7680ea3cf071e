"""request.py reads what a config asks for; tests of settings are here as well."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyruntime.edits import settings
from pyruntime.edits.nvidia import request
from pyruntime.edits.nvidia.files import CLASSES
from pyruntime.errors import DriverError, PyruntimeError


def config(*env, mounts=(), bounding=()):
    return {
        "process": {"env": list(env), "capabilities": {"bounding": list(bounding)}},
        "mounts": [{"source": "/dev/null", "destination": path} for path in mounts],
    }


def find(*env, mounts=(), bounding=(), **changes):
    chosen = settings.Settings()
    for name, value in changes.items():
        setattr(chosen, name, value)
    return request.find(config(*env, mounts=mounts, bounding=bounding), chosen)


@pytest.mark.parametrize(
    ("text", "devices"),
    [
        ("all", ("all",)),
        ("none", ("none",)),
        ("0", ("0",)),
        ("1,0,1", ("1", "0")),
        (" 0 , GPU-1 ,", ("0", "GPU-1")),
        ("0,all", ("all",)),
        ("0:1", ("0:1",)),
        ("0000:07:00.0", ("0000:07:00.0",)),
        ("MIG-GPU-1/2/0", ("MIG-GPU-1/2/0",)),
    ],
)
def test_values(text, devices):
    found = find(f"NVIDIA_VISIBLE_DEVICES={text}")
    assert found.devices == devices
    assert found.source == f"NVIDIA_VISIBLE_DEVICES={text}"
    assert found.classes == {"utility", "compute"}


@pytest.mark.parametrize("text", ["", "void", ",", "0,void"])
def test_values_that_ask_for_nothing(text):
    assert find(f"NVIDIA_VISIBLE_DEVICES={text}") is None
    assert find() is None


def test_the_last_variable_counts():
    assert find("NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_VISIBLE_DEVICES=void") is None


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("", {"utility", "compute"}),
        ("utility", {"utility"}),
        ("video", {"video", "compute"}),
        ("display", {"display", "graphics"}),
        ("all", set(CLASSES)),
        ("compute,all", set(CLASSES)),
    ],
)
def test_capabilities(text, classes):
    assert find("NVIDIA_VISIBLE_DEVICES=all", f"NVIDIA_DRIVER_CAPABILITIES={text}").classes == classes


def test_capabilities_that_there_are_not():
    with pytest.raises(DriverError, match='"grafics" is not one of compute, utility'):
        find("NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_DRIVER_CAPABILITIES=grafics")
    with pytest.raises(DriverError, match='"graphics" is not one of compute, all'):
        find("NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_DRIVER_CAPABILITIES=graphics", capabilities="compute")


def test_capabilities_at_most():
    found = find("NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_DRIVER_CAPABILITIES=all", capabilities="compute,ngx")
    assert found.classes == {"compute", "ngx"}
    assert find("NVIDIA_VISIBLE_DEVICES=all", capabilities="compute").classes == {"compute"}


def test_images_from_before_there_were_requirements():
    found = find("CUDA_VERSION=9.0.176")
    assert found.devices == ("all",)
    assert found.classes == set(CLASSES)
    assert found.requirements == [("CUDA_VERSION", "cuda>=9.0")]
    assert find("CUDA_VERSION=12.4.1", "NVIDIA_REQUIRE_CUDA=cuda>=12.4") is None


def test_requirements():
    env = ("NVIDIA_VISIBLE_DEVICES=0", "NVIDIA_REQUIRE_CUDA=cuda>=12.4", "NVIDIA_REQUIRE_ARCH=arch>=7.0",
           "NVIDIA_REQUIRE_JETPACK=csv-mounts=all")  # fmt: skip
    assert find(*env).requirements == [("NVIDIA_REQUIRE_CUDA", "cuda>=12.4"), ("NVIDIA_REQUIRE_ARCH", "arch>=7.0")]
    assert find(*env, "NVIDIA_DISABLE_REQUIRE=true").requirements == []
    assert len(find(*env, "NVIDIA_DISABLE_REQUIRE=yes").requirements) == 2
    assert find(*env, require=False).requirements == []


def test_the_variable_can_be_distrusted():
    """An image can set it; what runs with CAP_SYS_ADMIN can have the devices anyway."""
    assert find("NVIDIA_VISIBLE_DEVICES=all", trust_env=False) is None
    assert find("NVIDIA_VISIBLE_DEVICES=all", trust_env=False, bounding=["CAP_SYS_ADMIN"]).devices == ("all",)


def test_mounts_as_requests():
    top = "/var/run/nvidia-container-devices"
    mounts = (f"{top}/GPU-1", f"{top}/GPU-2", "/elsewhere")
    found = find("NVIDIA_VISIBLE_DEVICES=void", mounts=mounts, volume_requests=True)
    assert found.devices == ("GPU-1", "GPU-2")
    assert find("NVIDIA_VISIBLE_DEVICES=void", mounts=mounts) is None
    mounts = (f"{top}/cdi/nvidia.com/gpu/0", f"{top}/cdi/nvidia.com/gpu=1")
    assert find(mounts=mounts, volume_requests=True).cdi == ["nvidia.com/gpu=0", "nvidia.com/gpu=1"]


def test_cdi_devices():
    found = find("NVIDIA_VISIBLE_DEVICES=nvidia.com/gpu=0,nvidia.com/gpu=1")
    assert (found.cdi, found.devices) == (["nvidia.com/gpu=0", "nvidia.com/gpu=1"], ())
    with pytest.raises(DriverError, match='"0" is no CDI device'):
        find("NVIDIA_VISIBLE_DEVICES=nvidia.com/gpu=0,0")


def test_what_is_not_injected_is_said():
    assert find("NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_GDS=enabled").notes[0].startswith("NVIDIA_GDS=enabled is ignored")
    assert find("NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_GDS=disabled").notes == []


@given(st.lists(st.text(max_size=20), max_size=4), st.booleans())
def test_any_environment(env, trust):
    try:
        found = find(*env, *(f"NVIDIA_VISIBLE_DEVICES={text}" for text in env), trust_env=trust)
    except DriverError:
        return
    assert found is None or found.devices or found.cdi


# ---- settings


def load(tmp_path, text):
    path = tmp_path / "config.toml"
    path.write_text(text)
    return settings.load(str(path))


def test_settings(tmp_path):
    found = load(tmp_path, '[nvidia]\nenable = true\ndriver_root = "/d"\n[cdi]\nspec_dirs = ["/x"]\n')
    assert (found.enable, found.driver_root, found.trust_env, found.spec_dirs) == (True, "/d", True, ["/x"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[nvidia]\nenabled = true", r"nvidia\.enabled is not known \(there are enable,"),
        ("[nvdia]\nenable = true", r"\[nvdia\] is not known"),
        ("nvidia = 1", r"\[nvidia\] is not known"),
        ('[nvidia]\nenable = "yes"', "nvidia.enable is not true or false"),
        ('[nvidia]\nhost_root = "x"', "nvidia.host_root is not an absolute path"),
        ("[nvidia]\nenable = 1", "nvidia.enable is not true or false"),
        ('[cdi]\nspec_dirs = ["x"]', "cdi.spec_dirs is not a list of absolute paths"),
        ("[nvidia", "config.toml: "),
    ],
)
def test_settings_that_are_wrong(tmp_path, text, message):
    with pytest.raises(PyruntimeError, match=message):
        load(tmp_path, text)


def test_a_file_that_is_named_has_to_be_there(tmp_path):
    with pytest.raises(PyruntimeError, match="no such file"):
        settings.load(str(tmp_path / "missing"))
