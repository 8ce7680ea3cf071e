"""mounts[].uidMappings, gidMappings, and the options idmap and ridmap: the user namespaces whose maps a mount uses."""

from ..config.names import NAMESPACES
from .namespaces import Isolation
from .ops import IDMAP_RECURSIVE, SLOT_PROCFS, Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..config.model import IdMapping, Linux, Mount


def flags(mount: "Mount") -> int:
    """Returns the flags of the op `idmap`."""
    return IDMAP_RECURSIVE if "ridmap" in mount.get("options", ()) else 0


def lines(mappings: "Sequence[IdMapping]") -> str:
    """Returns an id map as the kernel reads it (user_namespaces(7))."""
    return "".join([f"{entry['containerID']} {entry['hostID']} {entry['size']}\n" for entry in mappings])


class IdMaps:
    """The user namespaces of one plan: one for each map, however many mounts use it."""

    __slots__ = ("_isolation", "_linux", "_slots")

    def __init__(self, linux: "Linux", isolation: Isolation) -> None:
        self._linux = linux
        self._isolation = isolation
        self._slots: dict[tuple[str, str], int] = {}

    def slot(self, plan: Plan, origin: str, mount: "Mount") -> int:
        """Returns the slot of the user namespace for a mount; adds the op that makes or opens it."""
        if mount.get("uidMappings"):
            key = (lines(mount["uidMappings"]), lines(mount["gidMappings"]))
        elif self._isolation.maps_ids:
            key = (lines(self._linux["uidMappings"]), lines(self._linux["gidMappings"]))
        else:
            key = (self._isolation.joined["user"], "")
        if key not in self._slots:
            slot = self._slots[key] = plan.slot()
            if key[1]:
                plan.init("user-namespace", origin, slot, SLOT_PROCFS, *key)
            else:
                plan.init("open-namespace", origin, slot, NAMESPACES["user"], key[0])
        return self._slots[key]
