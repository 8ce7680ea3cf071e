"""The hook for any runtime, as a hook of bundles of runc, crun and pyruntime; the driver and its host are made up.

pyruntime is not told of GPUs here: what the container has comes from the hook. The device nodes have no driver behind
them, so what opens one is told ENXIO where the cgroup allows it, and EPERM where it does not.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from remains import leftovers

from pyruntime.edits.nvidia import ldcache
from pyruntime.errors import PyruntimeError
from pyruntime.hooks import devices, kernel
from pyruntime.plan import devices as plan
from tests.fakes.driver import MACHINE, VERSION, FakeHost

ROOT = Path(__file__).resolve().parent.parent.parent
HOOK = ROOT / "build/root/sbin/pyruntime-nvidia-hook"
FIRST, SECOND = "0000:07:00.0", "0000:0f:00.0"
DIRECTORY = f"/usr/lib/{MACHINE}-linux-gnu"
ALLOWED, DENIED = "No such device or address", "Operation not permitted"
UNIFIED = "/sys/fs/cgroup/unified"
WHEN = ("prestart", "createRuntime", "createContainer")


@pytest.fixture
def host(tmp_path):
    return FakeHost(tmp_path / "host").make()


@pytest.fixture(params=["pyruntime", "runc", "crun"])
def gpu_bundle(bundle, host, tmp_path, request):
    """A bundle with the hook, whose image has the directories of Debian, on a host with two GPUs."""
    if request.param != "pyruntime":
        path = shutil.which(request.param)
        if path is None:
            pytest.skip(f"{request.param} is not installed")
        bundle.runtime.path = path
        bundle.config["ociVersion"] = "1.0.2"
    if request.param == "crun" and os.path.exists(UNIFIED):
        # it refuses a host whose hierarchy of cgroup v2 is beside those of v1
        bundle.runtime.prefix = ["unshare", "-m", "sh", "-c", f'umount {UNIFIED}; exec "$@"', "sh"]
    bundle.settings = tmp_path / "settings.toml"
    bundle.settings.write_text(f'[nvidia]\nhost_root = "{host.root}"\n[cdi]\nspec_dirs = ["{tmp_path}/cdi"]\n')
    (bundle.rootfs / DIRECTORY.lstrip("/")).mkdir(parents=True)
    (bundle.rootfs / "etc").mkdir(exist_ok=True)
    bundle.linux["resources"] = {"devices": [{"allow": False, "access": "rwm"}]}
    return hook(bundle)


def hook(bundle, when="createRuntime"):
    args = ["pyruntime-nvidia-hook", "--config", str(bundle.settings), when]
    bundle.config["hooks"] = {when: [{"path": str(HOOK), "args": args}]}
    return bundle


def ask(bundle, devices="all", capabilities="", **more):
    env = {"NVIDIA_VISIBLE_DEVICES": devices, "NVIDIA_DRIVER_CAPABILITIES": capabilities, **more}
    bundle.process["env"] += [f"{name}={value}" for name, value in env.items() if value]
    return bundle


def lines(result):
    return result.out.splitlines()


def refuses(bundle, text):
    """Runs a container that the hook keeps from being made. crun alone does not show what hooks say."""
    result = bundle.run("true", check=False)
    assert result.code
    assert (f"error executing hook `{HOOK}`" if bundle.runtime.path.endswith("/crun") else text) in result.err
    assert not leftovers(bundle.runtime.ids)


@pytest.mark.parametrize("when", WHEN)
def test_nodes_and_libraries(gpu_bundle, when):
    """At each of the points where hooks are run before the container's root is the root."""
    script = f"ls /dev/nvidia*; ls {DIRECTORY}; cat /dev/nvidia1; cat /dev/nvidiactl; cat /dev/nvidia-uvm"
    result = ask(hook(gpu_bundle, when), "0").run(script, check=False)
    found = set(lines(result))
    assert {"/dev/nvidia1", "/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools"} <= found
    assert "/dev/nvidia0" not in found
    assert {"libcuda.so", "libcuda.so.1", f"libcuda.so.{VERSION}", "libnvidia-ml.so.1"} <= found
    assert "libnvcuvid.so.1" not in found
    assert result.err.count(ALLOWED) == 3, result.err
    assert DENIED not in result.err


def test_only_what_was_granted_is_allowed(gpu_bundle):
    """The rules are those of the GPU that was asked for: another node can be made, but not opened."""
    for names in gpu_bundle.process["capabilities"].values():
        names.append("CAP_MKNOD")
    script = "mknod /tmp/other c 195 0; cat /tmp/other; cat /dev/nvidia1"
    result = ask(gpu_bundle, "0").run(script, check=False)
    assert f"other': {DENIED}" in result.err
    assert f"nvidia1': {ALLOWED}" in result.err


def test_without_a_request_nothing_happens(gpu_bundle):
    assert "nvidia" not in gpu_bundle.run(f"ls /dev {DIRECTORY}").out
    assert "nvidia" not in ask(gpu_bundle, "void").run(f"ls /dev {DIRECTORY}").out


def test_libraries_are_the_hosts_and_read_only(gpu_bundle, host):
    shutil.copy(host.root / host.libraries / f"libcuda.so.{VERSION}", gpu_bundle.rootfs / "host-cuda")
    script = f"cmp {DIRECTORY}/libcuda.so.1 /host-cuda && cmp {DIRECTORY}/libcuda.so /host-cuda && echo same; "
    script += f"touch {DIRECTORY}/libcuda.so.1; grep libcuda.so.1 /proc/self/mountinfo"
    result = ask(gpu_bundle).run(script)
    assert lines(result)[0] == "same"
    assert "Read-only file system" in result.err
    mount = lines(result)[-1].split()
    assert {"ro", "nosuid", "nodev"} <= set(mount[5].split(","))
    assert mount[6] == "-", "the mount is a peer of another"


@pytest.mark.parametrize("when", WHEN)
def test_proc_shows_what_was_granted(gpu_bundle, when):
    script = "cd /proc/driver/nvidia; ls; ls gpus; grep Modify params; cat version | head -1; touch x || true"
    result = ask(hook(gpu_bundle, when), "1").run(script)
    out = lines(result)
    assert out[:4] == ["gpus", "params", "registry", "version"]
    assert out[4:6] == [SECOND, "ModifyDeviceFiles: 0"]
    assert VERSION in out[6]
    assert "Read-only file system" in result.err


def test_the_linkers_cache_has_the_libraries(gpu_bundle):
    own = ldcache.Entry("libown.so.1", "/opt/libown.so.1", ldcache.MACHINES[MACHINE, 64] | ldcache.ELF_LIBC6)
    (gpu_bundle.rootfs / "etc/ld.so.cache").write_bytes(ldcache.build(ldcache.Cache([own])))
    ask(gpu_bundle).run("true")
    cache = ldcache.parse((gpu_bundle.rootfs / "etc/ld.so.cache").read_bytes())
    found = {entry.name: entry.path for entry in cache.entries}
    assert found["libown.so.1"] == "/opt/libown.so.1"
    assert found["libcuda.so.1"] == f"{DIRECTORY}/libcuda.so.1"


def test_the_cache_is_the_one_that_the_containers_mounts_show(gpu_bundle, tmp_path):
    """A volume over /etc: what is read and written is what the container's linker will see."""
    (tmp_path / "volume").mkdir()
    gpu_bundle.mounts.append(
        {"destination": "/etc", "type": "bind", "source": f"{tmp_path}/volume", "options": ["rbind", "rw"]}
    )
    ask(gpu_bundle).run("true")
    cache = ldcache.parse((tmp_path / "volume/ld.so.cache").read_bytes())
    assert "libcuda.so.1" in {entry.name for entry in cache.entries}
    assert not (gpu_bundle.rootfs / "etc/ld.so.cache").exists()


def test_a_read_only_root(gpu_bundle):
    gpu_bundle.config["root"]["readonly"] = True
    out = lines(ask(gpu_bundle).run(f"ls {DIRECTORY}; touch /x 2>/dev/null || echo read-only"))
    assert {"libcuda.so", "libcuda.so.1", "read-only"} <= set(out)


@pytest.fixture
def open_directory():
    """A directory that others can reach, as runc needs it of a bundle with a user namespace."""
    path = Path(tempfile.mkdtemp(prefix="test-hook-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.mark.parametrize("when", ["prestart", "createRuntime"])
def test_a_user_namespace(gpu_bundle, open_directory, when):
    """The hook makes files as the root of the container, and lets its cgroup use the devices."""
    gpu_bundle.namespace("user")
    maps = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    gpu_bundle.linux.update(uidMappings=maps, gidMappings=maps)
    for path in [gpu_bundle.rootfs, *gpu_bundle.rootfs.rglob("*")]:
        os.chown(path, 100000, 100000, follow_symlinks=False)
    gpu_bundle.path = Path(shutil.move(gpu_bundle.path, open_directory))
    gpu_bundle.path.chmod(0o755)
    script = f"ls {DIRECTORY} /dev; ls /proc/driver/nvidia/gpus; stat -c %u {DIRECTORY}/libcuda.so; cat /dev/nvidia1"
    result = ask(hook(gpu_bundle, when), "0").run(script, check=False)
    assert {"libcuda.so.1", "nvidia1", FIRST, "0"} <= set(lines(result)), result.err
    assert f"nvidia1': {ALLOWED}" in result.err


def test_after_pivot_root(gpu_bundle):
    """The container has a root of its own by then, with a /proc and a /dev that are not the host's."""
    del gpu_bundle.config["hooks"]
    ask(gpu_bundle, "0").shell(f"ls {DIRECTORY} /dev /proc/driver/nvidia/gpus > /seen; cat /dev/nvidia1 2>> /seen")
    name, _ = gpu_bundle.create()
    state = gpu_bundle.runtime("state", name).out
    words = [HOOK, "--config", gpu_bundle.settings, "prestart"]
    # what Python would take from its environment and its directory it does not take
    (gpu_bundle.path / "posix.py").write_text("raise SystemExit(9)")
    (gpu_bundle.path / "gc.py").write_text("raise SystemExit(9)")
    env = {"PYTHONPATH": str(gpu_bundle.path), "LD_LIBRARY_PATH": str(gpu_bundle.path)}
    subprocess.run(words, input=state, text=True, check=True, env=env, cwd=gpu_bundle.path)
    gpu_bundle.runtime("start", name)
    gpu_bundle.runtime.wait_status(name, "stopped")
    seen = (gpu_bundle.rootfs / "seen").read_text()
    assert {"libcuda.so", "libcuda.so.1", "nvidia1", "nvidiactl", FIRST} <= set(seen.splitlines())
    assert ALLOWED in seen
    assert not {"nvidia0", SECOND} & set(seen.splitlines())


def test_a_gpu_that_there_is_not(gpu_bundle):
    refuses(ask(gpu_bundle, "7"), 'no GPU "7": this machine has 0 (GPU-edfee158')


def test_cdi_devices(gpu_bundle, tmp_path):
    (tmp_path / "cdi").mkdir()
    (tmp_path / "data").write_text("from the host\n")
    text = (
        "cdiVersion: 0.6.0\nkind: vendor.com/device\ndevices:\n- name: one\n  containerEdits:\n"
        "    deviceNodes:\n    - path: /dev/vendor\n      hostPath: /dev/null\n"
        f"    mounts:\n    - hostPath: {tmp_path}/data\n      containerPath: /data\n      options: [ro, rbind]\n"
    )
    (tmp_path / "cdi/vendor.yaml").write_text(text)
    out = lines(ask(gpu_bundle, "vendor.com/device=one").run("cat /data; echo x > /dev/vendor && echo written"))
    assert out == ["from the host", "written"]
    hooks = "    hooks:\n    - hookName: createContainer\n      path: /bin/true\n"
    (tmp_path / "cdi/vendor.yaml").write_text(text + hooks)
    refuses(gpu_bundle, "asks for hooks, which no hook can add")


HOSTILE = {
    "library-directory": lambda root: (
        (root / DIRECTORY.lstrip("/")).rmdir() or (root / DIRECTORY.lstrip("/")).symlink_to("/../../../hostile")
    ),
    "library-link": lambda root: (root / DIRECTORY.lstrip("/") / "libcuda.so.1").symlink_to("/../../../hostile/x"),
    "link-in-the-way": lambda root: (root / DIRECTORY.lstrip("/") / "libcuda.so").symlink_to("/../../../hostile/x"),
    "binary": lambda root: (root / "usr/bin").symlink_to("/proc/self/root/../../../hostile"),
    "cache-link": lambda root: (root / "etc/ld.so.cache").symlink_to("/../../../../etc/ld.so.cache"),
    "cache-magic-link": lambda root: (root / "etc/ld.so.cache").symlink_to("/proc/self/exe"),
    "cache-fifo": lambda root: os.mkfifo(root / "etc/ld.so.cache"),
    "cache-broken": lambda root: (root / "etc/ld.so.cache").write_bytes(b"glibc-ld.so.cache1.1" + b"\xff" * 1000),
    "cache-huge": lambda root: (root / "etc/ld.so.cache").touch() or os.truncate(root / "etc/ld.so.cache", 1 << 31),
}


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("when", ["createRuntime", "createContainer"])
def test_hostile_images(gpu_bundle, hostile, when):
    """Nothing outside of the root changes, nothing of the image is run, and the container runs or is refused."""
    outside = Path("/hostile")
    outside.mkdir()
    try:
        hostile(gpu_bundle.rootfs)
        before = {name: os.stat(name).st_mtime_ns for name in ("/etc/ld.so.cache", "/etc/passwd", "/usr/bin")}
        result = ask(hook(gpu_bundle, when), capabilities="all").run("true", check=False)
        assert {name: os.stat(name).st_mtime_ns for name in before} == before
        assert not list(outside.iterdir())
    finally:
        shutil.rmtree(outside)
    if result.code:
        expected = "error executing hook" if gpu_bundle.runtime.path.endswith("/crun") else "in the container: "
        assert expected in result.err
        assert not leftovers(gpu_bundle.runtime.ids)


@pytest.fixture
def unified_cgroup():
    """A cgroup of version 2 of our own, with its descriptor; programs for devices count there beside version 1 too."""
    top = next((path for path in (UNIFIED, "/sys/fs/cgroup") if os.path.exists(f"{path}/cgroup.procs")), None)
    if top is None or not os.path.exists(f"{top}/cgroup.controllers"):
        pytest.skip("no hierarchy of cgroup v2 is mounted")
    path = Path(top) / f"test-hook-{os.getpid()}"
    path.mkdir()
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    yield path, fd
    os.close(fd)
    path.rmdir()


def opened(cgroup, device):
    """Returns what a process in the cgroup is told when it opens a device."""
    script = f"echo $$ > {cgroup}/cgroup.procs && exec cat {device}"
    done = subprocess.run(
        ["/bin/sh", "-c", script], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    return done.stderr.rpartition(": ")[2].strip()


@pytest.mark.parametrize("flags", [0, devices.F_ALLOW_MULTI], ids=["one", "multi"])
def test_the_program_of_a_cgroup_is_replaced(unified_cgroup, host, flags):
    """What config.json allows stays allowed, what it does not stays denied, and the devices are allowed besides."""
    path, fd = unified_cgroup
    node = host.root / "dev/nvidia1"
    config = {"linux": {"resources": {"devices": [{"allow": True, "type": "c", "major": 195, "minor": 255}]}}}
    program = kernel.load_program(plan.program(plan.rules(config["linux"]["resources"]["devices"])))
    kernel.attach_program(fd, program, flags)
    os.close(program)
    assert opened(path, node) == DENIED
    devices.replace_program(fd, config, [plan.Rule(True, "c", 195, 1, plan.READ | plan.WRITE)])
    assert len(kernel.programs(fd)[1]) == 1
    assert opened(path, node) == ALLOWED
    assert opened(path, host.root / "dev/nvidiactl") == ALLOWED
    assert opened(path, host.root / "dev/nvidia0") == DENIED
    assert opened(path, "/dev/null") == ""


def test_two_programs_are_refused(unified_cgroup):
    """All of them must allow a device, and only one of them is known."""
    _, fd = unified_cgroup
    for _ in range(2):
        program = kernel.load_program(plan.program(plan.rules([])))
        kernel.attach_program(fd, program, devices.F_ALLOW_MULTI)
        os.close(program)
    before = kernel.programs(fd)
    with pytest.raises(PyruntimeError, match="has 2 programs for devices"):
        devices.replace_program(fd, {}, [plan.Rule(True, "c", 195, 1, plan.READ)])
    assert kernel.programs(fd) == before


def test_a_cgroup_without_a_program_is_left_alone(unified_cgroup):
    _, fd = unified_cgroup
    devices.replace_program(fd, {}, [plan.Rule(True, "c", 195, 1, plan.READ)])
    assert kernel.programs(fd)[1] == []


def test_a_hook_without_a_state():
    """One line, and status 1; kinds for which there is nothing to do need no state."""
    for text in ("", "[]", "{}", '{"bundle": "/nowhere", "pid": 1}', '{"bundle": 1}'):
        done = subprocess.run([HOOK, "prestart"], input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1, done.stderr
    for when in ("poststart", "poststop"):
        subprocess.run([HOOK, when], stdin=subprocess.DEVNULL, check=True)
