"""Random values of the members that few configs have, right by every rule, as random_configs.py has the others.

RARE_PROCESS, RARE_LINUX and RARE_MOUNTS are added to a config; RESOURCES_1 and RESOURCES_2 the limits for one version
of the cgroups, since what that has no place for is refused.
"""

from hypothesis import strategies as st
from random_configs import NUMBERS, PLACE, TEXT, WORD, mappings, objects

from pyruntime.config.kernel import (
    FILTER_FLAGS,
    IO_CLASSES,
    MEMORY_POLICY_FLAGS,
    NOTIFY,
    PERSONALITIES,
    SCHEDULER_FLAGS,
    WITH_ERRNO,
)
from pyruntime.config.rules import NICE_POLICIES, REALTIME_POLICIES

U32, U64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
SOME_NUMBERS = st.lists(st.integers(0, 1023), min_size=1, max_size=4)
LISTS = SOME_NUMBERS.map(lambda numbers: ",".join(map(str, numbers))) | SOME_NUMBERS.map(
    lambda numbers: f"{min(numbers)}-{max(numbers)}"
)
LINE = TEXT.map(lambda text: text.replace("\n", ""))
LABEL = st.just("system_u:system_r:svirt_lxc_net_t:s0:c124,c675")

SCHEDULER_FLAG_LISTS = st.lists(st.sampled_from(list(SCHEDULER_FLAGS)), max_size=3)
SCHEDULERS = st.one_of(
    objects({"policy": st.sampled_from(NICE_POLICIES)}, nice=st.integers(-20, 19), flags=SCHEDULER_FLAG_LISTS),
    objects({"policy": st.sampled_from(REALTIME_POLICIES), "priority": st.integers(1, 99)}, flags=SCHEDULER_FLAG_LISTS),
    objects({"policy": st.just("SCHED_DEADLINE"), "runtime": U64, "deadline": U64, "period": U64}),
)
RARE_PROCESS = objects(
    scheduler=SCHEDULERS,
    ioPriority=objects({"class": st.sampled_from(list(IO_CLASSES)), "priority": st.integers(0, 7)}),
    execCPUAffinity=objects(initial=LISTS, final=LISTS),
    apparmorProfile=st.just("profile"),
    selinuxLabel=LABEL,
)

COMPARISONS = objects(
    {"index": st.integers(0, 5), "value": U64, "op": st.sampled_from(["SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ"])},
    valueTwo=U64,
)
PLAIN_ACTIONS = ["SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP", "SCMP_ACT_ALLOW", "SCMP_ACT_LOG"]


def _rules(*actions):
    return objects(
        {"names": st.lists(st.sampled_from(["read", "openat", "no_such_call"]), min_size=1, max_size=3)},
        args=st.lists(COMPARISONS, max_size=3),
    ).flatmap(lambda rule: st.sampled_from([*PLAIN_ACTIONS, *actions]).map(lambda action: {**rule, "action": action}))


SECCOMP = st.one_of(
    objects(
        {"defaultAction": st.sampled_from(PLAIN_ACTIONS)},
        flags=st.lists(st.sampled_from(list(FILTER_FLAGS)), unique=True),
        syscalls=st.lists(_rules(), max_size=3),
    ),
    objects({"defaultAction": st.sampled_from(WITH_ERRNO), "defaultErrnoRet": st.integers(0, 4095)}),
    objects(
        {
            "defaultAction": st.sampled_from(PLAIN_ACTIONS),
            "listenerPath": PLACE,
            "syscalls": st.lists(_rules(NOTIFY), min_size=1, max_size=3),
        },
        listenerMetadata=TEXT,
    ),
)

MEMORY_POLICY = st.one_of(
    objects({"mode": st.sampled_from(["MPOL_DEFAULT", "MPOL_LOCAL"])}),
    objects(
        {"mode": st.sampled_from(["MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_PREFERRED_MANY"]), "nodes": LISTS},
        flags=st.lists(st.sampled_from(list(MEMORY_POLICY_FLAGS)), max_size=2),
    ),
)
RDT = objects(
    closID=st.sampled_from(["", "gold", "/"]),
    l3CacheSchema=LINE.map("L3:".__add__),
    memBwSchema=LINE.map("MB:".__add__),
    schemata=st.lists(LINE, max_size=3),
    enableMonitoring=st.booleans(),
)
NET_DEVICES = st.dictionaries(
    st.sampled_from(["eth0", "ens4", "wlan7"]), st.just({}) | st.just({"name": "lan%d"}), max_size=3
)
OFFSET = objects(secs=st.integers(-(2**63), 2**63 - 1), nanosecs=st.integers(0, 10**9 - 1))
# offsets, where the time namespace is a new one, are for test_plan_form.py to add
OFFSETS = objects(monotonic=OFFSET, boottime=OFFSET)
RARE_LINUX = objects(
    seccomp=SECCOMP,
    memoryPolicy=MEMORY_POLICY,
    personality=objects({"domain": st.sampled_from(list(PERSONALITIES))}),
    intelRdt=RDT,
    netDevices=NET_DEVICES,
    mountLabel=LABEL,
)


@st.composite
def id_mapped(draw):
    """Mounts with maps of their own."""
    mount = {
        "destination": draw(PLACE),
        "type": "bind",
        "source": draw(WORD),
        "options": draw(st.sampled_from([["bind"], ["rbind", "ridmap"], ["rbind", "idmap", "ro"]])),
    }
    return mount | {"uidMappings": draw(mappings()), "gidMappings": draw(mappings())}


RARE_MOUNTS = st.lists(id_mapped(), max_size=2)

RATES = st.lists(objects({**NUMBERS, "rate": U64}), max_size=2)
THROTTLES = {f"throttle{direction}{unit}Device": RATES for direction in ("Read", "Write") for unit in ("Bps", "IOPS")}
WEIGHT = st.integers(10, 1000)
LIMIT = st.integers(4096, 2**40)
BOTH = {
    "hugepageLimits": st.lists(
        objects({"pageSize": st.sampled_from(["2MB", "1GB"]), "limit": st.integers(0, 2**40)}), max_size=2
    ),
    "rdma": st.dictionaries(
        st.sampled_from(["mlx5_1", "hfi1_0"]), objects({"hcaHandles": U32}, hcaObjects=U32), max_size=2
    ),
    "pids": objects({"limit": st.integers(-1, 2**31)}),
}
BOTH_CPU = {
    "shares": st.integers(0, 2**20),
    "quota": st.integers(-1, 2**40),
    "period": st.integers(0, 10**6),
    "burst": st.integers(0, 2**30),
    "idle": st.integers(0, 1),
    "cpus": LISTS,
    "mems": LISTS,
}


@st.composite
def memory(draw, **more):
    """Memory, whose swap contains its limit."""
    limit = draw(LIMIT)
    swap = st.sampled_from([-1, 0]) | LIMIT.map(limit.__add__)
    return draw(objects({"limit": st.just(limit)}, swap=swap, reservation=st.integers(-1, 2**40), **more))


RESOURCES_1 = objects(
    memory=memory(swappiness=st.integers(0, 100), disableOOMKiller=st.booleans(), kernelTCP=LIMIT, kernel=LIMIT),
    cpu=objects(**BOTH_CPU, realtimeRuntime=st.integers(0, 10**6), realtimePeriod=st.integers(0, 10**6)),
    blockIO=objects(
        weight=WEIGHT,
        leafWeight=WEIGHT,
        weightDevice=st.lists(objects({**NUMBERS, "weight": WEIGHT}, leafWeight=WEIGHT), max_size=2),
        **THROTTLES,
    ),
    network=objects(
        classID=U32,
        priorities=st.lists(objects({"name": st.sampled_from(["eth0", "lo"]), "priority": U32}), max_size=2),
    ),
    **BOTH,
)
RESOURCES_2 = objects(
    memory=memory(checkBeforeUpdate=st.booleans()),
    cpu=objects(**BOTH_CPU),
    blockIO=objects(
        weight=WEIGHT, weightDevice=st.lists(objects({**NUMBERS, "weight": WEIGHT}), max_size=2), **THROTTLES
    ),
    unified=st.dictionaries(
        st.sampled_from(["io.max", "memory.high", "cpu.weight.nice", "misc.max"]), TEXT, max_size=3
    ),
    **BOTH,
)
