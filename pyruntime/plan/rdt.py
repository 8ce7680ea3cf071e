"""linux.intelRdt: a group of resctrl, which shares out caches and memory bandwidth (config-linux.md, IntelRdt)."""

from ..errors import ConfigError
from .facts import Facts, Request
from .ops import Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.model import IntelRdt

ORIGIN = "linux.intelRdt"
# the specification's names for what a group may have to be: made by us, there already, or either
MAKE, FIND, EITHER = "make", "find", "either"


class RdtPlan:
    """The group of one container. `directory` is where it is, `monitor` its monitoring group or "".

    `owned` are the directories that `delete` removes, the deepest first.
    """

    __slots__ = ("_rdt", "directory", "lines", "monitor", "owned", "way")

    def __init__(self, rdt: "IntelRdt", facts: Facts, request: Request) -> None:
        """Raises ConfigError on a host without resctrl."""
        if not facts.resctrl:
            problem = "intelRdt is specified in config, but Intel RDT is not enabled (no resctrl is mounted)"
            raise ConfigError(ORIGIN, problem)
        self._rdt = rdt
        name = rdt.get("closID", "")
        self.directory = facts.resctrl if name == "/" else f"{facts.resctrl}/{name or request.container_id}"
        # in this order (config-linux.md): the cache, the bandwidth, then the lines of schemata
        self.lines: list[str] = [str(rdt[key]) for key in ("l3CacheSchema", "memBwSchema") if rdt.get(key)]
        self.lines += [line for line in rdt.get("schemata", []) if line]
        self.way = MAKE if not name else EITHER if self.lines else FIND
        # enableCMT and enableMBM were two names for it before version 1.3 of the specification
        wanted = rdt.get("enableMonitoring") or rdt.get("enableCMT") or rdt.get("enableMBM")
        self.monitor = f"{self.directory}/mon_groups/{request.container_id}" if wanted else ""
        # a group that has a name of its own stays: others may be in it
        self.owned = ([self.monitor] if self.monitor else []) + ([self.directory] if self.way == MAKE else [])

    def create(self, plan: Plan) -> None:
        """Adds the ops that make the groups and write their schemata, before there is anybody in them."""
        plan.host("create-rdt", ORIGIN, self.directory, self.way, self.lines)
        if self.lines:
            plan.host("write-rdt", ORIGIN, self.directory, self.lines)
        if self.monitor:
            plan.host("create-rdt", f"{ORIGIN}.enableMonitoring", self.monitor, MAKE, [])

    def enter(self, plan: Plan) -> None:
        """Adds the op that puts the container's first process into the group, and with it all that come after."""
        plan.host("enter-rdt", ORIGIN, self.directory)
        if self.monitor:
            plan.host("enter-rdt", f"{ORIGIN}.enableMonitoring", self.monitor)
