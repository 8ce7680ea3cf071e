"""Makes a container's cgroups, on v1 and v2 alike. How they end is for run/kill.py."""

import posix

from ..errors import PyruntimeError
from ..paths import exists, parent
from .files import read_text, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

RACES = 10
THREADED = frozenset(("cpu", "cpuset", "pids", "perf_event"))


def missing(directories: "Sequence[str]", mountpoints: "Sequence[str]") -> list[str]:
    """Returns which of the cgroups, and of those above them, are not there yet, the deepest first.

    They will be ours to remove; what was there before is not.
    """
    paths = []
    for directory, mountpoint in zip(directories, mountpoints, strict=True):
        path = directory
        while path != mountpoint and path not in paths and not exists(path):
            paths.append(path)
            path = parent(path)
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
    above = parent(directory)
    if above != mountpoint and not exists(above):
        _create(above, mountpoint, version, kind, needed)
    if version == 2:
        _enable(above, needed)
    try:
        posix.mkdir(directory, 0o755)
    except FileExistsError:
        _refuse_used(directory)
    if kind == "cpuset":
        for name in ("cpuset.cpus", "cpuset.mems"):
            _inherit(directory, mountpoint, name)
    if version == 2:
        _check_type(directory, needed)


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


def _inherit(directory: str, mountpoint: str, name: str) -> str:
    """A new cpuset of v1 is empty, and nobody can enter it (cgroup-v1/cpusets). Those above it may be as new."""
    value = read_text(f"{directory}/{name}").strip()
    if not value and directory != mountpoint:
        value = _inherit(parent(directory), mountpoint, name)
        write(f"{directory}/{name}", value)
    return value


def _enable(above: str, needed: "Sequence[str]") -> None:
    """Hands on all controllers that there are, as runc does: containerd and others read their statistics. Those that
    the config needs must be among them."""
    available = read_text(f"{above}/cgroup.controllers").split()
    for controller in needed:
        if controller not in available:
            raise PyruntimeError(f'the cgroup controller "{controller}" is not available in {above}')
    enabled = read_text(f"{above}/cgroup.subtree_control").split()
    lacking = [controller for controller in available if controller not in enabled]
    if not lacking:
        return
    try:
        write(f"{above}/cgroup.subtree_control", " ".join([f"+{controller}" for controller in lacking]))
    except OSError:
        for controller in lacking:
            try:
                write(f"{above}/cgroup.subtree_control", f"+{controller}")
            except OSError:
                if controller in needed:
                    raise


def _check_type(directory: str, needed: "Sequence[str]") -> None:
    kind = read_text(f"{directory}/cgroup.type").strip()
    if kind == "domain":
        return
    if set(needed) - THREADED:
        state = "an invalid state" if kind == "domain invalid" else f"{kind} mode"
        raise PyruntimeError(f'cannot enter cgroupv2 "{directory}" with domain controllers -- it is in {state}')
    if kind == "domain invalid":
        write(f"{directory}/cgroup.type", "threaded")


def hand_over(directory: str, uid: int, files: "Sequence[str]") -> None:
    """Gives a cgroup, and those of its files that may be given away, to a user. Raises OSError."""
    posix.chown(directory, uid, -1)
    for name in files:
        try:
            posix.chown(f"{directory}/{name}", uid, -1)
        except FileNotFoundError:
            continue  # not every cgroup has all of them


def write_first(directory: str, choices: "Sequence[str]", *, required: bool) -> None:
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
