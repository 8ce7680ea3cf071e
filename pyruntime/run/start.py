"""`start`: tells a created container's init to go on, and hears from it how that went."""

import posix
import select

from ..errors import ContainerError, HookError, PyruntimeError, error_text
from ..state import START, STARTED
from .message import ERROR, receive_started

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..state import Container, State
    from .notify import NotifySocket

ENXIO = 6
REFUSALS = {
    "creating": "cannot start a container that is being created",
    "stopped": "cannot start a container that has stopped",
    "running": "cannot start an already running container",
    "paused": "cannot start a container in the paused state",
}


def start(container: "Container") -> int:
    """Starts a container, which must be locked; returns the pid of its first process. Raises PyruntimeError.

    When a startContainer or poststart hook fails the container is destroyed, as runtime.md (Lifecycle) wants.
    """
    state = container.load()
    status = container.status(state)
    if status != "created":
        raise ContainerError(REFUSALS[status])
    if not state["process"]:
        raise ContainerError("process property must not be empty")
    try:
        _go(container, state)
        _run_poststart(container, state)
    except HookError as error:
        from .destroy import destroy, run_poststop

        config = container.config()
        destroy(container, state)
        raise PyruntimeError("; ".join([str(error), *run_poststop(state, config)])) from None
    return state["pid"]


def listen_for_ready(container: "Container") -> "NotifySocket | None":
    """Returns the socket on which the program says that it is ready, if the caller and the container know of one."""
    if not posix.environ.get(b"NOTIFY_SOCKET") or not container.has_notify():
        return None
    from .notify import NotifySocket

    try:
        return NotifySocket(container)
    except OSError as error:
        raise PyruntimeError(f"unable to make the socket for sd_notify: {error_text(error.errno or 0)}") from None


def _go(container: "Container", state: "State") -> None:
    """Lets init go on and waits until it has run its hooks, or with poststart hooks until the program runs."""
    started = container.open_file(STARTED, posix.O_RDONLY | posix.O_NONBLOCK)
    try:
        try:
            go = container.open_file(START, posix.O_WRONLY | posix.O_NONBLOCK)
        except OSError as error:
            if error.errno != ENXIO:  # no reader: init is gone
                raise
            raise ContainerError(REFUSALS["stopped"]) from None
        try:
            posix.write(go, b"\0")
        finally:
            posix.close(go)
        _hear(started, state)
        container.forget(START)
        if "poststart" in state["hooks"]:
            _wait_closed(started)
        container.forget(STARTED)
    finally:
        posix.close(started)


def _hear(started: int, state: "State") -> None:
    poll = select.poll()
    poll.register(started, select.POLLIN)
    poll.poll()
    message = receive_started(started)
    if message is None:
        raise HookError("the container's init is gone before it could run the program")
    if message.kind == ERROR:
        from .report import hook_failed, hook_problem

        origin = f"hooks.startContainer[{message.op - state['startOp']}]"
        raise hook_failed(origin, hook_problem(message.value, message.text))


def _wait_closed(started: int) -> None:
    """The kernel closes init's end when it runs the program."""
    poll = select.poll()
    poll.register(started, 0)
    poll.poll()


def _run_poststart(container: "Container", state: "State") -> None:
    if "poststart" not in state["hooks"]:
        return
    from ..config.dump import hook_state
    from .hooks import run

    config = container.config()
    text = hook_state(config, state["id"], state["bundle"], "running", state["pid"])
    for index, hook in enumerate(config["hooks"]["poststart"]):
        run(hook, "poststart", index, text)
