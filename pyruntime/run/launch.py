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


def seal(data: bytes, name: str, flags: int = 0) -> int:
    """Returns a descriptor of an unchangeable file in memory, open for reading only."""
    try:
        fd = posix.memfd_create(name, posix.MFD_CLOEXEC | posix.MFD_ALLOW_SEALING | flags)
    except OSError:
        if not flags:
            raise
        fd = posix.memfd_create(name, posix.MFD_CLOEXEC | posix.MFD_ALLOW_SEALING)  # before Linux 6.3
    posix.fchmod(fd, 0o511)
    view = memoryview(data)
    while view:
        view = view[posix.write(fd, view) :]
    fcntl.fcntl(fd, F_ADD_SEALS, SEALS)
    # what is open for writing cannot be executed
    reopened = posix.open(f"{SELF_FD}/{fd}", posix.O_RDONLY | posix.O_CLOEXEC)
    posix.close(fd)
    return reopened


def init_program() -> tuple[bytes, int]:
    """Returns init and the hash of the op table it was built with.

    Raises PyruntimeError if the file is not the one that this package was built with.
    """
    from .. import _build

    path = f"{parent(_build.__file__)}/{_build.INIT_FILE}"
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError as error:
        raise PyruntimeError(f"{path}: {error_text(error.errno or 0)}: build it with `make build`") from None
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
    in init. Raises PyruntimeError.
    """
    program_fd = seal(program, "pyruntime-init", MFD_EXEC)
    plan_fd = seal(plan, "plan")
    for fd in (program_fd, plan_fd, *passed):
        posix.set_inheritable(fd, True)
    argv = ["pyruntime-init", str(plan_fd), str(program_fd)]
    try:
        return posix.posix_spawn(f"{SELF_FD}/{program_fd}", argv, {})
    except OSError as error:
        hint = " (is vm.memfd_noexec set to 2, or /proc missing?)" if error.errno in (1, 2, 13) else ""
        raise PyruntimeError(f"start init: {error_text(error.errno or 0)}{hint}") from None
    finally:
        posix.close(program_fd)
        posix.close(plan_fd)
        for fd in passed:
            posix.set_inheritable(fd, False)
