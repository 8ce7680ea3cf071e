"""The conversation with init: it says where it is, we say go on. init/message.c is the other end."""

import os
from _socket import AF_UNIX, SOCK_CLOEXEC, SOCK_SEQPACKET, socketpair
from _struct import unpack_from

from ..errors import PyruntimeError
from ..plan.ops import INIT, Op, Plan
from .report import init_failed, init_gone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Observer = Callable[[Op], None]

CLONED, BARRIER, ERROR, STEP, STARTED = 1, 2, 3, 4, 5
HEADER = "<IIiI"
HEADER_SIZE = 16
MESSAGE_MAX = 4096
SIGKILL = 9


class Message:
    """One message of init."""

    __slots__ = ("kind", "op", "text", "value")

    def __init__(self, data: bytes) -> None:
        self.kind, self.op, self.value, size = unpack_from(HEADER, data)
        self.text = data[HEADER_SIZE : HEADER_SIZE + size].decode("utf-8", "backslashreplace")


def pair() -> tuple[int, int]:
    """Returns two connected descriptors, the second for init."""
    ours, theirs = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)
    return ours.detach(), theirs.detach()


class Handshake:
    """Our side of the conversation. The descriptor and both processes belong to this object."""

    __slots__ = ("_barrier", "_fd", "_helper", "_observer", "_ops", "pid")

    def __init__(self, plan: Plan, fd: int, helper: int, observer: "Observer | None") -> None:
        self._ops = [op for op in plan.ops if op.lane == INIT]
        self._fd = fd
        # init before the clone: it ends with it
        self._helper = helper
        # called for every op of init before it runs
        self._observer = observer
        # the one that init waits at, 0 for none
        self._barrier = 0
        # of the container's first process; 0 until the clone
        self.pid = 0

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def wait_pid(self) -> int:
        """Waits for the clone; returns the pid. Raises OperationError."""
        while not self.pid:
            self._receive()
        return self.pid

    def pass_barrier(self, number: int) -> None:
        """Waits until init is at a barrier and lets it go on. Raises OperationError."""
        # the child may be faster than the process that cloned it: its message can come first
        while not (self._barrier and self.pid):
            self._receive()
        if self._barrier != number:
            raise PyruntimeError(f"init is at barrier {self._barrier} and not at {number}")
        self._barrier = 0
        self._go()

    def _go(self) -> None:
        try:
            os.write(self._fd, b"\1")
        except BrokenPipeError:
            raise init_gone(self._wait_status()) from None

    def _read(self) -> Message | None:
        try:
            data = os.read(self._fd, MESSAGE_MAX)
        except ConnectionResetError:
            return None
        return Message(data) if data else None

    def _receive(self) -> None:
        """Takes one message."""
        message = self._read()
        if message is None:
            raise init_gone(self._wait_status())
        if message.kind == CLONED:
            self._cloned(message)
        elif message.kind == BARRIER:
            self._barrier = message.value
        elif message.kind == STEP:
            if self._observer is not None:
                self._observer(self._ops[message.op])
            self._go()
        else:
            self._drain()
            raise init_failed(self._ops[message.op], message.value, message.text)

    def _cloned(self, message: Message) -> None:
        self.pid = message.value
        os.waitpid(self._helper, 0)
        self._helper = 0

    def _drain(self) -> None:
        """Reads to the end: the pid may still be on its way, and without it there would be nobody to wait for."""
        while (message := self._read()) is not None:
            if message.kind == CLONED:
                self._cloned(message)

    def _wait_status(self) -> int:
        """Returns the wait status of init, which is gone."""
        pid, self._helper, self.pid = self.pid or self._helper, 0, 0
        return os.waitpid(pid, 0)[1] if pid else 0

    def abandon(self) -> None:
        """Ends init, wherever it is, and waits for it."""
        if self._helper:
            _end(self._helper)
            self._helper = 0
            if not self.pid and self._fd >= 0:
                os.set_blocking(self._fd, False)
                self._learn_pid()
        self.close()
        if self.pid:
            _end(self.pid)
            self.pid = 0

    def _learn_pid(self) -> None:
        try:
            while not self.pid and (message := self._read()) is not None:
                if message.kind == CLONED:
                    self.pid = message.value
        except BlockingIOError:
            return  # not cloned yet, or nobody to tell: a child that hears nothing ends by itself


def _end(pid: int) -> None:
    try:
        os.kill(pid, SIGKILL)
    except ProcessLookupError:
        return
    os.waitpid(pid, 0)


def receive_started(fd: int) -> Message | None:
    """Reads what init says on the fifo when it was started; None when it ended without a word."""
    data = os.read(fd, MESSAGE_MAX)
    return Message(data) if len(data) >= HEADER_SIZE else None
