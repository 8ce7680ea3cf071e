r"""The cache of the dynamic linker, /etc/ld.so.cache: read, extended and written here, so that no ldconfig is run.

The format is glibc's (sysdeps/generic/dl-cache.h), little-endian:

    old part, if any   "ld.so-1.7.0\0", count, count x (flags, name, path); ends at a multiple of 8
    header             "glibc-ld.so.cache" "1.1", count, length of strings, flags, where the extension is
    entries            flags, name, path, os version, hwcap; sorted, since the linker searches by halving
    strings            offsets to them count from the header
    extension          sections: who wrote the cache, and names of hardware capabilities

The file may come from an image: every number in it is checked against what is there.
"""

from _struct import Struct

from ...errors import PyruntimeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

OLD_MAGIC = b"ld.so-1.7.0\0"
MAGIC = b"glibc-ld.so.cache1.1"
EXTENSION_MAGIC = 0xEAA42174
OLD_ENTRY = Struct("<iII")
COUNT = Struct("<I")
# count, length of strings, flags, padding, extension, unused
HEADER = Struct("<20sIIB3xI12x")
ENTRY = Struct("<iIIIQ")
EXTENSION = Struct("<II")
# tag, flags, where, length
SECTION = Struct("<IIII")
LITTLE_ENDIAN = 2
MOST_BYTES = 32 << 20
# images with many libraries have some thousands
MOST_ENTRIES = 1 << 16
MOST_SECTIONS = 64
LONGEST_NAME, LONGEST = 255, 4096

# low byte: what kind of file; the next: for which machine
ELF, ELF_LIBC6 = 1, 3
MACHINES = {("x86_64", 64): 0x0300, ("aarch64", 64): 0x0A00, ("x86_64", 32): 0x0000}
MACHINE_MASK = 0xFF00
# the section with names of hardware capabilities, by which entries mean theirs
HWCAPS_TAG = 1
# glibc-hwcaps: the low 32 bits are the number of a name in the extension
HWCAP_EXTENSION = 1 << 62


class BadCache(PyruntimeError):
    """The file is no cache of a known form."""


class Entry:
    """A library: `name` is what is asked for, `path` where it is."""

    __slots__ = ("flags", "hwcap", "name", "os_version", "path")

    def __init__(self, name: str, path: str, flags: int, hwcap: int = 0, os_version: int = 0) -> None:
        self.name = name
        self.path = path
        self.flags = flags
        self.hwcap = hwcap
        self.os_version = os_version

    def machine(self) -> int:
        return self.flags & MACHINE_MASK


class Cache:
    """Entries in the linker's order, and the sections of the extension: (tag, flags, content)."""

    __slots__ = ("entries", "sections")

    def __init__(self, entries: "list[Entry] | None" = None) -> None:
        self.entries = entries or []
        self.sections: list[tuple[int, int, bytes]] = []


# ---- reading


def parse(data: bytes) -> Cache:
    """Reads a cache. Raises BadCache."""
    if len(data) > MOST_BYTES:
        raise BadCache("a cache that is too large")
    start = _start(data)
    if start + HEADER.size > len(data):
        raise BadCache("a cache that is cut off")
    magic, count, length, flags, extension = HEADER.unpack_from(data, start)
    if magic != MAGIC:
        raise BadCache("not a cache of the linker")
    if flags & 3 not in (0, LITTLE_ENDIAN):
        raise BadCache("a cache of another byte order")
    if count > MOST_ENTRIES:
        raise BadCache("a cache with too many entries")
    strings = start + HEADER.size + count * ENTRY.size
    if strings + length > len(data):
        raise BadCache("a cache that is cut off")
    cache = Cache()
    known: dict[int, str] = {}
    total = 0
    table = memoryview(data)[start + HEADER.size : strings]
    for kind, name, path, os_version, hwcap in ENTRY.iter_unpack(table):
        for offset in (name, path):
            if offset not in known:
                text = known[offset] = _string(data, start + offset, strings, strings + length)
                # parts of one another count as often as they are named
                total += len(text)
        if total > MOST_BYTES or len(known[name]) > LONGEST_NAME:
            raise BadCache("a cache with names that are too long")
        cache.entries.append(Entry(known[name], known[path], kind, hwcap, os_version))
    if extension:
        cache.sections = _sections(data, start, extension)
    return cache


def _start(data: bytes) -> int:
    """Returns where the header is, behind a part in the format of before glibc 2.2."""
    if data[: len(OLD_MAGIC)] != OLD_MAGIC:
        return 0
    if len(data) < len(OLD_MAGIC) + COUNT.size:
        raise BadCache("a cache that is cut off")
    (count,) = COUNT.unpack_from(data, len(OLD_MAGIC))
    end: int = len(OLD_MAGIC) + COUNT.size + count * OLD_ENTRY.size
    return end + -end % 8


def _string(data: bytes, at: int, first: int, last: int) -> str:
    if not first <= at < last:
        raise BadCache("a name that is outside of the cache")
    end = data.find(b"\0", at, min(last, at + LONGEST))
    if end < 0:
        raise BadCache("a name that does not end")
    return data[at:end].decode("utf-8", "surrogateescape")


def _sections(data: bytes, start: int, extension: int) -> list[tuple[int, int, bytes]]:
    at = start + extension
    if at + EXTENSION.size > len(data):
        raise BadCache("an extension that is outside of the cache")
    magic, count = EXTENSION.unpack_from(data, at)
    if magic != EXTENSION_MAGIC or count > MOST_SECTIONS:
        raise BadCache("an extension of an unknown form")
    if at + EXTENSION.size + count * SECTION.size > len(data):
        raise BadCache("an extension that is cut off")
    found = []
    for number in range(count):
        tag, flags, where, length = SECTION.unpack_from(data, at + EXTENSION.size + number * SECTION.size)
        if start + where + length > len(data):
            raise BadCache("a section that is outside of the cache")
        found.append((tag, flags, data[start + where : start + where + length]))
    return found


def hwcap_names(cache: Cache, data: bytes) -> list[str]:
    """Returns the names of hardware capabilities, in their numbers' order; `data` is what the cache was read from."""
    start = _start(data)
    names = []
    for tag, _, content in cache.sections:
        if tag != HWCAPS_TAG:
            continue
        for (offset,) in COUNT.iter_unpack(content[: len(content) & ~3]):
            names.append(_string(data, start + offset, 0, len(data)))
    return names


# ---- writing


def build(cache: Cache, names: "Iterable[str]" = ()) -> bytes:
    """Returns the bytes of a cache with these entries, sorted as the linker wants them.

    `names` are those of hardware capabilities, to which entries refer by number; sections of other kinds are kept.
    """
    entries = sorted(cache.entries, key=sort_key, reverse=True)
    names = list(names)
    strings = bytearray()
    places: dict[str, int] = {}
    first = HEADER.size + len(entries) * ENTRY.size

    def place(text: str) -> int:
        if text not in places:
            places[text] = first + len(strings)
            strings.extend(_bytes(text) + b"\0")
        return places[text]

    table = b""
    for entry in entries:
        path = place(entry.path)
        # mostly the name is how the path ends, and takes no place of its own
        ends = entry.path.endswith(f"/{entry.name}")
        name = path + len(_bytes(entry.path)) - len(_bytes(entry.name)) if ends else place(entry.name)
        table += ENTRY.pack(entry.flags, name, path, entry.os_version, entry.hwcap)
    offsets = b"".join(COUNT.pack(place(name)) for name in names)
    sections = [(tag, flags, offsets if tag == HWCAPS_TAG else content) for tag, flags, content in cache.sections]
    at = first + len(strings)
    padding = -at % 4
    extension = at + padding if sections else 0
    header = HEADER.pack(MAGIC, len(entries), len(strings), LITTLE_ENDIAN, extension)
    made = header + table + bytes(strings)
    return made + bytes(padding) + _build_sections(sections, extension) if sections else made


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _build_sections(sections: list[tuple[int, int, bytes]], at: int) -> bytes:
    head = EXTENSION.pack(EXTENSION_MAGIC, len(sections))
    where = at + len(head) + len(sections) * SECTION.size
    contents = b""
    for tag, flags, content in sections:
        padded = content + bytes(-len(content) % 4)
        head += SECTION.pack(tag, flags, where, len(content))
        where += len(padded)
        contents += padded
    return head + contents


def sort_key(entry: Entry) -> "tuple[list[tuple[int, int]], int, int, int]":
    """Returns what entries are sorted by, the largest first (compare() in elf/cache.c of glibc).

    Names come first, with runs of digits as numbers, which stand behind every other character. Of one name those for
    certain hardware are in front, by the number of its name, since the linker takes the first that fits.
    """
    key: list[tuple[int, int]] = []
    digits = -1
    for byte in _bytes(entry.name):
        if 48 <= byte <= 57:
            digits = max(digits, 0) * 10 + byte - 48
            continue
        if digits >= 0:
            key.append((1, digits))
            digits = -1
        key.append((0, byte))
    if digits >= 0:
        key.append((1, digits))
    if entry.hwcap & HWCAP_EXTENSION:
        return key, entry.flags, 1, -(entry.hwcap & 0xFFFFFFFF)
    return key, entry.flags, 0, entry.hwcap


# ---- both


def extend(data: bytes | None, libraries: "Iterable[tuple[str, str, int]]", machine: str) -> bytes:
    """Returns a cache in which the libraries, (SONAME, path, bits), come in place of those of the same SONAME.

    `data` is the image's cache, None where it has none. Raises BadCache: then the image's own is best left alone.
    """
    cache, names = Cache(), list[str]()
    if data is not None:
        cache = parse(data)
        names = hwcap_names(cache, data)
    new: dict[tuple[str, int], Entry] = {}
    for soname, path, bits in libraries:
        kind = MACHINES.get((machine, bits))
        if kind is not None:
            new.setdefault((soname, kind), Entry(soname, path, kind | ELF_LIBC6))
    kept = [entry for entry in cache.entries if (entry.name, entry.machine()) not in new]
    cache.entries = [*new.values(), *kept]
    return build(cache, names)


def directories(data: bytes, names: "Iterable[str]") -> list[str]:
    """Returns the directories in which a cache has libraries of these names, each once. Raises BadCache."""
    wanted = frozenset(names)
    found = [entry.path.rpartition("/")[0] for entry in parse(data).entries if entry.name in wanted]
    return [directory for directory in dict.fromkeys(found) if directory[:1] == "/"]
