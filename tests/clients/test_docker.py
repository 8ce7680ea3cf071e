"""docker, as far as podman has nothing like it: the daemon's own deeds, and its death."""

import os
import signal
import subprocess
import time

import pytest
from calling import ENVIRONMENT, run, wait_for
from corner import is_gone


def test_healthcheck(docker):
    flags = ["--health-cmd", "test -e /tmp/well", "--health-interval", "300ms", "--health-retries", "1"]
    container = docker.start(flags=flags)
    wait_for(lambda: container.inspect("{{.State.Health.Status}}") == "unhealthy", "it is found to be ill")
    assert container.exec("touch", "/tmp/well").code == 0
    wait_for(lambda: container.inspect("{{.State.Health.Status}}") == "healthy", "it is found to be well")


def test_information(docker):
    assert docker.do("info", "--format", "{{.DefaultRuntime}}") == "tested\n"
    assert "tested" in docker.do("info", "--format", "{{range $name, $_ := .Runtimes}}{{$name}} {{end}}")


def test_runtime_with_arguments(docker):
    """The daemon writes a shell script that calls the runtime."""
    assert docker.out("echo", "hello", flags=["--runtime", "with-arguments"]) == "hello\n"


def test_pids_limit_updated(docker):
    container = docker.start()
    docker.do("update", "--pids-limit", "40", "--cpus", "0.25", container.name)
    assert container.inspect("{{.HostConfig.PidsLimit}}") == "40"
    assert container.status == "running"


# ---- users mapped by the daemon


@pytest.fixture(scope="module")
def mapped(make_dockerd):
    client = make_dockerd("mapped", **{"userns-remap": "clients"}).client
    yield client
    client.clean()


def test_users_mapped(mapped):
    container = mapped.start()
    assert container.exec("cat", "/proc/self/uid_map").out.split() == ["0", "100000", "65536"]
    assert os.stat(f"/proc/{container.pid}").st_uid == 100000
    assert container.exec("sh", "-c", "echo x > /home/file; stat -c %u /home/file; id -u").out.split() == ["0", "0"]


def test_users_mapped_with_a_terminal(mapped):
    with mapped.in_terminal("sh", "-c", "tty; stat -c %u /dev/pts/0") as tty:
        assert tty.read().split() == ["/dev/pts/0", "0"]


def test_users_mapped_volume(mapped, host):
    folder = host.place / "of-mapped"
    folder.mkdir()
    os.chown(folder, 100000, 100000)
    mapped.shell("echo x > /data/file", "--volume", f"{folder}:/data")
    assert (folder / "file").stat().st_uid == 100000


def test_users_mapped_and_limits(mapped):
    flags = ["--memory", "64m", "--pids-limit", "50", "--read-only", "--tmpfs", "/scratch"]
    assert mapped.shell("echo x > /scratch/x; cat /scratch/x; echo y > /dev/null", *flags) == "x\n"


def test_users_mapped_and_a_device(mapped):
    """It cannot be made in a user namespace; the host's is mounted."""
    assert mapped.shell("stat -c %t:%T /dev/kmsg", "--device", "/dev/kmsg") == "1:b\n"


def test_users_not_mapped_for_one(mapped):
    assert mapped.out("cat", "/proc/self/uid_map", flags=["--userns", "host"]).split() == ["0", "0", "4294967295"]


# ---- the daemon is killed


# the new daemon sends TERM, and KILL ten seconds later
OBEDIENT = ["sh", "-c", "trap exit TERM; while :; do sleep 0.05; done"]


@pytest.fixture(scope="module")
def mortal_daemon(make_dockerd):
    return make_dockerd("mortal")


@pytest.fixture
def mortal(mortal_daemon, runtime_path):
    """Afterwards nothing may be left of its containers. Where a daemon was killed before it had noted that a container
    runs, the next one knows nothing of that: the container is removed through containerd, or, where it has lost track
    of it too, by the runtime."""
    yield mortal_daemon
    mortal_daemon.client.clean()
    host, place = mortal_daemon.host, str(mortal_daemon.place)
    ctr = host.inside(*mortal_daemon.containerd.client, "--namespace", "mortal")

    def states():
        return [path for path in host.states() if str(path).startswith(place)]

    def shims():
        return [pid for pid, command in host.processes().items() if "-namespace mortal " in command]

    def left():
        mounts = [path for path in host.mounts() if path.startswith(place) and "/netns/" in path]
        return states() + mounts + shims() + [path for path in host.cgroups("mortal") if len(path.name) == 64]

    for name in run(*ctr, "task", "list", "--quiet").out.split():
        run(*ctr, "task", "delete", "--force", name)
    deadline = time.monotonic() + 2
    while (states() or shims()) and time.monotonic() < deadline:
        time.sleep(0.1)
    for path in states():
        assert run(*host.inside(runtime_path, "--root", path.parent, "delete", "--force", path.name)).code == 0
    for pid in shims():
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not left(), lambda: f"nothing is left: {left()}")


def test_daemon_killed(mortal):
    """The new daemon ends what it finds running; the container can be started again."""
    container = mortal.client.start(*OBEDIENT)
    pid = container.pid
    mortal.kill()
    assert not is_gone(pid)
    mortal.start()
    wait_for(lambda: container.status == "exited", lambda: container.status)
    assert is_gone(pid)
    mortal.client.do("start", container.name)
    assert container.exec("echo", "hello").out == "hello\n"


def test_daemon_killed_then_removed(mortal):
    containers = [mortal.client.start(*OBEDIENT) for _ in range(3)]
    pids = [container.pid for container in containers]
    mortal.client.do("pause", containers[0].name)
    mortal.kill()
    mortal.start()
    assert mortal.client.remove(*(container.name for container in containers)).code == 0
    wait_for(lambda: all(map(is_gone, pids)), "they end")


@pytest.mark.parametrize("delay", [0.05, 0.1, 0.15, 0.2, 0.3])
def test_daemon_killed_while_it_creates(mortal, delay):
    words = mortal.client.options("run", ["--detach"])
    client = subprocess.Popen(
        [*mortal.client.command, *words, *OBEDIENT],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(delay)
    mortal.kill()
    client.wait(20)
    mortal.start()


@pytest.fixture(scope="module")
def surviving(make_dockerd):
    daemon = make_dockerd("surviving", **{"live-restore": True})
    yield daemon
    daemon.client.clean()


def test_containers_that_survive_the_daemon(surviving):
    container = surviving.client.start("sh", "-c", "echo started; sleep 1000")
    pid = container.pid
    surviving.kill()
    surviving.start()
    assert container.status == "running"
    assert container.pid == pid
    assert container.exec("echo", "hello").out == "hello\n"
    surviving.client.do("kill", container.name)
    assert surviving.client.do("wait", container.name).split() == ["137"]
