"""mounts: what each entry asks for, in the terms of the new mount API, and the ops that do it, in the order given."""

from ..config.check import is_id_mapped
from ..config.names import (
    AT_RECURSIVE,
    COVERABLE_PROC_FILES,
    IGNORED_OPTIONS,
    MOUNT_ATTRIBUTES,
    MS_PRIVATE,
    MS_SLAVE,
    PROPAGATIONS,
    RDONLY,
    SUPERBLOCK_OPTIONS,
)
from ..errors import ConfigError
from ..paths import clean
from .cgroup import CgroupPlan
from .facts import Facts, Request
from .namespaces import Isolation
from .ops import (
    ATTACH_COPY_UP,
    ATTACH_MODE,
    ATTACH_MUST_BE_PROC,
    ATTACH_NO_SYMLINKS,
    ATTACH_ON_PROC,
    REMOUNT_FILESYSTEM,
    Plan,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..config.model import Config, Mount
    from .ops import Attributes

# file systems without a disk: "ro" is a matter of the mount alone
VIRTUAL = ("tmpfs", "proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2", "devtmpfs", "ramfs", "securityfs", "bpf")


# SELinux labels these itself, by what they hold
UNLABELLED = ("proc", "sysfs")


def _label(label: str, facts: Facts) -> list[str]:
    """Returns the parameters for linux.mountLabel."""
    if not label:
        return []
    from .confine import mount_label

    return mount_label(label, facts)


class Options:
    """The options of one mount, sorted by what they mean."""

    __slots__ = (
        "attributes",
        "bind",
        "copy_up",
        "data",
        "propagation",
        "recursive",
        "remount",
        "superblock",
    )

    def __init__(self, options: "list[str]") -> None:
        self.bind = ""  # "", "bind" or "rbind"
        self.remount = False
        self.copy_up = False
        self.attributes = [0, 0]  # set, clear
        self.recursive = [0, 0]
        self.propagation = ""
        self.superblock: list[str] = []  # parameters that every file system knows
        self.data: list[str] = []  # the file system's own
        for option in options:
            self._add(option)

    def _add(self, option: str) -> None:
        if option in MOUNT_ATTRIBUTES:
            _change(self.attributes, option)
        elif option[:1] == "r" and option[1:] in MOUNT_ATTRIBUTES:
            _change(self.recursive, option[1:])
        elif option in ("bind", "rbind"):
            # the wider one wins, whatever the order
            self.bind = "rbind" if "rbind" in (option, self.bind) else "bind"
        elif option in PROPAGATIONS or (option[:1] == "r" and option[1:] in PROPAGATIONS):
            self.propagation = option
        elif option == "remount":
            self.remount = True
        elif option == "tmpcopyup":
            self.copy_up = True
        elif option in SUPERBLOCK_OPTIONS:
            self.superblock.append(option)
        elif option and option not in (*IGNORED_OPTIONS, "idmap", "ridmap"):
            self.data.append(option)

    def bits(self, default_propagation: int) -> "Attributes":
        """Returns the attributes for init. `default_propagation` holds for all below, where no option says more."""
        top, all_below = 0, default_propagation
        if self.propagation[:1] == "r" and self.propagation[1:] in PROPAGATIONS:
            all_below = PROPAGATIONS[self.propagation[1:]]
        elif self.propagation:
            top = PROPAGATIONS[self.propagation]
            if self.propagation == "shared":
                # first cut off and then shared it would be a peer group of its own, and what is mounted there
                # would not reach the host, which is what is asked for
                all_below = 0
        return (*self.attributes, *self.recursive, top, all_below)  # type: ignore[return-value]


def _change(bits: list[int], option: str) -> None:
    to_set, to_clear = MOUNT_ATTRIBUTES[option]
    bits[0] = (bits[0] & ~to_clear) | to_set
    bits[1] |= to_clear


class Entry:
    """One mount of the config, understood."""

    __slots__ = ("destination", "id_map", "kind", "mount", "options", "origin", "slot", "source")

    def __init__(self, mount: "Mount", index: int, bundle: str) -> None:
        self.mount = mount
        self.options = Options(mount.get("options", []))
        self.destination = clean(mount["destination"])
        self.origin = f"mounts[{index}] ({self.destination})"
        self.kind = mount.get("type", "")
        self.source = mount.get("source", "")
        self.slot = 0
        # slot of the user namespace by whose maps the ids are mapped, 0 for none
        self.id_map = 0
        if self.kind == "bind" and not self.options.bind:
            self.options.bind = "bind"
        if self.options.bind:
            self.kind = "bind"
        self._check(f"mounts[{index}]", bundle)

    def _check(self, origin: str, bundle: str) -> None:
        if self.destination == "/":
            raise ConfigError(f"{origin}.destination", '"/" is the container\'s root, which is given by root.path')
        if self.options.remount:
            return
        if self.kind == "bind":
            if self.options.data:
                raise ConfigError(
                    f"{origin}.options",
                    "bind mounts cannot have any filesystem-specific options applied: " + ",".join(self.options.data),
                )
            if not self.source:
                raise ConfigError(f"{origin}.source", "a bind mount needs one")
            if self.source[0] != "/":
                self.source = f"{bundle}/{self.source}"
        elif not self.kind:
            raise ConfigError(f"{origin}.type", "is missing, and the options say neither bind nor rbind")
        self._check_proc(origin)

    def _check_proc(self, origin: str) -> None:
        where = f"{origin}.destination"
        if self.destination == "/proc" and self.kind not in ("proc", "bind"):
            raise ConfigError(where, '"/proc" cannot be mounted because it is not of type proc')
        if self.destination.startswith("/proc/") and self.destination not in COVERABLE_PROC_FILES:
            raise ConfigError(where, f'"{self.destination}" cannot be mounted because it is inside /proc')

    def flags(self) -> int:
        """Returns the flags with which it is attached."""
        flags = 0
        if self.kind in ("proc", "sysfs"):
            flags |= ATTACH_NO_SYMLINKS
        if self.kind == "tmpfs":
            # an explicit mode is the file system's own parameter
            if not any(parameter.startswith("mode=") for parameter in self.options.data):
                flags |= ATTACH_MODE
            if self.options.copy_up:
                flags |= ATTACH_COPY_UP
        if self.destination == "/proc" and self.kind == "bind":
            flags |= ATTACH_MUST_BE_PROC | ATTACH_NO_SYMLINKS
        if self.destination == "/proc" or self.destination in COVERABLE_PROC_FILES:
            flags |= ATTACH_ON_PROC
        return flags


class Mounts:
    """All mounts of a config."""

    __slots__ = (
        "_label",
        "_late",
        "_linux",
        "binds_dev",
        "cgroup",
        "default_propagation",
        "entries",
        "facts",
        "isolation",
    )

    def __init__(
        self, config: "Config", facts: Facts, request: Request, isolation: Isolation, cgroup: CgroupPlan
    ) -> None:
        self.facts = facts
        self.isolation = isolation
        self.cgroup = cgroup
        self.entries = [Entry(mount, index, request.bundle) for index, mount in enumerate(config.get("mounts", []))]
        # the host's own /dev, or some other: then it is not ours to fill
        self.binds_dev = any(entry.kind == "bind" and entry.destination == "/dev" for entry in self.entries)
        self._linux = config.get("linux", {})
        self._label = _label(self._linux.get("mountLabel", ""), facts)
        propagation = self._linux.get("rootfsPropagation", "").removeprefix("r")
        # what happens in the container stays there; what the host mounts later is seen unless the root is private
        self.default_propagation = MS_PRIVATE if propagation in ("private", "unbindable") else MS_SLAVE
        # mounts that only become read-only when all others are in place: slot, origin
        self._late: list[tuple[int, str]] = []
        if self.entries and isolation.user and not isolation.mount:
            problem = "with a user namespace they need a mount namespace: the host's is not its root's"
            raise ConfigError("mounts", problem)

    def open_sources(self, plan: Plan) -> None:
        """Clones the sources of all bind mounts, in the mount namespace of the host where that is possible."""
        self._open_maps(plan)
        for entry in self.entries:
            if entry.kind != "bind" or entry.options.remount:
                continue
            entry.slot = plan.slot()
            flags = AT_RECURSIVE if entry.options.bind == "rbind" else 0
            bits = entry.options.bits(self.default_propagation)
            plan.init("open-tree", entry.origin, entry.slot, entry.source, flags, bits)
            if entry.id_map:
                from .idmap import flags as map_flags

                plan.init("idmap", entry.origin, entry.slot, entry.id_map, map_flags(entry.mount))

    def _open_maps(self, plan: Plan) -> None:
        """Makes the user namespaces of id-mapped mounts, with the host's rights to map ids."""
        mapped = [entry for entry in self.entries if is_id_mapped(entry.mount)]
        if not mapped:
            return
        from .idmap import IdMaps

        maps = IdMaps(self._linux, self.isolation)
        for entry in mapped:
            if entry.kind == "cgroup":
                raise ConfigError(entry.origin, "the cgroup file system cannot be id-mapped")
            entry.id_map = maps.slot(plan, entry.origin, entry.mount)

    def mount(self, plan: Plan) -> None:
        """Mounts everything, in the order of the config."""
        for entry in self.entries:
            if entry.options.remount:
                self._remount(plan, entry)
            elif entry.kind == "bind":
                plan.init("attach", entry.origin, entry.slot, entry.destination, entry.flags())
            elif entry.kind == "cgroup" or (entry.kind == "cgroup2" and self.facts.unified):
                self._cgroup(plan, entry)
            else:
                self._file_system(plan, entry)

    def finish(self, plan: Plan) -> None:
        """Makes read-only what had to stay writable while mount points were made in it."""
        for slot, origin in self._late:
            plan.init("set-attributes", origin, slot, (RDONLY, 0, 0, 0, 0, 0))

    def _file_system(self, plan: Plan, entry: Entry) -> None:
        bits = entry.options.bits(0)
        slot = 0
        parameters = [*entry.options.superblock, *entry.options.data]
        if bits[0] & RDONLY:
            if entry.kind == "tmpfs":
                slot = plan.slot()
                self._late.append((slot, entry.origin))
                bits = (bits[0] & ~RDONLY, *bits[1:])
            elif entry.kind not in VIRTUAL:
                parameters.insert(0, "ro")
        if entry.kind == "ext4" and "iversion" in entry.mount.get("options", ()):
            parameters.append("i_version")
        if entry.kind not in UNLABELLED:
            parameters += self._label
        self._mount(plan, entry, slot, entry.kind, parameters, entry.destination, entry.flags(), bits)

    def _mount(
        self,
        plan: Plan,
        entry: Entry,
        slot: int,
        kind: str,
        parameters: "Sequence[str]",
        destination: str,
        flags: int,
        bits: "Attributes",
    ) -> None:
        source = entry.source or kind
        if entry.kind == "cgroup":
            source = "tmpfs" if kind == "tmpfs" else "cgroup"
        plan.init("mount", entry.origin, slot, kind, source, parameters, destination, flags, entry.id_map, bits)

    def _remount(self, plan: Plan, entry: Entry) -> None:
        bits = entry.options.bits(0)
        parameters = [*entry.options.superblock, *entry.options.data]
        flags = 0
        if not entry.options.bind:
            flags = REMOUNT_FILESYSTEM
            parameters.insert(0, "ro" if bits[0] & RDONLY else "rw")
        plan.init("remount", entry.origin, entry.destination, parameters, flags, bits)

    # ---- type "cgroup": the hierarchies that the host has, seen from the container's place in them

    def _cgroup(self, plan: Plan, entry: Entry) -> None:
        bits = entry.options.bits(0)
        if self.facts.unified:
            self._cgroup_2(plan, entry, bits)
            return
        slot = 0
        if bits[0] & RDONLY:
            slot = plan.slot()
            self._late.append((slot, entry.origin))
        writable = (bits[0] & ~RDONLY, *bits[1:])
        self._mount(plan, entry, slot, "tmpfs", ["mode=755", *self._label], entry.destination, 0, writable)
        for hierarchy, directory in zip(self.facts.cgroups, self.cgroup.directories, strict=True):
            if hierarchy.version != 1:
                continue
            name = hierarchy.mountpoint.rpartition("/")[2]
            target = f"{entry.destination}/{name}"
            if self._has_own_view():
                self._mount(plan, entry, 0, "cgroup", hierarchy.controllers, target, 0, bits)
            else:
                self._bind_cgroup(plan, entry, directory, target, bits)
            for controller in hierarchy.controllers:
                if len(hierarchy.controllers) > 1 and controller != name:
                    plan.init("symlink", entry.origin, name, f"{entry.destination}/{controller}", 0)

    def _has_own_view(self) -> bool:
        return "cgroup" in self.isolation.new or "cgroup" in self.isolation.joined

    def _cgroup_2(self, plan: Plan, entry: Entry, bits: "Attributes") -> None:
        """A cgroup namespace gets a mount of its own. Without one it would be the host's file system again, mounted
        anew: and that sets options like nsdelegate for the whole host (cgroups(7)). So it is bound."""
        parameters = [*entry.options.superblock, *entry.options.data]
        if self._has_own_view():
            self._mount(plan, entry, 0, "cgroup2", parameters, entry.destination, 0, bits)
            return
        if parameters:
            index = entry.origin.partition(" ")[0]
            raise ConfigError(f"{index}.options", f"without a cgroup namespace {parameters[0]} would be for the host")
        # a user namespace is shown its own part only
        directory = self.cgroup.directories[0] if self.isolation.user else self.facts.cgroups[0].mountpoint
        self._bind_cgroup(plan, entry, directory, entry.destination, bits)

    def _bind_cgroup(self, plan: Plan, entry: Entry, directory: str, target: str, bits: "Attributes") -> None:
        slot = plan.slot()
        plan.init("make-directory", entry.origin, target)
        plan.init("open-tree", entry.origin, slot, directory, 0, (*bits[:5], MS_PRIVATE))
        plan.init("attach", entry.origin, slot, target, 0)
