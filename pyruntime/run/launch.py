"""Starts init: the program and the plan as sealed memfds, and the descriptors that the plan names."""

import fcntl
import posix
import sys

from ..errors import PyruntimeError, error_text
from ..paths import parent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# linux/fcntl.h, linux/memfd.h
F_ADD_SEALS = 1033
SEALS = 0x1 | 0x2 | 0x4 | 0x8  # SEAL, SHRINK, GROW, WRITE
MFD_EXEC = 0x10
SELF_FD = "/proc/self/fd"


def _memfd(name: str, flags: int) -> int:
    try:
        return posix.memfd_create(name, posix.MFD_CLOEXEC | posix.MFD_ALLOW_SEALING | flags)
    except OSError:
        if not flags:
            raise
        return posix.memfd_create(name, posix.MFD_CLOEXEC | posix.MFD_ALLOW_SEALING)  # before Linux 6.3


def seal(data: bytes, name: str, flags: int = 0) -> int:
    """Returns a descriptor of an unchangeable file in memory, open for reading only. Raises OSError."""
    fd = _memfd(name, flags)
    try:
        posix.fchmod(fd, 0o511)
        view = memoryview(data)
        while view:
            view = view[posix.write(fd, view) :]
        fcntl.fcntl(fd, F_ADD_SEALS, SEALS)
        # what is open for writing cannot be executed
        return posix.open(f"{SELF_FD}/{fd}", posix.O_RDONLY | posix.O_CLOEXEC)
    finally:
        posix.close(fd)


def init_program() -> tuple[bytes, int]:
    """Returns init and the hash of the op table it was built with.

    Raises PyruntimeError if the file is not the one that this package was built with.
    """
    from .. import _build

    path = f"{parent(_build.__file__)}/{_build.INIT_FILE}"
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError as error:
        hint = ": build it with `make build`" if isinstance(error, FileNotFoundError) else ""
        raise PyruntimeError(f"{path}: {error_text(error.errno or 0)}{hint}") from None
    with open(fd, "rb", buffering=0) as file:
        data = file.read()
    if sha256(data) != _build.INIT_SHA256:
        raise PyruntimeError(f"{path} is not the init that this version of pyruntime was built with")
    return data, _build.TABLE_HASH


def sha256(data: bytes) -> str:
    """Returns a digest in hexadecimal. Hashlib would load OpenSSL; the interpreter has its own."""
    if sys.version_info >= (3, 12):
        from _sha2 import sha256 as digest
    else:
        from _sha256 import sha256 as digest
    return digest(data).hexdigest()  # type: ignore[no-any-return]


def spawn(program: bytes, plan: bytes, passed: "Sequence[int]") -> int:
    """Starts init with a plan; returns its pid.

    `passed` are the descriptors that it is given, under the numbers they have here; they become close-on-exec again
    in init. Raises PyruntimeError, OSError.
    """
    made: list[int] = []
    try:
        for data, name, flags in ((plan, "plan", 0), (program, "pyruntime-init", MFD_EXEC)):
            made.append(seal(data, name, flags))
        plan_fd, program_fd = made
        for fd in (*made, *passed):
            posix.set_inheritable(fd, True)
        return _spawn(f"{SELF_FD}/{program_fd}", ["pyruntime-init", str(plan_fd), str(program_fd)])
    finally:
        for fd in made:
            posix.close(fd)
        for fd in passed:
            posix.set_inheritable(fd, False)


def _spawn(path: str, argv: list[str]) -> int:
    try:
        return posix.posix_spawn(path, argv, {})
    except OSError as error:
        hint = " (is vm.memfd_noexec set to 2, or /proc missing?)" if error.errno in (1, 2, 13) else ""
        raise PyruntimeError(f"start init: {error_text(error.errno or 0)}{hint}") from None
