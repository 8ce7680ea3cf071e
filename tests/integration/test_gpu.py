"""What a container gets of a GPU when pyruntime itself acts on the request; the driver and its host are made up.

Everything is asserted from inside the container: with the names that a linker looks for, with nodes that work, and
with nothing of the GPUs that were not granted.
"""

import ctypes.util
import os
import re
import shutil
import subprocess

import pytest
from remains import leftovers

from pyruntime.edits.nvidia import ldcache
from tests.fakes.driver import MACHINE, VERSION, FakeHost

FIRST, SECOND = "0000:07:00.0", "0000:0f:00.0"
DIRECTORY = f"/usr/lib/{MACHINE}-linux-gnu"
# nodes that are no GPU's: null, which every machine has, under the driver's names
CONTROL = {"/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools"}


@pytest.fixture
def host(tmp_path):
    return FakeHost(tmp_path / "host").make()


@pytest.fixture
def gpu_bundle(bundle, host, tmp_path):
    """A bundle, whose image has the directories of Debian, on a host with two GPUs."""
    settings = tmp_path / "settings.toml"
    settings.write_text(f'[nvidia]\nhost_root = "{host.root}"\n[cdi]\nspec_dirs = ["{tmp_path}/cdi"]\n')
    (bundle.rootfs / DIRECTORY.lstrip("/")).mkdir(parents=True)
    path = bundle.runtime.path
    # the flags come before the command
    bundle.runtime.command = lambda *args: [
        path, "--config", str(settings), "--gpu", "--root", str(bundle.runtime.root), *map(str, args)
    ]  # fmt: skip
    bundle.settings = settings
    return bundle


def ask(bundle, devices="all", capabilities="", **more):
    env = {"NVIDIA_VISIBLE_DEVICES": devices, "NVIDIA_DRIVER_CAPABILITIES": capabilities, **more}
    bundle.process["env"] += [f"{name}={value}" for name, value in env.items() if value]
    return bundle


def lines(result):
    return result.out.splitlines()


def test_all_gpus(gpu_bundle, host):
    out = set(lines(ask(gpu_bundle).run("ls /dev/nvidia*; ls " + DIRECTORY)))
    assert CONTROL | {"/dev/nvidia0", "/dev/nvidia1"} <= out
    for name in ("libcuda.so.1", f"libcuda.so.{VERSION}", "libcuda.so", "libnvidia-ml.so.1"):
        assert name in out
    # video was not asked for
    assert "libnvcuvid.so.1" not in out


def test_libraries_are_the_hosts_and_read_only(gpu_bundle, host):
    script = f"cmp {DIRECTORY}/libcuda.so.1 /host-cuda && cmp {DIRECTORY}/libcuda.so /host-cuda && echo same; "
    script += f"touch {DIRECTORY}/libcuda.so.1; grep libcuda.so.1 /proc/self/mountinfo"
    shutil.copy(host.root / host.libraries / f"libcuda.so.{VERSION}", gpu_bundle.rootfs / "host-cuda")
    result = ask(gpu_bundle).run(script)
    assert lines(result)[0] == "same"
    assert "Read-only file system" in result.err
    options = lines(result)[-1].split()[5].split(",")
    assert {"ro", "nosuid", "nodev"} <= set(options)


def test_one_gpu_by_each_of_its_names(gpu_bundle):
    for name, node in (("0", 1), ("1", 0), ("GPU-edfee158-11c1-52b8-0517-92f30e7fac88", 1), (SECOND, 0)):
        gpu_bundle.process["env"] = ["PATH=/bin"]
        out = lines(ask(gpu_bundle, name).run("ls /dev/nvidia[0-9]*; ls /proc/driver/nvidia/gpus"))
        assert out == [f"/dev/nvidia{node}", FIRST if node else SECOND], name


def test_a_gpu_that_there_is_not(gpu_bundle):
    text = ask(gpu_bundle, "7").fails()
    assert 'no GPU "7": this machine has 0 (GPU-edfee158' in text


@pytest.mark.parametrize("devices", ["void", "none", ""])
def test_no_gpu(gpu_bundle, devices):
    """none has the driver, but no GPU."""
    out = lines(ask(gpu_bundle, devices).run(f"ls /dev; ls {DIRECTORY}"))
    assert "nvidia0" not in out
    assert ("libcuda.so.1" in out) == (devices == "none")


def test_without_the_administrator_nothing_happens(gpu_bundle):
    ask(gpu_bundle)
    path, root = gpu_bundle.runtime.path, gpu_bundle.runtime.root
    gpu_bundle.runtime.command = lambda *args: [
        path, "--config", str(gpu_bundle.settings), "--root", str(root), *map(str, args)
    ]  # fmt: skip
    assert "nvidia0" not in lines(gpu_bundle.run("ls /dev"))
    text = gpu_bundle.settings.read_text()
    gpu_bundle.settings.write_text(text.replace("[nvidia]\n", "[nvidia]\nenable = true\n"))
    assert "nvidia0" in lines(gpu_bundle.run("ls /dev"))


def test_device_rules_are_among_the_cgroups_own(gpu_bundle):
    """From the start, so that nothing that sets the cgroup up anew can lose them (systemd's daemon-reload)."""
    gpu_bundle.linux["resources"] = {"devices": [{"allow": False, "access": "rwm"}]}
    name, _ = ask(gpu_bundle, "0").shell("sleep 60").create()
    with open(f"/sys/fs/cgroup/devices/{name}/devices.list") as file:
        rules = file.read().split("\n")
    assert {"c 195:1 rw", "c 195:255 rw", "c 511:0 rw"} <= set(rules)
    assert "c 195:0 rw" not in rules


def test_proc_shows_what_was_granted(gpu_bundle):
    script = "cd /proc/driver/nvidia; ls; ls gpus; grep Modify params; cat version | head -1; touch x || true"
    result = ask(gpu_bundle, "1").run(script)
    out = lines(result)
    assert out[:4] == ["gpus", "params", "registry", "version"]
    assert out[4:6] == [SECOND, "ModifyDeviceFiles: 0"]
    assert VERSION in out[6]
    assert "Read-only file system" in result.err


def test_the_linkers_cache_has_the_libraries(gpu_bundle):
    """Programs that read the cache itself, such as ctypes.util, find them; what the image had stays."""
    (gpu_bundle.rootfs / "etc").mkdir(exist_ok=True)
    own = ldcache.Entry("libown.so.1", "/opt/libown.so.1", ldcache.MACHINES[MACHINE, 64] | ldcache.ELF_LIBC6)
    (gpu_bundle.rootfs / "etc/ld.so.cache").write_bytes(ldcache.build(ldcache.Cache([own])))
    ask(gpu_bundle).run("true")
    cache = ldcache.parse((gpu_bundle.rootfs / "etc/ld.so.cache").read_bytes())
    found = {entry.name: entry.path for entry in cache.entries}
    assert found["libown.so.1"] == "/opt/libown.so.1"
    assert found["libcuda.so.1"] == f"{DIRECTORY}/libcuda.so.1"


@pytest.mark.skipif(not ctypes.util.find_library("c"), reason="this host has no cache of libraries")
def test_the_hosts_ldconfig_reads_the_cache(gpu_bundle):
    (gpu_bundle.rootfs / "etc").mkdir(exist_ok=True)
    shutil.copy("/etc/ld.so.cache", gpu_bundle.rootfs / "etc/ld.so.cache")
    ask(gpu_bundle).run("true")
    done = subprocess.run(
        ["/sbin/ldconfig", "-C", gpu_bundle.rootfs / "etc/ld.so.cache", "-p"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.search(rf"libcuda\.so\.1 \(libc6,.*\) => {DIRECTORY}/libcuda\.so\.1", done.stdout)


def test_a_read_only_root(gpu_bundle):
    gpu_bundle.config["root"]["readonly"] = True
    out = lines(ask(gpu_bundle).run(f"ls {DIRECTORY}; touch /x 2>/dev/null || echo read-only"))
    assert {"libcuda.so", "libcuda.so.1", "read-only"} <= set(out)


def test_a_user_namespace(gpu_bundle):
    gpu_bundle.namespace("user")
    maps = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    gpu_bundle.linux.update(uidMappings=maps, gidMappings=maps)
    for path in [gpu_bundle.rootfs, *gpu_bundle.rootfs.rglob("*")]:
        os.chown(path, 100000, 100000, follow_symlinks=False)
    gpu_bundle.path.chmod(0o755)
    result = ask(gpu_bundle, "0").run(f"ls {DIRECTORY} /dev; ls /proc/driver/nvidia/gpus")
    assert {"libcuda.so.1", "nvidia1", FIRST} <= set(lines(result))


def test_a_driver_that_was_exchanged(gpu_bundle, host):
    (host.root / "sys/module/nvidia/version").write_text("570.86.10\n")
    text = ask(gpu_bundle).fails()
    assert "570.86.10" in text
    assert VERSION in text


def test_a_requirement_that_does_not_hold(gpu_bundle):
    text = ask(gpu_bundle, NVIDIA_REQUIRE_DRIVER="driver>=999").fails()
    assert "driver>=999" in text
    gpu_bundle.process["env"].append("NVIDIA_DISABLE_REQUIRE=true")
    gpu_bundle.run("true")


def test_cdi_devices_of_any_vendor(gpu_bundle, tmp_path):
    (tmp_path / "cdi").mkdir()
    (tmp_path / "data").write_text("from the host\n")
    (tmp_path / "cdi/vendor.yaml").write_text(
        "cdiVersion: 0.6.0\nkind: vendor.com/device\ndevices:\n- name: one\n  containerEdits:\n"
        "    env:\n    - VENDOR=one\n    deviceNodes:\n    - path: /dev/vendor\n      hostPath: /dev/null\n"
        f"    mounts:\n    - hostPath: {tmp_path}/data\n      containerPath: /data\n      options: [ro, rbind]\n"
    )
    gpu_bundle.config["annotations"] = {"cdi.k8s.io/x": "vendor.com/device=one"}
    out = lines(gpu_bundle.run("echo $VENDOR; cat /data; echo x > /dev/vendor && ls -l /dev/vendor | cut -c1"))
    assert out == ["one", "from the host", "c"]
    del gpu_bundle.config["annotations"]
    assert lines(gpu_bundle.run("cat /data", "--device", "vendor.com/device=one")) == ["from the host"]
    gpu_bundle.config["annotations"] = {"cdi.k8s.io/x": "vendor.com/device=two"}
    assert "no CDI device vendor.com/device=two" in gpu_bundle.fails()


def test_nvidias_hook_is_done_natively(gpu_bundle):
    """As dockerd's --gpus has it: the program need not even be there."""
    gpu_bundle.config["hooks"] = {
        "prestart": [{"path": "/nowhere/nvidia-container-runtime-hook", "args": ["hook", "prestart"]}]
    }
    path, root = gpu_bundle.runtime.path, gpu_bundle.runtime.root
    gpu_bundle.runtime.command = lambda *args: [
        path, "--config", str(gpu_bundle.settings), "--root", str(root), *map(str, args)
    ]  # fmt: skip
    assert "nvidia1" in lines(ask(gpu_bundle, "0").run("ls /dev"))


def replace_by_link(directory, target):
    directory.rmdir()
    directory.symlink_to(target)


@pytest.mark.parametrize(
    "hostile",
    [
        # library directory, cache, both
        lambda root: (
            (root / DIRECTORY.lstrip("/")).rmdir() or (root / DIRECTORY.lstrip("/")).symlink_to("/../../../tmp")
        ),
        lambda root: (root / "etc/ld.so.cache").symlink_to("/../../../../etc/ld.so.cache"),
        lambda root: os.mkfifo(root / "etc/ld.so.cache"),
        lambda root: (root / "etc/ld.so.cache").write_bytes(b"glibc-ld.so.cache1.1" + b"\xff" * 1000),
        lambda root: (root / "etc/ld.so.cache").touch() or os.truncate(root / "etc/ld.so.cache", 1 << 31),
        lambda root: (root / "dev/nvidia0").symlink_to("/etc/passwd"),
    ],
    ids=["library-directory", "cache-link", "cache-fifo", "cache-broken", "cache-huge", "device-link"],
)
def test_hostile_images(gpu_bundle, tmp_path, hostile):
    """Nothing outside of the root changes, and the container either runs or is refused in one line."""
    (gpu_bundle.rootfs / "etc").mkdir(exist_ok=True)
    hostile(gpu_bundle.rootfs)
    before = {name: os.stat(name).st_mtime_ns for name in ("/etc/ld.so.cache", "/etc/passwd", "/tmp/..")}
    result = ask(gpu_bundle).run("true", check=False)
    assert {name: os.stat(name).st_mtime_ns for name in before} == before
    assert not os.path.exists("/tmp/libcuda.so.1")
    if result.code:
        errors = [line for line in result.err.splitlines() if "level=warning" not in line]
        assert len(errors) == 1, result.err
        assert not leftovers(gpu_bundle.runtime.ids)


def test_the_plan_shows_it(gpu_bundle):
    """Without root, before anything is done."""
    ask(gpu_bundle, "0").write()
    out = gpu_bundle.runtime("plan", gpu_bundle.path).out
    assert "/dev/nvidia1  character 195:1" in out
    assert f"at {DIRECTORY}/libcuda.so.1" in out
    assert "look-at-root" in out
