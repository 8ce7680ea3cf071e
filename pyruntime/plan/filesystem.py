"""root, linux.devices, maskedPaths, readonlyPaths: the root directory from the bundle to the container's "/"."""

from ..config.names import (
    AT_RECURSIVE,
    DEFAULT_DEVICES,
    DEFAULT_SYMLINKS,
    DEVICE_TYPES,
    MS_PRIVATE,
    MS_SLAVE,
    PROPAGATIONS,
    RDONLY,
    S_IFCHR,
)
from ..errors import ConfigError
from ..paths import clean
from .facts import Facts, Request
from .mounts import Mounts
from .namespaces import Isolation
from .ops import (
    NO_ATTRIBUTES,
    SLOT_NULL,
    SLOT_ROOT,
    SYMLINK_IF_TARGET,
    SYMLINK_REPLACE,
    Plan,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.model import Config, Device

DEFAULT_DEVICE_MODE = 0o666


def root_path(config: "Config", bundle: str) -> str:
    """Returns the absolute path of the root directory."""
    path = config["root"]["path"]
    return clean(path if path[0] == "/" else f"{bundle}/{path}")


def open_root(plan: Plan, config: "Config", request: Request, isolation: Isolation) -> None:
    """Goes into the root directory and clones the tree of mounts that begins there, if anything is to be mounted."""
    path = root_path(config, request.bundle)
    plan.init("enter-root", "root.path", path)
    if not isolation.mount and has_mounts(config):
        # they can only be made on the host: below one mount, with which they all go again
        plan.host_root = path
    if isolation.mount or plan.host_root:
        propagation = config.get("linux", {}).get("rootfsPropagation", "").removeprefix("r")
        cut_off = MS_SLAVE if propagation == "slave" else MS_PRIVATE
        plan.init("open-tree", "root.path", SLOT_ROOT, ".", AT_RECURSIVE, (0, 0, 0, 0, 0, cut_off))


def has_mounts(config: "Config") -> bool:
    """Whether the config asks for anything that takes a mount."""
    linux = config.get("linux", {})
    asked = config.get("mounts") or linux.get("maskedPaths") or linux.get("readonlyPaths")
    return bool(asked or config["root"].get("readonly") or linux.get("rootfsPropagation"))


def attach_root(plan: Plan, config: "Config", isolation: Isolation) -> None:
    """Puts the clone where the root directory is, in the container's own copy of the mounts.

    It must be there, and not at some place of our own: hooks look for it below the bundle.
    """
    if plan.host_root:
        plan.init("attach-root", "root.path", SLOT_ROOT)
        return
    if not isolation.mount:
        plan.init("use-root", "root.path")
        return
    propagation = config.get("linux", {}).get("rootfsPropagation", "").removeprefix("r")
    cut_off = MS_PRIVATE if propagation in ("private", "unbindable") else MS_SLAVE
    plan.init("propagation", "linux.rootfsPropagation" if propagation else "", cut_off)
    plan.init("attach-root", "root.path", SLOT_ROOT)


def devices(plan: Plan, config: "Config", isolation: Isolation, tree: Mounts) -> None:
    """Makes the devices of the config, those that every container has, and the usual links in /dev."""
    wanted = config.get("linux", {}).get("devices", [])
    own = {clean(device["path"]) for device in wanted}
    if not tree.binds_dev:
        for name, major, minor in DEFAULT_DEVICES:
            if f"/dev/{name}" not in own:
                _device(plan, "", f"/dev/{name}", isolation, (S_IFCHR, DEFAULT_DEVICE_MODE, major, minor, 0, 0))
    for index, device in enumerate(wanted):
        path = clean(device["path"])
        if not (tree.binds_dev and path.startswith("/dev/")):
            _device(plan, f"linux.devices[{index}]", path, isolation, _node(device, index))
    if not tree.binds_dev:
        for target, path in DEFAULT_SYMLINKS:
            plan.init("symlink", "", target, path, SYMLINK_IF_TARGET)
        plan.init("symlink", "", "pts/ptmx", "/dev/ptmx", SYMLINK_REPLACE)


def _node(device: "Device", index: int) -> tuple[int, int, int, int, int, int]:
    kind = device["type"]
    if kind != "p" and ("major" not in device or "minor" not in device):
        raise ConfigError(f"linux.devices[{index}]", f'major and minor are needed for type "{kind}"')
    return (
        DEVICE_TYPES[kind],
        device.get("fileMode", DEFAULT_DEVICE_MODE) & 0o7777,
        device.get("major", 0),
        device.get("minor", 0),
        device.get("uid", 0),
        device.get("gid", 0),
    )


def _device(
    plan: Plan, origin: str, path: str, isolation: Isolation, node: tuple[int, int, int, int, int, int]
) -> None:
    if isolation.user and node[0] != DEVICE_TYPES["p"]:
        if not isolation.mount:
            raise ConfigError("linux.namespaces", "a user namespace needs a mount namespace to show devices in")
        # devices cannot be made in a user namespace; the host's are shown instead (user_namespaces(7))
        slot = plan.slot()
        plan.init("open-tree", origin, slot, path, 0, (0, 0, 0, 0, 0, MS_PRIVATE))
        plan.init("attach", origin, slot, path, 0)
    else:
        plan.init("device", origin, path, *node)


def change_root(plan: Plan, facts: Facts, request: Request, isolation: Isolation) -> None:
    """Makes the root directory the process's own root."""
    if isolation.mount or plan.host_root:
        plan.init("find-null", "linux.maskedPaths", SLOT_NULL)
    if not isolation.mount:
        plan.init("change-root", "root.path")
    elif request.pivot:
        plan.init("pivot-root", "root.path")
    else:
        plan.init("move-root", "root.path", facts.proc_mounts)


def close_off(plan: Plan, config: "Config", request: Request, isolation: Isolation, tree: Mounts) -> None:
    """What comes last, so that nothing is laid over it again: read-only paths, masks, the read-only root."""
    linux = config.get("linux", {})
    if "process" in config:
        plan.init("make-directory", "process.cwd", clean(config["process"]["cwd"]))
    if not isolation.mount and not plan.host_root:
        return
    for index, path in enumerate(linux.get("readonlyPaths", ())):
        plan.init("readonly-path", f"linux.readonlyPaths[{index}]", clean(path))
    for index, path in enumerate(dict.fromkeys(linux.get("maskedPaths", ()))):
        plan.init("mask-path", f"linux.maskedPaths[{index}]", SLOT_NULL, clean(path))
    if request.pivot and isolation.mount:
        plan.init("detach-old-root", "root.path")
    tree.finish(plan)
    _root_attributes(plan, config)


def _root_attributes(plan: Plan, config: "Config") -> None:
    propagation = config.get("linux", {}).get("rootfsPropagation", "")
    readonly = RDONLY if config["root"].get("readonly") else 0
    top = all_below = 0
    if propagation.removeprefix("r") in ("shared", "unbindable"):
        if propagation[0] == "r":
            all_below = PROPAGATIONS[propagation[1:]]
        else:
            top = PROPAGATIONS[propagation]
    if readonly or top or all_below:
        origin = "root.readonly" if readonly else "linux.rootfsPropagation"
        plan.init("root-attributes", origin, (readonly, *NO_ATTRIBUTES[1:4], top, all_below))
