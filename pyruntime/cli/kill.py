"""`kill`."""

from .. import state
from ..config.signals import number
from ..errors import ContainerError, PyruntimeError, error_text
from ..run.signal import send_signal
from .flags import Flag, arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..state import State
    from .flags import Values
    from .main import Context

ARGUMENTS = "ID [SIGNAL]"
DESCRIPTION = "Sends a signal, by name or number (default: TERM), to the container's first process."
FLAGS = (Flag("all", False, "send it to all processes of the container, also when the first has ended", "a"),)

SIGKILL = 9


def run(context: "Context", values: "Values", rest: list[str]) -> int:
    """Sends a signal to a container."""
    arguments("kill", rest, 1, 2)
    container = state.find(context.root(), rest[0])
    try:
        stored, status = container.look()
        signal = number(rest[1] if len(rest) > 1 and rest[1] else "TERM")
        if values["all"]:
            _send_all(stored, signal)
            return 0
        if status == "stopped":
            raise ContainerError("container not running")
        _send(stored, signal)
    finally:
        container.close()
    return 0


def _send(stored: "State", signal: int) -> None:
    try:
        sent = send_signal(stored, signal)
    except OSError as error:
        raise PyruntimeError(f"unable to signal init: {error_text(error.errno or 0)}") from None
    if not sent:
        raise ContainerError("container not running")
    if signal == SIGKILL and (not stored["ownPidNamespace"] or state.is_frozen(stored["freezer"])):
        # nobody dies with the first process of a shared pid namespace, and on v1 nobody dies while frozen
        _send_all(stored, signal)


def _send_all(stored: "State", signal: int) -> None:
    from ..run.kill import kill_all

    kill_all(stored["cgroups"], signal)
