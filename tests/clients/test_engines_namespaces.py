"""docker and podman: namespaces of a container's own, of the host, and of other containers."""

import os

import pytest
from calling import wait_for


def namespace(pid, kind):
    return os.readlink(f"/proc/{pid}/ns/{kind}")


def test_network_none(engine):
    assert [line for line in engine.out("ls", "/sys/class/net").split() if line == "eth0"] == []
    assert "127.0.0.1" in engine.shell("ip address show lo")


def test_network_host(engine, host):
    container = engine.start(flags=["--network", "host"])
    assert namespace(container.pid, "net") == namespace(host.holder.pid, "net")


def test_network_bridge(engine):
    """Two containers reach each other."""
    server = engine.start("sh", "-c", "while :; do echo hello | nc -l -p 99; done", flags=["--network", "bridge"])
    address = server.exec("sh", "-c", "ip -4 address show eth0 | sed -n 's/.*inet \\([0-9.]*\\).*/\\1/p'").out.strip()
    assert address
    script = f"for i in 1 2 3 4 5 6 7 8 9; do nc -w 2 {address} 99 && exit; sleep 0.1; done"
    assert "hello" in engine.shell(script, "--network", "bridge")
    assert "default via" in server.exec("ip", "route").out


def test_network_of_another(engine, box):
    container = engine.start(flags=["--network", f"container:{box.name}"])
    assert namespace(container.pid, "net") == namespace(box.pid, "net")


@pytest.mark.parametrize(
    ("flag", "kind"), [("--pid", "pid"), ("--ipc", "ipc"), ("--uts", "uts"), ("--cgroupns", "cgroup")]
)
def test_of_the_host(engine, host, flag, kind):
    container = engine.start(flags=[flag, "host"])
    assert namespace(container.pid, kind) == namespace(host.holder.pid, kind)


@pytest.mark.parametrize("kind", ["mnt", "pid", "ipc", "uts", "net"])
def test_of_its_own(box, host, kind):
    assert namespace(box.pid, kind) != namespace(host.holder.pid, kind)


def test_cgroup_namespace_of_its_own(engine, host):
    container = engine.start(flags=["--cgroupns", "private"])
    assert namespace(container.pid, "cgroup") != namespace(host.holder.pid, "cgroup")
    paths = {line.split(":", 2)[2] for line in container.exec("cat", "/proc/1/cgroup").out.splitlines()}
    assert "/" in paths


def test_processes_of_another(engine, box):
    container = engine.start(flags=["--pid", f"container:{box.name}"])
    assert namespace(container.pid, "pid") == namespace(box.pid, "pid")
    assert "sleep 1000" in container.exec("cat", "/proc/1/cmdline").out.replace("\0", " ")


def test_end_of_one_with_the_processes_of_the_host(engine):
    """No init takes the others with it when it ends."""
    container = engine.start("sh", "-c", "sleep 1000 & sleep 1000 & echo ready; wait", flags=["--pid", "host"])
    container.wait_log("ready")
    identity = container.inspect("{{.Id}}")
    engine.do("stop", "--time", "0", container.name)
    wait_for(lambda: not engine.host.cgroups_of(identity), "all its processes end")


def test_shared_memory_of_another(engine):
    first = engine.start(flags=["--ipc", "shareable"])
    second = engine.start(flags=["--ipc", f"container:{first.name}"])
    assert namespace(second.pid, "ipc") == namespace(first.pid, "ipc")
    assert second.exec("sh", "-c", "echo x > /dev/shm/x").code == 0
    assert first.exec("cat", "/dev/shm/x").out == "x\n"
