"""Configs that are right: BASE has what every one needs, FULL has every member of the specification for Linux.

PARTS is the schema that they fit, taken apart: path -> schema of what is there. EDGES and WORDS are there to make them
wrong.
"""

import json

from pyruntime.config.explain import schema

BASE = {
    "ociVersion": "1.3.0",
    "root": {"path": "rootfs"},
    "process": {"args": ["sh"], "cwd": "/"},
}
IDS = [{"containerID": 0, "hostID": 100000, "size": 65536}]
HOOK = {"path": "/usr/bin/hook", "args": ["hook", "x"], "env": ["A=b"], "timeout": 5}
RATE = [{"major": 8, "minor": 0, "rate": 1048576}]

FULL = {
    "ociVersion": "1.3.0",
    "root": {"path": "rootfs", "readonly": True},
    "mounts": [
        {
            "destination": "/data",
            "type": "none",
            "source": "/srv",
            "options": ["rbind", "ro"],
            "uidMappings": IDS,
            "gidMappings": IDS,
        },
        {"destination": "/proc", "type": "proc", "source": "proc"},
    ],
    "process": {
        "terminal": True,
        "consoleSize": {"height": 25, "width": 80},
        "cwd": "/",
        "env": ["PATH=/bin", "EMPTY="],
        "args": ["sh", "-c", "true"],
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 18446744073709551615}],
        "apparmorProfile": "profile",
        "capabilities": {
            "effective": ["CAP_KILL"],
            "bounding": ["CAP_KILL"],
            "inheritable": [],
            "permitted": ["CAP_KILL"],
            "ambient": [],
        },
        "noNewPrivileges": True,
        "oomScoreAdj": -100,
        "scheduler": {
            "policy": "SCHED_DEADLINE",
            "nice": -5,
            "priority": 1,
            "flags": ["SCHED_FLAG_RESET_ON_FORK"],
            "runtime": 1,
            "deadline": 2,
            "period": 3,
        },
        "selinuxLabel": "system_u:system_r:svirt_lxc_net_t:s0:c124,c675",
        "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 7},
        "execCPUAffinity": {"initial": "0-1", "final": "1"},
        "user": {"uid": 1, "gid": 1, "umask": 18, "additionalGids": [5, 6]},
    },
    "hostname": "web",
    "domainname": "example.com",
    "hooks": {
        "prestart": [HOOK],
        "createRuntime": [HOOK],
        "createContainer": [HOOK],
        "startContainer": [HOOK],
        "poststart": [HOOK],
        "poststop": [HOOK],
    },
    "annotations": {"com.example.key": "value"},
    "linux": {
        "namespaces": [{"type": "pid", "path": "/proc/1/ns/pid"}, {"type": "mount"}, {"type": "user"}],
        "uidMappings": IDS,
        "gidMappings": IDS,
        "timeOffsets": {"monotonic": {"secs": -5, "nanosecs": 1}, "boottime": {"secs": 172800, "nanosecs": 0}},
        "devices": [
            {"type": "c", "path": "/dev/fuse", "major": 10, "minor": 229, "fileMode": 438, "uid": 0, "gid": 0},
            {"type": "p", "path": "/dev/pipe"},
        ],
        "netDevices": {"eth0": {"name": "lan"}, "ens4": {}},
        "cgroupsPath": "/test/web",
        "rootfsPropagation": "rslave",
        "resources": {
            "devices": [{"allow": False, "type": "c", "major": 10, "minor": -1, "access": "rwm"}],
            "memory": {
                "limit": 536870912,
                "reservation": 0,
                "swap": -1,
                "kernel": -1,
                "kernelTCP": -1,
                "swappiness": 0,
                "disableOOMKiller": False,
                "useHierarchy": False,
                "checkBeforeUpdate": True,
            },
            "cpu": {
                "shares": 1024,
                "quota": -1,
                "burst": 0,
                "period": 500000,
                "realtimeRuntime": 950000,
                "realtimePeriod": 1000000,
                "cpus": "2-3",
                "mems": "0-7",
                "idle": 0,
            },
            "pids": {"limit": 32771},
            "blockIO": {
                "weight": 10,
                "leafWeight": 10,
                "weightDevice": [{"major": 8, "minor": 16, "weight": 500, "leafWeight": 300}],
                "throttleReadBpsDevice": RATE,
                "throttleWriteBpsDevice": RATE,
                "throttleReadIOPSDevice": RATE,
                "throttleWriteIOPSDevice": RATE,
            },
            "hugepageLimits": [{"pageSize": "2MB", "limit": 209715200}],
            "network": {"classID": 1048577, "priorities": [{"name": "eth0", "priority": 500}]},
            "rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}},
            "unified": {"io.max": "259:0 rbps=2097152"},
        },
        "sysctl": {"net.ipv4.ip_forward": "1"},
        "seccomp": {
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": 38,
            "architectures": ["SCMP_ARCH_X86_64"],
            "flags": ["SECCOMP_FILTER_FLAG_LOG"],
            "listenerPath": "/run/agent.sock",
            "listenerMetadata": "x",
            "syscalls": [
                {
                    "names": ["getcwd"],
                    "action": "SCMP_ACT_ALLOW",
                    "errnoRet": 1,
                    "args": [{"index": 5, "value": 0, "valueTwo": 18446744073709551615, "op": "SCMP_CMP_EQ"}],
                }
            ],
        },
        "maskedPaths": ["/proc/kcore"],
        "readonlyPaths": ["/proc/sys"],
        "mountLabel": "system_u:object_r:svirt_sandbox_file_t:s0:c715,c811",
        "intelRdt": {
            "closID": "guaranteed",
            "l3CacheSchema": "L3:0=7f0;1=1f",
            "memBwSchema": "MB:0=20;1=70",
            "schemata": ["L2:0=f"],
            "enableMonitoring": True,
            "enableCMT": False,
            "enableMBM": False,
        },
        "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0-1", "flags": ["MPOL_F_STATIC_NODES"]},
        "personality": {"domain": "LINUX32", "flags": []},
    },
}


def _steps(path):
    return [int(step) if step.isdigit() else step for step in path.replace("[", ".").replace("]", "").split(".")]


def _parent(config, path):
    place = config
    for step in _steps(path)[:-1]:
        place = place.setdefault(step, {}) if isinstance(place, dict) else place[step]
    return place, _steps(path)[-1]


def change(config, path, value):
    """Returns a copy of a config with another value at a path such as process.rlimits[0].type."""
    changed = json.loads(json.dumps(config))
    place, last = _parent(changed, path)
    place[last] = value
    return changed


def without(config, path):
    """Returns a copy of a config that lacks the member at a path."""
    changed = json.loads(json.dumps(config))
    place, last = _parent(changed, path)
    del place[last]
    return changed


CONFIG = schema("config.schema.json")


def resolve(part):
    reference = part.get("$ref")
    return CONFIG["$defs"][reference.removeprefix("#/$defs/")] if reference else part


def parts(part, path=""):
    """Yields (path, schema) of everything in the schema of config.json, references resolved."""
    part = resolve(part)
    yield path, part
    for name, inner in part.get("properties", {}).items():
        yield from parts(inner, f"{path}.{name}" if path else name)
    if "items" in part:
        yield from parts(part["items"], f"{path}.*")
    if "additionalProperties" in part:
        yield from parts(part["additionalProperties"], f"{path}.{{}}")


PARTS = dict(parts(CONFIG))

# values at the edges of what is allowed, and beyond
EDGES = [
    None, True, False, 0, 1, -1, 2, 0.0, 1.0, -1.0, 1.5, 2**31, 2**31 - 1, 2**32, 2**32 - 1, 2**63, 2**63 - 1, 2**64,
    2**64 - 1, -(2**63), -(2**63) - 1, 10**400, "", "/", "/x", "x", "=", "A=", "=b", "A\n=", "\n", "/\n", "rwm",
    "rwm\n", "rwx", "2MB", "2MB\n", "0MB", "02MB", "²MB", "٢MB", "KB", "-1MB", "1.0MB", "\x00", "\ud800", [], {}, [[]],
    [None], [""], {"": ""}, ["x"] * 300, [0] * 257,
]  # fmt: skip
WORDS = sorted({word for word in json.dumps(CONFIG).split('"') if word.isidentifier()})


def places(value, path=()):
    """Returns the paths of everything in a document."""
    found = [path]
    if isinstance(value, dict):
        for name, inner in value.items():
            found += places(inner, (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found += places(inner, (*path, index))
    return found


def copy(document):
    return json.loads(json.dumps(document))


def at(document, path):
    for step in path:
        document = document[step]
    return document
