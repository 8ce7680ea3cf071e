"""Compiles `exec`: one more process for a container that is there, from the host to its program.

The process joins what the container's first process is in, and becomes what its own description says in the same order
and by the same ops as the first one did (plan/process.py).
"""

from ..config.kernel import parse_list
from ..config.names import NAMESPACES
from ..paths import clean
from . import process
from .facts import Facts, Request
from .namespaces import Isolation
from .ops import BARRIER_READY, SLOT_CGROUP, SLOT_PROCESS, Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.model import Config

USER, CGROUP, MOUNT = NAMESPACES["user"], NAMESPACES["cgroup"], NAMESPACES["mount"]


class Target:
    """Where the container's first process is. Values only: run/exec.py finds them out."""

    __slots__ = ("cgroups", "clone_into", "keyring", "namespaces", "root")

    def __init__(
        self, *, namespaces: int, cgroups: "tuple[str, ...]" = (), clone_into: str = "", root: str, keyring: bool = True
    ) -> None:
        # flags of those namespaces that it does not share with the runtime
        self.namespaces = namespaces
        # directories of cgroup v1, and the one of v2 or ""
        self.cgroups = cgroups
        self.clone_into = clone_into
        # root directory on the host; what counts in a mount namespace of its own is the namespace's
        self.root = root
        self.keyring = keyring


def compile_exec(config: "Config", facts: Facts, request: Request, target: Target) -> Plan:
    """Returns the plan of `exec`. `config` is the container's, with the new process in it. Raises ConfigError."""
    plan = Plan()
    plan.clone_into = target.clone_into
    isolation = Isolation(config, facts)
    plan.host("spawn", "")
    process.inherited(plan, config)
    _affinity(plan, config, "initial")
    for directory in target.cgroups:
        plan.init("enter-cgroup", "linux.cgroupsPath", directory, "tasks")
    if not target.namespaces & MOUNT:
        plan.init("enter-root", "root.path", target.root)
    _join_and_clone(plan, facts, target)
    if "intelRdt" in config["linux"]:
        from .rdt import RdtPlan

        RdtPlan(config["linux"]["intelRdt"], facts, request).enter(plan)
    _affinity(plan, config, "final")
    if target.keyring:
        process.keyring(plan, config, facts, request)
    plan.init("use-root", "root.path")
    process.console(plan, config, bind=False)
    if not target.namespaces & MOUNT:
        plan.init("change-root", "root.path")
    plan.init("make-directory", "process.cwd", clean(config["process"]["cwd"]))
    process.identity(plan, config, facts, request, isolation)
    plan.init("barrier", "", BARRIER_READY)
    if request.pid_file:
        plan.host("write-pid-file", "", request.pid_file)
    plan.host("pass-barrier", "", BARRIER_READY)
    plan.init("execute", "process.args")
    return plan


def _join_and_clone(plan: Plan, facts: Facts, target: Target) -> None:
    """Joins the namespaces, and becomes a process that is in them.

    Whoever has the rights gives them up last, by joining the user namespace; who has none gets them from it. The cgroup
    namespace comes behind the clone: out of one nobody is born into a cgroup of the host.
    """
    joined = target.namespaces & ~(USER | CGROUP)
    user, cgroup = target.namespaces & USER, target.namespaces & CGROUP
    origin = "linux.namespaces"
    if user and not facts.privileged:
        plan.init("join-process", origin, SLOT_PROCESS, user)
    if joined:
        plan.init("join-process", origin, SLOT_PROCESS, joined)
    plan.init("clone", origin, 0, SLOT_CGROUP if target.clone_into else 0)
    plan.init("session", "")
    if cgroup:
        plan.init("join-process", origin, SLOT_PROCESS, cgroup)
    if user and facts.privileged:
        plan.init("join-process", origin, SLOT_PROCESS, user)
    if user:
        plan.init("become", origin, 0, 0)


def _affinity(plan: Plan, config: "Config", when: str) -> None:
    """process.execCPUAffinity: the processors to run on before the process is in the container's cgroup, and after."""
    text = config["process"].get("execCPUAffinity", {}).get(when, "")
    if not text:
        return
    mask = 0
    for cpu in parse_list(str(text)):
        mask |= 1 << cpu
    size = (mask.bit_length() + 63) // 64 * 8
    plan.init("affinity", f"process.execCPUAffinity.{when}", mask.to_bytes(size, "little"))
