"""Seccomp's agent: gets the descriptor on which the kernel asks about system calls (seccomp_unotify(2))."""

from _socket import AF_UNIX, SCM_RIGHTS, SOCK_CLOEXEC, SOCK_STREAM, SOL_SOCKET, socket

from .. import SPEC_VERSION
from ..config.dump import dumps
from ..config.load import parse
from ..errors import PyruntimeError, error_text


def hand_over(path: str, pid: int, fd: int, state: str, metadata: str) -> None:
    """Sends the listener `fd` of a container's first process, whose pid is `pid`, to the agent at the socket `path`.

    `state` is the container's state as JSON. One message, then the connection is closed (config-linux.md, The Container
    Process State). Raises PyruntimeError.
    """
    message = {"ociVersion": SPEC_VERSION, "fds": ["seccompFd"], "pid": pid, "state": parse(state, "the state")}
    if metadata:
        message["metadata"] = metadata
    connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)
    try:
        connection.connect(path)
        _send(connection, dumps(message).encode(), fd)  # type: ignore[arg-type]
    except OSError as error:
        text = error_text(error.errno) if error.errno else str(error)
        raise PyruntimeError(f"failed to connect with seccomp agent {path}: {text}") from None
    finally:
        connection.close()


def _send(connection: socket, data: bytes, fd: int) -> None:
    """Sends it all; the descriptor goes with the first part."""
    sent = connection.sendmsg([data], [(SOL_SOCKET, SCM_RIGHTS, fd.to_bytes(4, "little"))])
    if sent < len(data):
        connection.sendall(data[sent:])
