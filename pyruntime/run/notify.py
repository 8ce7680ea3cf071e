"""sd_notify(3) out of a container: the program says that it is ready, and we pass that on to who started us.

The container gets a socket of its own, in a directory of the state that is mounted at /run/notify. What it sends there
is read here until the first READY=; then the first line, the pid and a barrier go to the caller's socket, and whoever
waits for the service knows which process to look after. As runc has it, only a NOTIFY_SOCKET in the environment of both
`create` and `start` does all this.
"""

import posix
import select
from _socket import AF_UNIX, SCM_RIGHTS, SOCK_CLOEXEC, SOCK_DGRAM, SOL_SOCKET, socket

from ..errors import PyruntimeError, error_text
from ..state import NOTIFY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.model import Config, Mount
    from ..state import Container

NAME = "notify.sock"
IN_CONTAINER = "/run/notify"
OPTIONS = ["bind", "nosuid", "noexec", "nodev", "ro"]
MESSAGE_MAX = 4096
BARRIER_MILLISECONDS = 30_000


def add_to(config: "Config", directory: str) -> None:
    """Has the container see the directory of its socket, and know about it."""
    mount: Mount = {"destination": IN_CONTAINER, "source": directory, "type": "bind", "options": OPTIONS}
    config["mounts"] = [*config.get("mounts", ()), mount]
    process = config.get("process")
    if process is not None:
        process["env"] = [*process.get("env", ()), f"NOTIFY_SOCKET={IN_CONTAINER}/{NAME}"]


class NotifySocket:
    """The socket that the container sends to. Descriptors belong to this object."""

    def __init__(self, container: "Container") -> None:
        """Raises OSError."""
        # through a descriptor: the path of the state may be longer than one of a socket can be
        directory = container.open_file(NOTIFY, posix.O_PATH | posix.O_DIRECTORY)
        try:
            path = f"/proc/self/fd/{directory}/{NAME}"
            self._socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)
            try:
                posix.unlink(path)
            except FileNotFoundError:
                pass
            self._socket.bind(path)
            posix.chmod(path, 0o777)
        finally:
            posix.close(directory)

    def fileno(self) -> int:
        return self._socket.fileno()

    def take(self, pid: int) -> bool:
        """Reads one message; passes it on if the program is ready. Returns whether it was. Raises PyruntimeError."""
        for line in self._socket.recv(MESSAGE_MAX).split(b"\n")[:1]:
            if line.startswith(b"READY="):
                _pass_on(line, pid)
                return True
        return False

    def wait(self, pid: int) -> None:
        """Waits until the program is ready, or has ended. Raises PyruntimeError."""
        try:
            pidfd = posix.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            poll = select.poll()
            poll.register(self.fileno(), select.POLLIN)
            poll.register(pidfd, select.POLLIN)
            while True:
                ready = dict(poll.poll())
                # what it said last counts, if it has ended since
                if self.fileno() in ready and self.take(pid):
                    return
                if self.fileno() not in ready:
                    return
        finally:
            posix.close(pidfd)

    def close(self) -> None:
        self._socket.close()


def _pass_on(line: bytes, pid: int) -> None:
    path = posix.environ.get(b"NOTIFY_SOCKET", b"")
    address = b"\0" + path[1:] if path[:1] == b"@" else path
    connection = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)
    try:
        connection.connect(address)
        connection.send(line + b"\n")
        connection.send(b"MAINPID=%d\n" % pid)
        _barrier(connection)
    except OSError as error:
        where = path.decode("utf-8", "backslashreplace")
        raise PyruntimeError(f"notify {where}: {error_text(error.errno or 0)}") from None
    finally:
        connection.close()


def _barrier(connection: socket) -> None:
    """Waits until what was sent has been taken: the receiver then closes the pipe (sd_notify_barrier(3)). Were we gone
    before it could no longer tell who we were."""
    read, write = posix.pipe2(posix.O_CLOEXEC)
    try:
        try:
            connection.sendmsg([b"BARRIER=1"], [(SOL_SOCKET, SCM_RIGHTS, write.to_bytes(4, "little"))])
        finally:
            posix.close(write)
        poll = select.poll()
        poll.register(read, 0)
        poll.poll(BARRIER_MILLISECONDS)
    finally:
        posix.close(read)
