"""podman and conmon, as far as docker has nothing like it."""

import os
import subprocess
import time

import pytest
from calling import ENVIRONMENT, run, wait_for
from engines import IMAGE, Engine


def test_root_that_is_a_folder(podman, rootfs):
    words = podman.options("run", ["--rm"])[:-1]
    assert podman.do(*words, "--rootfs", rootfs, "echo", "hello") == "hello\n"


def test_ids_mapped(podman):
    container = podman.start(flags=["--uidmap", "0:100000:1000", "--gidmap", "0:200000:1000"])
    assert container.exec("cat", "/proc/self/uid_map").out.split() == ["0", "100000", "1000"]
    assert container.exec("cat", "/proc/self/gid_map").out.split() == ["0", "200000", "1000"]
    assert os.stat(f"/proc/{container.pid}").st_uid == 100000
    assert container.exec("sh", "-c", "echo x > /home/file; stat -c %u:%g /home/file").out == "0:0\n"


def test_pod(podman):
    """Its containers share namespaces, and end with it."""
    pod, parent = podman.new_name(), f"/{podman.host.cgroup}/podman"
    flags = ["--infra-image", IMAGE, "--infra-command", "sleep 1000", "--network", "none", "--cgroup-parent", parent]
    podman.do("pod", "create", "--name", pod, *flags)
    try:
        first, second = (podman.do("run", "--detach", "--pod", pod, IMAGE, "sleep", "1000").strip() for _ in range(2))
        pids = [int(podman.do("inspect", "--format", "{{.State.Pid}}", name)) for name in (first, second)]
        for kind in ("net", "ipc", "uts"):
            assert len({os.readlink(f"/proc/{pid}/ns/{kind}") for pid in pids}) == 1
        assert len({os.readlink(f"/proc/{pid}/ns/mnt") for pid in pids}) == 2
        podman.do("pod", "stop", "--time", "0", pod)
        assert podman.do("inspect", "--format", "{{.State.Status}}", first).strip() == "exited"
    finally:
        podman.do("pod", "rm", "--force", "--time", "0", pod)


def test_descriptors_passed(podman, host):
    path = host.place / "passed"
    path.write_text("through a descriptor\n")
    words = podman.options("run", ["--rm", "--preserve-fds", "1"])
    with path.open() as file:
        os.dup2(file.fileno(), 3) if file.fileno() != 3 else None
        done = subprocess.run(
            [*podman.command, *words, "sh", "-c", "cat <&3"],
            pass_fds=[3],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=ENVIRONMENT,
            check=False,
        )
    assert (done.returncode, done.stdout) == (0, "through a descriptor\n"), done.stderr


def test_init_then_start(podman):
    """`podman init` leaves the container created by the runtime."""
    container = podman.create()
    podman.do("init", container.name)
    assert container.status in ("initialized", "created")
    podman.do("start", container.name)
    assert container.status == "running"


def test_created_by_the_runtime_then_removed(podman):
    container = podman.create()
    podman.do("init", container.name)
    podman.do("rm", "--force", "--time", "0", container.name)
    assert not podman.host.cgroups_of(container.name)


@pytest.mark.parametrize(("program", "code"), [("nosuch", 127), ("/nosuch", 127), ("/etc", 126), ("/etc/plain", 126)])
def test_by_the_name_of_runc(podman, runtime_path, program, code):
    """Podman asks runtimes of certain names for their errors as JSON, and wants exactly one record."""
    place = podman.host.place / "podman"
    text = (place / "containers.conf").read_text()
    (place / "named.conf").write_text(text.replace("/usr/sbin/runc", runtime_path))
    arguments = [word.replace("/containers.conf", "/named.conf") for word in podman.arguments]
    assert Engine("podman", podman.host, arguments, "runc").run(program).code == code


def test_healthcheck(podman):
    flags = ["--health-cmd", "test -e /tmp/well", "--health-interval", "disable", "--health-retries", "1"]
    container = podman.start(flags=flags)
    assert podman("healthcheck", "run", container.name).code == 1
    assert container.exec("touch", "/tmp/well").code == 0
    assert podman("healthcheck", "run", container.name).code == 0


def test_client_killed(podman, runtime_path):
    """In the midst of a `run`. What podman has not noted down by then, the runtime removes."""
    for delay in (0.05, 0.1, 0.15, 0.2, 0.3):
        words = podman.options("run", ["--detach"])
        client = subprocess.Popen(
            [*podman.command, *words, "sleep", "1000"], env=ENVIRONMENT, stdout=subprocess.DEVNULL
        )
        try:
            client.wait(delay)
        except subprocess.TimeoutExpired:
            client.kill()
            client.wait()
    time.sleep(1)  # until conmon and the runtime have done what they were about to do
    podman.clean()
    host = podman.host
    for path in host.states():
        if path.parent in (host.path("/run/pyruntime"), host.path("/run/runc")):
            assert run(*host.inside(runtime_path, "delete", "--force", path.name)).code == 0
    wait_for(lambda: not conmons(host), lambda: f"conmon ends: {conmons(host)}")
    assert not [path for path in host.cgroups("podman") if "libpod-" in path.name]


def conmons(host):
    return [command for command in host.processes().values() if "conmon" in command or "podman" in command]
