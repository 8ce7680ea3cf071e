"""`run` without --detach: between the caller's terminal and signals on one side and the container on the other.

Without a terminal the container has the caller's own standard streams, and all that is left to do is to pass on
signals and to wait.
"""

import _signal as signals
import posix
import select
import sys
from _socket import AF_UNIX, SCM_RIGHTS, SOCK_CLOEXEC, SOCK_STREAM, SOL_SOCKET, socket, socketpair

from ..errors import PyruntimeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SIGKILL, SIGCHLD, SIGSTOP, SIGWINCH = 9, 17, 19, 28
# what cannot be caught, what is about this process itself, and the faults of this process
NOT_FORWARDED = frozenset((SIGKILL, SIGCHLD, SIGSTOP, SIGWINCH, 4, 5, 7, 8, 11, 31))
CHUNK = 65536


def become_subreaper() -> None:
    """Lets processes that the container leaves behind become our children, so that they are reaped (prctl(2))."""
    import prctl

    prctl.set_child_subreaper(1)


class Foreground:
    """One container in the foreground. Descriptors and terminal settings belong to this object."""

    def __init__(self, *, terminal: bool, subreaper: bool) -> None:
        self.console_end = -1
        self._receiver: socket | None = None
        self._master = -1
        self._host_terminal = -1
        self._saved: list[Any] | None = None
        self._pending = b""
        if subreaper:
            become_subreaper()
        self._wake_read, wake_write = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
        self._catch_signals(wake_write)
        if terminal:
            self._host_terminal = find_terminal()
            self._receiver, theirs = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)
            self.console_end = theirs.detach()

    def _catch_signals(self, wake: int) -> None:
        """From now on signals are bytes in a pipe; what comes before the container is there waits in it."""
        signals.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in range(1, 65):
            if number not in NOT_FORWARDED or number in (SIGCHLD, SIGWINCH):
                try:
                    signals.signal(number, _ignore)
                except (OSError, ValueError):
                    continue  # 32 and 33 belong to libc

    def take_terminal(self) -> None:
        """Receives the container's terminal, and hands our own over to it, in raw mode."""
        if self._receiver is None:
            return
        posix.close(self.console_end)
        self.console_end = -1
        _, ancillary, _, _ = self._receiver.recvmsg(64, 64)
        for level, kind, data in ancillary:
            if level == SOL_SOCKET and kind == SCM_RIGHTS:
                self._master = int.from_bytes(data[:4], sys.byteorder)
        if self._master < 0:
            raise PyruntimeError("the container's init sent no terminal")
        posix.set_inheritable(self._master, False)
        self._resize()
        self._make_raw()

    def _make_raw(self) -> None:
        import termios

        self._saved = termios.tcgetattr(self._host_terminal)
        mode = termios.tcgetattr(self._host_terminal)
        # cfmakeraw(3): every key goes to the container, Ctrl-C too
        mode[0] &= ~(
            termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP | termios.INLCR | termios.IGNCR
        ) & ~(termios.ICRNL | termios.IXON)
        mode[1] &= ~termios.OPOST
        mode[2] = (mode[2] & ~(termios.CSIZE | termios.PARENB)) | termios.CS8
        mode[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
        termios.tcsetattr(self._host_terminal, termios.TCSANOW, mode)

    def _resize(self) -> None:
        import termios
        from fcntl import ioctl

        size = ioctl(self._host_terminal, termios.TIOCGWINSZ, bytes(8))
        ioctl(self._master, termios.TIOCSWINSZ, size)

    def wait(self, pid: int) -> int:
        """Passes on input, output and signals until the container's first process has ended; returns its status."""
        pidfd = posix.pidfd_open(pid)
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        poll.register(pidfd, select.POLLIN)
        if self._master >= 0:
            poll.register(self._master, select.POLLIN)
            poll.register(0, select.POLLIN)
        try:
            while True:
                ready = dict(poll.poll())
                if self._wake_read in ready:
                    self._forward_signals(pidfd)
                if self._master in ready:
                    self._copy_output(poll)
                if 0 in ready:
                    self._copy_input(poll)
                if pidfd in ready:
                    break
        finally:
            posix.close(pidfd)
        self._drain_output()
        return exit_status(pid)

    def _forward_signals(self, pidfd: int) -> None:
        for number in posix.read(self._wake_read, 4096):
            if number == SIGCHLD:
                continue
            if number == SIGWINCH and self._master >= 0:
                self._resize()
            else:
                try:
                    signals.pidfd_send_signal(pidfd, number)
                except ProcessLookupError:
                    return

    def _copy_output(self, poll: "select.poll") -> None:
        data = self._read_master()
        if data:
            write_all(1, data)
        else:
            # all who had the terminal open have closed it; the container may go on without
            poll.unregister(self._master)

    def _read_master(self) -> bytes:
        try:
            return posix.read(self._master, CHUNK)
        except OSError:
            return b""  # EIO: the other side is closed

    def _copy_input(self, poll: "select.poll") -> None:
        try:
            data = posix.read(0, CHUNK)
        except OSError:
            data = b""
        if not data:
            poll.unregister(0)
            if not posix.isatty(0):
                data = b"\x04"  # the end of a file is a key on a terminal
        if data:
            write_all(self._master, data)

    def _drain_output(self) -> None:
        """Reads what the container has written before it ended, and does not wait for more."""
        if self._master < 0:
            return
        posix.set_blocking(self._master, False)
        while data := self._read_master():
            write_all(1, data)

    def close(self) -> None:
        """Gives the terminal back as it was."""
        if self._saved is not None:
            import termios

            termios.tcsetattr(self._host_terminal, termios.TCSANOW, self._saved)
            self._saved = None
        for fd in (self._master, self.console_end):
            if fd >= 0:
                posix.close(fd)
        self._master = self.console_end = -1


def _ignore(_number: int, _frame: object) -> None:
    """Handles a signal by having been interrupted: its number is in the pipe."""


def find_terminal() -> int:
    """Returns a descriptor of the caller's terminal: the first standard stream that is one, else /dev/tty."""
    for fd in (2, 1, 0):
        if posix.isatty(fd):
            return fd
    try:
        return posix.open("/dev/tty", posix.O_RDWR | posix.O_CLOEXEC | posix.O_NOCTTY)
    except OSError as error:
        from ..errors import os_error

        raise PyruntimeError(f"open {os_error(error)}") from None


def write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[posix.write(fd, data) :]


def exit_status(pid: int) -> int:
    """Reaps our child `pid` and returns its exit status, 128 and the signal if one ended it."""
    while True:
        ended, status = posix.waitpid(-1, 0)
        if ended == pid:
            code = posix.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


__all__ = ["Foreground", "become_subreaper", "exit_status", "find_terminal"]
