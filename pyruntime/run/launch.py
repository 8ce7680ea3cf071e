"""Starts init: the program and the plan as sealed memfds, and the descriptors that the plan names."""

import fcntl
import os
import sys

from ..errors import PyruntimeError, error_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# linux/fcntl.h, linux/memfd.h
F_ADD_SEALS = 1033
SEALS = 0x1 | 0x2 | 0x4 | 0x8  # SEAL, SHRINK, GROW, WRITE
MFD_EXEC = 0x10
SELF_FD = "/proc/self/fd"


def sweep_descriptors() -> list[int]:
    """Makes every descriptor that the caller left open close-on-exec; returns their numbers.

    To be called before any other descriptor is opened: what is open now is the caller's, and only what the command line
    names is passed on (CVE-2024-21626 began with one too many).
    """
    for stream in range(3):
        try:
            fcntl.fcntl(stream, fcntl.F_GETFD)
        except OSError:
            # nothing of ours may become a standard stream by taking its number
            os.set_inheritable(os.open("/dev/null", os.O_RDWR), True)
    inherited = []
    for name in os.listdir(SELF_FD):
        fd = int(name)
        if fd > 2:
            try:
                flags = fcntl.fcntl(fd, fcntl.F_GETFD)
            except OSError:
                continue  # the listing's own
            if not flags & fcntl.FD_CLOEXEC:
                inherited.append(fd)
                os.set_inheritable(fd, False)
    return inherited


def seal(data: bytes, name: str, flags: int = 0) -> int:
    """Returns a descriptor of an unchangeable file in memory, open for reading only."""
    try:
        fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING | flags)
    except OSError:
        if not flags:
            raise
        fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)  # before Linux 6.3
    os.fchmod(fd, 0o511)
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    fcntl.fcntl(fd, F_ADD_SEALS, SEALS)
    # what is open for writing cannot be executed
    reopened = os.open(f"{SELF_FD}/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    os.close(fd)
    return reopened


def init_program() -> tuple[bytes, int]:
    """Returns init and the hash of the op table it was built with.

    Raises PyruntimeError if the file is not the one that this package was built with.
    """
    from .. import _build

    path = f"{os.path.dirname(_build.__file__)}/{_build.INIT_FILE}"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise PyruntimeError(f"{path}: {error_text(error.errno or 0)}: build it with `make build`") from None
    with open(fd, "rb", buffering=0) as file:
        data = file.read()
    if _sha256(data) != _build.INIT_SHA256:
        raise PyruntimeError(f"{path} is not the init that this version of pyruntime was built with")
    return data, _build.TABLE_HASH


def _sha256(data: bytes) -> str:
    """Hashlib would load OpenSSL; the interpreter has its own."""
    if sys.version_info >= (3, 12):
        from _sha2 import sha256
    else:
        from _sha256 import sha256
    return sha256(data).hexdigest()  # type: ignore[no-any-return]


def spawn(program: bytes, plan: bytes, passed: "Sequence[int]") -> int:
    """Starts init with a plan; returns its pid.

    `passed` are the descriptors that it is given, under the numbers they have here; they become close-on-exec again
    in init. Raises PyruntimeError.
    """
    program_fd = seal(program, "pyruntime-init", MFD_EXEC)
    plan_fd = seal(plan, "plan")
    for fd in (program_fd, plan_fd, *passed):
        os.set_inheritable(fd, True)
    argv = ["pyruntime-init", str(plan_fd), str(program_fd)]
    try:
        return os.posix_spawn(f"{SELF_FD}/{program_fd}", argv, {})
    except OSError as error:
        hint = " (is vm.memfd_noexec set to 2, or /proc missing?)" if error.errno in (1, 2, 13) else ""
        raise PyruntimeError(f"start init: {error_text(error.errno or 0)}{hint}") from None
    finally:
        os.close(program_fd)
        os.close(plan_fd)
        for fd in passed:
            os.set_inheritable(fd, False)
