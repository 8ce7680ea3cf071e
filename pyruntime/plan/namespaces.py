"""linux.namespaces, linux.uidMappings and linux.gidMappings: what is new, what is joined, and in which order."""

from ..config.names import NAMESPACES
from .facts import Facts
from .ops import BARRIER_CLONED, SLOT_CGROUP, SLOT_PROCFS, Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.model import Config

CGROUP, TIME = NAMESPACES["cgroup"], NAMESPACES["time"]
# those that have an offset in a time namespace
CLOCKS = ("monotonic", "boottime")


class Isolation:
    """Which namespaces a container has of its own."""

    __slots__ = ("joined", "kinds", "maps_ids", "mount", "new", "origins", "slots", "user")

    def __init__(self, config: "Config", facts: Facts) -> None:
        # types, new; and types with the path of the one to join
        self.new: set[str] = set()
        self.joined: dict[str, str] = {}
        self.origins: dict[str, str] = {}
        self.slots: dict[str, int] = {}
        for index, entry in enumerate(config.get("linux", {}).get("namespaces", ())):
            kind = entry["type"]
            self.origins[kind] = f"linux.namespaces[{index}]"
            if not entry.get("path"):
                self.new.add(kind)
            elif kind not in facts.own_namespaces:
                # a path to the namespace that the runtime is in means staying there
                self.joined[kind] = entry["path"]
        self.kinds = self.new | self.joined.keys()
        # the id maps are ours to write
        self.maps_ids = "user" in self.new
        self.user = self.maps_ids or "user" in self.joined
        self.mount = "mount" in self.new or "mount" in self.joined


def open_paths(plan: Plan, isolation: Isolation) -> None:
    """Opens all namespaces that are to be joined, before joining one hides the path of another."""
    for kind, path in isolation.joined.items():
        slot = isolation.slots[kind] = plan.slot()
        plan.init("open-namespace", isolation.origins[kind], slot, NAMESPACES[kind], path)


def join(plan: Plan, isolation: Isolation, *, user: bool) -> None:
    """Joins the user namespace, or all the others: whoever has the rights does the user namespace last (setns(2))."""
    for kind in isolation.joined:
        if (kind == "user") is user:
            plan.init("join-namespace", isolation.origins[kind], isolation.slots[kind], NAMESPACES[kind])


def clone(plan: Plan, config: "Config", isolation: Isolation) -> None:
    """Makes the container's first process, in all new namespaces at once; the user namespace then owns the others."""
    if "time" in isolation.new:
        # only children get it, and only while nobody is in it can its clocks be set (time_namespaces(7))
        plan.init("unshare", isolation.origins["time"], TIME)
        offsets = config.get("linux", {}).get("timeOffsets", {})
        lines = [
            f"{clock} {offset.get('secs', 0)} {offset.get('nanosecs', 0)}\n"
            for clock, offset in offsets.items()
            if clock in CLOCKS
        ]
        if lines:
            plan.init("write-self", "linux.timeOffsets", SLOT_PROCFS, "timens_offsets", "".join(lines))
    flags = 0
    for kind in isolation.new:
        flags |= NAMESPACES[kind]
    flags &= ~(TIME | CGROUP)
    # who has joined a cgroup namespace has entered the cgroup before
    born_there = plan.clone_into and "cgroup" not in isolation.joined
    plan.init("clone", "linux.namespaces", flags, SLOT_CGROUP if born_there else 0)


def settle(plan: Plan, isolation: Isolation) -> None:
    """Maps the ids of a new user namespace, and becomes root in it or in the one joined."""
    if isolation.maps_ids:
        # the files for the maps belong to whoever may look into the process
        plan.init("dumpable", "linux.namespaces", 1)
        plan.init("barrier", "linux.namespaces", BARRIER_CLONED)
        plan.host("map-ids", "linux.uidMappings")
        plan.host("pass-barrier", "linux.namespaces", BARRIER_CLONED)
    if isolation.user:
        plan.init("become", "linux.namespaces", 0, 0)
