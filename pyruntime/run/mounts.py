"""Mounts of a container without a mount namespace: they are on the host, and have to be taken away again."""

from ..errors import PyruntimeError, error_text
from .files import read_text
from .hierarchies import unescape

# umount2(2)
MNT_DETACH, UMOUNT_NOFOLLOW = 2, 8


def count(path: str) -> int:
    """Returns how many mounts there are at a path, one over the other (proc_pid_mountinfo(5))."""
    lines = read_text("/proc/self/mountinfo").splitlines()
    return sum(unescape(line.split(" ", 5)[4]) == path for line in lines)


def detach(path: str, before: int) -> None:
    """Takes away mounts at a path, and all below them, until there are no more than `before`. Raises PyruntimeError."""
    if count(path) <= before:
        return
    import ctypes

    umount2 = ctypes.CDLL(None, use_errno=True).umount2
    while count(path) > before:
        if umount2(path.encode(), MNT_DETACH | UMOUNT_NOFOLLOW):
            raise PyruntimeError(f"unmount {path}: {error_text(ctypes.get_errno())}")
