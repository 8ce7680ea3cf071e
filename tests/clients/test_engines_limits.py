"""docker and podman: limits, as the cgroups of the host show them, and what happens at a limit."""

import json

import pytest
from calling import Result, wait_for
from corner import limit, mounted_cgroup

MIB = 1 << 20


@pytest.fixture(scope="module")
def limited(session_engine):
    """A container with one limit of each kind."""
    client = session_engine.sibling()
    flags = ["--memory", "64m", "--memory-reservation", "32m", "--pids-limit", "50", "--cpus", "0.5"]
    flags += ["--cpu-shares", "512", "--cpuset-cpus", "0"]
    yield client.start(flags=flags)
    client.clean()


@pytest.mark.parametrize(
    ("controller", "first", "second", "expected"),
    [
        ("memory", "memory.limit_in_bytes", "memory.max", {str(64 * MIB)}),
        ("memory", "memory.soft_limit_in_bytes", "memory.low", {str(32 * MIB)}),
        ("pids", "pids.max", "pids.max", {"50"}),
        ("cpu", "cpu.shares", "cpu.weight", {"512", "20", "59"}),
        ("cpuset", "cpuset.cpus", "cpuset.cpus", {"0"}),
    ],
)
def test_limit(limited, controller, first, second, expected):
    assert limit(limited.pid, controller, first, second) in expected


def test_limit_of_processor_time(limited):
    path, is_second = mounted_cgroup(limited.pid, "cpu")
    if is_second:
        quota, period = (path / "cpu.max").read_text().split()
    else:
        quota, period = (path / "cpu.cfs_quota_us").read_text(), (path / "cpu.cfs_period_us").read_text()
    assert int(quota) / int(period) == 0.5


def test_update(engine):
    container = engine.start(flags=["--memory", "64m", "--memory-swap", "64m"])
    engine.do("update", "--memory", "48m", "--memory-swap", "48m", "--cpu-shares", "256", container.name)
    assert limit(container.pid, "memory", "memory.limit_in_bytes", "memory.max") == str(48 * MIB)
    assert limit(container.pid, "cpu", "cpu.shares", "cpu.weight") in ("256", "10", "35")
    assert container.status == "running"


def test_too_many_processes(engine):
    script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 5 & done; wait"
    result = engine.run("sh", "-c", script, flags=["--pids-limit", "6"])
    assert "can't fork" in result.err


def run_out_of_memory(engine):
    script = "dd if=/dev/zero of=/dev/null bs=100M count=1; code=$?; sleep 0.5; exit $code"
    container = engine.start("sh", "-c", script, flags=["--memory", "24m", "--memory-swap", "24m"])
    wait_for(lambda: container.status == "exited", "the container ends")
    return container


def test_out_of_memory(engine):
    """The kernel kills a process, and the client says so."""

    def attempt(reference):
        reported = run_out_of_memory(reference).inspect("{{.State.OOMKilled}}") == "true"
        return Result(0 if reported else 1, "", "it does not see that memory ran out")

    container = run_out_of_memory(engine)
    assert container.exit_code == 137
    if container.inspect("{{.State.OOMKilled}}") != "true":
        engine.excuse(attempt)
    assert container.inspect("{{.State.OOMKilled}}") == "true"


def test_ulimits(engine):
    flags = ["--ulimit", "nofile=256:512", "--ulimit", "core=0:0", "--ulimit", "nproc=1000:1000"]
    assert engine.shell("ulimit -n; ulimit -Hn; ulimit -c", *flags).split() == ["256", "512", "0"]


def test_adjusted_score_for_the_out_of_memory_killer(engine):
    assert engine.shell("cat /proc/self/oom_score_adj", "--oom-score-adj", "300") == "300\n"


def test_sysctls(engine):
    flags = ["--sysctl", "net.ipv4.ip_unprivileged_port_start=99", "--sysctl", "kernel.shm_rmid_forced=1"]
    files = "/proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shm_rmid_forced"
    assert engine.out("sh", "-c", f"cat {files}", flags=flags).split() == ["99", "1"]


def test_stats(engine, box):
    form = "{{json .}}"
    shown = json.loads(engine.do("stats", "--no-stream", "--format", form, box.name))
    shown = shown[0] if isinstance(shown, list) else shown
    usage = next(value for name, value in shown.items() if name.lower().replace("_", "") == "memusage")
    assert "B / " in str(usage), shown
    processes = next(value for name, value in shown.items() if name.lower() == "pids")
    assert int(processes) >= 1
