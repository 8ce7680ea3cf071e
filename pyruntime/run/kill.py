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


def _tree(directory: str) -> "Iterator[str]":
    """Yields a cgroup and all below it, the deepest first. What goes away meanwhile is left out."""
    try:
        names = [entry.name for entry in posix.scandir(directory) if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return
    for name in names:
        yield from _tree(f"{directory}/{name}")
    yield directory


def processes(directory: str) -> list[int]:
    """Returns the pids in a cgroup and in all below it."""
    pids = []
    for path in _tree(directory):
        try:
            pids += [int(pid) for pid in read_text(f"{path}/cgroup.procs").split()]
        except OSError as error:
            # gone meanwhile; or threaded, and then listed by the domain above it
            if error.errno not in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
                raise
    return pids


def kill_all(directories: "Sequence[str]", signal: int = SIGKILL) -> None:
    """Sends a signal to all processes of a container's cgroups; SIGKILL until none is left."""
    deadline = time.monotonic() + REMOVE_SECONDS
    while True:
        if signal == SIGKILL:
            _kill_at_once(directories)
        pids = {pid for directory in directories for pid in processes(directory)} - {0}
        for pid in pids:
            try:
                posix.kill(pid, signal)
            except ProcessLookupError:
                continue
        if signal != SIGKILL or not pids or time.monotonic() > deadline:
            return
        _thaw(directories)
        time.sleep(0.002)


def _kill_at_once(directories: "Sequence[str]") -> None:
    """On v2 the kernel does it, and misses nobody who forks meanwhile (Linux 5.14)."""
    for directory in directories:
        try:
            write(f"{directory}/cgroup.kill", "1")
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
                raise


def _thaw(directories: "Sequence[str]") -> None:
    """What is frozen on v1 cannot die."""
    for directory in directories:
        try:
            write(f"{directory}/freezer.state", "THAWED")
        except FileNotFoundError:
            continue


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
        for path in _tree(directory):
            try:
                posix.rmdir(path)
            except FileNotFoundError:
                continue
            except OSError:
                return False
    return True
