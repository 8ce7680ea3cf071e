"""What a user reads about a wrong value in one of the members that few configs have."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from valid_configs import BASE, IDS, change

from pyruntime.config.check import check
from pyruntime.config.kernel import parse_list
from pyruntime.config.load import parse_config
from pyruntime.errors import ConfigError

TIME = {"linux.namespaces": [{"type": "time"}]}
OFFSETS = {"monotonic": {"secs": 5}}
USER = {"linux.namespaces": [{"type": "user"}], "linux.uidMappings": IDS, "linux.gidMappings": IDS}
BIND = {"destination": "/x", "source": "/y", "options": ["bind"]}


def changed(changes):
    config = BASE
    for path, value in changes.items():
        config = change(config, path, value)
    return parse_config(json.dumps(config).encode())


def rule(**members):
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["getcwd"], "action": "SCMP_ACT_ERRNO", **members}],
    }


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"linux.timeOffsets": OFFSETS},
            "linux.timeOffsets: time namespace offsets specified, but time namespace isn't enabled",
        ),
        (
            {"linux.namespaces": [{"type": "time", "path": "/proc/1/ns/time"}], "linux.timeOffsets": OFFSETS},
            "linux.timeOffsets: the clocks of a time namespace that is joined cannot be set",
        ),
        (
            {"process.scheduler": {"policy": "SCHED_OTHER", "nice": 20}},
            "process.scheduler.nice: invalid scheduler.nice: 20 (-20 to 19)",
        ),
        (
            {"process.scheduler": {"policy": "SCHED_RR", "nice": 1, "priority": 1}},
            "process.scheduler.nice: is for SCHED_OTHER, SCHED_BATCH, SCHED_IDLE, not for SCHED_RR",
        ),
        (
            {"process.scheduler": {"policy": "SCHED_BATCH", "priority": 1}},
            "process.scheduler.priority: scheduler.priority can only be specified for SchedFIFO or SchedRR policy",
        ),
        (
            {"process.scheduler": {"policy": "SCHED_FIFO"}},
            "process.scheduler.priority: SCHED_FIFO needs one of 1 to 99",
        ),
        (
            {"process.scheduler": {"policy": "SCHED_FIFO", "priority": 100}},
            "process.scheduler.priority: SCHED_FIFO needs one of 1 to 99",
        ),
        (
            {"process.scheduler": {"policy": "SCHED_OTHER", "period": 1}},
            "process.scheduler: scheduler runtime/deadline/period can only be specified for SchedDeadline policy",
        ),
        (
            {"process.execCPUAffinity": {"initial": "0", "final": "3-1"}},
            'process.execCPUAffinity.final: "3-1" ends before it begins',
        ),
        (
            {"process.execCPUAffinity": {"initial": "x"}},
            'process.execCPUAffinity.initial: "x" is neither a number nor a range of numbers',
        ),
        (
            {"linux.memoryPolicy": {"mode": "MPOL_LOCAL", "nodes": "0"}},
            "linux.memoryPolicy.nodes: memory policy mode requires 0 nodes but got 1",
        ),
        (
            {"linux.memoryPolicy": {"mode": "MPOL_BIND"}},
            "linux.memoryPolicy.nodes: memory policy mode requires at least one node but got 0",
        ),
        (
            {"linux.memoryPolicy": {"mode": "MPOL_BIND", "nodes": "1024"}},
            "linux.memoryPolicy.nodes: 1024 is not a memory node (0 to 1023)",
        ),
        (
            {"linux.memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0,,1"}},
            'linux.memoryPolicy.nodes: "" is neither a number nor a range of numbers',
        ),
        (
            {"linux.seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1}},
            "linux.seccomp.defaultErrnoRet: is for SCMP_ACT_ERRNO and SCMP_ACT_TRACE, not for SCMP_ACT_ALLOW",
        ),
        (
            {"linux.seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096}},
            "linux.seccomp.defaultErrnoRet: 4096 is no errno (0 to 4095)",
        ),
        (
            {"linux.seccomp": {"defaultAction": "SCMP_ACT_TRACE", "defaultErrnoRet": 65536}},
            "linux.seccomp.defaultErrnoRet: 65536 is more than a tracer can be told (0 to 65535)",
        ),
        (
            {"linux.seccomp": {"defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/x"}},
            "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be used as default action",
        ),
        (
            {"linux.seccomp": rule(action="SCMP_ACT_LOG", errnoRet=1)},
            "linux.seccomp.syscalls[0].errnoRet: is for SCMP_ACT_ERRNO and SCMP_ACT_TRACE, not for SCMP_ACT_LOG",
        ),
        (
            {"linux.seccomp": rule(action="SCMP_ACT_NOTIFY")},
            "linux.seccomp.listenerPath: seccomp listenerPath is not set, and SCMP_ACT_NOTIFY needs one",
        ),
        (
            {"linux.seccomp": rule(action="SCMP_ACT_NOTIFY", names=["read", "write"]) | {"listenerPath": "/x"}},
            "linux.seccomp.syscalls[0].names: SCMP_ACT_NOTIFY cannot be used for the write syscall",
        ),
        (
            {"linux.seccomp": rule() | {"listenerMetadata": "x"}},
            "linux.seccomp.listenerMetadata: is for listenerPath, which is missing",
        ),
        (
            {"linux.intelRdt": {"closID": "../x"}},
            'linux.intelRdt.closID: invalid intelRdt.ClosID "../x" (one name, or "/" for the default group)',
        ),
        (
            {"linux.intelRdt": {"closID": ".."}},
            'linux.intelRdt.closID: invalid intelRdt.ClosID ".." (one name, or "/" for the default group)',
        ),
        ({"linux.intelRdt": {"closID": "a\nb"}}, "linux.intelRdt.closID: holds a newline"),
        (
            {"linux.intelRdt": {"memBwSchema": "L3:0=1"}},
            'linux.intelRdt.memBwSchema: "L3:0=1" does not begin with "MB:"',
        ),
        (
            {"linux.intelRdt": {"l3CacheSchema": "MB:0=1"}},
            'linux.intelRdt.l3CacheSchema: "MB:0=1" does not begin with "L3"',
        ),
        ({"linux.intelRdt": {"l3CacheSchema": "L3:0=1\nL3:1=1"}}, "linux.intelRdt.l3CacheSchema: holds a newline"),
        ({"linux.intelRdt": {"schemata": ["a", "b\n"]}}, "linux.intelRdt.schemata[1]: holds a newline"),
        (
            {"linux.netDevices": {"eth0": {"name": "a/b"}}},
            'linux.netDevices["eth0"]: "a/b" is not the name of a network device',
        ),
        (
            {"linux.netDevices": {"longer-than-it-may": {}}},
            'linux.netDevices["longer-than-it-may"]: "longer-than-it-may" is not the name of a network device',
        ),
        ({"linux.netDevices": {"": {}}}, 'linux.netDevices[""]: "" is not the name of a network device'),
        (
            {"linux.netDevices": {"eth0": {"name": "lan"}, "eth1": {"name": "lan"}}},
            'linux.netDevices["eth1"].name: "lan" is the name of linux.netDevices["eth0"] already',
        ),
        (
            {"linux.netDevices": {"eth0": {"name": "%dlan"}}},
            'linux.netDevices["eth0"].name: "%dlan": a template has one %d, at its end',
        ),
        (
            {"mounts": [BIND | {"uidMappings": IDS}]},
            "mounts[0].uidMappings: id-mapped mounts must have both uid and gid mappings specified",
        ),
        (
            {"mounts": [BIND | {"options": ["bind", "ridmap"]}]},
            'mounts[0].options: "ridmap" needs uidMappings and gidMappings, or a user namespace to take them from',
        ),
        (
            {"mounts": [BIND | {"options": ["bind", "idmap"], "uidMappings": IDS * 2, "gidMappings": IDS}]},
            "mounts[0].uidMappings[1].containerID: overlaps with mounts[0].uidMappings[0]",
        ),
        (
            {"mounts": [BIND | {"options": ["remount", "idmap"], "uidMappings": IDS, "gidMappings": IDS}]},
            "mounts[0].options: a remount cannot change how ids are mapped",
        ),
    ],
)
def test_rules(changes, text):
    with pytest.raises(ConfigError) as caught:
        check(changed(changes))
    assert str(caught.value) == text


@pytest.mark.parametrize(
    "changes",
    [
        TIME | {"linux.timeOffsets": OFFSETS},
        {"linux.timeOffsets": {}},
        {"process.scheduler": {"policy": "SCHED_DEADLINE", "runtime": 1, "deadline": 2, "period": 3}},
        {"process.scheduler": {"policy": "SCHED_IDLE", "nice": -20}},
        {"linux.memoryPolicy": {"mode": "MPOL_PREFERRED"}},
        {"linux.memoryPolicy": {"mode": "MPOL_DEFAULT", "nodes": ""}},
        {"linux.seccomp": rule(errnoRet=4095)},
        {"linux.seccomp": rule() | {"listenerPath": "/x", "listenerMetadata": "y"}},
        {"linux.intelRdt": {}},
        {"linux.intelRdt": {"closID": "/"}},
        {"linux.netDevices": {"eth0": {"name": "lan%d"}, "eth1": {"name": "lan%d"}}},
        {"mounts": [BIND | {"options": ["bind", "idmap"]}]} | USER,
        {"mounts": [BIND | {"uidMappings": IDS, "gidMappings": IDS}]},
    ],
)
def test_what_is_right(changes):
    assert check(changed(changes)) == []


@given(st.sets(st.integers(0, 99999), min_size=1, max_size=20))
def test_lists_of_numbers(numbers):
    assert parse_list(",".join(map(str, numbers))) == numbers
    assert parse_list(",".join(f"{number}-{number}" for number in numbers)) == numbers


@pytest.mark.parametrize("text", ["", "-", "1-", "-1", "1-2-3", "a", "1;2", "٣", "1_0", "100000", "2-1"])
def test_lists_that_are_none(text):
    with pytest.raises(ValueError, match=r"neither a number nor a range|ends before it begins"):
        parse_list(text)
