"""The conversation with init: it says where it is, we say go on. init/message.c is the other end."""

import posix
from _socket import AF_UNIX, SOCK_CLOEXEC, SOCK_SEQPACKET, socketpair

from ..errors import OperationError, PyruntimeError
from ..plan.ops import BARRIER_OFFER, INIT, Op, Plan
from .message import BARRIER, CLONED, MESSAGE_MAX, OFFER, STEP, Message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Observer = Callable[[Op], None]

SIGKILL = 9


def pair() -> tuple[int, int]:
    """Returns two connected descriptors, the second for init."""
    ours, theirs = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)
    return ours.detach(), theirs.detach()


class Handshake:
    """Our side of the conversation. The descriptor and both processes belong to this object."""

    __slots__ = ("_barrier", "_fd", "_helper", "_observer", "_offered", "_ops", "pid")

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
        # number, in init, of a descriptor that is there to be taken over
        self._offered = -1

    def close(self) -> None:
        if self._fd >= 0:
            posix.close(self._fd)
            self._fd = -1

    def wait_pid(self) -> int:
        """Waits for the clone; returns the pid. Raises OperationError."""
        while not self.pid:
            self._receive()
        return self.pid

    def wait_barrier(self) -> None:
        """Waits until init is at a barrier. Raises OperationError."""
        # the child may be faster than the process that cloned it: its message can come first
        while not (self._barrier and self.pid):
            self._receive()

    def take_offered(self) -> int:
        """Waits until init offers a descriptor; returns a duplicate of it. Raises OperationError, PyruntimeError."""
        from .descriptors import take

        self.wait_barrier()
        if self._barrier != BARRIER_OFFER:
            raise PyruntimeError(f"init is at barrier {self._barrier} and offers no descriptor")
        return take(self.pid, self._offered)

    def pass_barrier(self, number: int) -> None:
        """Waits until init is at a barrier and lets it go on. Raises OperationError."""
        self.wait_barrier()
        if self._barrier != number:
            raise PyruntimeError(f"init is at barrier {self._barrier} and not at {number}")
        self._barrier = 0
        self._go()

    def wait_executed(self) -> None:
        """Waits until the program of a process runs, whose init then closes its end. Raises OperationError."""
        while (message := self._read()) is not None:
            if message.kind == STEP:
                self._step(message)
            else:
                raise self._failure(message)

    def _go(self) -> None:
        try:
            posix.write(self._fd, b"\1")
        except BrokenPipeError:
            raise self._gone() from None

    def _read(self) -> Message | None:
        while True:
            try:
                data = posix.read(self._fd, MESSAGE_MAX)
            except ConnectionResetError:
                continue  # init has ended without reading our last word; what it said before comes now
            return Message(data) if data else None

    def _receive(self) -> None:
        """Takes one message."""
        # init waits for us, so only the process that cloned it can have something to say
        message = self._last_words() if self._barrier and not self.pid else self._read()
        if message is None:
            raise self._gone()
        if message.kind == CLONED:
            self._cloned(message)
        elif message.kind == BARRIER:
            self._barrier = message.value
        elif message.kind == OFFER:
            self._barrier, self._offered = BARRIER_OFFER, message.value
        elif message.kind == STEP:
            self._step(message)
        else:
            raise self._failure(message)

    def _step(self, message: Message) -> None:
        if self._observer is not None:
            self._observer(self._ops[message.op])
        self._go()

    def _failure(self, message: Message) -> OperationError:
        from .report import init_failed

        self._drain()
        return init_failed(self._ops[message.op], message.value, message.text)

    def _cloned(self, message: Message) -> None:
        self.pid = message.value
        if self._helper:
            posix.waitpid(self._helper, 0)
            self._helper = 0

    def _last_words(self) -> Message:
        """Returns what the process that cloned init has said before it ended. It may have been killed before that, by
        the kernel for want of memory, and without its end we would wait for ever. Raises OperationError."""
        status = posix.waitpid(self._helper, 0)[1]
        self._helper = 0
        posix.set_blocking(self._fd, False)
        try:
            message = self._read()
        except BlockingIOError:
            message = None
        posix.set_blocking(self._fd, True)
        if message is None or message.kind != CLONED:
            from .report import init_gone

            raise init_gone(status)
        return message

    def _drain(self) -> None:
        """Reads to the end: the pid may still be on its way, and without it there would be nobody to wait for."""
        while (message := self._read()) is not None:
            if message.kind == CLONED:
                self._cloned(message)

    def _gone(self) -> OperationError:
        """Reaps init, which has ended without a message, and returns the error that says so."""
        from .report import init_gone

        if not self.pid:
            self._drain()
        pid, self._helper, self.pid = self.pid or self._helper, 0, 0
        return init_gone(posix.waitpid(pid, 0)[1] if pid else 0)

    def abandon(self) -> None:
        """Ends init, wherever it is, and waits for it."""
        if self._helper:
            _end(self._helper)
            self._helper = 0
            if not self.pid and self._fd >= 0:
                posix.set_blocking(self._fd, False)
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
        posix.kill(pid, SIGKILL)
    except ProcessLookupError:
        return
    posix.waitpid(pid, 0)
