"""Containers with GPUs by way of docker and podman; the driver and its host are made up.

dockerd is given the name that `make install NVIDIA_NAME=1` installs, and nothing of NVIDIA's.
"""

import pytest
from calling import run
from engines import Engine

from install.nvidia_name import NAME, install_name
from tests.fakes.driver import FakeHost

FIRST, SECOND = "0000:07:00.0", "0000:0f:00.0"
# minors are the other way round than indexes
NODES = ["/dev/nvidia0", "/dev/nvidia1"]
LIST = "ls -d /dev/nvidia[0-9]* 2>/dev/null; ls /proc/driver/nvidia/gpus 2>/dev/null; true"
# the first GPU's node, then the second's
OPEN_EACH = "for minor in 1 0; do rm -f /tmp/n; mknod /tmp/n c 195 $minor; (cat < /tmp/n) 2>&1; done; true"
BOTH, ONE, NONE = [*NODES, FIRST, SECOND], [NODES[1], FIRST], []


@pytest.fixture(scope="module", autouse=True)
def _is_ours(runtime_path):
    """Other runtimes leave GPUs to programs around them."""
    if "pyruntime" not in run(runtime_path, "--version").out:
        pytest.skip(f"{runtime_path} has no GPU support of its own")


@pytest.fixture(scope="module")
def fake(host):
    """What stands in for a host with a driver and two GPUs."""
    fake = FakeHost(host.place / "gpu-host")
    fake.root.mkdir()
    return fake.make()


@pytest.fixture(scope="module")
def make_settings(host, fake):
    """Writes a settings file of the runtime."""

    def make(name, **nvidia):
        path = host.place / f"{name}.toml"
        lines = [f"{key} = {str(value).lower()}" for key, value in nvidia.items()]
        path.write_text("\n".join(["[nvidia]", f'host_root = "{fake.root}"', *lines, ""]))
        return path

    return make


@pytest.fixture(scope="module")
def name_folder(host):
    """Where the name is that dockerd looks for."""
    folder = host.place / "sbin"
    folder.mkdir()
    install_name(folder, None)
    return folder


@pytest.fixture(scope="module")
def gpu_docker(make_dockerd, make_settings, name_folder, runtime_path):
    """docker, with pyruntime as it is installed, and with an administrator's `enable = true`."""
    runtimes = {
        "tested": {"path": runtime_path, "runtimeArgs": ["--config", str(make_settings("default"))]},
        "enabled": {"path": runtime_path, "runtimeArgs": ["--config", str(make_settings("enabled", enable=True))]},
    }
    return make_dockerd("gpus", folder=name_folder, runtimes=runtimes).client


@pytest.fixture
def docker(gpu_docker):
    yield gpu_docker
    gpu_docker.clean()


@pytest.fixture
def docker_enabled(gpu_docker):
    client = gpu_docker.sibling("enabled")
    yield client
    client.clean()


@pytest.fixture
def podman(podman_client, make_settings):
    """podman, whose containers' runtime has `enable = true`."""
    flags = ["--runtime-flag", f"config={make_settings('podman', enable=True)}"]
    client = Engine("podman", podman_client.host, [*podman_client.arguments, *flags])
    yield client
    client.clean()


def gpus(client, *flags):
    """Returns what a container sees of GPUs: nodes, then buses."""
    return client.shell(LIST, *flags).split()


# ---- docker --gpus


@pytest.mark.parametrize(
    ("asked", "seen"),
    [
        ("all", BOTH),
        ("1", ONE),  # so many
        ("device=0", ONE),
        ("device=1", [NODES[0], SECOND]),
        ("device=GPU-b1028956-cfa2-0990-bf4a-5da9abb51763", [NODES[0], SECOND]),
    ],
)
def test_gpus_of_docker(docker, asked, seen):
    """They need no settings: the daemon's client has asked, not the image."""
    assert gpus(docker, "--gpus", asked) == seen


def test_gpus_of_docker_with_libraries(docker, fake):
    """Both names of a library are the host's file, and parts of the driver that were not asked for are not there."""
    script = "for name in libcuda.so.1 libnvidia-ml.so.1 libnvcuvid.so.1; do find / -xdev -name $name; done; "
    script += "find / -xdev -name libcuda.so.1 -exec md5sum {} ';'"
    out = docker.shell(script, "--gpus", '"device=0","capabilities=compute,utility"')
    assert out.count("/libcuda.so.1\n") == 2
    assert out.count("/libnvidia-ml.so.1\n") == 1
    assert "libnvcuvid" not in out
    theirs = run("md5sum", fake.root / fake.libraries / "libcuda.so.1").out.split()[0]
    assert theirs in out


def test_nodes_of_gpus_are_allowed_and_no_others(docker):
    """EPERM is the cgroup's, and ENXIO the kernel's, which has no driver here."""
    lines = docker.shell(OPEN_EACH, "--gpus", "device=0").splitlines()
    assert ["Operation not permitted" in line for line in lines] == [False, True], lines


def test_gpu_that_there_is_not(docker):
    result = docker.run("true", flags=["--gpus", "device=7"])
    assert result.code != 0
    assert 'no GPU "7": this machine has 0 (GPU-edfee158' in result.err


def test_gpus_and_a_program_that_is_executed_later(docker):
    container = docker.start(flags=["--gpus", "all"])
    assert container.exec("sh", "-c", LIST).out.split() == BOTH
    docker.do("restart", "--time", "0", container.name)
    assert container.exec("sh", "-c", LIST).out.split() == BOTH


def test_update_leaves_gpus_alone(docker):
    """The device rules are still there when the daemon has set other limits."""
    container = docker.start(flags=["--gpus", "device=0"])
    docker.do("update", "--memory", "64m", "--memory-swap", "64m", container.name)
    lines = container.exec("sh", "-c", OPEN_EACH).out.splitlines()
    assert ["Operation not permitted" in line for line in lines] == [False, True], lines


def test_another_runtime_gets_no_container_without_gpus(docker):
    """The name alone gives nothing: where another runtime runs it as a hook, the container fails, and says why."""
    result = docker.sibling("runc").run("true", flags=["--gpus", "all"])
    assert result.code != 0
    assert f"{NAME}: only pyruntime does what this hook is for" in result.err


def test_dockerd_without_the_name(docker_client):
    """What the name is for."""
    result = docker_client.run("true", flags=["--gpus", "all"])
    assert result.code != 0
    assert 'could not select device driver "" with capabilities: [[gpu]]' in result.err


# ---- NVIDIA_VISIBLE_DEVICES


def test_variable_with_docker(docker_enabled):
    assert gpus(docker_enabled, "--env", "NVIDIA_VISIBLE_DEVICES=0") == ONE
    assert gpus(docker_enabled, "--env", "NVIDIA_VISIBLE_DEVICES=all") == BOTH
    assert gpus(docker_enabled) == NONE


def test_variable_needs_the_administrator(docker):
    """Any image can have it."""
    assert gpus(docker, "--env", "NVIDIA_VISIBLE_DEVICES=all") == NONE


def test_variable_with_podman(podman):
    assert gpus(podman, "--env", "NVIDIA_VISIBLE_DEVICES=0") == ONE
    assert gpus(podman) == NONE


# ---- CDI


@pytest.fixture
def cdi_file(host, fake, runtime_path):
    """What `cdi generate` writes, where engines and the runtime look for it; /run is not the host's in there."""
    folder = host.path("/run/cdi")
    folder.mkdir()
    path = folder / "nvidia.json"
    done = run(runtime_path, "cdi", "generate", "--host-root", fake.root, "--hook", "none", "--output", path)
    assert done.code == 0, done.err
    yield path
    path.unlink()
    folder.rmdir()


def test_cdi_devices_that_podman_applies(podman_client, cdi_file):
    """podman changes the config itself; the runtime is called without settings."""
    client = podman_client.sibling()
    script = "ls -d /dev/nvidia[0-9]*; find / -xdev -name libcuda.so.1"
    out = client.shell(script, "--device", "nvidia.com/gpu=0").split()
    assert out[0] == NODES[1]
    assert NODES[0] not in out
    assert out[1].endswith("/libcuda.so.1")
    client.clean()


@pytest.mark.usefixtures("cdi_file")
def test_cdi_devices_by_annotation(podman):
    """The runtime applies them."""
    flags = [part for index in "01" for part in ("--annotation", f"cdi.k8s.io/{index}=nvidia.com/gpu={index}")]
    assert podman.shell("ls -d /dev/nvidia[0-9]*", *flags).split() == NODES
    result = podman.run("true", flags=["--annotation", "cdi.k8s.io/gpus=nvidia.com/gpu=7"])
    assert result.code != 0
    assert "no CDI device nvidia.com/gpu=7" in result.err
