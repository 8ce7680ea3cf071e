"""The configs whose plans are kept in this directory, and the hosts that they are compiled for.

Each case is a small config and what it is about; NAME.plan holds what `pyruntime plan` shows for it. After a change
that is meant to change plans run `make golden`, and read the difference as carefully as the code.
"""

import copy

from pyruntime.cli.spec import default_config
from pyruntime.config.check import check
from pyruntime.config.load import parse_config
from pyruntime.config.names import NAMESPACES
from pyruntime.plan.create import compile_create
from pyruntime.plan.exec import Target, compile_exec
from pyruntime.plan.facts import Facts, Hierarchy, Request
from pyruntime.plan.finish import Finish
from pyruntime.plan.text import render

V1 = tuple(
    Hierarchy(1, f"/sys/fs/cgroup/{name}", tuple(name.split(",")), "/")
    for name in ("cpu,cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "hugetlb")
)
HYBRID = (
    *V1[:-1],
    Hierarchy(1, "/sys/fs/cgroup/systemd", ("name=systemd",), "/"),
    Hierarchy(2, "/sys/fs/cgroup/unified", ("hugetlb",), "/"),
)
NETWORKS = tuple(
    Hierarchy(1, f"/sys/fs/cgroup/{name}", tuple(name.split(",")), "/")
    for name in ("devices", "net_cls,net_prio", "rdma")
)
CONTROLLERS = ("cpuset", "cpu", "io", "memory", "hugetlb", "pids")
V2 = (Hierarchy(2, "/sys/fs/cgroup", CONTROLLERS, "/user.slice/session"),)

HOSTS = {
    # no controllers: cgroups, and the program that decides about devices
    "bare": {"cgroups": (Hierarchy(2, "/sys/fs/cgroup", (), "/"),), "unified": True},
    "v1": {"cgroups": V1, "unified": False},
    "hybrid": {"cgroups": HYBRID, "unified": False},
    "v2": {"cgroups": V2, "unified": True},
    "networks-v1": {"cgroups": NETWORKS, "unified": False},
    "networks-v2": {"cgroups": (Hierarchy(2, "/sys/fs/cgroup", (*CONTROLLERS, "rdma"), "/"),), "unified": True},
}

PROC = {"destination": "/proc", "type": "proc", "source": "proc"}
TMPFS = {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]}
DEVPTS = {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666"]}
MAPS = {
    "uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
    "gidMappings": [{"containerID": 0, "hostID": 200000, "size": 65536}],
}


def base(**members):
    """A config with little in it, and these members."""
    config = {
        "ociVersion": "1.2.0",
        "root": {"path": "rootfs"},
        "process": {"user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["/bin/program"]},
        "mounts": [PROC],
        "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}]},
    }
    config.update(members)
    return config


def process(**members):
    return base(process={**base()["process"], **members})


def linux(*kinds, **members):
    """A config with these namespaces besides pid and mount, and these members of linux."""
    namespaces = [{"type": "pid"}, {"type": "mount"}, *({"type": kind} for kind in kinds)]
    return base(linux={"namespaces": namespaces, **members})


def resources(**members):
    return linux(resources=members, cgroupsPath="/box/web")


def mounts(*entries):
    return base(mounts=[PROC, *entries])


def bind(*options, destination="/data", source="/srv/data"):
    return {"destination": destination, "type": "bind", "source": source, "options": list(options)}


def joined(**paths):
    """A config that joins namespaces by path, next to a new mount namespace."""
    namespaces = [{"type": "mount"}, *({"type": kind, "path": path} for kind, path in paths.items())]
    return base(linux={"namespaces": namespaces})


def names(*kinds):
    """Flags of these namespaces."""
    return sum(NAMESPACES[kind] for kind in kinds)


def everything_in_memory():
    return {
        "memory": {"limit": 64 << 20, "reservation": 32 << 20, "swap": 96 << 20, "swappiness": 10},
        "cpu": {"shares": 512, "quota": 50000, "period": 100000, "burst": 1000, "cpus": "0-1", "mems": "0", "idle": 0},
        "pids": {"limit": 100},
    }


def without(resource, *names):
    changed = copy.deepcopy(resource)
    for part, name in (entry.split(".") for entry in names):
        del changed[part][name]
    return changed


DISKS = {
    "weight": 500,
    "weightDevice": [{"major": 8, "minor": 0, "weight": 300}],
    "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1 << 20}],
    "throttleWriteBpsDevice": [{"major": 8, "minor": 0, "rate": 2 << 20}],
    "throttleReadIOPSDevice": [{"major": 8, "minor": 16, "rate": 100}],
    "throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 200}],
}
RULES = [
    {"allow": False, "access": "rwm"},
    {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rwm"},
    {"allow": True, "type": "b", "major": 8, "access": "r"},
]
HOOK = {"path": "/usr/bin/hook", "args": ["hook", "--of", "kind"], "env": ["A=1"], "timeout": 5}
KINDS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")

OTHER_MAPS = {
    "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}],
    "gidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}],
}
CGROUP = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"}
LABEL = "system_u:system_r:web_t:s0:c1,c2"
FILTER = {"filter": bytes(8 * 12)}
RESCTRL = {"resctrl": "/sys/fs/resctrl"}


def finish(host_proc="/proc/driver/nvidia"):
    """What a GPU needs besides what the config says; nothing of it is looked up before the plan is carried out."""
    needed = Finish("process.env")
    needed.links = [("/usr/lib64/libcuda.so", "libcuda.so.1")]
    needed.files = [
        ("/proc/driver/nvidia/params", b"ModifyDeviceFiles: 0\n", 0o444),
        ("/etc/nvidia/profile", b"{}", 0o644),
    ]
    needed.proc = ["params", "version", "gpus/0000:07:00.0"]
    needed.host_proc = host_proc
    needed.look = lambda _: []
    return needed


def filtered(more=None, action="SCMP_ACT_ERRNO", **members):
    """A config with a system call filter, and these members of process."""
    seccomp = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["swapon"], "action": action}]}
    capabilities = {name: ["CAP_KILL"] for name in ("bounding", "permitted", "inheritable", "effective", "ambient")}
    config = process(user={"uid": 1000, "gid": 1000}, capabilities=capabilities, **members)
    config["linux"] = {**config["linux"], "seccomp": {**seccomp, **(more or {})}}
    return config


# name: (config, host, more facts, request)
CASES = {
    # the whole of it
    "default-v1": (default_config(rootless=False), "v1", {}, {"console": True}),
    "default-hybrid": (default_config(rootless=False), "hybrid", {}, {"console": True}),
    "default-v2": (default_config(rootless=False), "v2", {}, {"console": True, "pid_file": "/run/pid"}),
    "minimal": (base(), "bare", {}, {}),
    "no-process": ({k: v for k, v in base().items() if k != "process"}, "bare", {}, {}),
    "no-namespaces": (base(mounts=[], linux={}), "bare", {}, {}),
    # namespaces
    "namespaces-all-new": (linux("network", "ipc", "uts", "cgroup", "time"), "v2", {}, {}),
    "namespaces-joined": (
        joined(pid="/proc/7/ns/pid", network="/run/netns/blue", ipc="/proc/7/ns/ipc", uts="/proc/7/ns/uts"),
        "bare",
        {},
        {},
    ),
    "namespaces-own": (joined(network="/proc/self/ns/net"), "bare", {"own_namespaces": frozenset(("network",))}, {}),
    "user-namespace": (linux("user", "ipc", **MAPS), "v2", {}, {}),
    "user-namespace-joined": (joined(user="/proc/7/ns/user", ipc="/proc/7/ns/ipc"), "bare", {}, {}),
    "user-namespace-unprivileged": (
        linux("user", **MAPS) | {"mounts": [PROC, bind("rbind")]},
        "bare",
        {"privileged": False},
        {},
    ),
    "inside-a-user-namespace": (linux("ipc"), "v2", {"user_namespace": True}, {}),
    # the root
    "root-read-only": (base(root={"path": "rootfs", "readonly": True}), "bare", {}, {}),
    "root-shared": (linux(rootfsPropagation="rshared"), "bare", {}, {}),
    "root-slave": (linux(rootfsPropagation="rslave"), "bare", {}, {}),
    "root-unbindable": (linux(rootfsPropagation="unbindable"), "bare", {}, {}),
    "no-pivot": (base(), "bare", {"proc_mounts": ("/proc", "/sys")}, {"pivot": False}),
    # mounts
    "mounts-of-every-type": (
        mounts(
            TMPFS,
            DEVPTS,
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue"},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro", "nosuid"]},
            {
                "destination": "/mnt/disk",
                "type": "ext4",
                "source": "/dev/sdb1",
                "options": ["ro", "noatime", "errors=ro"],
            },
            {
                "destination": "/mnt/over",
                "type": "overlay",
                "source": "x",
                "options": ["lowerdir=/a:/b", "upperdir=/c"],
            },
        ),
        "bare",
        {},
        {},
    ),
    "mounts-bound": (
        mounts(
            bind("bind", "ro"),
            bind("rbind", "rw", "nosuid", destination="/a"),
            bind("rbind", "rro", "rnodev", destination="/b"),
            bind("bind", "rshared", destination="/c"),
            bind("bind", "private", destination="/d", source="relative"),
            bind("bind", destination="relative/../e"),
        ),
        "bare",
        {},
        {},
    ),
    "mounts-attributes": (
        mounts(
            {
                "destination": "/a",
                "type": "tmpfs",
                "options": ["ro", "nosuid", "suid", "nodev", "noexec", "exec", "strictatime", "nodiratime", "size=1m"],
            },
            {
                "destination": "/b",
                "type": "tmpfs",
                "options": ["noatime", "relatime", "nosymfollow", "sync", "lazytime"],
            },
            {"destination": "/c", "type": "tmpfs", "options": ["defaults", "loud", "rw", "norelatime", "async"]},
        ),
        "bare",
        {},
        {},
    ),
    "mounts-copied-up": (
        mounts({"destination": "/etc", "type": "tmpfs", "options": ["tmpcopyup", "ro"]}),
        "bare",
        {},
        {},
    ),
    "mounts-changed": (
        mounts(
            {"destination": "/proc", "options": ["remount", "ro", "hidepid=2"]},
            {"destination": "/data", "options": ["remount", "bind", "nosuid"]},
        ),
        "bare",
        {},
        {},
    ),
    "mounts-over-proc": (
        mounts(bind("bind", destination="/proc/meminfo", source="/var/lib/lxcfs/proc/meminfo")),
        "bare",
        {},
        {},
    ),
    "cgroup-mount-v1": (
        linux("cgroup")
        | {"mounts": [{"destination": "/sys/fs/cgroup", "type": "cgroup", "options": ["ro", "nosuid"]}]},
        "v1",
        {},
        {},
    ),
    "cgroup-mount-v1-shared": (
        base(mounts=[{"destination": "/sys/fs/cgroup", "type": "cgroup", "options": ["ro"]}]),
        "v1",
        {},
        {},
    ),
    "cgroup-mount-v2": (
        linux("cgroup") | {"mounts": [{"destination": "/sys/fs/cgroup", "type": "cgroup", "options": ["ro"]}]},
        "v2",
        {},
        {},
    ),
    "cgroup-mount-v2-shared": (
        base(mounts=[{"destination": "/sys/fs/cgroup", "type": "cgroup2", "options": ["ro"]}]),
        "v2",
        {},
        {},
    ),
    "cgroup-mount-v2-user": (
        linux("user", **MAPS) | {"mounts": [{"destination": "/sys/fs/cgroup", "type": "cgroup", "options": ["ro"]}]},
        "v2",
        {},
        {},
    ),
    # devices and paths
    "devices": (
        linux(
            devices=[
                {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o600, "uid": 5, "gid": 6},
                {"path": "/dev/sda", "type": "b", "major": 8, "minor": 0},
                {"path": "/run/fifo", "type": "p"},
                {"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o600},
            ]
        ),
        "bare",
        {},
        {},
    ),
    "devices-of-the-host": (mounts(bind("rbind", destination="/dev", source="/dev")), "bare", {}, {}),
    "masked-and-read-only": (
        linux(maskedPaths=["/proc/kcore", "/sys/firmware"], readonlyPaths=["/proc/sys", "/proc/bus"]),
        "bare",
        {},
        {},
    ),
    # cgroups
    "resources-v1": (resources(**everything_in_memory()), "v1", {}, {}),
    "resources-v2": (resources(**without(everything_in_memory(), "memory.swappiness")), "v2", {}, {}),
    "resources-hybrid": (
        resources(
            memory={"limit": 64 << 20},
            hugepageLimits=[{"pageSize": "2MB", "limit": 4 << 20}],
            unified={"hugetlb.1GB.max": "0"},
        ),
        "hybrid",
        {},
        {},
    ),
    "resources-unlimited-v1": (resources(memory={"limit": -1}, pids={"limit": -1}, cpu={"quota": -1}), "v1", {}, {}),
    "resources-unlimited-v2": (resources(memory={"limit": -1}, pids={"limit": -1}, cpu={"quota": -1}), "v2", {}, {}),
    "resources-disks-v1": (resources(blockIO={**DISKS, "leafWeight": 100}), "v1", {}, {}),
    "resources-disks-v2": (resources(blockIO=DISKS), "v2", {}, {}),
    "resources-unified": (
        resources(unified={"memory.high": "50331648", "io.max": "8:0 rbps=1\n8:16 wbps=2", "cpu.weight.nice": "5"}),
        "v2",
        {},
        {},
    ),
    "resources-no-processes": (resources(pids={"limit": 0}), "v2", {}, {}),
    "resources-device-rules-v1": (resources(devices=RULES), "v1", {}, {}),
    "resources-device-rules-v2": (resources(devices=RULES), "v2", {}, {}),
    "cgroups-path-relative-v1": (linux(cgroupsPath="sub/web"), "v1", {}, {}),
    "cgroups-path-relative-v2": (linux(cgroupsPath="sub/../web"), "v2", {}, {}),
    # the process
    "user": (process(user={"uid": 1000, "gid": 1001, "additionalGids": [5, 6], "umask": 0o077}), "bare", {}, {}),
    "capabilities": (
        process(
            capabilities={
                "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"],
                "permitted": ["CAP_CHOWN", "CAP_KILL"],
                "effective": ["CAP_CHOWN"],
                "inheritable": ["CAP_KILL"],
                "ambient": ["CAP_KILL"],
            },
            noNewPrivileges=True,
        ),
        "bare",
        {},
        {},
    ),
    # to root it makes no difference, and buildah asks for it with every command
    "capabilities-ambient-of-root": (process(capabilities={"ambient": ["CAP_KILL"]}), "bare", {}, {}),
    "capabilities-not-to-be-had": (
        process(
            user={"uid": 1000, "gid": 1000},
            capabilities={"bounding": ["CAP_SYS_ADMIN", "CAP_OF_TOMORROW"], "ambient": ["CAP_KILL"]},
        ),
        "bare",
        {"bounding": (1 << 41) - 1 & ~(1 << 21)},
        {},
    ),
    "limits": (
        process(
            rlimits=[
                {"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 4096},
                {"type": "RLIMIT_CORE", "soft": 0, "hard": (1 << 64) - 1},
            ],
            oomScoreAdj=-500,
        ),
        "bare",
        {},
        {},
    ),
    "terminal": (
        process(terminal=True, consoleSize={"height": 25, "width": 80}) | {"mounts": [PROC, TMPFS, DEVPTS]},
        "bare",
        {},
        {"console": True},
    ),
    "program-by-path": (
        process(args=["server", "--port", "80", "with space"], env=["PATH=/opt/bin:/bin", "HOME=/srv", "A=1", "A=2"]),
        "bare",
        {},
        {},
    ),
    "names-and-sysctls": (
        linux("uts", "ipc", "network", sysctl={"net.ipv4.ip_forward": "1", "kernel.shmmax": "1000"})
        | {"hostname": "web", "domainname": "example.org"},
        "bare",
        {},
        {},
    ),
    "hooks": (
        base(hooks={kind: [{**HOOK, "args": ["hook", kind]}] for kind in KINDS}, annotations={"a": "b"}),
        "bare",
        {},
        {},
    ),
    "id-mapped-mounts": (
        mounts(
            {**bind("bind", "idmap"), **MAPS},
            {**bind("rbind", "ridmap", "ro", destination="/below"), **MAPS},
            {"destination": "/other", "type": "tmpfs", "source": "tmpfs", "options": ["idmap"], **OTHER_MAPS},
        ),
        "bare",
        {},
        {},
    ),
    "id-mapped-mounts-by-the-user-namespace": (
        linux("user", **MAPS) | {"mounts": [PROC, bind("bind", "idmap")]},
        "bare",
        {},
        {},
    ),
    "id-mapped-mounts-by-a-joined-namespace": (
        joined(user="/proc/7/ns/user") | {"mounts": [PROC, bind("bind", "idmap")]},
        "bare",
        {},
        {},
    ),
    "time-offsets": (
        linux("time", timeOffsets={"monotonic": {"secs": -3, "nanosecs": 500}, "boottime": {"secs": 86400}}),
        "bare",
        {},
        {},
    ),
    "scheduling": (
        linux(
            memoryPolicy={"mode": "MPOL_INTERLEAVE", "nodes": "0-1,65", "flags": ["MPOL_F_STATIC_NODES"]},
            personality={"domain": "LINUX32"},
        )
        | {
            "process": {
                **base()["process"],
                "scheduler": {"policy": "SCHED_BATCH", "nice": -5, "flags": ["SCHED_FLAG_RESET_ON_FORK"]},
                "ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 4},
                "execCPUAffinity": {"initial": "0", "final": "1"},
            }
        },
        "bare",
        {},
        {},
    ),
    "scheduling-deadline": (
        process(scheduler={"policy": "SCHED_DEADLINE", "runtime": 1000000, "deadline": 5000000, "period": 10000000}),
        "bare",
        {},
        {},
    ),
    "filter": (filtered(), "bare", FILTER, {}),
    "filter-without-new-privileges": (filtered(noNewPrivileges=True), "bare", FILTER, {}),
    "filter-with-an-agent": (
        filtered({"listenerPath": "/run/agent.sock", "flags": ["SECCOMP_FILTER_FLAG_LOG"]}, "SCMP_ACT_NOTIFY"),
        "bare",
        FILTER,
        {},
    ),
    "labels": (
        process(apparmorProfile="web-profile", selinuxLabel=LABEL)
        | {
            "mounts": [PROC, TMPFS, DEVPTS],
            "linux": {**base()["linux"], "mountLabel": "system_u:object_r:web_t:s0:c1,c2"},
        },
        "bare",
        {"apparmor": True, "selinux": True},
        {},
    ),
    "network-devices": (
        linux("network", netDevices={"eth0": {"name": "lan"}, "eth1": {"name": "lan%d"}, "dummy0": {}}),
        "bare",
        {},
        {},
    ),
    "network-joined": (joined(network="/run/netns/web"), "bare", {}, {}),
    "rdt-own-group": (linux(intelRdt={"l3CacheSchema": "L3:0=f", "enableMonitoring": True}), "bare", RESCTRL, {}),
    "rdt-named-group": (
        linux(intelRdt={"closID": "gold", "memBwSchema": "MB:0=20", "schemata": ["L2:0=f"], "l3CacheSchema": "L3:0=f"}),
        "bare",
        RESCTRL,
        {},
    ),
    "rdt-monitored-by-old-names": (
        linux(intelRdt={"closID": "gold", "enableCMT": True, "enableMBM": False}),
        "bare",
        RESCTRL,
        {},
    ),
    "rdt-given-group": (linux(intelRdt={"closID": "/"}), "bare", RESCTRL, {}),
    "resources-networks-v1": (
        resources(
            network={"classID": 1048577, "priorities": [{"name": "eth0", "priority": 5}]},
            rdma={"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}, "mlx4_0": {"hcaObjects": 1000}},
        ),
        "networks-v1",
        {},
        {},
    ),
    "resources-rdma-v2": (resources(rdma={"mlx5_1": {"hcaHandles": 3}}), "networks-v2", {}, {}),
    "cgroup-handed-over": (
        linux("user", "cgroup", **MAPS) | {"mounts": [PROC, {**CGROUP, "options": ["nosuid"]}]},
        "v2",
        {"delegate": ("cgroup.procs", "cgroup.threads", "memory.oom.group")},
        {},
    ),
    "resources-withdrawn-and-rare-v1": (
        resources(
            memory={
                "limit": 67108864,
                "kernel": 33554432,
                "kernelTCP": 16777216,
                "useHierarchy": False,
                "disableOOMKiller": True,
                "checkBeforeUpdate": True,
            },
            cpu={"realtimeRuntime": 950000, "realtimePeriod": 1000000},
            blockIO={"weightDevice": [{"major": 8, "minor": 0, "weight": 500, "leafWeight": 300}]},
        ),
        "v1",
        {},
        {},
    ),
    "process-first-in-first-out": (
        process(scheduler={"policy": "SCHED_FIFO", "priority": 50, "flags": ["SCHED_FLAG_RESET_ON_FORK"]}),
        "bare",
        {},
        {},
    ),
    "linux-personality-and-both-clocks": (
        linux(
            "time",
            timeOffsets={"monotonic": {"secs": 1}, "boottime": {"secs": -1, "nanosecs": 999999999}},
            personality={"domain": "LINUX", "flags": []},
        ),
        "bare",
        {},
        {},
    ),
    # what the filter consists of is compiled elsewhere, and its bytes come with the facts
    "filter-with-every-member": (
        filtered(
            {
                "defaultAction": "SCMP_ACT_ERRNO",
                "defaultErrnoRet": 38,
                "architectures": ["SCMP_ARCH_X86_64"],
                "flags": ["SECCOMP_FILTER_FLAG_LOG"],
                "listenerPath": "/run/agent.sock",
                "listenerMetadata": "metadata",
                "syscalls": [
                    {
                        "names": ["personality"],
                        "action": "SCMP_ACT_ERRNO",
                        "errnoRet": 1,
                        "args": [{"index": 0, "value": 8, "valueTwo": 8, "op": "SCMP_CMP_MASKED_EQ"}],
                    },
                    {"names": ["mount"], "action": "SCMP_ACT_NOTIFY"},
                ],
            }
        ),
        "bare",
        FILTER,
        {},
    ),
    # a fifth member: where the container is that a process is added to
    "exec-v2": (
        process(env=["PATH=/bin"], args=["sh"], user={"uid": 1000, "gid": 1000}, noNewPrivileges=True),
        "v2",
        {},
        {"waits": False, "pid_file": "/run/pid"},
        {"namespaces": names("pid", "mount", "cgroup"), "clone_into": "/sys/fs/cgroup/web", "root": "/bundle/rootfs"},
    ),
    "exec-v1-terminal": (
        process(terminal=True, consoleSize={"height": 24, "width": 80}, oomScoreAdj=100),
        "hybrid",
        {},
        {"waits": False, "preserve_fds": 1},
        {
            "namespaces": names("pid", "mount"),
            "cgroups": ("/sys/fs/cgroup/pids/web", "/sys/fs/cgroup/memory/web"),
            "clone_into": "/sys/fs/cgroup/unified/web",
            "root": "/bundle/rootfs",
        },
    ),
    "exec-user-namespace": (
        linux("user", **MAPS),
        "bare",
        {},
        {"waits": False},
        {"namespaces": names("user", "mount", "pid"), "clone_into": "/sys/fs/cgroup/web", "root": "/r"},
    ),
    "exec-unprivileged": (
        linux("user", **MAPS),
        "bare",
        {"privileged": False},
        {"waits": False},
        {"namespaces": names("user", "mount", "pid"), "root": "/r", "keyring": False},
    ),
    "exec-root-on-the-host": (
        process(execCPUAffinity={"initial": "0-1", "final": "1"}),
        "bare",
        {},
        {"waits": False},
        {"namespaces": names("pid"), "clone_into": "/sys/fs/cgroup/web", "root": "/bundle/rootfs"},
    ),
    "exec-filter-with-an-agent": (
        filtered({"listenerPath": "/run/agent.sock"}, "SCMP_ACT_NOTIFY"),
        "bare",
        FILTER,
        {"waits": False},
        {"namespaces": names("pid", "mount"), "clone_into": "/sys/fs/cgroup/web", "root": "/bundle/rootfs"},
    ),
    "exec-rdt": (
        linux(intelRdt={"closID": "gold", "memBwSchema": "MB:0=20"}),
        "bare",
        RESCTRL,
        {"waits": False},
        {"namespaces": names("pid", "mount"), "clone_into": "/sys/fs/cgroup/web", "root": "/bundle/rootfs"},
    ),
    "device-finish": (base(), "bare", {}, {"finish": finish()}),
    "device-finish-other-root": (base(), "bare", {}, {"finish": finish("/host/proc/driver/nvidia")}),
    "device-finish-without-procfs": (base(mounts=[]), "bare", {}, {"finish": finish()}),
    "preserved-descriptors": (base(), "bare", {}, {"preserve_fds": 2, "listen_fds": 1, "keyring": False}),
}


def plan_of(name):
    """Compiles a case. The config goes through the same checks as one from a file."""
    import json

    config, host, facts, request, *target = CASES[name]
    config = parse_config(json.dumps(config).encode())
    warnings = check(config)
    request = Request(container_id="ID", bundle="/bundle", **request)
    facts = Facts(**{**HOSTS[host], **facts})
    if target:
        plan = compile_exec(config, facts, request, Target(**target[0]))
    else:
        plan = compile_create(config, facts, request)
    plan.warnings[:0] = warnings
    return plan


def shown(name):
    """Returns what is kept of a case."""
    plan = plan_of(name)
    return render(plan) + "".join(f"warning: {warning}\n" for warning in plan.warnings)
