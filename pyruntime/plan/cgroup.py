"""linux.cgroupsPath and linux.resources: where the container's cgroups are, and what is written into them."""

from ..errors import ConfigError
from . import devices
from .facts import Facts, Hierarchy, Request
from .ops import SLOT_CGROUP, Plan
from .resources import Write, version_1, version_2

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.model import Config


def place(hierarchy: Hierarchy, wanted: str, container_id: str, unified: bool) -> str:
    """Returns the directory of the container's cgroup in one hierarchy.

    An absolute cgroupsPath is below the hierarchy's root. A relative one, or none, is below the runtime's own cgroup;
    on cgroup v2 beside it, since a cgroup with processes can give no controllers to the cgroups below it.
    """
    parts: list[str] = []
    for part in (wanted or container_id).split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    if not parts:
        raise ConfigError("linux.cgroupsPath", f'"{wanted}" is the root of all cgroups, not one for a container')
    base = "" if wanted[:1] == "/" else hierarchy.own.rstrip("/")
    if base and unified:
        base = base.rpartition("/")[0]
    return f"{hierarchy.mountpoint}{base}/{'/'.join(parts)}"


class CgroupPlan:
    """The cgroups of one container."""

    __slots__ = ("_facts", "_resources", "_writes", "clone_into", "directories", "warnings")

    def __init__(self, config: "Config", facts: Facts, request: Request, warnings: list[str]) -> None:
        linux = config.get("linux", {})
        wanted = linux.get("cgroupsPath", "")
        self._facts = facts
        self._resources = linux.get("resources", {})
        self.warnings = warnings
        self.directories = [
            place(hierarchy, wanted, request.container_id, facts.unified) for hierarchy in facts.cgroups
        ]
        self._writes = self._translate()
        # a limit of 0 processes lets nobody be born there, but does let one in
        no_forks = self._resources.get("pids", {}).get("limit") == 0
        self.clone_into = facts.unified and bool(facts.cgroups) and not no_forks

    def _directory(self, controller: str) -> tuple[str, int]:
        """Returns the directory and the version of the hierarchy that a controller is in, or "" and 0."""
        for hierarchy, directory in zip(self._facts.cgroups, self.directories, strict=True):
            if controller in hierarchy.controllers or (controller == "unified" and hierarchy.version == 2):
                return directory, hierarchy.version
        return "", 0

    def _translate(self) -> list[tuple[str, Write]]:
        writes = []
        for write in version_2(self._resources, self.warnings) if self._facts.unified else self._mixed():
            directory, _ = self._directory(write.controller)
            if not directory:
                raise ConfigError(
                    write.origin, f'the cgroup controller "{write.controller}" is not available on this host'
                )
            writes.append((directory, write))
        if self._controls_devices() and not self._facts.unified:
            directory, _ = self._directory("devices")
            if not directory:
                raise ConfigError(
                    "linux.resources.devices", 'the cgroup controller "devices" is not available on this host'
                )
            rules = devices.rules(self._resources.get("devices", []))
            origin = "linux.resources.devices"
            for file, value in devices.version_1(rules):
                writes.append((directory, Write("devices", origin, ((file, value),))))
        return writes

    def _mixed(self) -> list[Write]:
        """Version 1, but for controllers that a hybrid host has moved to version 2."""
        moved = [
            controller
            for hierarchy in self._facts.cgroups
            if hierarchy.version == 2
            for controller in hierarchy.controllers
        ]
        writes = version_1(self._resources, self.warnings)
        if not any(write.controller in moved or write.controller == "unified" for write in writes):
            return writes
        kept = [write for write in writes if write.controller not in moved]
        return kept + [write for write in version_2(self._resources, []) if write.controller in moved]

    def _controls_devices(self) -> bool:
        # in a user namespace the host's rules hold, and nobody could make a device anyway
        return bool(self._facts.cgroups) and not self._facts.user_namespace

    def create(self, plan: Plan) -> None:
        """Adds the ops that make the cgroups and write the limits. On v2 before the clone: it is born within them."""
        plan.cgroups = self.directories
        origin = "linux.cgroupsPath"
        for hierarchy, directory in zip(self._facts.cgroups, self.directories, strict=True):
            needed = sorted({write.controller for place, write in self._writes if place == directory})
            if hierarchy.version == 2:
                needed = [controller for controller in needed if controller != "unified"]
            kind = "cpuset" if "cpuset" in hierarchy.controllers else ""
            plan.host("create-cgroup", origin, directory, hierarchy.mountpoint, hierarchy.version, kind, needed)
        for directory, write in self._writes:
            flat = [text for pair in write.choices for text in pair]
            plan.host("write-cgroup", write.origin, directory, flat, int(write.required))

    def enter(self, plan: Plan) -> None:
        """Adds the ops that move the container's first process into its cgroups."""
        if not self.clone_into:
            for directory in self.directories:
                plan.host("enter-cgroup", "linux.cgroupsPath", directory)

    def attach_devices(self, plan: Plan) -> None:
        """On v2 devices are controlled by a program on the cgroup, which init loads before the clone."""
        if self._facts.unified and self._controls_devices():
            rules = devices.rules(self._resources.get("devices", []))
            plan.init("attach-devices", "linux.resources.devices", SLOT_CGROUP, devices.program(rules))
