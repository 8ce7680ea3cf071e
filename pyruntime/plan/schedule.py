"""process.scheduler, process.ioPriority, linux.memoryPolicy, linux.personality: few configs have one of them."""

from ..config.kernel import (
    IO_CLASS_SHIFT,
    IO_CLASSES,
    MEMORY_POLICIES,
    MEMORY_POLICY_FLAGS,
    PERSONALITIES,
    SCHEDULER_FLAGS,
    SCHEDULERS,
    parse_list,
)
from .ops import Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.model import Config, MemoryPolicy, Scheduler

U64 = (1 << 64) - 1
# as many as a kernel can have (CONFIG_NR_CPUS)
ALL_PROCESSORS = b"\xff" * 1024


def schedule(plan: Plan, config: "Config") -> None:
    """Adds the ops for what the config has of them. They need rights, so they come before the change of user."""
    process, linux = config["process"], config.get("linux", {})
    if linux.get("resources", {}).get("cpu", {}).get("cpus"):
        # a process may stay on all processors that it is given: the runtime's own limits, as systemd sets them with
        # CPUAffinity=, would hold too since Linux 6.2, which keeps them when the cpuset changes
        plan.init("affinity", "linux.resources.cpu.cpus", ALL_PROCESSORS)
    if "scheduler" in process:
        _scheduler(plan, process["scheduler"])
    if "ioPriority" in process:
        priority = process["ioPriority"]
        value = IO_CLASSES[priority["class"]] << IO_CLASS_SHIFT | priority["priority"]
        plan.init("io-priority", "process.ioPriority", value)
    if "memoryPolicy" in linux:
        _memory_policy(plan, linux["memoryPolicy"])
    if "personality" in linux:
        plan.init("personality", "linux.personality", PERSONALITIES[linux["personality"]["domain"]])


def _scheduler(plan: Plan, scheduler: "Scheduler") -> None:
    flags = 0
    for flag in scheduler.get("flags", ()):
        flags |= SCHEDULER_FLAGS[flag]
    plan.init(
        "scheduler",
        "process.scheduler",
        SCHEDULERS[scheduler["policy"]],
        flags,
        scheduler.get("nice", 0) & U64,
        scheduler.get("priority", 0),
        scheduler.get("runtime", 0),
        scheduler.get("deadline", 0),
        scheduler.get("period", 0),
    )


def _memory_policy(plan: Plan, policy: "MemoryPolicy") -> None:
    mode = MEMORY_POLICIES[policy["mode"]]
    for flag in policy.get("flags", ()):
        mode |= MEMORY_POLICY_FLAGS[flag]
    mask = 0
    for node in parse_list(policy["nodes"]) if policy.get("nodes") else ():
        mask |= 1 << node
    # in whole words, as the kernel reads it
    size = (mask.bit_length() + 63) // 64 * 8
    plan.init("memory-policy", "linux.memoryPolicy", mode, mask.to_bytes(size, "little"))
