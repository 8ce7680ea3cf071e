"""Compiles `create`: the whole life of a container up to its program, in order.

Every part of the config becomes ops in one place, called from here:

    linux.resources, linux.cgroupsPath            plan/cgroup.py
    linux.namespaces, id mappings                 plan/namespaces.py
    mounts                                        plan/mounts.py
    root, linux.devices, masked and other paths   plan/filesystem.py
    process, hostname, domainname, sysctl         plan/process.py
    hooks                                         plan/hooks.py
"""

from . import filesystem, hooks, mounts, namespaces, process
from .cgroup import CgroupPlan
from .facts import Facts, Request
from .ops import (
    BARRIER_CLONED,
    BARRIER_HOOKS,
    BARRIER_READY,
    SLOT_START,
    SLOT_STARTED,
    Plan,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.model import Config


def compile_create(config: "Config", facts: Facts, request: Request) -> Plan:
    """Returns the plan of `create` for a checked config. Raises ConfigError for what only shows in context."""
    plan = Plan()
    isolation = namespaces.Isolation(config, facts)
    cgroup = CgroupPlan(config, facts, request, plan.warnings)
    tree = mounts.Mounts(config, facts, request, isolation, cgroup)

    plan.host("write-state", "", "creating")
    if cgroup.clone_into:
        cgroup.create(plan)
    plan.host("spawn", "")
    _on_the_host(plan, config, facts, request, isolation, cgroup, tree)
    if not cgroup.clone_into:
        cgroup.create(plan)
    _cloned(plan, isolation, cgroup)
    _in_the_container(plan, config, facts, request, isolation, tree)
    _ready(plan, request)
    if "process" in config:
        hooks.start_container(plan, config, request)
        process.execute(plan, config["process"], request)
    return plan


def _on_the_host(
    plan: Plan,
    config: "Config",
    facts: Facts,
    request: Request,
    isolation: namespaces.Isolation,
    cgroup: CgroupPlan,
    tree: mounts.Mounts,
) -> None:
    """What init does before the clone, with the host's rights and the host's view."""
    process.inherited(plan, config, facts)
    namespaces.open_paths(plan, isolation)
    if facts.privileged:
        tree.open_sources(plan)
        namespaces.join(plan, isolation, user=False)
        filesystem.open_root(plan, config, request, isolation)
        namespaces.join(plan, isolation, user=True)
    else:
        namespaces.join(plan, isolation, user=True)
        namespaces.join(plan, isolation, user=False)
        filesystem.open_root(plan, config, request, isolation)
    cgroup.attach_devices(plan)
    namespaces.clone(plan, isolation, cgroup.clone_into)


def _cloned(plan: Plan, isolation: namespaces.Isolation, cgroup: CgroupPlan) -> None:
    """The two lanes meet for the first time: the child exists, and Python gives it its cgroup and its ids."""
    plan.init("session", "")
    if isolation.maps_ids:
        plan.init("dumpable", "linux.namespaces", 1)
    plan.init("barrier", "", BARRIER_CLONED)
    cgroup.enter(plan)
    namespaces.map_ids(plan, isolation)
    plan.host("write-state", "", "creating")
    plan.host("pass-barrier", "", BARRIER_CLONED)
    namespaces.settle(plan, isolation)


def _in_the_container(
    plan: Plan,
    config: "Config",
    facts: Facts,
    request: Request,
    isolation: namespaces.Isolation,
    tree: mounts.Mounts,
) -> None:
    process.keyring(plan, request)
    filesystem.attach_root(plan, config, isolation)
    if not facts.privileged:
        tree.open_sources(plan)
    tree.mount(plan)
    filesystem.devices(plan, config, isolation, tree)
    process.console(plan, config)
    if hooks.before_pivot(config):
        plan.init("barrier", "hooks", BARRIER_HOOKS)
        hooks.create_runtime(plan, config)
        plan.host("pass-barrier", "hooks", BARRIER_HOOKS)
        hooks.create_container(plan, config, request)
    filesystem.change_root(plan, facts, request, isolation)
    filesystem.close_off(plan, config, request, isolation, tree)
    process.names(plan, config)
    if "process" in config:
        process.identity(plan, config, facts, isolation)


def _ready(plan: Plan, request: Request) -> None:
    plan.init("ready", "", BARRIER_READY)
    if request.pid_file:
        plan.host("write-pid-file", "", request.pid_file)
    plan.host("write-state", "", "created")
    plan.host("pass-barrier", "", BARRIER_READY)
    plan.init("wait-start", "", SLOT_START, SLOT_STARTED)
