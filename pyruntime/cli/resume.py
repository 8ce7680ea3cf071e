"""`resume`."""

from .. import state
from ..run.freeze import resume
from .flags import arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .flags import Flag, Values
    from .main import Context

ARGUMENTS = "ID"
DESCRIPTION = "Lets the processes of a paused container go on."
FLAGS: "tuple[Flag, ...]" = ()


def run(context: "Context", _values: "Values", rest: list[str]) -> int:
    """Resumes a container."""
    arguments("resume", rest, 1, 1)
    container = state.find(context.root(), rest[0])
    try:
        container.lock()
        resume(container)
    finally:
        container.close()
    return 0
