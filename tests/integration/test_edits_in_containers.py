"""Edits in a container: the config that inject() leaves behind, run as it is.

The host of these tests is a fake one, with libraries that are ELF files and device nodes that no driver answers for.
"""

import pytest

from pyruntime.edits import inject
from pyruntime.edits.edits import apply_mounts
from pyruntime.edits.settings import Settings
from tests.fakes.driver import VERSION, FakeHost

# of ls -l: a character device, its numbers
NODES = "ls -l /dev | awk '/^c.* nvidia/ {print $NF, $5, $6}'"


@pytest.fixture
def host(tmp_path):
    return FakeHost(tmp_path / "host").make()


def injected(bundle, host, *env):
    """Changes a bundle's config as `create` would; returns what is left for the plan."""
    settings = Settings()
    settings.host_root = str(host.root)
    bundle.process["env"] += env
    left = inject.inject(bundle.config, settings, str(bundle.rootfs), enabled=True)
    left.mount_links()
    apply_mounts(bundle.config, left)
    return left


def test_nodes_of_the_gpu_that_was_asked_for(bundle, host):
    injected(bundle, host, "NVIDIA_VISIBLE_DEVICES=0")
    assert bundle.run(NODES).out.splitlines() == [
        "nvidia-uvm 511, 0", "nvidia-uvm-tools 511, 1", "nvidia1 195, 1", "nvidiactl 195, 255",
    ]  # fmt: skip


def test_rules_of_devices(bundle, host):
    """A node that is allowed has no driver; one that is not asked for may not be opened at all."""
    injected(bundle, host, "NVIDIA_VISIBLE_DEVICES=0")
    bundle.process["capabilities"]["bounding"].append("CAP_MKNOD")
    bundle.process["capabilities"]["effective"].append("CAP_MKNOD")
    bundle.process["capabilities"]["permitted"].append("CAP_MKNOD")
    said = bundle.run("cat /dev/nvidia1; mknod /tmp/other c 195 0; cat /tmp/other; true").err
    assert "/dev/nvidia1': No such device or address" in said
    assert "Operation not permitted" in said


def test_libraries_under_both_their_names(bundle, host):
    injected(bundle, host, "NVIDIA_VISIBLE_DEVICES=all")
    files = [f"/usr/lib64/libcuda.so{end}" for end in ("", ".1", f".{VERSION}")]
    done = bundle.run(f"md5sum {' '.join(files)}; touch {files[1]}; grep -c libcuda.so.1 /proc/mounts")
    assert len({line.split()[0] for line in done.out.splitlines()[:3]}) == 1
    assert "Read-only file system" in done.err
    assert done.out.splitlines()[3] == "1"


def test_a_root_that_is_read_only(bundle, host):
    """All that is mounted needs a place to be mounted on, and the image has none."""
    (bundle.rootfs / "usr/lib64").mkdir(parents=True)
    bundle.config["root"]["readonly"] = True
    left = injected(bundle, host, "NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_DRIVER_CAPABILITIES=compute")
    assert left.links == []
    assert bundle.run("ls /usr/lib64/libcuda.so").out == "/usr/lib64/libcuda.so\n"


def test_files_of_an_image_stay_as_they_are(bundle, host):
    """An older library of the image, and an empty file that an earlier container has left, are covered."""
    directory = bundle.rootfs / "usr/lib64"
    directory.mkdir(parents=True)
    (directory / "libcuda.so.1").write_text("old")
    (directory / f"libcuda.so.{VERSION}").touch()
    injected(bundle, host, "NVIDIA_VISIBLE_DEVICES=all")
    assert bundle.run("head -c 4 /usr/lib64/libcuda.so.1").out[1:] == "ELF"
    assert (directory / "libcuda.so.1").read_text() == "old"


def test_a_link_of_the_image_leads_nowhere(bundle, host, tmp_path):
    """The directory that libraries go to is a link to the host's /tmp, as a hostile image may have it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (bundle.rootfs / "usr").mkdir()
    (bundle.rootfs / "usr/lib64").symlink_to(outside)
    injected(bundle, host, "NVIDIA_VISIBLE_DEVICES=all")
    bundle.run("true", check=False)
    assert list(outside.iterdir()) == []
