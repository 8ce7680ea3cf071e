"""Random configs that are right: not only by the schema but by every rule behind it, so that a plan must come of them.

CONFIGS makes them, REQUESTS what a command line may ask for besides.
"""

from hypothesis import strategies as st

from pyruntime.config.names import (
    CAPABILITIES,
    COVERABLE_PROC_FILES,
    IGNORED_OPTIONS,
    IPC_SYSCTLS,
    MOUNT_ATTRIBUTES,
    NAMESPACES,
    PROPAGATIONS,
    RLIMITS,
    SUPERBLOCK_OPTIONS,
)
from pyruntime.plan.facts import Request
from pyruntime.state import is_id

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
WORD = TEXT.filter(bool)
PATH = st.one_of(TEXT.map("/".__add__), st.sampled_from(["/", "/a//b/./c", "/a/../../b", "/dev/x", "/" + "p/" * 300]))
PLACE = PATH.map("/place".__add__)  # neither the root nor below /proc
FLAGS = st.sampled_from(
    [
        *MOUNT_ATTRIBUTES,
        *(f"r{name}" for name in MOUNT_ATTRIBUTES),
        *PROPAGATIONS,
        *(f"r{name}" for name in PROPAGATIONS),
        *IGNORED_OPTIONS,
    ]
)
PARAMETERS = st.sampled_from([*SUPERBLOCK_OPTIONS, "size=1m", "mode=755", "x=", "lowerdir=/a:/b", "tmpcopyup"])
ID = st.integers(0, 2**32 - 2)


def objects(required=None, **optional):
    """Objects with all of `required` and any of the others."""
    return st.fixed_dictionaries(required or {}, optional=optional)


def options(*more):
    return st.lists(st.one_of(FLAGS, *more), max_size=4)


MOUNTS = st.one_of(
    objects(
        {
            "destination": PLACE,
            "type": st.sampled_from(["tmpfs", "ext4", "overlay", "mqueue", "sysfs", "devpts", "nosuchfs"]),
            "options": options(PARAMETERS),
        },
        source=TEXT,
    ),
    objects({"destination": PLACE, "type": st.just("bind"), "source": WORD, "options": options()}),
    objects({"destination": PLACE, "source": WORD, "options": options().map(["rbind"].__add__)}),
    objects(
        {
            "destination": st.sampled_from(COVERABLE_PROC_FILES),
            "type": st.just("bind"),
            "source": WORD,
            "options": options(),
        }
    ),
    objects({"destination": PLACE, "type": st.just("cgroup"), "options": options()}),
    objects({"destination": PLACE, "options": options(PARAMETERS).map(["remount"].__add__)}),
    objects({"destination": st.just("/proc"), "type": st.just("proc"), "options": options()}),
)

CAPABILITY_LISTS = st.lists(st.sampled_from([*CAPABILITIES, "CAP_OF_TOMORROW"]), max_size=6)


@st.composite
def capabilities(draw):
    """Sets of which what is effective is permitted."""
    sets = draw(
        objects(
            bounding=CAPABILITY_LISTS,
            permitted=CAPABILITY_LISTS,
            inheritable=CAPABILITY_LISTS,
            ambient=CAPABILITY_LISTS,
        )
    )
    if sets.get("permitted"):
        sets["effective"] = draw(st.lists(st.sampled_from(sets["permitted"]), max_size=4))
    return sets


@st.composite
def rlimits(draw):
    kinds = draw(st.lists(st.sampled_from(sorted(RLIMITS)), unique=True, max_size=4))
    pairs = [sorted(draw(st.tuples(*[st.integers(0, 2**64 - 1)] * 2))) for _ in kinds]
    return [{"type": kind, "soft": soft, "hard": hard} for kind, (soft, hard) in zip(kinds, pairs, strict=True)]


ENVIRONMENT = st.lists(
    st.tuples(WORD.filter(lambda name: "=" not in name) | st.sampled_from(["PATH", "HOME"]), TEXT).map("=".join),
    max_size=4,
)
PROCESS = objects(
    {"args": st.lists(TEXT, min_size=1, max_size=5), "cwd": PATH},
    env=ENVIRONMENT,
    terminal=st.booleans(),
    consoleSize=objects({"height": st.integers(0, 65535), "width": st.integers(0, 65535)}),
    user=objects(uid=ID, gid=ID, umask=st.integers(0, 0o777), additionalGids=st.lists(ID, max_size=5)),
    capabilities=capabilities(),
    rlimits=rlimits(),
    noNewPrivileges=st.booleans(),
    oomScoreAdj=st.integers(-1000, 1000),
)
HOOK = objects({"path": PATH}, args=st.lists(TEXT, max_size=3), env=ENVIRONMENT, timeout=st.integers(1, 2**31 - 1))
HOOKS = objects(
    **{
        kind: st.lists(HOOK, max_size=2)
        for kind in ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
    }
)
NUMBERS = {"major": st.integers(0, 4095), "minor": st.integers(0, 2**20 - 1)}
DEVICES = st.lists(
    objects(
        {"path": PLACE, "type": st.sampled_from("cbup"), **NUMBERS},
        fileMode=st.integers(0, 0o777),
        uid=ID,
        gid=ID,
    ),
    max_size=3,
)
RESOURCES = objects(
    memory=objects({"limit": st.integers(4096, 2**62)}, reservation=st.integers(0, 2**62)),
    cpu=objects(
        shares=st.integers(2, 2**18),
        quota=st.integers(1000, 2**40),
        period=st.integers(1000, 10**6),
        cpus=WORD,
        mems=WORD,
    ),
    pids=objects({"limit": st.integers(-1, 2**31)}),
    devices=st.lists(objects({"allow": st.booleans(), "type": st.sampled_from("cb"), **NUMBERS}), max_size=4),
)
SYSCTLS = st.dictionaries(
    st.sampled_from([*IPC_SYSCTLS, "net.ipv4.ip_forward", "net/ipv4/conf/eth0.1/forwarding", "kernel.domainname"]),
    TEXT,
    max_size=3,
)


@st.composite
def mappings(draw):
    """An id map that has id 0 of the container and nothing twice."""
    sizes = draw(st.lists(st.integers(1, 2**16), min_size=1, max_size=4))
    hosts = draw(st.permutations([start << 24 for start in range(1, len(sizes) + 1)]))
    return [
        {"containerID": index << 20, "hostID": host, "size": size}
        for index, (host, size) in enumerate(zip(hosts, sizes, strict=True))
    ]


@st.composite
def linux(draw):
    """With the namespaces that all the rest needs; some of them perhaps joined and not new."""
    kinds = draw(st.lists(st.sampled_from(["user", "pid", "cgroup", "time"]), unique=True))
    namespaces = [
        {"type": kind} | ({"path": f"/proc/7/ns/{kind}"} if draw(st.integers(0, 3)) == 0 else {})
        for kind in ("mount", "uts", "ipc", "network", *kinds)
    ]
    assert all(namespace["type"] in NAMESPACES for namespace in namespaces)
    members = draw(
        objects(
            maskedPaths=st.lists(PATH, max_size=3),
            readonlyPaths=st.lists(PATH, max_size=3),
            rootfsPropagation=st.sampled_from(["", *PROPAGATIONS, *(f"r{name}" for name in PROPAGATIONS)]),
            cgroupsPath=PLACE | st.just("beside/it"),
            devices=DEVICES,
            resources=RESOURCES,
            sysctl=SYSCTLS,
        )
    )
    if {"type": "user"} in namespaces:
        members |= {"uidMappings": draw(mappings()), "gidMappings": draw(mappings())}
    return members | {"namespaces": namespaces}


CONFIGS = objects(
    {
        "ociVersion": st.sampled_from(["1.0.0", "1.2.1", "1.3.0-dev", "1.4.0"]),
        "root": objects({"path": WORD}, readonly=st.booleans()),
        "linux": linux(),
        "mounts": st.lists(MOUNTS, max_size=5),
    },
    process=PROCESS,
    hostname=st.text("abc-", max_size=64),
    domainname=st.text("abc.", max_size=64),
    hooks=HOOKS,
    annotations=st.dictionaries(WORD, TEXT, max_size=3),
)
REQUESTS = st.builds(
    Request,
    container_id=st.text("abc_+-.012", max_size=20).filter(is_id),
    bundle=PLACE,
    pid_file=st.just("") | PLACE,
    console=st.booleans(),
    pivot=st.booleans(),
    keyring=st.booleans(),
    preserve_fds=st.integers(0, 100),
    listen_fds=st.integers(0, 100),
)
