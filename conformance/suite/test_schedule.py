"""process.scheduler, ioPriority and execCPUAffinity, linux.memoryPolicy and personality."""

import ctypes
import os
from pathlib import Path

import pytest
from containers import Refused, not_applicable, requirement, wait_for
from host import need_controller, own_capabilities

CAP_SYS_NICE = 23
POLICIES = {"SCHED_OTHER": 0, "SCHED_FIFO": 1, "SCHED_RR": 2, "SCHED_BATCH": 3, "SCHED_IDLE": 5, "SCHED_DEADLINE": 6}
RESET_ON_FORK, RECLAIM = 1, 2


def attributes(bundle):
    """Returns policy, flags, nice, priority, runtime, deadline and period of the process."""
    return [int(word) for word in bundle.out(["probe", "schedule"]).split()]


def need_nice():
    if not own_capabilities() >> CAP_SYS_NICE & 1:
        not_applicable("there is no CAP_SYS_NICE here")


def can(policy, priority):
    """Whether the kernel lets a child of this process have a policy: cgroups of v1 may forbid real-time."""
    child = os.fork()
    if child == 0:
        try:
            os.sched_setscheduler(0, policy, os.sched_param(priority))
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


@requirement("config.process.scheduler.policy", "config.process.scheduler.policies")
@pytest.mark.parametrize("policy", ["SCHED_OTHER", "SCHED_BATCH", "SCHED_IDLE"])
def test_policies(bundle, policy):
    bundle.process["scheduler"] = {"policy": policy}
    assert attributes(bundle)[:4] == [POLICIES[policy], 0, 0, 0]


@requirement(
    "config.process.scheduler.policies", "config.process.scheduler.priority", "config.process.scheduler.policy"
)
@pytest.mark.parametrize("policy", ["SCHED_FIFO", "SCHED_RR"])
def test_real_time_policies(bundle, policy):
    need_nice()
    if not can(POLICIES[policy], 5):
        not_applicable("this kernel gives no real-time here")
    bundle.process["scheduler"] = {"policy": policy, "priority": 5}
    try:
        assert attributes(bundle)[:4] == [POLICIES[policy], 0, 0, 5]
    except Refused as error:
        if "permitted" in str(error).lower() and Path("/sys/fs/cgroup/cpu/cpu.rt_runtime_us").exists():
            not_applicable("a cgroup of version 1 has no time for real-time unless it is given some")
        raise


@requirement("config.process.scheduler.deadline", "config.process.scheduler.policies")
def test_the_deadline_policy(bundle):
    need_nice()
    times = {"runtime": 1_000_000, "deadline": 50_000_000, "period": 100_000_000}
    bundle.process["scheduler"] = {"policy": "SCHED_DEADLINE", "flags": ["SCHED_FLAG_RESET_ON_FORK"], **times}
    container = bundle.create("sleep 1000")
    container.start()
    found = (ctypes.c_uint32 * 14)()
    # sched_getattr(2) from outside: what a child would have is reset
    assert ctypes.CDLL(None).syscall(315, container.pid, ctypes.byref(found), 56, 0) == 0
    assert found[1] == POLICIES["SCHED_DEADLINE"]
    numbers = (ctypes.c_uint64 * 7).from_buffer(found)
    assert list(numbers[3:6]) == list(times.values())
    container.stop()


@requirement("config.process.scheduler.nice")
@pytest.mark.parametrize("nice", [5, 19, 0])
def test_nice(bundle, nice):
    bundle.process["scheduler"] = {"policy": "SCHED_OTHER", "nice": nice}
    assert attributes(bundle)[2] == nice


@requirement("config.process.scheduler.nice")
def test_nice_that_is_not_set(bundle):
    """It is 0 with a scheduler, whatever the runtime has."""
    need_nice()
    bundle.process["scheduler"] = {"policy": "SCHED_BATCH"}
    done = bundle.out(["probe", "schedule"], prefix=["nice", "-n", "7"])
    assert done.split()[2] == "0"


@requirement("config.process.scheduler.nice")
def test_negative_nice(bundle):
    need_nice()
    bundle.process["scheduler"] = {"policy": "SCHED_BATCH", "nice": -5}
    assert attributes(bundle)[:3] == [POLICIES["SCHED_BATCH"], 0, -5]


@requirement("config.process.scheduler.flags")
def test_a_flag(bundle):
    bundle.process["scheduler"] = {"policy": "SCHED_BATCH", "flags": ["SCHED_FLAG_RESET_ON_FORK"]}
    assert attributes(bundle)[:2] == [POLICIES["SCHED_BATCH"], RESET_ON_FORK]


@requirement("config.process.scheduler.policy", "config.process.scheduler.flags", "config.values.invalid")
@pytest.mark.parametrize(
    "scheduler",
    [
        {},
        {"nice": 5},
        {"policy": "SCHED_FAST"},
        {"policy": "sched_other"},
        {"policy": "SCHED_OTHER", "nice": 20},
        {"policy": "SCHED_OTHER", "nice": -21},
        {"policy": "SCHED_OTHER", "priority": 5},
        {"policy": "SCHED_FIFO", "priority": 100},
        {"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_UNKNOWN"]},
        {"policy": "SCHED_OTHER", "runtime": 1000},
        {"policy": "SCHED_ISO"},
    ],
)
def test_bad_schedulers(bundle, scheduler):
    """What the kernel does not take either: the kernel never had SCHED_ISO."""
    bundle.process["scheduler"] = scheduler
    try:
        bundle.run("true")
    except Refused:
        return
    pytest.fail("it was accepted")


@requirement("config.process.io-priority", "config.process.io-priority.class", "config.process.io-priority.priority")
@pytest.mark.parametrize(("kind", "number"), [("IOPRIO_CLASS_RT", 1), ("IOPRIO_CLASS_BE", 2), ("IOPRIO_CLASS_IDLE", 3)])
@pytest.mark.parametrize("priority", [0, 7])
def test_io_priority(bundle, kind, number, priority):
    if kind == "IOPRIO_CLASS_RT":
        need_nice()
    bundle.process["ioPriority"] = {"class": kind, "priority": priority}
    found = bundle.out(["probe", "io-priority"]).split()
    assert found[0] == str(number)
    assert found[1] == str(priority) or kind == "IOPRIO_CLASS_IDLE"


@requirement("config.process.io-priority.class", "config.process.io-priority.priority", "config.values.invalid")
@pytest.mark.parametrize(
    "priority",
    [
        {"priority": 4},
        {"class": "IOPRIO_CLASS_BE"},
        {"class": "IOPRIO_CLASS_BE", "priority": 8},
        {"class": "IOPRIO_CLASS_BE", "priority": -1},
        {"class": "IOPRIO_CLASS_FAST", "priority": 4},
        {"class": "", "priority": 4},
    ],
)
def test_bad_io_priorities(bundle, priority):
    bundle.process["ioPriority"] = priority
    try:
        bundle.run("true")
    except Refused:
        return
    pytest.fail("it was accepted")


@requirement("config.process.exec-cpu-affinity")
def test_the_affinity_of_exec_is_not_for_the_first_process(bundle):
    if len(os.sched_getaffinity(0)) < 2:
        not_applicable("there is one CPU only")
    bundle.process["execCPUAffinity"] = {"initial": "0", "final": "0"}
    (line,) = [line for line in bundle.out("cat /proc/self/status").splitlines() if "Cpus_allowed_list" in line]
    own = [line for line in Path("/proc/self/status").read_text().splitlines() if "Cpus_allowed_list" in line]
    assert own == [line]


@requirement("config.process.exec-cpu-affinity.final")
def test_the_affinity_of_exec_without_a_final_one(bundle, runtime):
    """What the cgroup gives counts in the end."""
    if len(os.sched_getaffinity(0)) < 2:
        not_applicable("there is one CPU only")
    need_controller("cpuset")
    bundle.resources["cpu"] = {"cpus": "1"}
    bundle.process["execCPUAffinity"] = {"initial": "0"}
    container = bundle.create("sleep 1000")
    container.start()
    lines = runtime("exec", container.name, "cat", "/proc/self/status").out.splitlines()
    assert "Cpus_allowed_list:\t1" in lines
    container.stop()


# ---- memory policy

MODES = {
    "MPOL_DEFAULT": (0, ""),
    "MPOL_PREFERRED": (1, "0"),
    "MPOL_BIND": (2, "0"),
    "MPOL_INTERLEAVE": (3, "0"),
    "MPOL_LOCAL": (4, ""),
    "MPOL_PREFERRED_MANY": (5, "0"),
    "MPOL_WEIGHTED_INTERLEAVE": (6, "0"),
}
STATIC, RELATIVE, BALANCING = 1 << 15, 1 << 14, 1 << 13


def kernel_takes(mode, nodes):
    """Whether the kernel has a policy at all (set_mempolicy(2)); asked in a child, which then has it."""
    child = os.fork()
    if child == 0:
        mask = ctypes.c_ulong(1 if nodes else 0)
        failed = ctypes.CDLL(None).syscall(238, mode, ctypes.byref(mask) if nodes else None, 64 if nodes else 0)
        os._exit(1 if failed else 0)
    return os.waitpid(child, 0)[1] == 0


def memory_policy(bundle):
    mode, nodes = bundle.out(["probe", "memory-policy"]).split()
    return int(mode), nodes


@requirement("linux.memory-policy.mode", "linux.memory-policy.nodes")
@pytest.mark.parametrize("mode", MODES)
def test_memory_policies(bundle, mode):
    number, nodes = MODES[mode]
    if os.uname().machine != "x86_64" or not kernel_takes(number, nodes):
        not_applicable("this kernel does not have this memory policy")
    bundle.linux["memoryPolicy"] = {"mode": mode} | ({"nodes": nodes} if nodes else {})
    assert memory_policy(bundle) == (number, "1" if nodes else "0")


@requirement("linux.memory-policy.flags")
@pytest.mark.parametrize(("flag", "bit"), [("MPOL_F_STATIC_NODES", STATIC), ("MPOL_F_RELATIVE_NODES", RELATIVE)])
def test_flags_of_a_memory_policy(bundle, flag, bit):
    if os.uname().machine != "x86_64" or not kernel_takes(2 | bit, "0"):
        not_applicable("this kernel has no memory policies")
    bundle.linux["memoryPolicy"] = {"mode": "MPOL_BIND", "nodes": "0", "flags": [flag]}
    assert memory_policy(bundle) == (2 | bit, "1")


@requirement("linux.memory-policy.flags")
def test_balancing(bundle):
    if os.uname().machine != "x86_64" or not kernel_takes(2 | BALANCING, "0"):
        not_applicable("this kernel has no balancing between memory nodes")
    bundle.linux["memoryPolicy"] = {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_NUMA_BALANCING"]}
    assert memory_policy(bundle) == (2 | BALANCING, "1")


@requirement("linux.memory-policy.mode", "linux.memory-policy.nodes", "linux.memory-policy.flags")
@pytest.mark.parametrize(
    "policy",
    [
        {},
        {"nodes": "0"},
        {"mode": "MPOL_BEST", "nodes": "0"},
        {"mode": "MPOL_BIND"},
        {"mode": "MPOL_DEFAULT", "nodes": "0"},
        {"mode": "MPOL_LOCAL", "nodes": "0"},
        {"mode": "MPOL_BIND", "nodes": "zero"},
        {"mode": "MPOL_BIND", "nodes": "999"},
        {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_UNKNOWN"]},
        {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"]},
    ],
)
def test_bad_memory_policies(bundle, policy):
    bundle.linux["memoryPolicy"] = policy
    try:
        bundle.run("true")
    except Refused:
        return
    pytest.fail("it was accepted")


# ---- personality


@requirement("linux.personality.domain")
@pytest.mark.parametrize(("domain", "number"), [("LINUX", 0), ("LINUX32", 8)])
def test_personality(bundle, domain, number):
    bundle.linux["personality"] = {"domain": domain}
    text, machine = bundle.out("cat /proc/self/personality; uname -m").split()
    assert int(text, 16) & 0xFF == number
    if os.uname().machine == "x86_64":
        assert machine == ("i686" if number else "x86_64")


@requirement("linux.personality.domain", "linux.personality.flags", "config.values.invalid")
@pytest.mark.parametrize(
    "personality", [{}, {"domain": "LINUX64"}, {"domain": ""}, {"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"]}]
)
def test_bad_personalities(bundle, personality):
    bundle.linux["personality"] = personality
    bundle.is_refused()


@requirement("config.process.io-priority")
def test_nothing_is_changed_that_is_not_asked_for(bundle):
    container = bundle.create("probe schedule; probe io-priority; sleep 1000")
    container.start()
    wait_for(lambda: container.status == "running", "it runs")
    assert attributes(bundle)[:4] == [0, 0, 0, 0]
    container.stop()
