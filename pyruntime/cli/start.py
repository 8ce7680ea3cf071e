"""`start`."""

from .. import state
from ..run.start import listen_for_ready, start
from .flags import Flag, arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .flags import Values
    from .main import Context

ARGUMENTS = "ID"
DESCRIPTION = """
Runs the program of a container that has been created. With NOTIFY_SOCKET in the
environment, here and at `create`, waits until the program says that it is
ready (sd_notify(3)), or has ended.
"""
FLAGS: tuple[Flag, ...] = ()


def run(context: "Context", values: "Values", rest: list[str]) -> int:
    """Starts a container."""
    arguments("start", rest, 1, 1)
    container = state.find(context.root(), rest[0])
    try:
        container.lock()
        notify = listen_for_ready(container)
        pid = start(container)
    finally:
        container.close()
    if notify is not None:
        notify.wait(pid)
    return 0
