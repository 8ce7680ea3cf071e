"""linux.cgroupsPath and linux.resources: where the container's cgroups are, and what is written into them."""

from ..config.names import NAMESPACES
from ..errors import ConfigError
from ..paths import clean
from . import devices
from .facts import Facts, Hierarchy, Request
from .namespaces import Isolation
from .ops import BARRIER_CGROUP, SLOT_CGROUP, Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..config.model import Config, Resources


DEVICES = "linux.resources.devices"


class Write:
    """One value for one file. With several choices the first file that exists is taken."""

    __slots__ = ("choices", "controller", "origin", "required", "version")

    def __init__(
        self,
        controller: str,
        origin: str,
        choices: tuple[tuple[str, str], ...],
        *,
        required: bool = True,
        version: int = 0,
    ) -> None:
        self.controller = controller
        self.origin = origin
        self.choices = choices
        # when none of the files is there: an error, or nothing
        self.required = required
        # of the hierarchy that it is for, 0 for the one that has the controller
        self.version = version


def place(hierarchy: Hierarchy, wanted: str, container_id: str, unified: bool) -> str:
    """Returns the directory of the container's cgroup in one hierarchy.

    An absolute cgroupsPath is below the hierarchy's root. A relative one, or none, is below the runtime's own cgroup;
    on cgroup v2 beside it, since a cgroup with processes can give no controllers to the cgroups below it.
    """
    name = clean(wanted or container_id)
    if name == "/":
        raise ConfigError("linux.cgroupsPath", f'"{wanted}" is the root of all cgroups, not one for a container')
    base = "" if wanted[:1] == "/" else hierarchy.own.rstrip("/")
    if base and unified:
        base = base.rpartition("/")[0]
    return f"{hierarchy.mountpoint}{base}{name}"


def _owner(config: "Config", facts: Facts, isolation: Isolation) -> int:
    """Returns to whom the container's cgroup goes: its root, if it has a user namespace and a cgroup namespace of its
    own, and mounts cgroup v2 writably. -1 otherwise."""
    if not (facts.unified and isolation.maps_ids and "cgroup" in isolation.new):
        return -1
    for mount in config.get("mounts", ()):
        options = mount.get("options", ())
        shown = clean(mount["destination"]) == "/sys/fs/cgroup" and mount.get("source") == "cgroup"
        if shown and "ro" not in options and "rro" not in options:
            for entry in config["linux"]["uidMappings"]:
                if entry["containerID"] == 0:
                    return entry["hostID"]
    return -1


def _directory(write: Write, facts: Facts, directories: "Sequence[str]") -> str:
    """Returns the directory for a file of a controller. Raises ConfigError when no hierarchy has the controller."""
    for hierarchy, directory in zip(facts.cgroups, directories, strict=True):
        # files like cgroup.max.depth every cgroup of v2 has
        has = write.controller in hierarchy.controllers or write.controller == "cgroup"
        if has and write.version in (0, hierarchy.version):
            return directory
    where = " (cgroup v2)" if write.version == 2 and not facts.unified else ""
    raise ConfigError(write.origin, f'the cgroup controller "{write.controller}" is not available on this host{where}')


def limits(
    resources: "Resources", facts: Facts, directories: "Sequence[str]", warnings: list[str]
) -> list[tuple[str, Write]]:
    """Returns what to write where for all resources but devices. `directories` are the container's cgroups, one for
    each of the host's hierarchies. Raises ConfigError."""
    if not resources.keys() - {"devices"}:
        return []
    from .resources import CONTROLLERS, translate

    if facts.unified:
        writes = translate(resources, CONTROLLERS, warnings)
    else:
        second = [hierarchy.controllers for hierarchy in facts.cgroups if hierarchy.version == 2]
        writes = translate(resources, second[0] if second else (), warnings)
    return [(_directory(write, facts, directories), write) for write in writes]


def write_limit(plan: Plan, directory: str, write: Write) -> None:
    """Adds the op for one value."""
    flat = [text for pair in write.choices for text in pair]
    plan.host("write-cgroup", write.origin, directory, flat, int(write.required))


class CgroupPlan:
    """The cgroups of one container."""

    __slots__ = (
        "_facts",
        "_moves_itself",
        "_own_view",
        "_owner",
        "_resources",
        "_writes",
        "directories",
        "warnings",
    )

    def __init__(
        self, config: "Config", facts: Facts, request: Request, isolation: Isolation, warnings: list[str]
    ) -> None:
        self._own_view = "cgroup" in isolation.new
        # out of a cgroup namespace nobody can be born into a cgroup of the host
        self._moves_itself = "cgroup" in isolation.joined
        linux = config.get("linux", {})
        # user id on the host that the container's cgroup will belong to, -1 if it stays the runtime's
        self._owner = _owner(config, facts, isolation)
        wanted = linux.get("cgroupsPath", "")
        self._facts = facts
        self._resources = linux.get("resources", {})
        self.warnings = warnings
        self.directories = [
            place(hierarchy, wanted, request.container_id, facts.unified) for hierarchy in facts.cgroups
        ]
        self._writes = self._translate()

    def _translate(self) -> list[tuple[str, Write]]:
        writes = limits(self._resources, self._facts, self.directories, self.warnings)
        if self._controls_devices() and not self._facts.unified:
            rules = devices.rules(self._resources.get("devices", []))
            for choice in devices.version_1(rules):
                write = Write("devices", DEVICES, (choice,))
                writes.append((_directory(write, self._facts, self.directories), write))
        return writes

    def _controls_devices(self) -> bool:
        # in a user namespace the host's rules hold, and nobody could make a device anyway
        return not self._facts.user_namespace

    def create(self, plan: Plan) -> None:
        """Adds the ops that make the cgroups and write the limits, before there is anybody in them."""
        plan.cgroups = self.directories
        origin = "linux.cgroupsPath"
        for hierarchy, directory in zip(self._facts.cgroups, self.directories, strict=True):
            needed = {write.controller for place, write in self._writes if place == directory} - {"cgroup"}
            if hierarchy.version == 2:
                plan.clone_into = directory
            kind = "cpuset" if hierarchy.version == 1 and "cpuset" in hierarchy.controllers else ""
            plan.host("create-cgroup", origin, directory, hierarchy.mountpoint, hierarchy.version, kind, sorted(needed))
        self._hand_over(plan)
        for directory, write in self._writes:
            if not _forbids_birth(write):
                write_limit(plan, directory, write)

    def _hand_over(self, plan: Plan) -> None:
        """Gives the cgroup to the container's root where it may be written to in there (config-linux.md, Cgroup
        ownership): what systemd in a container needs."""
        if self._owner >= 0:
            plan.host("own-cgroup", "linux.cgroupsPath", self.directories[0], self._owner, self._facts.delegate)

    def enter(self, plan: Plan) -> None:
        """Adds the ops that move init into its cgroups of v1 before the clone; for v2 the clone does it, if it can.

        It moves itself, and only itself: a single thread that moves itself needs no lock, where moving
        another process makes the kernel wait for an RCU grace period, some 10 ms.
        """
        for hierarchy, directory in zip(self._facts.cgroups, self.directories, strict=True):
            if hierarchy.version == 1:
                plan.init("enter-cgroup", "linux.cgroupsPath", directory, "tasks")
            elif self._moves_itself:
                plan.init("enter-cgroup", "linux.cgroupsPath", directory, "cgroup.procs")
        if plan.clone_into and self._controls_devices() and self._facts.unified:
            # on v2 devices are controlled by a program on the cgroup
            rules = devices.rules(self._resources.get("devices", []))
            plan.init("attach-devices", DEVICES, SLOT_CGROUP, devices.program(rules))

    def settle(self, plan: Plan) -> None:
        """Adds what can only be done after the clone: a limit of no processes, and the view of the own cgroup as the
        root of all. The root of a cgroup namespace is where the process is when it is made, so not with the clone."""
        late = [(directory, write) for directory, write in self._writes if _forbids_birth(write)]
        if late:
            plan.init("barrier", late[0][1].origin, BARRIER_CGROUP)
            for directory, write in late:
                write_limit(plan, directory, write)
            plan.host("pass-barrier", late[0][1].origin, BARRIER_CGROUP)
        if self._own_view:
            plan.init("unshare", "linux.namespaces", NAMESPACES["cgroup"])


def _forbids_birth(write: Write) -> bool:
    # on v1 the container's process is born beside its parent, which is in the cgroup as well
    return write.choices in ((("pids.max", "0"),), (("pids.max", "1"),))
