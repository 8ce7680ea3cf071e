"""`delete`."""

from .. import state
from ..errors import ContainerError, NoSuchContainer
from ..run.destroy import destroy, kill, run_poststop
from .flags import Flag, arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..state import Container, State
    from .flags import Values
    from .main import Context

ARGUMENTS = "ID"
DESCRIPTION = """
Removes a container that has stopped: its cgroups and its state. With --force
also one that does not run yet or still runs, and silently one that does not
exist.
"""
FLAGS = (Flag("force", False, "kill the container if it still runs", "f"),)


def run(context: "Context", values: "Values", rest: list[str]) -> int:
    """Deletes a container."""
    arguments("delete", rest, 1, 1)
    force = bool(values["force"])
    try:
        container = state.find(context.root(), rest[0])
        try:
            problems = delete(container, force=force)
        finally:
            container.close()
    except NoSuchContainer:
        if force:
            return 0
        raise
    for problem in problems:
        context.log().warning(problem)
    return 0


def delete(container: "Container", *, force: bool) -> list[str]:
    """Deletes a container; returns what went wrong with its poststop hooks. Raises ContainerError."""
    if force:
        _end_unlocked(container)
    container.lock()
    try:
        stored = container.load()
    except NoSuchContainer:
        # a create that was killed before it had done anything
        container.remove()
        raise
    except ContainerError:
        if not force:
            raise
        container.remove()
        return []
    status = container.status(stored)
    if status in ("created", "running", "paused") and not force:
        raise ContainerError(f"cannot delete container {container.container_id} that is not stopped: {status}")
    config = container.config() if "poststop" in stored["hooks"] else None
    destroy(container, stored)
    return run_poststop(stored, config) if config is not None else []


def _end_unlocked(container: "Container") -> None:
    """Ends a container that another command may be at work on: that one notices, and lets go of it."""
    try:
        stored: State = container.load()
    except (NoSuchContainer, ContainerError):
        return
    if container.is_locked():
        kill(stored)
