"""The Container Device Interface: files that say what a container needs to have a device, and devices by their names.

A device is named vendor/class=name. Files are read in the directories of a list; of two that describe the same device
the one in the later directory counts, and two in the same directory make it unusable. A file that is wrong spoils
nothing but itself: what is wrong with it is said when a device cannot be found.
"""

import posix
from _stat import S_IMODE, S_ISBLK, S_ISCHR, S_ISFIFO

from ..config.load import decode, read
from ..errors import CdiError, ConfigError, os_error
from . import form
from .edits import Edits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from ..config.model import Config, Json

VERSIONS = ("0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0")
ANNOTATIONS = "cdi.k8s.io/"
LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
ALPHANUMERIC = LETTERS | frozenset("0123456789")
SPEC = {
    "cdiVersion": form.TEXT, "kind": form.TEXT, "annotations": form.OBJECT, "devices": form.LIST,
    "containerEdits": form.OBJECT,
}  # fmt: skip
DEVICE = {"name": form.TEXT, "annotations": form.OBJECT, "containerEdits": form.OBJECT}


class Spec:
    """One file. `common` are the edits that all its devices need, once."""

    __slots__ = ("annotations", "common", "devices", "kind", "path", "version")

    def __init__(self, path: str, version: str, kind: str) -> None:
        self.path = path
        self.version = version
        self.kind = kind
        self.common = Edits()
        self.devices: dict[str, Edits] = {}
        self.annotations: dict[str, str] = {}


class Registry:
    """All files. `problems` says of those that cannot be used, why; `conflicts` of devices, which files clash."""

    __slots__ = ("conflicts", "devices", "directories", "problems")

    def __init__(self, directories: "Sequence[str]") -> None:
        self.directories = directories
        self.devices: dict[str, Spec] = {}
        self.conflicts: dict[str, list[str]] = {}
        self.problems: dict[str, str] = {}

    def resolve(self, names: "Iterable[str]") -> Edits:
        """Returns the edits for devices, in their order. Raises CdiError naming all that there are not."""
        wanted = list(dict.fromkeys(names))
        if missing := [name for name in wanted if name not in self.devices]:
            raise CdiError(self._missing(missing))
        edits = Edits()
        used: set[str] = set()
        for name in wanted:
            spec = self.devices[name]
            if spec.path not in used:
                used.add(spec.path)
                edits.add(spec.common)
            edits.add(spec.devices[name.partition("=")[2]])
        return edits

    def _missing(self, names: list[str]) -> str:
        parts = []
        for name in names:
            if name in self.conflicts:
                parts.append(f"CDI device {name} is described twice: by {' and by '.join(self.conflicts[name])}")
        unknown = [name for name in names if name not in self.conflicts]
        if unknown:
            known = ", ".join(sorted(self.devices)) or "none"
            where = " and ".join(self.directories)
            parts.append(f"no CDI device {', '.join(unknown)}: the files in {where} describe {known}")
        parts += [f"{path}: {problem}" for path, problem in self.problems.items()]
        return "; ".join(parts)


# ---- files


def load(directories: "Sequence[str]") -> Registry:
    """Reads all files; what is wrong with one is kept, and not raised."""
    registry = Registry(directories)
    for directory in directories:
        here: dict[str, Spec] = {}
        clashes: dict[str, list[str]] = {}
        for path in _files(directory, registry):
            try:
                spec = read_spec(path)
            except CdiError as error:
                registry.problems[path] = str(error)
                continue
            for device in spec.devices:
                name = f"{spec.kind}={device}"
                if name in here:
                    clashes.setdefault(name, [here[name].path]).append(path)
                here[name] = spec
        registry.devices |= here
        for name in here:  # what an earlier directory has no longer counts, be it good or bad
            registry.conflicts.pop(name, None)
        for name, paths in clashes.items():
            registry.conflicts[name] = paths
            del registry.devices[name]
    return registry


def _files(directory: str, registry: Registry) -> list[str]:
    try:
        names = posix.listdir(directory)
    except FileNotFoundError:
        return []
    except OSError as error:
        registry.problems[directory] = os_error(error).removeprefix(f"{directory}: ")
        return []
    return [f"{directory}/{name}" for name in sorted(names) if name.endswith((".json", ".yaml"))]


def read_spec(path: str) -> Spec:
    """Reads and checks one file. Raises CdiError."""
    name = path.rpartition("/")[2]
    try:
        data = read(path, "it does not exist")
        # what begins as JSON is JSON, whatever its name: lines mean nothing there
        if name.endswith(".json") or data.lstrip()[:1] == b"{":
            document = decode(data, name)
        else:
            document = _yaml(data)
    except ConfigError as error:
        raise CdiError(str(error)) from None
    return parse_spec(document, path)


def _yaml(data: bytes) -> "Json":
    from . import yaml

    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise CdiError(f"byte {error.start} is not UTF-8") from None
    return _without_null(yaml.parse(text.removeprefix("\ufeff")))


def _without_null(value: "Json") -> "Json":
    """Takes out members without a value, which to Go are none."""
    if isinstance(value, dict):
        return {name: _without_null(member) for name, member in value.items() if member is not None}
    if isinstance(value, list):
        return [_without_null(item) for item in value]
    return value


def parse_spec(document: "Json", path: str = "") -> Spec:
    """Checks a whole document (CDI specification 1.1.0). Raises CdiError."""
    found = form.members(document, "the file", SPEC, ("cdiVersion", "kind", "devices"))
    version = found["cdiVersion"]
    if version not in VERSIONS:
        raise CdiError(f"cdiVersion: {version[:60]!r} is not one of {', '.join(VERSIONS)}")
    check_kind(found["kind"])
    spec = Spec(path, version, found["kind"])
    spec.annotations = _annotations(found, "the file")
    spec.common = form.parse(found.get("containerEdits", {}), "containerEdits")
    for index, entry in enumerate(found["devices"]):
        where = f"devices[{index}]"
        device = form.members(entry, where, DEVICE, ("name",))
        _check_name(device["name"], where)
        _annotations(device, where)
        if device["name"] in spec.devices:
            raise CdiError(f"{where}.name: {device['name']!r} occurs twice")
        if "containerEdits" not in device:
            raise CdiError(f"{where}.containerEdits is missing")
        spec.devices[device["name"]] = form.parse(device["containerEdits"], f"{where}.containerEdits")
    needed = minimum_version(found)
    if VERSIONS.index(version) < VERSIONS.index(needed):
        raise CdiError(f"cdiVersion: {version} is too old for what the file holds, which came with {needed}")
    return spec


def _annotations(found: "dict[str, Any]", where: str) -> dict[str, str]:
    annotations: dict[str, str] = found.get("annotations", {})
    if not all(isinstance(value, str) for value in annotations.values()):
        raise CdiError(f"{where}: annotations are texts")
    return annotations


def check_kind(kind: str) -> None:
    """Raises CdiError unless it is vendor/class."""
    vendor, slash, name = kind.partition("/")
    for part in (vendor, name):
        inner = part.translate({ord(character): None for character in "_.-"})
        if not slash or not part or part[0] not in LETTERS or part[-1] not in ALPHANUMERIC or set(inner) - ALPHANUMERIC:
            raise CdiError(f"kind: {kind[:80]!r} is not vendor/class, of letters, digits, _ . and -")


def _check_name(name: str, where: str) -> None:
    inner = name.translate({ord(character): None for character in "_.:-"})
    if name[0] not in ALPHANUMERIC or name[-1] not in ALPHANUMERIC or set(inner) - ALPHANUMERIC:
        raise CdiError(f"{where}.name: {name[:60]!r} is not made of letters, digits, _ . : and -")


def minimum_version(document: "dict[str, Any]") -> str:
    """Returns the oldest version of CDI that has all that a document uses."""
    devices = document.get("devices", ())
    parts = [document.get("containerEdits", {}), *(device.get("containerEdits", {}) for device in devices)]
    rdts = [part["intelRdt"] for part in parts if "intelRdt" in part]
    if any("netDevices" in part for part in parts) or any("schemata" in r or "enableMonitoring" in r for r in rdts):
        return "1.1.0"
    if rdts or any("additionalGids" in part for part in parts):
        return "0.7.0"
    if "annotations" in document or any("annotations" in device for device in devices):
        return "0.6.0"
    if "." in document.get("kind", "").partition("/")[2]:
        return "0.6.0"
    nodes = [node for part in parts for node in part.get("deviceNodes", ())]
    if any("hostPath" in node for node in nodes) or any(device["name"][0] not in LETTERS for device in devices):
        return "0.5.0"
    return "0.4.0" if any("type" in mount for part in parts for mount in part.get("mounts", ())) else "0.3.0"


# ---- configs


def requested(config: "Config") -> list[str]:
    """Returns the devices that annotations ask for. Raises CdiError."""
    annotations = config.get("annotations", {})
    names: list[str] = []
    for key in sorted(annotations):
        if key.startswith(ANNOTATIONS):
            names += [name.strip() for name in annotations[key].split(",") if name.strip()]
    for name in names:
        check_name(name)
    return names


def check_name(name: str) -> None:
    """Raises CdiError unless it is vendor/class=device."""
    kind, equals, device = name.partition("=")
    if not equals or not device:
        raise CdiError(f"{name[:80]!r} is not the name of a CDI device: vendor/class=device")
    check_kind(kind)
    _check_name(device, name[:80])


def complete(edits: Edits) -> None:
    """Fills in what files leave to the host: types and numbers of devices. Raises CdiError."""
    for device in edits.devices:
        if device.type == "p" or (device.type and device.major >= 0 and device.minor >= 0):
            continue
        path = device.source or device.path
        try:
            status = posix.lstat(path)
        except OSError as error:
            raise CdiError(f"CDI device node {os_error(error)}") from None
        kinds = {"c": S_ISCHR, "b": S_ISBLK, "p": S_ISFIFO}
        kind = next((name for name, is_kind in kinds.items() if is_kind(status.st_mode)), "")
        if not kind or (device.type and device.type.replace("u", "c") != kind):
            raise CdiError(f"CDI device node {path} is not a device{f' of type {device.type}' if device.type else ''}")
        device.type = device.type or kind
        if kind != "p":
            device.major, device.minor = posix.major(status.st_rdev), posix.minor(status.st_rdev)
        if device.mode < 0:
            device.mode = S_IMODE(status.st_mode)
