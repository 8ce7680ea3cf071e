"""Empties cgroups and removes them, on v1 and v2 alike."""

import errno
import posix
import time

from ..errors import PyruntimeError
from .files import read_text, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

REMOVE_SECONDS = 5.0
SIGKILL = 9
DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC
# gone meanwhile; or threaded, and then the domain above answers
GONE = (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP)


def _tree(directory: str) -> "Iterator[str]":
    """Yields a cgroup and all below it, as far as a path can reach."""
    paths = [directory]
    while paths:
        path = paths.pop()
        try:
            paths += [f"{path}/{entry.name}" for entry in posix.scandir(path) if entry.is_dir(follow_symlinks=False)]
        except OSError as error:
            # who is deeper than that keeps the cgroup from being removed, which is reported
            if error.errno not in (*GONE, errno.ENAMETOOLONG):
                raise
            continue
        yield path


def processes(directory: str) -> list[int]:
    """Returns the pids in a cgroup and in all below it."""
    pids = []
    for path in _tree(directory):
        try:
            pids += [int(pid) for pid in read_text(f"{path}/cgroup.procs").split()]
        except OSError as error:
            if error.errno not in (*GONE, errno.ENAMETOOLONG):
                raise
    return pids


def kill_all(directories: "Sequence[str]", signal: int = SIGKILL) -> None:
    """Sends a signal to all processes of a container's cgroups; SIGKILL until none is left."""
    if signal != SIGKILL:
        _send(directories, signal)
        return
    deadline = time.monotonic() + REMOVE_SECONDS
    known: set[int] = set()
    _kill_at_once(directories)
    while (found := _send(directories, SIGKILL)) and time.monotonic() < deadline:
        # what is frozen on v1 cannot die
        _freezer(directories, "THAWED")
        time.sleep(0.002)
        _kill_at_once(directories)
        if known and not found <= known:
            # and cannot fork either, faster than it is found. Only then: who looks meanwhile finds it paused
            _freezer(directories, "FROZEN")
        known |= found
    _freezer(directories, "THAWED")


def _send(directories: "Sequence[str]", signal: int) -> set[int]:
    """Sends a signal to all that are found; returns their pids."""
    pids = {pid for directory in directories for pid in processes(directory)} - {0}
    for pid in pids:
        try:
            posix.kill(pid, signal)
        except ProcessLookupError:
            continue
    return pids


def _kill_at_once(directories: "Sequence[str]") -> None:
    """On v2 the kernel does it, and misses nobody who forks meanwhile (Linux 5.14)."""
    for directory in directories:
        try:
            write(f"{directory}/cgroup.kill", "1")
        except OSError as error:
            if error.errno not in GONE:
                raise


def _freezer(directories: "Sequence[str]", state: str) -> None:
    for directory in directories:
        try:
            write(f"{directory}/freezer.state", state)
        except OSError as error:
            if error.errno not in GONE:
                raise


def remove(paths: "Sequence[str]", leaves: "Sequence[str]") -> None:
    """Removes cgroups: the container's own (`leaves`) with all below them, those above if nobody else is in them.

    Raises PyruntimeError when one of the container's stays.
    """
    deadline = time.monotonic() + REMOVE_SECONDS
    for path in paths:
        pause = 0.0005
        while not _remove_tree(path, path in leaves):
            if time.monotonic() > deadline:
                raise PyruntimeError(f"unable to remove the cgroup {path}: device or resource busy")
            # the last process has ended but is not quite gone
            time.sleep(pause)
            pause = min(pause * 2, 0.05)


def _remove_tree(directory: str, deep: bool) -> bool:
    try:
        posix.rmdir(directory)
    except FileNotFoundError:
        return True
    except OSError:
        if not deep:
            return True
        try:
            _remove_below(directory)
            posix.rmdir(directory)
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.ENOTEMPTY, errno.ENODEV):
                raise
            return False
    return True


def _remove_below(directory: str) -> None:
    """Removes all cgroups below one. A container may have nested them deeper than a path is long, or than there are
    descriptors: so step by step, with one. Raises OSError when somebody is in one of them."""
    fd = posix.open(directory, DIRECTORY)
    names: list[str] = []
    try:
        while True:
            with posix.scandir(fd) as entries:
                name = next((entry.name for entry in entries if entry.is_dir(follow_symlinks=False)), "")
            if not name and not names:
                return
            if name and _rmdir(name, fd):
                continue
            above = fd
            fd = posix.open(name or "..", DIRECTORY, dir_fd=above)
            posix.close(above)
            if name:
                names.append(name)
            else:
                posix.rmdir(names.pop(), dir_fd=fd)
    finally:
        posix.close(fd)


def _rmdir(name: str, fd: int) -> bool:
    try:
        posix.rmdir(name, dir_fd=fd)
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
            raise
        return False
    return True
