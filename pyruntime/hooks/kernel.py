"""System calls that Python has no functions for: mounts by descriptors, paths that stay below a root, namespaces, BPF.

They are made through libc's syscall(), declared in install/bindings.py. Each raises OSError.

Sources: open_tree(2), move_mount(2), mount_setattr(2), fsopen(2), openat2(2), setns(2), bpf(2); their numbers are those
of asm-generic/unistd.h, which old calls have on x86 alone not.
"""

import posix
from _struct import pack, unpack_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

OPEN_TREE, MOVE_MOUNT, FSOPEN, FSCONFIG, FSMOUNT = 428, 429, 430, 431, 432
OPENAT2, MOUNT_SETATTR = 437, 442
OLD_CALLS = {"x86_64": {"setns": 308, "bpf": 321}}
GENERIC_CALLS = {"setns": 268, "bpf": 280}

AT_EMPTY_PATH, AT_RECURSIVE = 0x1000, 0x8000
OPEN_TREE_CLONE = 1
MOVE_MOUNT_F_EMPTY_PATH, MOVE_MOUNT_T_EMPTY_PATH = 0x04, 0x40
FSCONFIG_SET_FLAG, FSCONFIG_SET_STRING, FSCONFIG_CMD_CREATE = 0, 1, 6
CLOEXEC_FS = 1
RDONLY, NOSUID, NODEV, NOEXEC = 1, 2, 4, 8
MS_PRIVATE = 1 << 18
RESOLVE_NO_MAGICLINKS, RESOLVE_IN_ROOT = 0x02, 0x10
CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000

# linux/bpf.h
PROG_LOAD, PROG_ATTACH, PROG_GET_FD_BY_ID, PROG_QUERY = 5, 8, 13, 16
PROG_TYPE_CGROUP_DEVICE, CGROUP_DEVICE = 15, 6
MOST_PROGRAMS = 64
EAGAIN = 11
OPEN_TRIES = 32


def _call(number: int, *arguments: "int | Any") -> int:
    """Makes a system call with numbers and buffers. Raises OSError."""
    from ._libc import ffi

    converted = [
        ffi.cast("long", argument) if isinstance(argument, int) else ffi.cast("char *", argument)
        for argument in arguments
    ]
    result = int(ffi.dlopen(None).syscall(number, *converted))
    if result < 0:
        raise OSError(ffi.errno, posix.strerror(ffi.errno))
    return result


def _text(text: str) -> "Any":
    return _bytes(text.encode() + b"\0")


def _bytes(data: bytes) -> "Any":
    from ._libc import ffi

    return ffi.new("char[]", data)


def _old(name: str) -> int:
    return OLD_CALLS.get(posix.uname().machine, GENERIC_CALLS)[name]


# ---- paths


def open_in(root: int, path: str, flags: int) -> int:
    """Opens a path of which no part, and no link on the way, leads out of the directory `root`."""
    how = pack("<QQQ", flags | posix.O_CLOEXEC, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
    for _ in range(OPEN_TRIES):
        try:
            # a path of openat2(2) that begins with "/" is one below the root
            return _call(OPENAT2, root, _text(path), _bytes(how), len(how))
        except OSError as error:
            if error.errno != EAGAIN:  # something was renamed meanwhile
                raise
    raise OSError(EAGAIN, posix.strerror(EAGAIN))


# ---- mounts


def clone(path: str, directory: int = -100) -> int:
    """Returns a mount of what is at a path, with the mounts below it, that is attached nowhere."""
    flags = OPEN_TREE_CLONE | posix.O_CLOEXEC | AT_RECURSIVE
    return _call(OPEN_TREE, directory, _text(path), flags)


def set_attributes(mount: int, attributes: int) -> None:
    """Gives a mount and those below it attributes, and cuts them off from their originals."""
    change = pack("<QQQQ", attributes, 0, MS_PRIVATE, 0)
    _call(MOUNT_SETATTR, mount, _text(""), AT_EMPTY_PATH | AT_RECURSIVE, _bytes(change), len(change))


def attach(mount: int, target: int) -> None:
    """Puts a mount on what a descriptor is of."""
    flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
    _call(MOVE_MOUNT, mount, _text(""), target, _text(""), flags)


def memory(parameters: "Sequence[tuple[str, str]]" = ()) -> int:
    """Returns a mount of a new file system in memory, attached nowhere."""
    return file_system("tmpfs", parameters)


def file_system(kind: str, parameters: "Sequence[tuple[str, str]]" = ()) -> int:
    """Returns a mount of a file system, attached nowhere. Parameters with the value "" are flags."""
    context = _call(FSOPEN, _text(kind), CLOEXEC_FS)
    try:
        for key, value in parameters:
            if value:
                _call(FSCONFIG, context, FSCONFIG_SET_STRING, _text(key), _text(value), 0)
            else:
                _call(FSCONFIG, context, FSCONFIG_SET_FLAG, _text(key), 0, 0)
        _call(FSCONFIG, context, FSCONFIG_CMD_CREATE, 0, 0, 0)
        return _call(FSMOUNT, context, CLOEXEC_FS, 0)
    finally:
        posix.close(context)


def join(namespace: int, kind: int) -> None:
    """Moves this process into a namespace."""
    _call(_old("setns"), namespace, kind)


# ---- programs that decide about devices


def programs(cgroup: int) -> "tuple[int, list[int]]":
    """Returns the flags with which programs are attached to a cgroup, and their ids."""
    from ._libc import ffi

    ids = ffi.new(f"unsigned int[{MOST_PROGRAMS}]")
    address = int(ffi.cast("uintptr_t", ids))
    attr = _bytes(pack("<IIIIQI", cgroup, CGROUP_DEVICE, 0, 0, address, MOST_PROGRAMS) + bytes(36))
    _call(_old("bpf"), PROG_QUERY, attr, 64)
    answer = bytes(ffi.buffer(attr))
    (flags,), (count,) = unpack_from("<I", answer, 12), unpack_from("<I", answer, 24)
    return flags, [int(ids[index]) for index in range(count)]


def open_program(number: int) -> int:
    """Returns a descriptor of the program with an id."""
    return _call(_old("bpf"), PROG_GET_FD_BY_ID, _bytes(pack("<III", number, 0, 0) + bytes(52)), 64)


def load_program(instructions: bytes) -> int:
    """Returns a descriptor of a program that decides about devices."""
    from ._libc import ffi

    code, license_text = _bytes(instructions), _text("Apache-2.0")
    addresses = [int(ffi.cast("uintptr_t", buffer)) for buffer in (code, license_text)]
    attr = pack("<IIQQ", PROG_TYPE_CGROUP_DEVICE, len(instructions) // 8, *addresses)
    return _call(_old("bpf"), PROG_LOAD, _bytes(attr + bytes(128 - len(attr))), 128)


def attach_program(cgroup: int, program: int, flags: int, replaced: int = 0) -> None:
    """Attaches a program to a cgroup; with BPF_F_REPLACE in place of another."""
    attr = pack("<IIIII", cgroup, program, CGROUP_DEVICE, flags, replaced)
    _call(_old("bpf"), PROG_ATTACH, _bytes(attr + bytes(44)), 64)
