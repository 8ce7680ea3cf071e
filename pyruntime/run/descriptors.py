"""Descriptors of others: those that the caller has left open, and those that init lets us have."""

import fcntl
import posix

from ..errors import PyruntimeError, error_text

SYS_PIDFD_GETFD = 438


def sweep_descriptors() -> list[int]:
    """Makes every descriptor that the caller left open close-on-exec; returns their numbers.

    What is not close-on-exec is the caller's (Python's own files are), and only what the command line names is passed
    on (CVE-2024-21626 began with one too many).
    """
    inherited = []
    for name in posix.listdir("/proc/self/fd"):
        fd = int(name)
        if fd > 2:
            try:
                flags = fcntl.fcntl(fd, fcntl.F_GETFD)
            except OSError:
                continue  # the listing's own
            if not flags & fcntl.FD_CLOEXEC:
                inherited.append(fd)
                posix.set_inheritable(fd, False)
    return inherited


def take(pid: int, number: int) -> int:
    """Returns a duplicate of a descriptor of another process (pidfd_getfd(2)). Raises PyruntimeError."""
    import ctypes  # few containers need this, and Python has no other way to make a system call it does not know

    call = ctypes.CDLL(None, use_errno=True).syscall
    pidfd = posix.pidfd_open(pid)
    try:
        fd = call(ctypes.c_long(SYS_PIDFD_GETFD), ctypes.c_int(pidfd), ctypes.c_int(number), ctypes.c_uint(0))
    finally:
        posix.close(pidfd)
    if fd < 0:
        raise PyruntimeError(f"unable to take over a descriptor of init: {error_text(ctypes.get_errno())}")
    return int(fd)
