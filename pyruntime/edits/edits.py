"""Edits: what is to be changed in a config so that a container has a device.

They are the containerEdits of CDI 1.1 and, beside them, what no config can say: links, files and the linker's cache in
the container, and what it may see of /proc/driver/nvidia. In a CDI file these are hooks, which is why any runtime can
use it (nvidia/hooks.py); here they stay data until somebody carries them out.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..config.model import Config

DEFAULT_ACCESS = "rwm"
NO_ACCESS = "none"


class Device:
    """A device node. `source` is where the host has it, "" if at the same path; numbers and mode are -1 while they are
    to be taken from there, uid and gid while the process's own count."""

    __slots__ = ("access", "gid", "major", "minor", "mode", "path", "source", "type", "uid")

    def __init__(
        self,
        path: str,
        source: str = "",
        kind: str = "",
        major: int = -1,
        minor: int = -1,
        mode: int = -1,
        access: str = "",
        uid: int = -1,
        gid: int = -1,
    ) -> None:
        self.path = path
        self.source = source
        self.type = kind
        self.major = major
        self.minor = minor
        self.mode = mode
        self.access = access
        self.uid = uid
        self.gid = gid


class Mount:
    """A mount of a file or directory of the host; `type` is "" for a bind mount."""

    __slots__ = ("destination", "options", "source", "type")

    def __init__(self, source: str, destination: str, options: "list[str] | tuple[str, ...]", kind: str = "") -> None:
        self.source = source
        self.destination = destination
        self.options = list(options)
        self.type = kind


class Hook:
    """A hook; `when` is its kind in config.json."""

    __slots__ = ("args", "env", "path", "timeout", "when")

    def __init__(self, when: str, path: str, args: list[str], env: list[str], timeout: int | None = None) -> None:
        self.when = when
        self.path = path
        self.args = args
        self.env = env
        self.timeout = timeout


class Link:
    """A symbolic link in the container. `source` is the file of the host that it leads to in the end, "" if unknown:
    where no link can be made that file can be mounted in its place."""

    __slots__ = ("path", "source", "target")

    def __init__(self, path: str, target: str, source: str = "") -> None:
        self.path = path
        self.target = target
        self.source = source


class File:
    """A file in the container with a content of ours. With `over` it covers one that is there, and no other."""

    __slots__ = ("content", "mode", "over", "path")

    def __init__(self, path: str, content: str, mode: int = 0o644, *, over: bool = False) -> None:
        self.path = path
        self.content = content
        self.mode = mode
        self.over = over


class Cache:
    """What the linker's cache has to have: `libraries` are (SONAME, path, bits), `directories` those to be named in
    ld.so.conf.d, so that a later ldconfig keeps them. With `compat` the CUDA of the image may come before ours, if it
    is made for the driver of this version."""

    __slots__ = ("compat", "directories", "libraries")

    def __init__(self) -> None:
        self.libraries: list[tuple[str, str, int]] = []
        self.directories: list[str] = []
        self.compat = ""


class Edits:
    """All edits for one container, or those of one CDI device."""

    __slots__ = (
        "cache", "devices", "env", "files", "gids", "hooks", "links", "mounts", "net_devices", "notes", "proc", "rdt",
    )  # fmt: skip

    def __init__(self) -> None:
        self.env: list[str] = []
        self.devices: list[Device] = []
        self.net_devices: list[tuple[str, str]] = []
        self.mounts: list[Mount] = []
        self.hooks: list[Hook] = []
        self.gids: list[int] = []
        self.rdt: dict[str, Any] | None = None
        # beyond CDI
        self.links: list[Link] = []
        self.files: list[File] = []
        self.cache: Cache | None = None
        # names below /proc/driver/nvidia that stay; None: nothing is hidden
        self.proc: list[str] | None = None
        self.notes: list[str] = []

    def add(self, other: "Edits") -> None:
        """Adds the edits of another device behind these."""
        self.env += other.env
        self.devices += other.devices
        self.net_devices += other.net_devices
        self.mounts += other.mounts
        self.hooks += other.hooks
        self.gids += other.gids
        self.rdt = self.rdt if other.rdt is None else other.rdt
        self.links += other.links
        self.files += other.files
        self.notes += other.notes
        if other.proc is not None:
            self.proc = [*(self.proc or ()), *(name for name in other.proc if name not in (self.proc or ()))]
        if other.cache is not None:
            self.cache = self.cache or Cache()
            self.cache.libraries += other.cache.libraries
            self.cache.directories += other.cache.directories
            self.cache.compat = self.cache.compat or other.cache.compat

    def mount_links(self) -> None:
        """Puts mounts in the place of links, as far as it is known what they lead to: for a root that is read-only, and
        for runtimes that make no links."""
        options = next((mount.options for mount in self.mounts), [])
        taken = {mount.destination for mount in self.mounts}
        left = []
        for link in self.links:
            if not link.source:
                left.append(link)
            elif link.path not in taken:
                taken.add(link.path)
                self.mounts.append(Mount(link.source, link.path, options))
        self.links = left


def apply(config: "Config", edits: Edits, *, sort: bool = False) -> None:
    """Changes a config as the edits say; what no config can say stays with the edits.

    Their devices have to be complete (cdi.py, complete()). With `sort` all mounts are ordered by the depth of their
    destination, as CDI has it; without, they come behind those that are there.
    """
    # lists of the config are replaced, not changed: they may be shared
    document: dict[str, Any] = config  # type: ignore[assignment]
    if "process" in document:
        _apply_process(document["process"], edits)
    if edits.devices:
        edits.mounts += _apply_devices(document, edits.devices)
    if edits.mounts:
        apply_mounts(config, edits, sort=sort)
    if edits.hooks:
        hooks = document["hooks"] = dict(document.get("hooks", {}))
        for hook in edits.hooks:
            hooks[hook.when] = [*hooks.get(hook.when, ()), hook_entry(hook)]
    linux = document.get("linux", {})
    if edits.net_devices:
        linux["netDevices"] = dict(linux.get("netDevices", {}))
        linux["netDevices"] |= {host: {"name": name} if name else {} for host, name in edits.net_devices}
    if edits.rdt is not None:
        linux["intelRdt"] = edits.rdt
    if linux:
        document["linux"] = linux


def apply_mounts(config: "Config", edits: Edits, *, sort: bool = False) -> None:
    """Puts only the mounts into a config, those that are there already once more; `sort` is as for apply()."""
    new: dict[str, Any] = {mount.destination: _mount(mount) for mount in edits.mounts}
    mounts: list[Any] = [entry for entry in config.get("mounts", ()) if entry["destination"] not in new]
    mounts += new.values()
    config["mounts"] = sorted(mounts, key=_depth) if sort else mounts


def _apply_process(process: "dict[str, Any]", edits: Edits) -> None:
    if edits.env:
        process["env"] = _with_env(process.get("env", []), edits.env)
    user = process.get("user", {})
    old = user.get("additionalGids", [])
    gids = [gid for gid in dict.fromkeys(edits.gids) if gid and gid not in old]
    if gids:
        process["user"] = {**user, "additionalGids": [*old, *gids]}


def _with_env(old: list[str], new: list[str]) -> list[str]:
    names = {entry.partition("=")[0]: entry for entry in new}
    kept = [names.pop(name, "") if (name := entry.partition("=")[0]) in names else entry for entry in old]
    return [entry for entry in kept if entry] + list(names.values())


def _apply_devices(document: "dict[str, Any]", devices: list[Device]) -> list[Mount]:
    """Adds devices and their rules; returns those that have to be mounted: in a user namespace none can be made, and
    the config can only name nodes that the host has at the same path."""
    linux = document.setdefault("linux", {})
    resources = linux.setdefault("resources", {})
    user = document.get("process", {}).get("user", {})
    paths = {device.path for device in devices}
    entries = [entry for entry in linux.get("devices", ()) if entry["path"] not in paths]
    rules = list(resources.get("devices", ()))
    mapped = any(entry["type"] == "user" for entry in linux.get("namespaces", ()))
    mounts = []
    for device in {device.path: device for device in devices}.values():
        if mapped and device.source not in ("", device.path):
            mounts.append(Mount(device.source, device.path, ("rbind", "nosuid", "noexec", "rprivate")))
        else:
            entries.append(_device(device, user))
        if device.type in ("b", "c") and device.access != NO_ACCESS:
            rule = {"allow": True, "type": device.type, "major": device.major, "minor": device.minor}
            rule["access"] = device.access or DEFAULT_ACCESS
            if rule not in rules:
                rules.append(rule)
    linux["devices"] = entries
    resources["devices"] = rules
    return mounts


def _device(device: Device, user: "dict[str, Any]") -> "dict[str, Any]":
    entry: dict[str, Any] = {"path": device.path, "type": device.type}
    if device.type != "p":
        entry |= {"major": device.major, "minor": device.minor}
    if device.mode >= 0:
        entry["fileMode"] = device.mode
    for name, given in (("uid", device.uid), ("gid", device.gid)):
        # left out is root; one that is not given is the process's own (CDI)
        value = given if given >= 0 else user.get(name, 0)
        if value or given >= 0:
            entry[name] = value
    return entry


def _mount(mount: Mount) -> "dict[str, Any]":
    entry: dict[str, Any] = {"destination": mount.destination, "source": mount.source}
    entry["type"] = mount.type or "bind"
    options = list(mount.options)
    if not mount.type and not {"bind", "rbind"} & set(options):
        options.append("bind")
    entry["options"] = options
    return entry


def hook_entry(hook: Hook) -> "dict[str, Any]":
    """Returns a hook as config.json and CDI have it."""
    entry: dict[str, Any] = {"path": hook.path}
    entry |= {"args": hook.args} if hook.args else {}
    entry |= {"env": hook.env} if hook.env else {}
    entry |= {} if hook.timeout is None else {"timeout": hook.timeout}
    return entry


def _depth(entry: "Any") -> int:
    return len([part for part in entry["destination"].split("/") if part])
