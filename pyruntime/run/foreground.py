"""`run` without --detach: between the caller's terminal and signals on one side and the container on the other.

Without a terminal the container has the caller's own standard streams, and all that is left to do is to pass on
signals and to wait.
"""

import _signal as signals
import gc
import posix
import select
import sys
from _socket import AF_UNIX, SCM_RIGHTS, SOCK_CLOEXEC, SOCK_STREAM, SOL_SOCKET, socket, socketpair

from ..errors import PyruntimeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..config.model import ConsoleSize

SIGKILL, SIGCHLD, SIGSTOP, SIGWINCH = 9, 17, 19, 28
# what cannot be caught, what is about this process itself, and the faults of this process
NOT_FORWARDED = frozenset((SIGKILL, SIGCHLD, SIGSTOP, SIGWINCH, 4, 5, 7, 8, 11, 31))
# PIPE, TTIN and TTOU come from our own use of the terminal and of standard output
TERMINAL_SIGNALS = frozenset((13, 21, 22))
CHUNK = 65536
PIPE_BUF = 4096


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
        # what has been read and not yet been written: for the container's terminal, and for our standard output
        self._input = self._output = b""
        self._last_input = b"\n"
        self._reads_input = True
        self._hung_up = False
        # descriptor -> what is to be done when there is something to read from it; it says whether it has had enough
        self._watched: dict[int, Callable[[], bool]] = {}
        # of the container's first process, once it has ended and been reaped
        self._status = -1
        if subreaper:
            become_subreaper()
        self._wake_read, wake_write = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
        self._catch_signals(wake_write, NOT_FORWARDED | TERMINAL_SIGNALS if terminal else NOT_FORWARDED)
        if terminal:
            self._host_terminal = find_terminal()
            self._receiver, theirs = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)
            self.console_end = theirs.detach()

    def _catch_signals(self, wake: int, left_alone: "frozenset[int]") -> None:
        """From now on signals are bytes in a pipe; what comes before the container is there waits in it."""
        signals.set_wakeup_fd(wake, warn_on_full_buffer=False)
        caught = []
        for number in range(1, 65):
            if number not in left_alone or number in (SIGCHLD, SIGWINCH):
                try:
                    signals.signal(number, _ignore)
                except (OSError, ValueError):
                    continue  # 32 and 33 belong to libc
                caught.append(number)
        # the caller may have blocked them, and some may be waiting
        signals.pthread_sigmask(signals.SIG_UNBLOCK, caught)

    def take_terminal(self) -> None:
        """Receives the container's terminal, and hands our own over to it, in raw mode. Raises PyruntimeError."""
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
        # a program that does not read its input must not keep us from reading its output
        posix.set_blocking(self._master, False)
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

    def console_size(self) -> "ConsoleSize | None":
        """Returns the size of our own terminal, None if it has none: what the program's begins with."""
        size = self._window_size()
        if not any(size[:4]):
            return None
        height, width = (int.from_bytes(size[at : at + 2], sys.byteorder) for at in (0, 2))
        return {"height": height, "width": width}

    def _window_size(self) -> bytes:
        import termios
        from fcntl import ioctl

        return ioctl(self._host_terminal, termios.TIOCGWINSZ, bytes(8))

    def _resize(self) -> None:
        import termios
        from fcntl import ioctl

        size = self._window_size()
        if any(size[:4]):  # a terminal without a size leaves the one of process.consoleSize
            ioctl(self._master, termios.TIOCSWINSZ, size)

    def wait(self, pid: int) -> int:
        """Passes on input, output and signals until the container's first process has ended; returns its exit status,
        128 and the signal if one ended it."""
        gc.enable()  # this may go on for months
        pidfd = posix.pidfd_open(pid)
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        poll.register(pidfd, select.POLLIN)
        for fd in self._watched:
            poll.register(fd, select.POLLIN)
        try:
            while self._status < 0:
                self._register(poll)
                ready = dict(poll.poll())
                if self._wake_read in ready:
                    self._take_signals(pidfd, pid)
                self._relay(ready)
                self._take_watched(ready, poll)
                if pidfd in ready:
                    self._reap(pid)
        finally:
            posix.close(pidfd)
        self._drain_output()
        return self._status

    def watch(self, fd: int, take: "Callable[[], bool]") -> None:
        """Has `take` called whenever `fd` can be read, until it returns True."""
        self._watched[fd] = take

    def _take_watched(self, ready: "dict[int, int]", poll: "select.poll") -> None:
        for fd in [fd for fd in self._watched if fd in ready]:
            if self._watched[fd]():
                del self._watched[fd]
                poll.unregister(fd)

    def _take_signals(self, pidfd: int, pid: int) -> None:
        for number in posix.read(self._wake_read, 4096):
            if number == SIGCHLD:
                self._reap(pid)
            elif number == SIGWINCH and self._master >= 0:
                self._resize()
            else:
                try:
                    signals.pidfd_send_signal(pidfd, number)
                except ProcessLookupError:
                    continue  # it has just ended

    def _reap(self, pid: int) -> None:
        """Reaps all that has ended: the container's first process, and orphans that have become our children."""
        while True:
            try:
                ended, status = posix.waitpid(-1, posix.WNOHANG)
            except ChildProcessError:
                return
            if ended == 0:
                return
            if ended == pid:
                code = posix.waitstatus_to_exitcode(status)
                self._status = code if code >= 0 else 128 - code

    def _register(self, poll: "select.poll") -> None:
        """Asks for what can be gone on with: nothing is read before what was read last has been written."""
        if self._master < 0:
            return
        wanted = {1: select.POLLOUT if self._output else 0, 0: 0, self._master: 0}
        if not self._hung_up:
            wanted[0] = select.POLLIN if self._reads_input and not self._input else 0
            wanted[self._master] = (0 if self._output else select.POLLIN) | (select.POLLOUT if self._input else 0)
        for fd, events in wanted.items():
            if events:
                poll.register(fd, events)
            else:
                try:
                    poll.unregister(fd)
                except KeyError:
                    continue

    def _relay(self, ready: "dict[int, int]") -> None:
        """Moves what can be moved, in both directions."""
        events = ready.get(self._master, 0)
        if 1 in ready:
            self._write_output()
        if 0 in ready:
            self._read_input()
        if events & select.POLLOUT:
            self._write_input()
        if events & ~select.POLLOUT and not self._output:
            self._output = self._read_master()
            if not self._output and events & select.POLLHUP:
                # all who had the terminal open have closed it; the container may go on without
                self._hung_up = True

    def _read_master(self) -> bytes:
        try:
            return posix.read(self._master, CHUNK)
        except OSError:
            return b""  # EAGAIN: nothing yet; EIO: the other side is closed

    def _write_output(self) -> None:
        """Writes at most what a pipe takes at once: our standard output may be one, and is not ours to unblock."""
        try:
            self._output = self._output[posix.write(1, self._output[:PIPE_BUF]) :]
        except OSError:
            self._output = b""  # nobody reads it any more: the container goes on, and what it prints is lost

    def _read_input(self) -> None:
        try:
            data = posix.read(0, CHUNK)
        except OSError:
            data = b""
        if data:
            self._input, self._last_input = data, data[-1:]
            return
        self._reads_input = False
        if not posix.isatty(0):
            # the end of a file is a key on a terminal; in the middle of a line it has to be hit twice
            self._input = b"\x04" if self._last_input == b"\n" else b"\x04\x04"

    def _write_input(self) -> None:
        try:
            self._input = self._input[posix.write(self._master, self._input) :]
        except BlockingIOError:
            return
        except OSError:
            self._input = b""

    def _drain_output(self) -> None:
        """Reads what the container has written before it ended, and does not wait for more."""
        while self._output or (self._master >= 0 and self._fill()):
            self._write_output()

    def _fill(self) -> bool:
        self._output = self._read_master()
        return bool(self._output)

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
