"""Undoes a create: for `delete`, and for a create that failed. All it needs to know is in the state."""

import posix
import select

from ..errors import NoSuchContainer, PyruntimeError
from ..state import is_frozen
from .kill import kill_all, remove
from .signal import pin, send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.model import Config
    from ..state import Container, State

SIGKILL = 9
KILL_MILLISECONDS = 10_000


def kill(state: "State") -> None:
    """Ends the container's processes and waits until its first is gone. Raises PyruntimeError after ten seconds."""
    pidfd = pin(state)
    if pidfd >= 0:
        send(pidfd, SIGKILL)
    # a pid namespace dies with its first process, unless that is frozen; otherwise the cgroup says who is left
    if not state["ownPidNamespace"] or not state["pid"] or (pidfd >= 0 and is_frozen(state["freezer"])):
        kill_all(own_cgroups(state))
    if pidfd >= 0:
        _wait(pidfd)


def own_cgroups(state: "State") -> list[str]:
    """Returns the cgroups in which all processes are the container's.

    Before it has a process only those are that its create has made: another one may be in use by somebody else, and
    be the very reason why the create failed.
    """
    return state["cgroups"] if state["pid"] else [path for path in state["cgroups"] if path in state["cgroupsMade"]]


def _wait(pidfd: int) -> None:
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        if not poll.poll(KILL_MILLISECONDS):
            raise PyruntimeError("container init still running")
    finally:
        posix.close(pidfd)


def destroy(container: "Container", state: "State") -> None:
    """Ends what still runs, and removes cgroups and state. The container must be locked. Raises PyruntimeError."""
    kill(state)
    if state.get("hostRoot"):
        from .mounts import detach

        detach(state["hostRoot"], state["hostMounts"])
    remove(state["cgroupsMade"], state["cgroups"])
    if state.get("rdt"):
        from .rdt import remove as remove_groups

        remove_groups(state["rdt"])
    container.remove()


def destroy_remains(container: "Container") -> None:
    """Removes a container of which there may be no more than a directory."""
    try:
        state = container.load()
    except NoSuchContainer:
        container.remove()
        return
    destroy(container, state)


def run_poststop(state: "State", config: "Config") -> list[str]:
    """Runs the poststop hooks of a container that is gone; returns what went wrong with them."""
    from ..config.dump import hook_state
    from ..errors import HookError
    from .hooks import run

    problems: list[str] = []
    for index, hook in enumerate(config.get("hooks", {}).get("poststop", ())):
        text = hook_state(config, state["id"], state["bundle"], "stopped", None)
        try:
            run(hook, "poststop", index, text)
        except HookError as error:
            problems.append(str(error))
    return problems
