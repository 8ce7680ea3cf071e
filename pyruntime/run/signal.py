"""Signals for a container's first process, and for nobody who has got its pid since."""

import posix
from _signal import pidfd_send_signal

from ..state import is_alive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..state import State


def send_signal(state: "State", signal: int) -> bool:
    """Sends a signal to the container's first process; False when it is gone.

    A pid names whoever has it now, so it is pinned first and compared after that. Raises OSError.
    """
    pidfd = pin(state)
    if pidfd < 0:
        return False
    try:
        return send(pidfd, signal)
    finally:
        posix.close(pidfd)


def send(pidfd: int, signal: int) -> bool:
    try:
        pidfd_send_signal(pidfd, signal)
    except ProcessLookupError:
        return False
    return True


def pin(state: "State") -> int:
    """Returns a pidfd of the container's first process, or -1 when it is gone."""
    if not state["pid"]:
        return -1
    try:
        pidfd = posix.pidfd_open(state["pid"])
    except ProcessLookupError:
        return -1
    if is_alive(state):
        return pidfd
    posix.close(pidfd)
    return -1
