"""`start`."""

from .. import state
from ..run.start import start
from .flags import Flag, arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .flags import Values
    from .main import Context

ARGUMENTS = "ID"
DESCRIPTION = "Runs the program of a container that has been created."
FLAGS: tuple[Flag, ...] = ()


def run(context: "Context", values: "Values", rest: list[str]) -> int:
    """Starts a container."""
    arguments("start", rest, 1, 1)
    container = state.find(context.root(), rest[0])
    try:
        container.lock()
        start(container)
    finally:
        container.close()
    return 0
