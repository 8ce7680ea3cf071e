"""What `configure` writes is what its clients read: each is asked what it has understood."""

import json
import os
import shutil
import subprocess
import tempfile
import time
import tomllib
from pathlib import Path

import pytest
from calling import PATH, need, run

DEBIAN = """version = 2

[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    [plugins."io.containerd.grpc.v1.cri".cni]
      bin_dir = "/usr/lib/cni"
  [plugins."io.containerd.internal.v1.opt"]
    path = "/var/lib/containerd/opt"
"""
VERSION_3 = "version = 3\n[plugins.'io.containerd.cri.v1.runtime'.containerd]\n"
CRI = ("io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri")


@pytest.fixture
def configure(runtime_path):
    """Runs `configure`, by the launcher that users have."""

    def call(*words):
        code, out, err = run(runtime_path, "configure", *words)
        assert code == 0, err
        return out

    return call


def containerd_part(file):
    """Returns the runtimes' part of what containerd makes of its file."""
    code, out, err = run("containerd", "--config", file, "config", "dump")
    assert code == 0, err
    plugins = tomllib.loads(out)["plugins"]
    (part,) = [plugins[name]["containerd"] for name in CRI if name in plugins]
    return part


@pytest.mark.parametrize("old", ["none", "default", "version 1", "version 2", "version 3"])
def test_containerd(configure, runtime_path, tmp_path, old):
    need("containerd")
    file = tmp_path / "config.toml"
    if old == "default":
        file.write_text(run("containerd", "config", "default")[1])
    elif old == "version 3":
        if " 1." in run("containerd", "--version")[1]:
            pytest.skip("containerd 1 does not know version 3 of its file")
        file.write_text(VERSION_3)
    elif old != "none":
        file.write_text(DEBIAN if old == "version 2" else 'root = "/var/lib/containerd"\n')
    before = containerd_part(file) if file.exists() else None
    configure("containerd", "--config", file)
    part = containerd_part(file)
    assert part["runtimes"]["pyruntime"]["runtime_type"] == "io.containerd.runc.v2"
    assert part["runtimes"]["pyruntime"]["options"]["BinaryName"] == runtime_path
    assert part["default_runtime_name"] == "runc"
    assert part["runtimes"]["runc"]["runtime_type"] == "io.containerd.runc.v2"
    configure("containerd", "--config", file, "--set-as-default", "--name", "other")
    assert containerd_part(file)["default_runtime_name"] == "other"
    assert containerd_part(file)["runtimes"].keys() == {"other", "pyruntime", "runc"}
    configure("containerd", "--config", file, "--remove", "--name", "other")
    configure("containerd", "--config", file, "--remove")
    assert (containerd_part(file) if file.exists() else None) == before


STORE = ("--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "none")


@pytest.fixture
def short_path():
    place = Path(tempfile.mkdtemp(prefix="podman-"))  # podman allows 50 characters
    yield place
    shutil.rmtree(place)


@pytest.mark.parametrize("old", ["", '[engine]\nruntime = "runc"\n\n[engine.runtimes]\nrunc = ["/usr/sbin/runc"]\n'])
def test_podman(configure, runtime_path, tmp_path, short_path, old):
    need("podman", "conmon")
    file = tmp_path / "containers.conf"
    if old:
        file.write_text(old)

    def asked(*words):
        store = ("--root", short_path / "root", "--runroot", short_path / "run", "--tmpdir", short_path / "tmp")
        store += ("--network-config-dir", short_path / "networks")
        code, out, err = run("env", f"CONTAINERS_CONF={file}", "podman", *store, *STORE, *words, "info", "-f", "json")
        assert code == 0, err
        return json.loads(out)["host"]["ociRuntime"]

    configure("podman", "--config", file)
    found = asked("--runtime", "pyruntime")
    assert (found["name"], found["path"]) == ("pyruntime", runtime_path)
    assert "pyruntime version" in found["version"]
    if old:
        assert asked()["name"] == "runc"
    configure("podman", "--config", file, "--set-as-default")
    assert (asked()["name"], asked()["path"]) == ("pyruntime", runtime_path)
    configure("podman", "--config", file, "--remove")
    assert (file.read_text() if file.exists() else "") == old


@pytest.fixture
def cgroup():
    """The name of a cgroup for containers, which is gone afterwards."""
    name = f"test-docker-{os.getpid()}"
    yield name
    for hierarchy in [Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir()]:
        if (hierarchy / name).is_dir():
            (hierarchy / name).rmdir()


@pytest.fixture
def dockerd(tmp_path):
    """Starts a daemon with a file for its configuration; returns what calls docker."""
    need("docker", "dockerd", "containerd")
    daemons = []
    socket = f"unix://{tmp_path}/docker.sock"

    def call(*words):
        return run("docker", "--host", socket, *words)

    def start(file):
        places = ("--data-root", "data", "--exec-root", "exec", "--pidfile", "docker.pid")
        network = ("--bridge", "none", "--iptables=false", "--ip-forward=false", "--ip-masq=false")
        with (tmp_path / "log").open("wb") as log:
            daemon = subprocess.Popen(
                ["dockerd", "--config-file", str(file), "--host", socket, "--storage-driver", "vfs", *network]
                + [str(tmp_path / word) if not word.startswith("--") else word for word in places],
                stdout=log,
                stderr=log,
                env={"PATH": PATH},
            )
        daemons.append(daemon)
        deadline = time.monotonic() + 60
        while call("version")[0] != 0:
            assert daemon.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.1)
        return call

    yield start
    for daemon in daemons:
        daemon.terminate()
        daemon.wait(30)


@pytest.mark.parametrize("old", ["", '{\n  "runtimes": {"other": {"path": "/usr/sbin/runc"}},\n  "debug": true\n}\n'])
def test_docker(configure, runtime_path, dockerd, cgroup, rootfs, tmp_path, old):
    """The daemon says what runtimes it has; and a container runs on the default one."""
    file = tmp_path / "daemon.json"
    if old:
        file.write_text(old)
    configure("docker", "--config", file, "--set-as-default")
    if "--validate" in run("dockerd", "--help")[1]:
        code, _, err = run("dockerd", "--validate", "--config-file", file)
        assert code == 0, err
    docker = dockerd(file)
    code, out, err = docker("info", "--format", "{{json .}}")
    assert code == 0, err
    found = json.loads(out)
    assert found["Runtimes"]["pyruntime"]["path"] == runtime_path
    assert found["DefaultRuntime"] == "pyruntime"
    assert ("other" in found["Runtimes"]) == bool(old)
    archive = shutil.make_archive(str(tmp_path / "image"), "tar", rootfs)
    assert docker("import", archive, "box")[0] == 0
    flags = ("--rm", "--network", "none", "--cgroup-parent", f"/{cgroup}")
    code, out, err = docker("run", *flags, "box", "/bin/busybox", "echo", "hello")
    assert (code, out) == (0, "hello\n"), err
    configure("docker", "--config", file, "--remove")
    assert (file.read_text() if file.exists() else "") == old
