"""`update`: changes the limits of a container, all of them or none."""

from ..config.check import check
from ..config.dump import dumps
from ..config.load import decode
from ..errors import ConfigError, ContainerError, OperationError, PyruntimeError, error_text, os_error
from ..plan.facts import Facts
from ..plan.update import compile_update, merge
from ..state import CONFIG
from . import cgroup
from .files import read_text, write
from .hierarchies import cgroups, hierarchy_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..config.model import Config, IntelRdt, Memory, Resources
    from ..plan.ops import Op, Plan
    from ..state import Container, State
    from .handshake import Observer

EINVAL = 22


def read_resources(source: bytes, name: str) -> "Resources":
    """Returns the resources that a JSON document describes. Raises PyruntimeError that names the line."""
    resources = decode(source, name)
    try:
        check_resources(resources)
    except ConfigError as error:
        from ..config.where import point_out

        raise PyruntimeError(point_out(error, source, name, "linux.resources")) from None
    return resources  # type: ignore[return-value]


def check_resources(resources: "Any") -> None:
    """Holds resources against the schema. Raises ConfigError."""
    from ..config.verdict import is_valid

    config: Config = {"ociVersion": "1.0.0", "root": {"path": "/"}, "linux": {"resources": resources}}
    if not is_valid(config):
        from ..config.explain import explain

        explain(config)  # type: ignore[arg-type]
    check(config)


def update(
    container: "Container", new: "Resources", rdt: "IntelRdt | None" = None, observer: "Observer | None" = None
) -> list[str]:
    """Puts new limits in force; what `new` does not name stays. `rdt` are new schemata. Returns warnings
    about what is new.

    The container must be locked. Raises PyruntimeError, and then everything is as it was.
    """
    state = container.load()
    if container.status(state) == "stopped":
        raise ContainerError("container not running")
    config = container.config()
    linux: Any = config.setdefault("linux", {})
    old = linux.get("resources", {})
    merged = merge(old, new)
    facts = _facts(state)
    try:
        before, after = (compile_update(resources, facts, state["cgroups"]) for resources in (old, merged))
    except ConfigError as error:
        raise PyruntimeError(str(error)) from None
    _check_use(facts, state["cgroups"], merged.get("memory", {}), new.get("memory", {}))
    stored = dumps(config)  # type: ignore[arg-type]
    linux["resources"] = merged
    if rdt:
        linux["intelRdt"] = {**linux.get("intelRdt", {}), **rdt}
    files = _Files()
    try:
        files.write(after, observer)
        _store(container, dumps(config))  # type: ignore[arg-type]
        if rdt:
            _write_rdt(container, state, linux["intelRdt"])
    except PyruntimeError as error:
        problems = [str(error), *files.restore(before)]
        if container.config() != decode(stored.encode(), CONFIG):
            _store(container, stored)
        raise PyruntimeError("; ".join(problems)) from None
    return [warning for warning in after.warnings if warning not in before.warnings]


def _store(container: "Container", config: str) -> None:
    """Keeps the config for the updates and for `exec` to come. Raises PyruntimeError."""
    try:
        container.write(CONFIG, config.encode())
    except OSError as error:
        raise PyruntimeError(os_error(error)) from None


def _facts(state: "State") -> Facts:
    layout, unified = cgroups()
    return Facts(cgroups=tuple(hierarchy_of(directory, layout) for directory in state["cgroups"]), unified=unified)


def _check_use(facts: Facts, directories: "Sequence[str]", memory: "Memory", new: "Memory") -> None:
    """memory.checkBeforeUpdate: refuses a limit that is below what is in use, where the kernel would kill for it."""
    if not memory.get("checkBeforeUpdate"):
        return
    for hierarchy, directory in zip(facts.cgroups, directories, strict=True):
        if "memory" in hierarchy.controllers:
            version_2 = hierarchy.version == 2
            usage = int(read_text(f"{directory}/memory.{'current' if version_2 else 'usage_in_bytes'}"))
            for name, words in (("swap", "memory+swap"), ("limit", "memory")):
                limit: int = new.get(name, 0)  # type: ignore[assignment]
                if 0 < limit <= usage:
                    raise PyruntimeError(f"rejecting {words} limit {limit} <= usage {usage}")


class _Files:
    """The files that are written to. The kernel holds some of them against each other at every step: what it does not
    take at first it may take when the others are there."""

    def __init__(self) -> None:
        # file and what was in it, for those that hold one value
        self._earlier: list[tuple[str, str]] = []

    def write(self, plan: "Plan", observer: "Observer | None") -> None:
        """Writes all values of a plan. Raises OperationError."""
        again = []
        for op in plan.ops:
            if observer is not None:
                observer(op)
            self._remember(op)
            try:
                _write_one(op)
            except OSError as error:
                if error.errno != EINVAL:
                    raise _failed(op, error) from None
                again.append(op)
        for op in again:
            try:
                _write_one(op)
            except OSError as error:
                raise _failed(op, error) from None

    def _remember(self, op: "Op") -> None:
        directory, choices, _ = op.args
        for name in choices[::2]:
            try:
                content = read_text(f"{directory}/{name}").strip()
            except OSError:
                continue  # not there, or nothing to read
            # files with an entry for each device are restored from the config
            if "\n" not in content and ":" not in content:
                self._earlier.append((f"{directory}/{name}", content))

    def restore(self, before: "Plan") -> list[str]:
        """Writes back what was there; returns what went wrong with that. `before` is the plan of the old limits."""
        problems = []
        for op in before.ops:
            try:
                _write_one(op)
            except OSError as error:
                problems.append(str(_failed(op, error)))
        left = list(reversed(self._earlier))
        for last_round in (False, True):
            refused = []
            for path, value in left:
                try:
                    write(path, value)
                except OSError as error:
                    refused.append((path, value))
                    if last_round:
                        problems.append(f"{path}: {error_text(error.errno or 0)}")
            left = refused
        return problems


def _write_one(op: "Op") -> None:
    directory, choices, required = op.args
    cgroup.write_first(directory, choices, required=bool(required))


def _failed(op: "Op", error: OSError) -> OperationError:
    from .report import host_failed

    return host_failed(op, error, "")


def _write_rdt(container: "Container", state: "State", wanted: "IntelRdt") -> None:
    """Changes the schemata of the container's group of resctrl; makes one for a container that has none."""
    from ..paths import exists
    from ..plan.facts import Request
    from ..plan.rdt import RdtPlan
    from . import rdt
    from .probe import mountpoint

    facts = Facts(resctrl=mountpoint("resctrl"))
    plan = RdtPlan(wanted, facts, Request(container_id=state["id"], bundle=state["bundle"]))
    try:
        if not exists(plan.directory):
            state["rdt"] = plan.owned
            container.store(state)
            rdt.create(plan.directory, plan.way, plan.lines)
            write(f"{plan.directory}/tasks", str(state["pid"]))
        rdt.write_schemata(plan.directory, plan.lines)
    except OSError as error:
        raise PyruntimeError(f"{plan.directory}: {error_text(error.errno or 0)}") from None
