"""cgroup directories: made, filled, emptied and removed, on v1 and v2 alike."""

import errno
import os
import time

from ..errors import PyruntimeError
from .probe import read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

REMOVE_SECONDS = 5.0
RACES = 10
SIGKILL = 9


def write(path: str, value: str) -> None:
    """Writes a value in one write(2), which is what the kernel parses. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def write_first(directory: str, choices: "Sequence[str]", required: bool) -> None:
    """Writes to the first file that exists; `choices` are file, value, file, value ... Raises OSError."""
    for at in range(0, len(choices), 2):
        last = at + 2 == len(choices)
        try:
            write(f"{directory}/{choices[at]}", choices[at + 1])
        except FileNotFoundError:
            if last and required:
                raise
            continue
        return


def missing(directories: "Sequence[str]", mountpoints: "Sequence[str]") -> list[str]:
    """Returns which of the cgroups, and of those above them, are not there yet, the deepest first.

    They will be ours to remove; what was there before is not.
    """
    paths = []
    for directory, mountpoint in zip(directories, mountpoints, strict=True):
        path = directory
        while path != mountpoint and path not in paths and not os.path.exists(path):
            paths.append(path)
            path = os.path.dirname(path)
    return paths


def create(directory: str, mountpoint: str, version: int, kind: str, needed: "Sequence[str]") -> None:
    """Makes a cgroup and those above it. Raises OSError, or PyruntimeError when it is in use."""
    for attempt in range(RACES):
        try:
            _create(directory, mountpoint, version, kind, needed)
        except FileNotFoundError:
            # another container's end took away the cgroup above, which both had made
            if attempt == RACES - 1:
                raise
        else:
            return


def _create(directory: str, mountpoint: str, version: int, kind: str, needed: "Sequence[str]") -> None:
    above = []
    path = directory
    while path != mountpoint:
        above.append(path)
        path = os.path.dirname(path)
    parent = mountpoint
    for path in reversed(above):
        if version == 2:
            _enable(parent, needed)
        made = _make(path)
        if kind == "cpuset":
            _inherit_cpuset(parent, path)
        if path == directory and not made:
            _refuse_used(path)
        parent = path
    if version == 2:
        _check_type(directory, needed)


def _make(path: str) -> bool:
    try:
        os.mkdir(path, 0o755)
    except FileExistsError:
        return False
    return True


def _refuse_used(directory: str) -> None:
    """Adopting the cgroup of another container would put both under one limit, and kill both with one."""
    pids = read_text(f"{directory}/cgroup.procs").split()
    if pids:
        raise PyruntimeError(f"container's cgroup is not empty: {len(pids)} process(es) found")
    for name, word in (("freezer.state", "FROZEN"), ("cgroup.freeze", "1")):
        try:
            state = read_text(f"{directory}/{name}").strip()
        except FileNotFoundError:
            continue
        if state == word:
            raise PyruntimeError("container's cgroup unexpectedly frozen")


def _inherit_cpuset(parent: str, path: str) -> None:
    """A new cpuset of v1 is empty, and nobody can enter it (cgroup-v1/cpusets)."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not read_text(f"{path}/{name}").strip():
            write(f"{path}/{name}", read_text(f"{parent}/{name}").strip())


def _enable(parent: str, needed: "Sequence[str]") -> None:
    """Hands on all controllers that there are, as runc does: containerd and others read their statistics. Those that
    the config needs must be among them; what is wrong otherwise shows when their files are written."""
    available = read_text(f"{parent}/cgroup.controllers").split()
    enabled = read_text(f"{parent}/cgroup.subtree_control").split()
    missing = [controller for controller in available if controller not in enabled]
    if not missing:
        return
    try:
        write(f"{parent}/cgroup.subtree_control", " ".join(f"+{controller}" for controller in missing))
    except OSError:
        for controller in missing:
            try:
                write(f"{parent}/cgroup.subtree_control", f"+{controller}")
            except OSError:
                if controller in needed:
                    raise


def _check_type(directory: str, needed: "Sequence[str]") -> None:
    kind = read_text(f"{directory}/cgroup.type").strip()
    if kind == "domain":
        return
    threaded = {"cpu", "cpuset", "pids", "perf_event"}
    if set(needed) - threaded:
        state = "an invalid state" if kind == "domain invalid" else f"{kind} mode"
        raise PyruntimeError(f'cannot enter cgroupv2 "{directory}" with domain controllers -- it is in {state}')
    if kind == "domain invalid":
        write(f"{directory}/cgroup.type", "threaded")


def enter(directory: str, pid: int) -> None:
    """Moves a process into a cgroup. Raises OSError."""
    write(f"{directory}/cgroup.procs", str(pid))


# ---- the end


def _tree(directory: str) -> "Iterator[str]":
    """Yields a cgroup and all below it, the deepest first. What goes away meanwhile is left out."""
    try:
        names = [entry.name for entry in os.scandir(directory) if entry.is_dir(follow_symlinks=False)]
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
                os.kill(pid, signal)
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
        os.rmdir(directory)
    except FileNotFoundError:
        return True
    except OSError:
        if not deep:
            return True
        for path in _tree(directory):
            try:
                os.rmdir(path)
            except FileNotFoundError:
                continue
            except OSError:
                return False
    return True
