"""What an ELF file says of itself: for which machine it is, the name that the linker knows it by, and its notes.

A handful of short reads per file (elf(5)), whatever its size. The file may hold anything: each number in it is checked
before it is used, and what does not add up is a BadElf.
"""

import posix
from _struct import Struct

from ...errors import PyruntimeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    # type, offset in the file, address, size in the file
    Segment = tuple[int, int, int, int]

I386, X86_64, AARCH64 = 3, 62, 183
PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_NOTE = 1, 2, 3, 4
SHT_NOTE = 7
DT_NULL, DT_STRTAB, DT_SONAME = 0, 5, 14

MAGIC = b"\x7fELF"
IDENT = 16
LITTLE_ENDIAN = 1
LONGEST_NAME = 255
# far beyond what any linker writes
MOST_HEADERS = 256
MOST_BYTES = 1 << 16
LAST_OFFSET = (1 << 63) - 1


class Layout:
    """The structures of one class. The fields picked are named where they are unpacked."""

    __slots__ = ("bits", "dynamic", "header", "section", "segment")

    def __init__(self, bits: int, header: str, segment: str, section: str, dynamic: str) -> None:
        self.bits = bits
        self.header = Struct(header)
        self.segment = Struct(segment)
        self.section = Struct(section)
        self.dynamic = Struct(dynamic)


LAYOUTS = {
    1: Layout(32, "<HHIIIIIHHHHHH", "<IIIIIIII", "<IIIIIIIIII", "<iI"),
    2: Layout(64, "<HHIQQQIHHHHHH", "<IIQQQQQQ", "<IIQQQQIIQQ", "<qQ"),
}


class BadElf(PyruntimeError):
    """The file is no ELF file, or one that cannot be understood."""


class Elf:
    """`bits` is 32 or 64, `machine` the kernel's number for it, `soname` "" where there is none, `interpreter` the
    program that loads it, "" for libraries."""

    __slots__ = ("bits", "interpreter", "machine", "soname")

    def __init__(self, bits: int, machine: int, soname: str, interpreter: str = "") -> None:
        self.bits = bits
        self.machine = machine
        self.soname = soname
        self.interpreter = interpreter


class _Headers:
    """The first header, unpacked, and the segments."""

    __slots__ = ("layout", "machine", "sections", "segments")

    def __init__(self, fd: int) -> None:
        start = posix.pread(fd, IDENT + 48, 0)
        if start[:4] != MAGIC or len(start) < IDENT:
            raise BadElf("not an ELF file")
        if start[4] not in LAYOUTS or start[5] != LITTLE_ENDIAN:
            raise BadElf("an ELF file of an unknown class or byte order")
        self.layout = layout = LAYOUTS[start[4]]
        if len(start) < IDENT + layout.header.size:
            raise BadElf("the file is cut off")
        header = layout.header.unpack_from(start, IDENT)
        self.machine: int = header[1]
        offset, size, count = header[4], header[8], header[9]
        self.sections = (header[5], header[10], header[11])
        self.segments: list[Segment] = []
        if not count:
            return
        data = _table(fd, offset, size, count, layout.segment)
        for at in range(0, len(data), layout.segment.size):
            fields = layout.segment.unpack_from(data, at)
            # the two classes have the flags at different places
            kind, where, address, length = (
                (fields[0], fields[2], fields[3], fields[5])
                if layout.bits == 64
                else (fields[0], fields[1], fields[2], fields[4])
            )
            self.segments.append((kind, where, address, length))

    def find(self, kind: int) -> "Segment | None":
        for segment in self.segments:
            if segment[0] == kind:
                return segment
        return None

    def offset(self, address: int) -> int:
        """Returns where in the file an address of memory comes from."""
        for kind, where, start, length in self.segments:
            if kind == PT_LOAD and start <= address < start + length:
                return where + address - start
        raise BadElf("an address that is in no segment")


def read(fd: int) -> Elf:
    """Reads an open file. Raises BadElf, OSError."""
    headers = _Headers(fd)
    interpreter = ""
    if segment := headers.find(PT_INTERP):
        interpreter = _text(_read(fd, segment[1], min(segment[3], LONGEST_NAME + 1)))
    soname = ""
    if segment := headers.find(PT_DYNAMIC):
        soname = _soname(fd, headers, segment)
    return Elf(headers.layout.bits, headers.machine, soname, interpreter)


def read_file(path: str) -> Elf:
    """Reads the file at a path of the host. Raises BadElf, OSError."""
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK | posix.O_NOCTTY)
    try:
        return read(fd)
    finally:
        posix.close(fd)


def notes(fd: int) -> "Iterator[tuple[str, int, bytes]]":
    """Yields owner, type and payload of each note in segments, then in sections. Raises BadElf, OSError."""
    headers = _Headers(fd)
    areas = [(where, length) for kind, where, _, length in headers.segments if kind == PT_NOTE]
    offset, size, count = headers.sections
    if count:
        data = _table(fd, offset, size, count, headers.layout.section)
        for at in range(0, len(data), headers.layout.section.size):
            fields = headers.layout.section.unpack_from(data, at)
            if fields[1] == SHT_NOTE and (fields[4], fields[5]) not in areas:
                areas.append((fields[4], fields[5]))
    for where, length in areas:
        if length > MOST_BYTES:
            raise BadElf("notes that are too large")
        yield from _notes(_read(fd, where, length))


def _notes(data: bytes) -> "Iterator[tuple[str, int, bytes]]":
    head = Struct("<III")
    at = 0
    while at + head.size <= len(data):
        owner_size, size, kind = head.unpack_from(data, at)
        owner_at = at + head.size
        payload_at = owner_at + (owner_size + 3 & ~3)
        at = payload_at + (size + 3 & ~3)
        if payload_at + size > len(data):
            raise BadElf("a note that reaches beyond its section")
        owner = data[owner_at : owner_at + owner_size].rstrip(b"\0").decode("utf-8", "replace")
        yield owner, kind, data[payload_at : payload_at + size]


def _table(fd: int, offset: int, size: int, count: int, entry: Struct) -> bytes:
    if size != entry.size or count > MOST_HEADERS:
        raise BadElf("headers of an unknown form")
    return _read(fd, offset, size * count)


def _read(fd: int, offset: int, length: int) -> bytes:
    """Reads exactly so many bytes."""
    if offset > LAST_OFFSET - length:
        raise BadElf("an offset beyond the end of the file")
    data = posix.pread(fd, length, offset)
    if len(data) != length:
        raise BadElf("the file is cut off")
    return data


def _soname(fd: int, headers: _Headers, segment: "Segment") -> str:
    names = name = None
    for tag, value in headers.layout.dynamic.iter_unpack(_dynamic(fd, headers, segment)):
        if tag == DT_NULL:
            break
        if tag == DT_STRTAB:
            names = value
        elif tag == DT_SONAME:
            name = value
    if name is None:
        return ""
    if names is None:
        raise BadElf("a name without a table of names")
    offset = headers.offset(names) + name
    if offset > LAST_OFFSET - LONGEST_NAME:
        raise BadElf("an offset beyond the end of the file")
    found = _text(posix.pread(fd, LONGEST_NAME + 1, offset))
    if not found or "/" in found or found in (".", ".."):
        raise BadElf("a SONAME that is no file name")
    return found


def _dynamic(fd: int, headers: _Headers, segment: "Segment") -> bytes:
    length = segment[3]
    if length > MOST_BYTES:
        raise BadElf("a dynamic section that is too large")
    return _read(fd, segment[1], length - length % headers.layout.dynamic.size)


def _text(data: bytes) -> str:
    """Returns what stands in front of the first NUL."""
    text, end, _ = data.partition(b"\0")
    if not end or not text.isascii():
        raise BadElf("a name that does not end, or is not ASCII")
    found = text.decode()
    if not found.isprintable():
        raise BadElf("a name that cannot be printed")
    return found
