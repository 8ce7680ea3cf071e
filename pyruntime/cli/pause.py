"""`pause`."""

from .. import state
from ..run.freeze import pause
from .flags import arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .flags import Flag, Values
    from .main import Context

ARGUMENTS = "ID"
DESCRIPTION = """
Freezes all processes of a container, created or running, where they are. They
keep their memory and get no processor time until `resume`.
"""
FLAGS: "tuple[Flag, ...]" = ()


def run(context: "Context", _values: "Values", rest: list[str]) -> int:
    """Pauses a container."""
    arguments("pause", rest, 1, 1)
    container = state.find(context.root(), rest[0])
    try:
        container.lock()
        pause(container)
    finally:
        container.close()
    return 0
