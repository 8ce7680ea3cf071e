"""The plan as bytes, for init. The format is described in init/plan.h, which is the other end."""

from _struct import pack

from .ops import INIT, INIT_OPS, Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .ops import Argument

MAGIC = b"PYPLAN01"
STEP = 1
HEADER = "<8sQIIIIIi"
HEADER_SIZE = 40
CODES = {name: (code, signature) for code, (name, signature) in enumerate(INIT_OPS)}


class _Data:
    """The area that strings, lists and bytes lie in. Equal ones are stored once."""

    __slots__ = ("parts", "places", "size")

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.places: dict[bytes, int] = {}
        self.size = 0

    def put(self, data: bytes) -> int:
        offset = self.places.get(data)
        if offset is None:
            offset = self.places[data] = self.size
            self.parts.append(data + b"\0")
            self.size += len(data) + 1
        return offset


def _encode(letter: str, value: "Argument", data: _Data) -> bytes:
    if letter == "u":
        return pack("<Q", value)
    if letter == "a":
        return pack("<6Q", *value)
    if letter == "l":
        raw = b"".join([item.encode() + b"\0" for item in value])
        return pack("<III", data.put(raw), len(raw), len(value))
    raw = value.encode() if letter == "s" else value
    return pack("<II", data.put(raw), len(raw))


def encode(plan: Plan, table_hash: int, socket: int, descriptors: "Mapping[int, int]", *, step: bool = False) -> bytes:
    """Returns the init lane as bytes.

    `socket` is the number of the handshake's descriptor in init, `descriptors` maps slots to the numbers of those that
    init is given. With `step` init asks before every op. Raises OverflowError or struct.error for a number that does
    not fit, UnicodeEncodeError for text that is not Unicode.
    """
    data = _Data()
    ops = []
    for op in plan.ops:
        if op.lane == INIT:
            code, signature = CODES[op.name]
            ops.append(pack("<I", code))
            for letter, value in zip(signature, op.args, strict=True):
                ops.append(_encode(letter, value, data))
    count = sum(op.lane == INIT for op in plan.ops)
    body = b"".join(ops)
    table = b"".join([pack("<Ii", slot, fd) for slot, fd in descriptors.items()])
    strings = b"".join(data.parts)
    size = HEADER_SIZE + len(table) + len(body) + len(strings)
    header = pack(HEADER, MAGIC, table_hash, size, STEP if step else 0, len(descriptors), count, len(body), socket)
    return header + table + body + strings
