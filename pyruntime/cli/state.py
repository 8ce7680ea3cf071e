"""`state`."""

from .. import SPEC_VERSION, state
from ..config.dump import pretty
from .flags import Flag, arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.model import Json
    from ..state import Container
    from .flags import Values
    from .main import Context

ARGUMENTS = "ID"
DESCRIPTION = "Shows the state of a container as JSON."
FLAGS: tuple[Flag, ...] = ()


def run(context: "Context", values: "Values", rest: list[str]) -> int:
    """Prints the state of a container."""
    arguments("state", rest, 1, 1)
    container = state.find(context.root(), rest[0])
    try:
        print(pretty(describe(container, "")), end="")
    finally:
        container.close()
    return 0


def describe(container: "Container", owner: str) -> "dict[str, Json]":
    """Returns the state as `state` and `list` show it: runtime.md's members and those that clients of runc read."""
    stored, status = container.look()
    shown: dict[str, Json] = {
        "ociVersion": SPEC_VERSION,
        "id": stored["id"],
        "pid": 0 if status == "stopped" else stored["pid"],
        "status": status,
        "bundle": stored["bundle"],
        "rootfs": stored["rootfs"],
        "created": stored["created"],
    }
    if stored["annotations"]:
        shown["annotations"] = dict(stored["annotations"])
    shown["owner"] = owner
    return shown
