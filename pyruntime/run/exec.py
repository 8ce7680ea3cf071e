"""`exec`: adds a process to a container, from its description to its program."""

import posix

from ..config.check import check
from ..config.load import decode
from ..config.names import NAMESPACE_FILES, NAMESPACES
from ..errors import ConfigError, ContainerError, PyruntimeError
from ..paths import clean
from ..plan.exec import Target, compile_exec
from ..plan.ops import SLOT_PROCESS, Op
from .files import read_text
from .hierarchies import hierarchy_of
from .lane import Lane
from .probe import check_kernel, gather
from .signal import pin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from ..config.model import Config, Process
    from ..plan.facts import Facts, Hierarchy, Request
    from ..plan.ops import Plan
    from ..state import Container, State
    from .handshake import Observer

# what a process that does not say otherwise gets as the container's first one did
DEFAULTS = (
    "apparmorProfile",
    "capabilities",
    "execCPUAffinity",
    "ioPriority",
    "oomScoreAdj",
    "rlimits",
    "scheduler",
    "selinuxLabel",
)
# what of the container holds for every process in it
SHARED = ("intelRdt", "memoryPolicy", "namespaces", "personality", "seccomp")
NAME = "process.json"


class Execution(Lane):
    """The plan of an `exec` being carried out. `pidfd`, of the container's first process, is the caller's."""

    def __init__(
        self,
        config: "Config",
        plan: "Plan",
        request: "Request",
        state: "State",
        pidfd: int,
        console: int,
        observer: "Observer | None",
    ) -> None:
        super().__init__(config, plan, request, console, observer)
        self.state = state
        self.pidfd = pidfd

    def run(self) -> int:
        """Carries out the plan until the program runs; returns its pid. Raises PyruntimeError."""
        self.walk()
        handshake = self.init()
        handshake.wait_executed()
        handshake.close()
        return handshake.pid

    def spawn(self, op: Op) -> None:
        self.start_init({SLOT_PROCESS: self.pidfd}, [])

    def state_text(self, status: str) -> str:
        from ..config.dump import hook_state

        state = self.state
        return hook_state(self.config, state["id"], state["bundle"], "running", state["pid"])


OPERATIONS = {
    "spawn": Execution.spawn,
    "enter-rdt": Execution.enter_rdt,
    "hand-over": Execution.hand_over,
    "pass-barrier": Execution.pass_barrier,
    "write-pid-file": Execution.write_pid_file,
}
Execution.operations = OPERATIONS


def read_process(source: bytes) -> "Process":
    """Returns the process that a JSON document describes. Raises PyruntimeError that names the line."""
    process = decode(source, NAME)
    try:
        check_process(process)  # type: ignore[arg-type]
    except ConfigError as error:
        from ..config.where import point_out

        raise PyruntimeError(point_out(error, source, NAME, "process")) from None
    return process  # type: ignore[return-value]


def check_process(process: "Process") -> None:
    """Holds a process against the schema and the rules for the one of a config. Raises ConfigError."""
    from ..config.verdict import is_valid

    config: Config = {"ociVersion": "1.0.0", "root": {"path": "/"}, "process": process}
    if not is_valid(config):
        from ..config.explain import explain

        explain(config)  # type: ignore[arg-type]
    check(config)


def execute(
    container: "Container",
    process: "Process",
    request: "Request",
    subgroups: "Sequence[str]",
    *,
    ignore_paused: bool,
    console: int = -1,
    observer: "Observer | None" = None,
    announce: "Callable[[int], None] | None" = None,
) -> tuple[int, list[str]]:
    """Adds a process to a container; returns its pid and warnings. When anything fails nothing stays behind.

    `subgroups` are cgroups below the container's own, as PATH or CONTROLLER[,CONTROLLER]:PATH. `console` is a connected
    socket that gets the terminal; `announce` is called with the pid when the program runs. Raises PyruntimeError.
    """
    check_kernel()
    state, status = container.look()
    _refuse(status, ignore_paused)
    pidfd = pin(state)
    if pidfd < 0:
        _refuse("stopped", ignore_paused)
    try:
        config = _with_process(container.config(), process)
        facts = gather(config, root=request.state_root)
        target = _target(state, facts, subgroups)
        try:
            plan = compile_exec(config, facts, request, target)
        except ConfigError as error:
            raise PyruntimeError(str(error)) from None
        execution = Execution(config, plan, request, state, pidfd, console, observer)
        try:
            pid = execution.run()
            if announce is not None:
                announce(pid)
            return pid, plan.warnings
        except BaseException:
            _undo(execution)
            raise
        finally:
            if execution.cgroup_fd >= 0:
                posix.close(execution.cgroup_fd)
    finally:
        posix.close(pidfd)


def _refuse(status: str, ignore_paused: bool) -> None:
    if status == "creating":
        raise ContainerError("cannot exec in a container that is being created")
    if status == "stopped":
        raise ContainerError("cannot exec in a stopped container")
    if status == "paused" and not ignore_paused:
        raise ContainerError("cannot exec in a paused container (use --ignore-paused to override)")


def _undo(execution: Execution) -> None:
    execution.abandon()
    if execution.wrote_pid_file:
        from .pidfile import remove_pid_file

        remove_pid_file(execution.request.pid_file)


def _with_process(config: "Config", process: "Process") -> "Config":
    """Returns as much of a container's config as concerns another process of it."""
    linux: Any = config.get("linux", {})
    first: Any = config.get("process", {})
    merged: Any = {name: first[name] for name in DEFAULTS if name in first} | dict(process)
    shared: Any = {name: linux[name] for name in SHARED if name in linux}
    cpus = linux.get("resources", {}).get("cpu", {}).get("cpus", "")
    if cpus and not merged.get("execCPUAffinity", {}).get("final"):
        shared["resources"] = {"cpu": {"cpus": cpus}}
    return {
        "ociVersion": config["ociVersion"],
        "root": config["root"],
        "annotations": config.get("annotations", {}),
        "process": merged,
        "linux": shared,
    }


# ---- where the container's first process is


def _target(state: "State", facts: "Facts", subgroups: "Sequence[str]") -> Target:
    namespaces = 0
    for kind, name in NAMESPACE_FILES.items():
        if _namespace(state["pid"], name) != _namespace("self", name):
            namespaces |= NAMESPACES[kind]
    chosen = _subgroups(subgroups)
    first: list[str] = []
    second = ""
    for directory in state["cgroups"]:
        hierarchy = hierarchy_of(directory, facts.cgroups)
        path = _below(directory, hierarchy, chosen)
        if hierarchy.version == 1:
            first.append(path)
        else:
            second = path if subgroups else _open_to_processes(path, hierarchy, state["pid"])
    _check_controllers(chosen, [hierarchy_of(directory, facts.cgroups) for directory in state["cgroups"]])
    return Target(
        namespaces=namespaces,
        cgroups=tuple(first),
        clone_into=second,
        root=state["rootfs"],
        keyring=state["keyring"],
    )


def _namespace(pid: int | str, name: str) -> tuple[int, int]:
    """Returns what tells a namespace from others; none for a kernel without that type."""
    try:
        status = posix.stat(f"/proc/{pid}/ns/{name}")
    except FileNotFoundError:
        return (0, 0)
    return (status.st_dev, status.st_ino)


def _open_to_processes(directory: str, hierarchy: "Hierarchy", pid: int) -> str:
    """Returns the cgroup itself, or that of the container's first process once the container has made cgroups of its
    own below it and handed controllers on to them: then it can hold no processes any more (cgroups(7))."""
    try:
        if not read_text(f"{directory}/cgroup.subtree_control").split():
            return directory
    except FileNotFoundError:
        return directory
    below_mount = directory[len(hierarchy.mountpoint.rstrip("/")) :]
    for line in read_text(f"/proc/{pid}/cgroup").splitlines():
        if line.startswith("0::"):
            # what is mounted need not be the root of the hierarchy, so the path may begin above it
            _, found, rest = f"{line[3:]}/".partition(f"{below_mount}/")
            return f"{directory}/{rest}".rstrip("/") if found else directory
    return directory


def _subgroups(words: "Sequence[str]") -> dict[str, str]:
    """Returns controller -> cgroup below the container's; "" stands for all hierarchies. Raises PyruntimeError."""
    chosen: dict[str, str] = {}
    for word in words:
        names, colon, path = word.partition(":")
        if not colon:
            if len(words) != 1:
                raise PyruntimeError(f"invalid --cgroup argument: {word} (missing <controller>: prefix)")
            return {"": word}
        for name in names.split(","):
            if not name:
                raise PyruntimeError(f"invalid --cgroup argument: {word} (empty <controller> prefix)")
            if name in chosen:
                raise PyruntimeError(f'invalid --cgroup argument(s): multiple values for controller "{name}"')
            chosen[name] = path
    return chosen


def _below(directory: str, hierarchy: "Hierarchy", chosen: "Mapping[str, str]") -> str:
    """Returns the cgroup to enter in a hierarchy. Raises PyruntimeError for one that is not below the container's."""
    for name in ("", *hierarchy.controllers) if hierarchy.version == 1 else ("",):
        if name in chosen:
            path = clean(f"{directory}/{chosen[name]}")
            if path != directory and not path.startswith(f"{directory}/"):
                raise PyruntimeError(f"bad sub cgroup path: {chosen[name]}")
            return path
    return directory


def _check_controllers(chosen: "Mapping[str, str]", hierarchies: "Sequence[Hierarchy]") -> None:
    for name in chosen:
        if name and not any(name in hierarchy.controllers for hierarchy in hierarchies if hierarchy.version == 1):
            raise PyruntimeError(f"unknown controller {name} in --cgroup")
