"""What init says, as init/message.c writes it: kind, op, value, size of the text, text."""

import posix
from _struct import unpack_from

CLONED, BARRIER, ERROR, STEP, STARTED, OFFER = 1, 2, 3, 4, 5, 6
HEADER = "<IIiI"
HEADER_SIZE = 16
MESSAGE_MAX = 4096


class Message:
    """One message of init."""

    __slots__ = ("kind", "op", "text", "value")

    def __init__(self, data: bytes) -> None:
        self.kind, self.op, self.value, size = unpack_from(HEADER, data)
        # what the kernel and hooks print ends in a newline
        self.text = data[HEADER_SIZE : HEADER_SIZE + size].decode("utf-8", "backslashreplace").rstrip()


def receive_started(fd: int) -> Message | None:
    """Reads what init says on the fifo when it was started; None when it ended without a word."""
    data = posix.read(fd, MESSAGE_MAX)
    return Message(data) if len(data) >= HEADER_SIZE else None
