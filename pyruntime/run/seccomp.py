"""linux.seccomp as instructions: compiled once, and then kept by content, since most containers share a few profiles.

What is kept lies below the state directory, in files that only we can write, named by the digest of the profile, the
machine, and the library that compiled it.
"""

import marshal
import posix

from .launch import sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.model import Seccomp

# no id of a container can have this name
CACHE = "@seccomp"
KEPT = 64
# whatever changes how profiles are compiled changes this
FORM = b"1"
# linux/bpf_common.h: BPF_MAXINSNS, of eight bytes each
PROGRAM_MAX = 4096 * 8
LIBRARIES = (
    "/usr/lib/x86_64-linux-gnu/libseccomp.so.2",
    "/usr/lib/aarch64-linux-gnu/libseccomp.so.2",
    "/usr/lib64/libseccomp.so.2",
    "/usr/lib/libseccomp.so.2",
)


def program(seccomp: "Seccomp", root: str) -> bytes:
    """Returns the instructions for a profile, kept ones if there are any below the state directory `root`.

    Raises ConfigError.
    """
    kept = _read(f"{root}/{CACHE}/{_key(seccomp)}") if root else b""
    if kept:
        return kept
    from .libseccomp import compile_filter

    return compile_filter(seccomp)


def keep(seccomp: "Seccomp", instructions: bytes, root: str) -> None:
    """Keeps the instructions for a profile. That they cannot be kept is no failure: they are compiled again."""
    name = _key(seccomp)
    try:
        if _read(f"{root}/{CACHE}/{name}"):
            return
        _write(f"{root}/{CACHE}", name, instructions)
    except OSError:
        return


def _key(seccomp: "Seccomp") -> str:
    """Only what the instructions are made from counts. Format 2 of marshal is the same for equal values, and the
    fastest way to bytes that there is."""
    parts: dict[str, object] = dict(seccomp)
    for name in ("flags", "listenerPath", "listenerMetadata"):
        parts.pop(name, None)
    return sha256(b"\0".join([FORM, posix.uname().machine.encode(), _library(), marshal.dumps(parts, 2)]))


def _library() -> bytes:
    """Returns the file that the library's name leads to, which has the version in its name; b"" if it is elsewhere."""
    for path in LIBRARIES:
        try:
            return posix.readlink(path).encode()
        except OSError:
            continue
    return b""


def _read(path: str) -> bytes:
    """Returns what is kept in a file, b"" if there is none that can be trusted."""
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NOFOLLOW)
    except OSError:
        return b""
    try:
        status = posix.fstat(fd)
        if status.st_uid != posix.geteuid() or status.st_mode & 0o022 or not 0 < status.st_size <= PROGRAM_MAX:
            return b""
        data = posix.read(fd, PROGRAM_MAX)
    finally:
        posix.close(fd)
    return data if len(data) % 8 == 0 else b""


def _write(directory: str, name: str, data: bytes) -> None:
    """Writes a file that is whole from the moment it can be seen, and removes the oldest where there are too many."""
    try:
        posix.mkdir(directory, 0o700)
    except FileExistsError:
        _make_room(directory)
    temporary = f"{directory}/.{name}.{posix.getpid()}"
    fd = posix.open(
        temporary, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC, 0o600
    )
    try:
        written = posix.write(fd, data)
        if written == len(data):
            posix.rename(temporary, f"{directory}/{name}")
            return
    finally:
        posix.close(fd)
    posix.unlink(temporary)


def _make_room(directory: str) -> None:
    names = posix.listdir(directory)
    if len(names) < KEPT:
        return
    paths = [f"{directory}/{name}" for name in names]
    ages = []
    for path in paths:
        try:
            ages.append((posix.stat(path).st_mtime_ns, path))
        except FileNotFoundError:
            continue
    for _, path in sorted(ages)[: len(ages) - KEPT + 1]:
        posix.unlink(path)
