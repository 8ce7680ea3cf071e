"""Programs that call a runtime: docker, podman, buildah and containerd must not notice that it is not runc.

They are the distribution's, and run in a corner of the host (corner.py). The runtime is the one that `make build` puts
below build/; RUNTIME names another one, by name or path, which then takes its place in the same tests.
"""

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from calling import PATH, need
from corner import Host
from daemons import Containerd, Dockerd
from engines import IMAGE, make_podman
from images import write_layout

ROOT = Path(__file__).resolve().parent.parent.parent
BUSYBOX = "/bin/busybox"


def pytest_collection_modifyitems(items):
    if os.geteuid() != 0:
        for item in items:
            if "clients" in item.path.parts:
                item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.fixture(scope="session")
def runtime_path():
    chosen = os.environ.get("RUNTIME", str(ROOT / "build/root/sbin/pyruntime"))
    path = shutil.which(chosen, path=PATH)
    assert path, f"no runtime at {chosen}"
    return os.path.abspath(path)


@pytest.fixture(scope="session")
def host():
    host = Host(BUSYBOX)
    yield host
    host.close()


@pytest.fixture(scope="session")
def rootfs(host):
    """A root directory with busybox and all its names."""
    root = host.place / "rootfs"
    for name in ("bin", "dev", "etc", "home", "mnt", "proc", "root", "sys", "tmp", "var"):
        (root / name).mkdir(parents=True)
    shutil.copy(BUSYBOX, root / "bin/busybox")
    applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for name in applets:
        if name != "busybox":
            (root / "bin" / name).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nuser:x:1000:\nextra:x:2000:user\n")
    (root / "etc/plain").write_text("not a program\n")
    (root / "tmp").chmod(0o1777)
    flags = ["-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector", "-fno-pie", "-no-pie", "-O1"]
    subprocess.run(["cc", *flags, "-o", root / "bin/calls", ROOT / "tests/integration/calls.c"], check=True)
    return root


@pytest.fixture(scope="session")
def tarball(host, rootfs):
    """The same, as clients import it."""
    path = host.place / "rootfs.tar"
    with tarfile.open(path, "w") as archive:
        archive.add(rootfs, arcname=".")
    return path


@pytest.fixture(scope="session")
def layout(host, tarball):
    """An OCI layout of the image."""
    path = host.place / "layout"
    write_layout(path, tarball, "latest")
    return path


@pytest.fixture(scope="session")
def make_dockerd(host, runtime_path, tarball):
    """Makes daemons that have the image, with a name and settings of their own and one containerd for all."""
    need("dockerd", "docker", "containerd", "nsenter")
    daemons = [Containerd(host, "of-docker")]

    def make(name, **settings):
        daemon = Dockerd(host, name, daemons[0], runtime_path, **settings)
        daemons.append(daemon)
        daemon.client.do("import", tarball, IMAGE)
        return daemon

    yield make
    for daemon in reversed(daemons):
        daemon.close()


@pytest.fixture(scope="session")
def dockerd(make_dockerd):
    return make_dockerd("docker")


@pytest.fixture(scope="session")
def docker_client(dockerd):
    return dockerd.client


@pytest.fixture(scope="session")
def podman_client(host, runtime_path, tarball):
    need("podman", "conmon", "nsenter")
    client = make_podman(host, runtime_path)
    client.do("import", tarball, IMAGE)
    return client


@pytest.fixture(scope="session", params=["docker", "podman"])
def session_engine(request):
    return request.getfixturevalue(f"{request.param}_client")


@pytest.fixture
def engine(session_engine):
    yield session_engine
    session_engine.clean()


@pytest.fixture(scope="module")
def box(session_engine):
    """A container of a file's own, for what does not change it."""
    client = session_engine.sibling()
    yield client.start(flags=["--hostname", "box"])
    client.clean()


@pytest.fixture
def docker(docker_client):
    yield docker_client
    docker_client.clean()


@pytest.fixture
def podman(podman_client):
    yield podman_client
    podman_client.clean()
