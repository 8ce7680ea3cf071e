"""Freezes the processes of a container and lets them go on: cgroup v1's freezer, and that of v2 (cgroups(7))."""

import posix
import select
import time

from ..errors import ContainerError, PyruntimeError, error_text
from ..state import is_frozen
from .files import write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..state import Container, State

FREEZE_SECONDS = 10.0
EACCES, EROFS = 13, 30
# after so many looks a freezer of v1 that does not come to an end is thawed in between: a process that was just being
# forked, or waits for a frozen one, then gets on
LOOKS = 50


def pause(container: "Container") -> None:
    """Freezes a container, which must be locked. Raises PyruntimeError; then it runs on."""
    state = container.load()
    if container.status(state) not in ("created", "running"):
        raise ContainerError("container not running")
    try:
        _freeze(_file(state))
    except BaseException:
        _write(_file(state), frozen=False)
        raise


def resume(container: "Container") -> None:
    """Lets a frozen container go on; it must be locked. Raises PyruntimeError."""
    state = container.load()
    if container.status(state) != "paused":
        raise ContainerError("container not paused")
    file = _file(state)
    _write(file, frozen=False)
    deadline = time.monotonic() + FREEZE_SECONDS
    while is_frozen(file):
        if time.monotonic() > deadline:
            raise PyruntimeError("unable to thaw the container: a cgroup above its own is frozen")
        time.sleep(0.001)


def _file(state: "State") -> str:
    if not state["freezer"]:
        raise PyruntimeError("this host has no freezer: there is no such cgroup controller")
    return state["freezer"]


def _write(file: str, *, frozen: bool) -> None:
    """Writes what is wanted. On v1 the file that says how things are is also the one to write to."""
    if file.endswith("/cgroup.events"):
        path, value = file.removesuffix("events") + "freeze", str(int(frozen))
    else:
        path, value = file, "FROZEN" if frozen else "THAWED"
    try:
        write(path, value)
    except OSError as error:
        hint = ": the cgroup is not yours to write to" if error.errno in (EACCES, EROFS) else ""
        raise PyruntimeError(f"write {path}: {error_text(error.errno or 0)}{hint}") from None


def _freeze(file: str) -> None:
    deadline = time.monotonic() + FREEZE_SECONDS
    if file.endswith("/cgroup.events"):
        _write(file, frozen=True)
        _wait_for_event(file, deadline)
        return
    looks = 0
    while True:
        # each write has the kernel look for processes that are not frozen yet
        _write(file, frozen=True)
        if is_frozen(file):
            return
        _in_time(deadline)
        looks += 1
        if looks % LOOKS == 0:
            _write(file, frozen=False)
        time.sleep(0.0001 * min(looks, 20))


def _wait_for_event(file: str, deadline: float) -> None:
    """The kernel says when cgroup.events changes."""
    fd = posix.open(file, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        poll = select.poll()
        poll.register(fd, select.POLLPRI)
        while b"frozen 1" not in posix.pread(fd, 256, 0):
            _in_time(deadline)
            poll.poll(100)
    finally:
        posix.close(fd)


def _in_time(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise PyruntimeError("unable to freeze the container: some process does not come to a halt")
