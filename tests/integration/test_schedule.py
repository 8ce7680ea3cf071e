"""process.scheduler, ioPriority, linux.memoryPolicy, personality, timeOffsets: what the kernel says of the process."""

import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("scheduled") / "scheduled"
    subprocess.run(["cc", "-static", "-O", "-Wall", "-Werror", "-o", path, HERE / "scheduled.c"], check=True)
    return path


@pytest.fixture
def seen(bundle, program):
    """Runs the program that prints them; returns them by name."""
    (bundle.rootfs / "scheduled").write_bytes(program.read_bytes())
    (bundle.rootfs / "scheduled").chmod(0o755)
    bundle.process["args"] = ["/scheduled"]
    return lambda: dict(line.split(" ", 1) for line in bundle.run().out.splitlines())


def test_nothing_is_changed_that_is_not_asked_for(seen):
    found = seen()
    assert (found["policy"], found["nice"], found["priority"]) == ("0", "0", "0")
    assert (found["io"], found["memory"], found["machine"]) == ("0 0", "0 0", found["machine"])


@pytest.mark.parametrize(
    ("scheduler", "expected"),
    [
        ({"policy": "SCHED_OTHER", "nice": 7}, {"policy": "0", "nice": "7"}),
        ({"policy": "SCHED_OTHER", "nice": -7}, {"policy": "0", "nice": "-7"}),
        ({"policy": "SCHED_BATCH", "nice": 3}, {"policy": "3", "nice": "3"}),
        ({"policy": "SCHED_IDLE"}, {"policy": "5"}),
        ({"policy": "SCHED_FIFO", "priority": 10}, {"policy": "1", "priority": "10"}),
        ({"policy": "SCHED_RR", "priority": 99}, {"policy": "2", "priority": "99"}),
        (
            {"policy": "SCHED_RR", "priority": 1, "flags": ["SCHED_FLAG_RESET_ON_FORK"]},
            {"policy": "2", "priority": "1", "flags": "1"},
        ),
        (
            {"policy": "SCHED_DEADLINE", "runtime": 10000000, "deadline": 20000000, "period": 50000000},
            {"policy": "6", "runtime": "10000000", "deadline": "20000000", "period": "50000000"},
        ),
    ],
)
def test_scheduler(seen, bundle, scheduler, expected):
    bundle.process["scheduler"] = scheduler
    if scheduler["policy"] in ("SCHED_FIFO", "SCHED_RR") and Path("/sys/fs/cgroup/cpu/cpu.rt_runtime_us").exists():
        # a kernel that shares out real time lets nobody have it in a cgroup that has no share
        bundle.linux["resources"]["cpu"] = {"realtimeRuntime": 1000, "realtimePeriod": 1000000}
    found = seen()
    assert {name: found[name] for name in expected} == expected


def test_a_policy_that_the_kernel_refuses_is_named(bundle):
    bundle.process["scheduler"] = {"policy": "SCHED_ISO"}
    assert "process.scheduler: scheduler SCHED_ISO: invalid argument" in bundle.fails()


@pytest.mark.parametrize(("name", "number"), [("RT", 1), ("BE", 2), ("IDLE", 3)])
def test_io_priority(seen, bundle, name, number):
    bundle.process["ioPriority"] = {"class": f"IOPRIO_CLASS_{name}", "priority": 4}
    assert seen()["io"] == f"{number} 4"


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({"mode": "MPOL_DEFAULT"}, "0 0"),
        ({"mode": "MPOL_BIND", "nodes": "0"}, "2 1"),
        ({"mode": "MPOL_INTERLEAVE", "nodes": "0"}, "3 1"),
        ({"mode": "MPOL_PREFERRED", "nodes": "0"}, "1 1"),
        ({"mode": "MPOL_PREFERRED_MANY", "nodes": "0-0"}, "5 1"),
        ({"mode": "MPOL_LOCAL"}, "4 0"),
        ({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}, f"{2 | 1 << 15} 1"),
        ({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_RELATIVE_NODES"]}, f"{2 | 1 << 14} 1"),
    ],
)
def test_memory_policy(seen, bundle, policy, expected):
    bundle.linux["memoryPolicy"] = policy
    assert seen()["memory"] == expected


def test_a_memory_node_that_is_not_there(bundle):
    bundle.linux["memoryPolicy"] = {"mode": "MPOL_BIND", "nodes": "63"}
    assert "linux.memoryPolicy: memory-policy MPOL_BIND nodes 63: invalid argument" in bundle.fails()


@pytest.mark.parametrize("domain", ["LINUX", "LINUX32"])
def test_personality(seen, bundle, domain):
    machine = {"x86_64": "i686", "aarch64": "armv8l"}
    bundle.linux["personality"] = {"domain": domain, "flags": []}
    own = subprocess.run(["uname", "-m"], capture_output=True, text=True, check=True).stdout.strip()
    assert seen()["machine"] == (own if domain == "LINUX" else machine[own])


def test_affinity_of_exec_is_nothing_to_the_first_process(bundle):
    """config.md: this setting is not applicable to the container's init process."""
    bundle.process["execCPUAffinity"] = {"initial": "0", "final": "0"}
    own = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("Cpus_allowed_l"))
    assert bundle.run("grep Cpus_allowed_list /proc/self/status").out.strip() == own


@pytest.mark.parametrize("clock", ["monotonic", "boottime"])
def test_time_offsets(bundle, clock):
    bundle.namespace("time")
    bundle.linux["timeOffsets"] = {clock: {"secs": 1000000, "nanosecs": 5}}
    # procfs shows the boot time of the reader's namespace
    out = bundle.run("cat /proc/self/timens_offsets; cut -d. -f1 /proc/uptime").out.split()
    offsets = {out[0]: out[1:3], out[3]: out[4:6]}
    other = "boottime" if clock == "monotonic" else "monotonic"
    assert offsets == {clock: ["1000000", "5"], other: ["0", "0"]}
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    assert abs(int(out[6]) - uptime - (1000000 if clock == "boottime" else 0)) < 60


def test_time_offsets_in_a_user_namespace(bundle):
    bundle.namespace("time")
    bundle.namespace("user")
    maps = [{"containerID": 0, "hostID": 0, "size": 65536}]
    bundle.linux.update(uidMappings=maps, gidMappings=maps, timeOffsets={"boottime": {"secs": -1}})
    out = bundle.run("cat /proc/self/timens_offsets").out.split()
    assert out == ["monotonic", "0", "0", "boottime", "-1", "0"]
