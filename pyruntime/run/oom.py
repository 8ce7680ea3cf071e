"""Hears from the kernel that a container ran out of memory, and that it is gone (cgroup-v1/memory, cgroup-v2)."""

import posix
import select

from ..paths import exists
from .files import read_text, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..state import State

# the kernel says nothing of the end of a cgroup of v1 to who does not hold memory.oom_control open
LOOK_MILLISECONDS = 500


class Watch:
    """Waits for what the kernel has to say. Descriptors belong to this object."""

    def __init__(self, state: "State") -> None:
        """Raises OSError."""
        self._directory = state["cgroups"][0] if state["cgroups"] else ""
        self._fds: list[int] = []
        self._poll = select.poll()
        self._count = 0
        self._events = ""
        for directory in state["cgroups"]:
            if exists(f"{directory}/memory.oom_control"):
                self._watch_1(directory)
            elif exists(f"{directory}/memory.events"):
                self._watch_2(directory)

    def _watch_1(self, directory: str) -> None:
        """The kernel adds to an eventfd for each time that somebody had to be killed."""
        counter = posix.eventfd(0, posix.EFD_CLOEXEC | posix.EFD_NONBLOCK)
        control = posix.open(f"{directory}/memory.oom_control", posix.O_RDONLY | posix.O_CLOEXEC)
        self._fds += [counter, control]
        write(f"{directory}/cgroup.event_control", f"{counter} {control}")
        self._poll.register(counter, select.POLLIN)

    def _watch_2(self, directory: str) -> None:
        self._events = f"{directory}/memory.events"
        fd = posix.open(self._events, posix.O_RDONLY | posix.O_CLOEXEC)
        self._fds.append(fd)
        self._count = self._kills()
        self._poll.register(fd, select.POLLPRI)

    def _kills(self) -> int:
        try:
            lines = read_text(self._events).splitlines()
        except OSError:
            return self._count  # it is gone
        return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))

    def is_over(self) -> bool:
        """Whether the container's cgroups are gone."""
        return not exists(self._directory)

    def wait(self, milliseconds: int) -> bool:
        """Waits at most so long; returns whether the container ran out of memory since."""
        ready = self._poll.poll(min(milliseconds, LOOK_MILLISECONDS))
        if not ready:
            return False
        if self._events:
            before, self._count = self._count, self._kills()
            self._quieten()
            return self._count > before
        posix.read(self._fds[0], 8)
        # the kernel also wakes up who waits when the cgroup is removed
        return not self.is_over()

    def _quieten(self) -> None:
        """The file calls for attention until it is read, whatever it was about."""
        try:
            posix.pread(self._fds[0], 4096, 0)
        except OSError:
            self._poll.unregister(self._fds[0])  # the cgroup is gone

    def close(self) -> None:
        for fd in self._fds:
            posix.close(fd)
        self._fds = []
