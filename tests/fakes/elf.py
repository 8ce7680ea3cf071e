"""Writes ELF files that the linker accepts: one segment to load, a dynamic section, and notes if asked for.

What they hold is a name and nothing else. ldconfig(8) and dlopen(3) take them; tests/unit/test_nvidia_elf.py says so.
"""

from struct import pack

I386, X86_64, AARCH64 = 3, 62, 183
PAGE = 0x1000
DT_NULL, DT_HASH, DT_STRTAB, DT_SYMTAB, DT_STRSZ, DT_SYMENT, DT_SONAME = 0, 4, 5, 6, 10, 11, 14
PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_NOTE = 1, 2, 3, 4


def note(owner: str, kind: int, payload: bytes) -> bytes:
    """Returns one note, padded as elf(5) says."""
    name = owner.encode() + b"\0"
    padded = name + b"\0" * (-len(name) % 4)
    return pack("<III", len(name), len(payload), kind) + padded + payload + b"\0" * (-len(payload) % 4)


def library(soname: str, machine: int = X86_64, notes: bytes = b"", interpreter: str = "") -> bytes:
    """Returns a shared library. `soname` "" leaves the name out."""
    wide = machine != I386
    header_size, segment_size = (64, 56) if wide else (52, 32)
    names = b"\0" + soname.encode() + b"\0"
    symbols = b"\0" * (24 if wide else 16)
    hashes = pack("<IIII", 1, 1, 0, 0)
    loader = interpreter.encode() + b"\0" if interpreter else b""
    kinds = [PT_LOAD, PT_DYNAMIC] + [PT_NOTE] * bool(notes) + [PT_INTERP] * bool(loader)
    at = header_size + segment_size * len(kinds)
    places = {}
    body = b""
    for key, data in (("names", names), ("symbols", symbols), ("hashes", hashes), ("notes", notes), ("loader", loader)):
        body += b"\0" * (-(at + len(body)) % 8)
        places[key] = at + len(body)
        body += data
    body += b"\0" * (-(at + len(body)) % 8)
    entries = [
        (DT_HASH, places["hashes"]),
        (DT_STRTAB, places["names"]),
        (DT_SYMTAB, places["symbols"]),
        (DT_STRSZ, len(names)),
        (DT_SYMENT, len(symbols)),
        *([(DT_SONAME, 1)] if soname else []),
        (DT_NULL, 0),
    ]
    dynamic = b"".join(pack("<qQ" if wide else "<iI", *entry) for entry in entries)
    places["dynamic"] = at + len(body)
    body += dynamic
    total = at + len(body)
    extents = {
        PT_LOAD: (0, total, PAGE),
        PT_DYNAMIC: (places["dynamic"], len(dynamic), 8),
        PT_NOTE: (places["notes"], len(notes), 4),
        PT_INTERP: (places["loader"], len(loader), 1),
    }
    segments = b""
    for kind in kinds:
        where, size, align = extents[kind]
        if wide:
            segments += pack("<IIQQQQQQ", kind, 6, where, where, where, size, size, align)
        else:
            segments += pack("<IIIIIIII", kind, where, where, where, size, size, 6, align)
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1, 1]) + bytes(9)
    form = "<HHIQQQIHHHHHH" if wide else "<HHIIIIIHHHHHH"
    fields = (3, machine, 1, 0, header_size, 0, 0, header_size, segment_size, len(kinds), 64 if wide else 40, 0, 0)
    return ident + pack(form, *fields) + segments + body
