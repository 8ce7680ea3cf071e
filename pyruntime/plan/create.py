"""Compiles `create`: the whole life of a container up to its program, in order.

Every part of the config becomes ops in one place, called from here:

    linux.resources, linux.cgroupsPath            plan/cgroup.py
    linux.namespaces, id mappings                 plan/namespaces.py
    mounts                                        plan/mounts.py
    root, linux.devices, masked and other paths   plan/filesystem.py
    process, hostname, domainname, sysctl         plan/process.py
    scheduler, ioPriority, memoryPolicy, …        plan/schedule.py
    seccomp, AppArmor, SELinux                    plan/confine.py
    netDevices                                    plan/network.py
    intelRdt                                      plan/rdt.py
    id-mapped mounts                              plan/idmap.py
    hooks                                         plan/hooks.py
    what devices need besides                     plan/finish.py
"""

from ..config.check import check_isolation
from . import filesystem, mounts, namespaces, process
from .cgroup import CgroupPlan
from .facts import Facts, Request
from .network import network
from .ops import BARRIER_READY, Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.model import Config
    from .finish import FinishPlan
    from .rdt import RdtPlan


def compile_create(config: "Config", facts: Facts, request: Request) -> Plan:
    """Returns the plan of `create` for a checked config. Raises ConfigError for what only shows in context."""
    plan = Plan()
    isolation = namespaces.Isolation(config, facts)
    check_isolation(config, isolation.kinds)
    cgroup = CgroupPlan(config, facts, request, isolation, plan.warnings)
    tree = mounts.Mounts(config, facts, request, isolation, cgroup)

    rdt = _rdt(config, facts, request)
    finish = _finish(config, request)

    plan.host("write-state", "", "creating")
    cgroup.create(plan)
    if rdt is not None:
        plan.rdt = rdt.owned
        rdt.create(plan)
    plan.host("spawn", "")
    if rdt is not None:
        rdt.enter(plan)
    _on_the_host(plan, config, facts, request, isolation, cgroup, tree, finish)
    _in_the_container(plan, config, facts, request, isolation, cgroup, tree, finish)
    _ready(plan, request)
    if "process" in config:
        if "hooks" in config:
            from .hooks import start_container

            start_container(plan, config, request)
        process.execute(plan)
    return plan


def _rdt(config: "Config", facts: Facts, request: Request) -> "RdtPlan | None":
    if "intelRdt" not in config.get("linux", {}):
        return None
    from .rdt import RdtPlan

    return RdtPlan(config["linux"]["intelRdt"], facts, request)


def _finish(config: "Config", request: Request) -> "FinishPlan | None":
    if request.finish is None:
        return None
    from .finish import FinishPlan

    return FinishPlan(request.finish, config)


def _open_sources(plan: Plan, tree: mounts.Mounts, finish: "FinishPlan | None") -> None:
    tree.open_sources(plan)
    if finish is not None:
        finish.open_sources(plan)


def _on_the_host(
    plan: Plan,
    config: "Config",
    facts: Facts,
    request: Request,
    isolation: namespaces.Isolation,
    cgroup: CgroupPlan,
    tree: mounts.Mounts,
    finish: "FinishPlan | None",
) -> None:
    """What init does before the clone, with the host's rights and the host's view."""
    process.inherited(plan, config)
    cgroup.enter(plan)
    namespaces.open_paths(plan, isolation)
    if facts.privileged:
        _open_sources(plan, tree, finish)
        namespaces.join(plan, isolation, user=False)
        filesystem.open_root(plan, config, request, isolation)
        namespaces.join(plan, isolation, user=True)
    else:
        namespaces.join(plan, isolation, user=True)
        namespaces.join(plan, isolation, user=False)
        filesystem.open_root(plan, config, request, isolation)
    namespaces.clone(plan, config, isolation)


def _in_the_container(
    plan: Plan,
    config: "Config",
    facts: Facts,
    request: Request,
    isolation: namespaces.Isolation,
    cgroup: CgroupPlan,
    tree: mounts.Mounts,
    finish: "FinishPlan | None",
) -> None:
    """What init does after the clone: as the container, with the host's files still in view until the root changes."""
    plan.init("session", "")
    namespaces.settle(plan, isolation)
    cgroup.settle(plan)
    network(plan, config, isolation)
    process.keyring(plan, config, facts, request)
    filesystem.attach_root(plan, config, isolation)
    if not facts.privileged:
        _open_sources(plan, tree, finish)
    tree.mount(plan)
    filesystem.devices(plan, config, isolation, tree)
    if finish is not None:
        finish.place(plan)
    process.console(plan, config)
    if "hooks" in config:
        from .hooks import before_pivot

        before_pivot(plan, config, request)
    filesystem.change_root(plan, facts, request, isolation)
    filesystem.close_off(plan, config, request, isolation, tree)
    process.names(plan, config)
    if "process" in config:
        process.identity(plan, config, facts, request, isolation)
    else:
        process.close_descriptors(plan, request)
        plan.init("outlive", "")


def _ready(plan: Plan, request: Request) -> None:
    plan.init("ready", "", BARRIER_READY)
    if request.pid_file:
        plan.host("write-pid-file", "", request.pid_file)
    plan.host("write-state", "", "created")
    plan.host("pass-barrier", "", BARRIER_READY)
    plan.init("wait-start", "")
