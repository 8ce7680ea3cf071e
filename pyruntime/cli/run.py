"""`run`."""

import posix

from .. import state
from ..errors import PyruntimeError
from .create import FLAGS as CREATE_FLAGS
from .create import observer, open_console, prepare
from .flags import Flag, arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..plan.facts import Request
    from ..run.create import Bundle
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
    console = open_console(bundle, str(values["console-socket"]), detached=detached)
    request.console = True
    if "process" not in bundle.config:
        raise PyruntimeError("process property must not be empty")
    if detached:
        return _detached(context, bundle, request, console)
    return _foreground(context, values, bundle, request)


def _create_and_start(context: "Context", bundle: "Bundle", request: "Request", console: int) -> "state.State":
    from ..run.create import create
    from ..run.destroy import destroy
    from ..run.start import start

    stored, warnings = create(bundle, request, console=console, observer=observer(context))
    for warning in warnings:
        context.log().warning(warning)
    container = state.find(request.state_root, request.container_id)
    try:
        container.lock()
        try:
            start(container)
        except BaseException:
            if container.exists():
                destroy(container, stored)
            if request.pid_file:
                posix.unlink(request.pid_file)
            raise
    finally:
        container.close()
    return stored


def _detached(context: "Context", bundle: "Bundle", request: "Request", console: int) -> int:
    _create_and_start(context, bundle, request, console)
    return 0


def _foreground(context: "Context", values: "Values", bundle: "Bundle", request: "Request") -> int:
    from ..run.foreground import Foreground

    terminal = bool(bundle.config["process"].get("terminal"))
    foreground = Foreground(terminal=terminal, subreaper=not values["no-subreaper"])
    try:
        stored = _create_and_start(context, bundle, request, foreground.console_end)
        foreground.take_terminal()
        status = foreground.wait(stored["pid"])
    finally:
        foreground.close()
    if not values["keep"]:
        from .delete import delete

        container = state.find(request.state_root, request.container_id)
        try:
            for problem in delete(container, force=True):
                context.log().warning(problem)
        finally:
            container.close()
    return status
