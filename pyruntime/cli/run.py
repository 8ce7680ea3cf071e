"""`run`."""

from .. import state
from ..errors import NoSuchContainer, PyruntimeError
from .console import announcer, connect_console
from .create import FLAGS as CREATE_FLAGS
from .create import has_terminal, observer, prepare
from .flags import Flag, arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..plan.facts import Request
    from ..run.create import Bundle
    from ..run.foreground import Foreground
    from .flags import Values
    from .main import Context

ARGUMENTS = "ID"
DESCRIPTION = """
Creates a container and starts it. Stays until its program has ended, passing on
signals and the terminal, deletes the container, and exits with the program's
status (128 and the signal, if one ended it). With --detach returns at once.
"""
FLAGS = (
    *CREATE_FLAGS,
    Flag("detach", False, "return when the container has been started", "d"),
    Flag("keep", False, "do not delete the container when it has ended"),
    Flag("no-subreaper", False, "do not inherit processes that the container leaves behind"),
)


def run(context: "Context", values: "Values", rest: list[str]) -> int:
    """Runs a container."""
    from ..run.descriptors import sweep_descriptors

    inherited = sweep_descriptors()
    arguments("run", rest, 1, 1)
    bundle, request = prepare(context, values, rest[0], inherited)
    detached = bool(values["detach"])
    console = connect_console(str(values["console-socket"]), terminal=has_terminal(bundle), detached=detached)
    announce = announcer(str(values["pidfd-socket"]), b"standard")
    request.console = True
    if "process" not in bundle.config:
        raise PyruntimeError("process property must not be empty")
    if detached:
        _create_and_start(context, bundle, request, console, announce, None)
        return 0
    return _foreground(context, values, bundle, request, announce)


def _create_and_start(
    context: "Context",
    bundle: "Bundle",
    request: "Request",
    console: int,
    announce: "Callable[[int], None] | None",
    foreground: "Foreground | None",
) -> "state.State":
    """Creates and starts; whatever fails, nothing stays."""
    from ..run.create import create
    from ..run.pidfile import remove_pid_file
    from ..run.start import listen_for_ready, start

    stored, warnings = create(bundle, request, console=console, observer=observer(context), announce=announce)
    for warning in warnings:
        context.log().warning(warning)
    try:
        if foreground is not None:
            foreground.take_terminal()
        container = state.find(request.state_root, request.container_id)
        try:
            container.lock()
            notify = listen_for_ready(container)
            start(container)
        finally:
            container.close()
        if notify is not None and foreground is not None:
            foreground.watch(notify.fileno(), lambda: notify.take(stored["pid"]))
        elif notify is not None:
            notify.wait(stored["pid"])
    except BaseException:
        try:
            _delete(context, request)
        finally:
            if request.pid_file:
                remove_pid_file(request.pid_file)
        raise
    return stored


def _delete(context: "Context", request: "Request") -> None:
    """Deletes the container, unless that has been done already."""
    from .delete import delete

    try:
        container = state.find(request.state_root, request.container_id)
    except NoSuchContainer:
        return
    try:
        for problem in delete(container, force=True):
            context.log().warning(problem)
    except NoSuchContainer:
        return
    finally:
        container.close()


def _foreground(
    context: "Context", values: "Values", bundle: "Bundle", request: "Request", announce: "Callable[[int], None] | None"
) -> int:
    from ..run.foreground import Foreground

    foreground = Foreground(terminal=has_terminal(bundle), subreaper=not values["no-subreaper"])
    try:
        stored = _create_and_start(context, bundle, request, foreground.console_end, announce, foreground)
        status = foreground.wait(stored["pid"])
    finally:
        foreground.close()
    if not values["keep"]:
        _delete(context, request)
    return status
