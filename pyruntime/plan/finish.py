"""What a device needs of a container beside what a config can say: links, files, the linker's cache, a view of procfs.

The edits of a device (edits/) come to a plan as a Finish: plain values, and one function that looks at the root when
all mounts are there and says which files that one needs.
"""

from ..config.names import AT_RECURSIVE, MS_PRIVATE, NODEV, NOEXEC, NOSUID, RDONLY
from .ops import ATTACH_ON_PROC, BARRIER_OFFER, FILE_OVER, NO_ATTRIBUTES, SYMLINK_TRY, Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..config.model import Config

    # path, content, mode
    Files = Sequence[tuple[str, bytes, int]]

DRIVER = "/proc/driver"
NVIDIA = "/proc/driver/nvidia"
SHUT = RDONLY | NOSUID | NODEV | NOEXEC


class Finish:
    """All of it for one container.

    `links` are paths and targets, `files` paths, contents and modes. `proc` are the names below /proc/driver/nvidia
    that the container sees, None for what the kernel shows; `host_proc` is that directory on the host. `look` gets a
    descriptor of the container's root with all mounts in place, from which it must not get outside, and returns files;
    it may raise PyruntimeError.
    """

    __slots__ = ("files", "host_proc", "links", "look", "origin", "proc")

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.links: list[tuple[str, str]] = []
        self.files: list[tuple[str, bytes, int]] = []
        self.proc: Sequence[str] | None = None
        self.host_proc = NVIDIA
        self.look: Callable[[int], Files] | None = None


class FinishPlan:
    """The ops for it. Its methods are called in the order that they have here."""

    __slots__ = ("_finish", "_hides", "_slots")

    def __init__(self, finish: Finish, config: "Config") -> None:
        self._finish = finish
        # without a procfs of its own there is nothing to hide
        self._hides = finish.proc is not None and any(
            mount["destination"] == "/proc" and mount.get("type") == "proc" for mount in config.get("mounts", ())
        )
        self._slots: list[tuple[str, int]] = []

    def open_sources(self, plan: Plan) -> None:
        """Adds the ops that take what is to be seen of /proc/driver/nvidia from the host."""
        if not self._hides:
            return
        written = {path for path, _, _ in self._finish.files}
        for name in self._finish.proc or ():
            if f"{NVIDIA}/{name}" in written:
                continue
            slot = plan.slot()
            path = f"{self._finish.host_proc}/{name}"
            attributes = (SHUT, 0, SHUT, 0, 0, MS_PRIVATE)
            plan.init("open-tree", self._finish.origin, slot, path, AT_RECURSIVE, attributes)
            self._slots.append((name, slot))

    def place(self, plan: Plan) -> None:
        """Adds the ops that make links and files, when all mounts are there and the root can still be written to."""
        origin = self._finish.origin
        if self._hides:
            self._cover_proc(plan)
        for path, target in self._finish.links:
            plan.init("symlink", origin, target, path, SYMLINK_TRY)
        for path, content, mode in self._finish.files:
            if not path.startswith(f"{NVIDIA}/"):
                plan.init("write-file", origin, path, content, mode, 0)
            elif not self._hides:
                plan.init("write-file", origin, path, content, mode, FILE_OVER)
        if self._finish.look is not None:
            slot = plan.slot()
            plan.init("offer-root", origin)
            plan.host("look-at-root", origin)
            plan.host("pass-barrier", origin, BARRIER_OFFER)
            plan.init("offer-file", origin, slot)
            plan.host("make-files", origin)
            plan.host("pass-barrier", origin, BARRIER_OFFER)
            plan.init("install-files", origin, slot)

    def _cover_proc(self, plan: Plan) -> None:
        origin = self._finish.origin
        # the container's own procfs has the directory if this host's kernel has the module, and nothing can be made
        # there; if the driver is that of another root, it goes one directory higher
        cover = NVIDIA if self._finish.host_proc == NVIDIA else DRIVER
        parameters = ["size=64k", "mode=755"]
        attributes = (NOSUID | NODEV | NOEXEC, 0, 0, 0, 0, 0)
        plan.init("mount", origin, 0, "tmpfs", "tmpfs", parameters, cover, ATTACH_ON_PROC, 0, attributes)
        for name, slot in self._slots:
            plan.init("attach", origin, slot, f"{NVIDIA}/{name}", ATTACH_ON_PROC)
        for path, content, mode in self._finish.files:
            if path.startswith(f"{NVIDIA}/"):
                plan.init("write-file", origin, path, content, mode, 0)
        plan.init("remount", origin, cover, [], 0, (RDONLY, *NO_ATTRIBUTES[1:]))
