"""Compiles `update`: new limits for a container that is there. All that a plan of one can do is to write files."""

from .cgroup import limits, write_limit
from .facts import Facts
from .ops import Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..config.model import Resources

UNLIMITED = -1


def compile_update(resources: "Resources", facts: Facts, directories: "Sequence[str]") -> Plan:
    """Returns the plan that puts `resources` in force in the cgroups `directories`, of which there is one for each of
    the hierarchies in `facts`. Device rules stay as they are: others have added their own. Raises ConfigError."""
    plan = Plan()
    for directory, write in limits(resources, facts, directories, plan.warnings):
        write_limit(plan, directory, write)
    return plan


def merge(old: "Resources", new: "Resources") -> "Resources":
    """Returns the old limits with the new ones in their places."""
    merged: dict[str, Any] = {**old}
    for name, value in new.items():
        if name == "devices":
            continue
        if isinstance(value, dict):
            before: Any = old.get(name, {})
            merged[name] = {**before, **value}
        else:
            merged[name] = value
    memory, cpu = new.get("memory", {}), new.get("cpu", {})
    if memory.get("limit") == UNLIMITED and "swap" not in memory:
        # memory without limit cannot be within a limit for memory and swap
        merged["memory"]["swap"] = UNLIMITED
    if "idle" in cpu and "shares" not in cpu:
        # the kernel has a share of its own for both ways
        merged["cpu"].pop("shares", None)
    return merged  # type: ignore[return-value]
