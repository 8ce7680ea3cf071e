"""Edits as CDI files write them, containerEdits, in both directions; what is read is checked member by member.

Source: the CDI specification, version 1.1.0.
"""

from ..errors import CdiError
from .edits import Device, Edits, Hook, Mount, hook_entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ..config.model import Json

HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
DEVICE_TYPES = ("b", "c", "u", "p")
LAST_ID = 0xFFFFFFFE
LAST_NUMBER = (1 << 32) - 1

TEXT, NUMBER, TRUTH, TEXTS, NUMBERS, LIST, OBJECT = range(7)
KINDS = ("a text", "a number", "true or false", "a list of texts", "a list of numbers", "a list", "an object")
MEMBERS = {
    "containerEdits": {
        "env": TEXTS, "deviceNodes": LIST, "netDevices": LIST, "mounts": LIST, "hooks": LIST, "intelRdt": OBJECT,
        "additionalGids": NUMBERS,
    },
    "deviceNodes": {
        "path": TEXT, "hostPath": TEXT, "type": TEXT, "major": NUMBER, "minor": NUMBER, "fileMode": NUMBER,
        "permissions": TEXT, "uid": NUMBER, "gid": NUMBER,
    },
    "netDevices": {"hostInterfaceName": TEXT, "name": TEXT},
    "mounts": {"hostPath": TEXT, "containerPath": TEXT, "options": TEXTS, "type": TEXT},
    "hooks": {"hookName": TEXT, "path": TEXT, "args": TEXTS, "env": TEXTS, "timeout": NUMBER},
    "intelRdt": {
        "closID": TEXT, "l3CacheSchema": TEXT, "memBwSchema": TEXT, "schemata": TEXTS, "enableMonitoring": TRUTH,
        "enableCMT": TRUTH, "enableMBM": TRUTH,
    },
}  # fmt: skip


# ---- from JSON


def members(value: "Json", where: str, known: dict[str, int], required: tuple[str, ...] = ()) -> "dict[str, Any]":
    """Returns an object whose members are all known and of the right kind. Raises CdiError."""
    if not isinstance(value, dict):
        raise CdiError(f"{where} is not an object")
    for name, member in value.items():
        if name not in known:
            raise CdiError(f"{where}: the member {name[:60]!r} is not known")
        if not _is(member, known[name]):
            raise CdiError(f"{where}.{name} is not {KINDS[known[name]]}")
    for name in required:
        if not value.get(name):
            raise CdiError(f"{where}.{name} is missing")
    return value


def _is(value: "Json", kind: int) -> bool:
    if kind == TEXT:
        return isinstance(value, str) and "\0" not in value
    if kind == NUMBER:
        return type(value) is int and 0 <= value <= LAST_NUMBER
    if kind == TRUTH:
        return isinstance(value, bool)
    if kind == OBJECT:
        return isinstance(value, dict)
    if not isinstance(value, list):
        return False
    inner = {TEXTS: TEXT, NUMBERS: NUMBER}.get(kind)
    return inner is None or all(_is(item, inner) for item in value)


def parse(value: "Json", where: str) -> Edits:
    """Returns the edits that an object of the form containerEdits describes. Raises CdiError."""
    found = members(value, where, MEMBERS["containerEdits"])
    edits = Edits()
    for entry in found.get("env", ()):
        if "=" not in entry[1:]:
            raise CdiError(f"{where}.env: {entry[:60]!r} is not NAME=VALUE")
        edits.env.append(entry)
    edits.devices = [_device(*item) for item in _items(found, where, "deviceNodes", ("path",))]
    edits.mounts = [_mount(*item) for item in _items(found, where, "mounts", ("hostPath", "containerPath"))]
    edits.hooks = [_hook(*item) for item in _items(found, where, "hooks", ("hookName", "path"))]
    for entry, _ in _items(found, where, "netDevices", ("hostInterfaceName", "name")):
        edits.net_devices.append((entry["hostInterfaceName"], entry["name"]))
    edits.gids = list(found.get("additionalGids", ()))
    if any(gid > LAST_ID for gid in edits.gids):
        raise CdiError(f"{where}.additionalGids: {LAST_NUMBER} is no id")
    if "intelRdt" in found:
        edits.rdt = members(found["intelRdt"], f"{where}.intelRdt", MEMBERS["intelRdt"])
    return edits


def _items(
    found: "dict[str, Any]", where: str, name: str, required: tuple[str, ...]
) -> "Iterator[tuple[dict[str, Any], str]]":
    for index, entry in enumerate(found.get(name, ())):
        place = f"{where}.{name}[{index}]"
        yield members(entry, place, MEMBERS[name], required), place


def _path(entry: "dict[str, Any]", where: str, name: str) -> str:
    path: str = entry.get(name, "")
    if path and path[0] != "/":
        raise CdiError(f"{where}.{name}: {path[:60]!r} is not an absolute path")
    return path


def _device(entry: "dict[str, Any]", where: str) -> Device:
    kind = entry.get("type", "")
    if kind and kind not in DEVICE_TYPES:
        raise CdiError(f"{where}.type: {kind[:60]!r} is not one of {', '.join(DEVICE_TYPES)}")
    access = entry.get("permissions", "")
    if access != "none" and set(access) - set("rwm"):
        raise CdiError(f"{where}.permissions: {access[:60]!r} is not made of r, w and m, and not none")
    major, minor, mode, uid, gid = (entry.get(name, -1) for name in ("major", "minor", "fileMode", "uid", "gid"))
    if max(uid, gid) > LAST_ID:
        raise CdiError(f"{where}: {LAST_NUMBER} is no id")
    path, source = _path(entry, where, "path"), _path(entry, where, "hostPath")
    return Device(path, source, kind, major, minor, mode, access, uid, gid)


def _mount(entry: "dict[str, Any]", where: str) -> Mount:
    source = entry["hostPath"]
    if not entry.get("type") or entry["type"] in ("bind", "none"):
        source = _path(entry, where, "hostPath")
    return Mount(source, _path(entry, where, "containerPath"), entry.get("options", ()), entry.get("type", ""))


def _hook(entry: "dict[str, Any]", where: str) -> Hook:
    if entry["hookName"] not in HOOKS:
        raise CdiError(f"{where}.hookName: {entry['hookName'][:60]!r} is not one of {', '.join(HOOKS)}")
    for variable in entry.get("env", ()):
        if "=" not in variable[1:]:
            raise CdiError(f"{where}.env: {variable[:60]!r} is not NAME=VALUE")
    return Hook(
        entry["hookName"],
        _path(entry, where, "path"),
        list(entry.get("args", ())),
        list(entry.get("env", ())),
        entry.get("timeout"),
    )


# ---- to JSON


def to_json(edits: Edits) -> "dict[str, Any]":
    """Returns containerEdits. Links, files and the rest that CDI does not have are left out."""
    found: dict[str, Any] = {}
    if edits.env:
        found["env"] = list(edits.env)
    if edits.devices:
        found["deviceNodes"] = [_device_entry(device) for device in edits.devices]
    if edits.net_devices:
        found["netDevices"] = [{"hostInterfaceName": host, "name": name} for host, name in edits.net_devices]
    if edits.mounts:
        found["mounts"] = [_mount_entry(mount) for mount in edits.mounts]
    if edits.hooks:
        found["hooks"] = [{"hookName": hook.when, **hook_entry(hook)} for hook in edits.hooks]
    if edits.gids:
        found["additionalGids"] = list(edits.gids)
    if edits.rdt is not None:
        found["intelRdt"] = edits.rdt
    return found


def _device_entry(device: Device) -> "dict[str, Any]":
    entry: dict[str, Any] = {"path": device.path}
    if device.source and device.source != device.path:
        entry["hostPath"] = device.source
    if device.type:
        entry["type"] = device.type
    numbers = {"major": device.major, "minor": device.minor, "fileMode": device.mode}
    entry |= {name: number for name, number in numbers.items() if number >= 0}
    if device.access:
        entry["permissions"] = device.access
    entry |= {name: number for name, number in (("uid", device.uid), ("gid", device.gid)) if number >= 0}
    return entry


def _mount_entry(mount: Mount) -> "dict[str, Any]":
    entry: dict[str, Any] = {"hostPath": mount.source, "containerPath": mount.destination}
    if mount.options:
        entry["options"] = list(mount.options)
    if mount.type:
        entry["type"] = mount.type
    return entry


def beyond(edits: Edits) -> "dict[str, Any]":
    """Returns the rest: what has to be done in the container itself."""
    found: dict[str, Any] = {}
    if edits.links:
        found["links"] = [{"path": link.path, "target": link.target} for link in edits.links]
    if edits.files:
        found["files"] = [{"path": file.path, "mode": file.mode, "content": file.content} for file in edits.files]
    if edits.cache is not None:
        found["cache"] = {
            "libraries": [
                {"soname": soname, "path": path, "bits": bits} for soname, path, bits in edits.cache.libraries
            ],
            "directories": list(edits.cache.directories),
        }
        found["cache"] |= {"driver": edits.cache.compat} if edits.cache.compat else {}
    if edits.proc is not None:
        found["procDriverNvidia"] = list(edits.proc)
    return found
