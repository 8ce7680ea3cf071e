"""The sockets on which callers want descriptors: that of a terminal, and that of a process."""

import posix

from ..errors import PyruntimeError
from .flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PIDFD_SOCKET = Flag("pidfd-socket", "", "AF_UNIX socket that is sent a descriptor of the process (pidfd_open(2))")


def connect(path: str) -> int:
    """Connects to a socket, which must fail now rather than when there is something to send.

    Returns the descriptor. Raises PyruntimeError.
    """
    from _socket import AF_UNIX, SOCK_CLOEXEC, SOCK_STREAM, socket

    from ..errors import error_text

    connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)
    try:
        connection.connect(path)
    except OSError as error:
        text = error_text(error.errno) if error.errno else str(error)
        raise PyruntimeError(f"dial unix {path}: connect: {text}") from None
    return connection.detach()


def connect_console(path: str, *, terminal: bool, detached: bool) -> int:
    """Connects to the console socket.

    Returns the descriptor, -1 when no terminal is wanted, or when it is for ourselves. Raises PyruntimeError.
    """
    if path and not (detached and terminal):
        raise PyruntimeError("cannot use console socket if runc will not detach or allocate tty")
    if not terminal:
        return -1
    if not path:
        if detached:
            raise PyruntimeError("cannot allocate tty if runc will detach without setting console socket")
        return -1
    return connect(path)


def announcer(path: str, kind: bytes) -> "Callable[[int], None] | None":
    """Returns what sends a descriptor of a process to the socket at `path`, given the pid; None where there is no path.

    `kind` is what the receiver tells a container's first process ("standard") and others ("setns") apart by. Raises
    PyruntimeError, and what it returns OSError.
    """
    if not path:
        return None
    connection = connect(path)
    return lambda pid: _send_pidfd(connection, pid, kind)


def _send_pidfd(connection: int, pid: int, kind: bytes) -> None:
    from _socket import SCM_RIGHTS, SOL_SOCKET, socket

    pidfd = posix.pidfd_open(pid)
    receiver = socket(fileno=connection)
    try:
        receiver.sendmsg([kind], [(SOL_SOCKET, SCM_RIGHTS, pidfd.to_bytes(4, "little"))])
    finally:
        posix.close(pidfd)
        receiver.close()
