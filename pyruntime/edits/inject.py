"""The way of a request into a config: CDI devices, NVIDIA's variables and NVIDIA's hooks, in one place for all callers.

    find()    what a config asks for; takes out the hooks that are done here
    gather()  the edits for that, on this host
    apply()   (edits.py) puts them into the config

What stays in the edits afterwards, links, files, the linker's cache and the view of /proc/driver/nvidia, is for the
plan to carry out inside the container.
"""

from .edits import Edits, File

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..config.model import Config
    from .nvidia.driver import Driver
    from .nvidia.request import Request
    from .nvidia.rootfs import Image
    from .nvidia.select import Ask
    from .settings import Settings

ANNOTATIONS = "cdi.k8s.io/"
VARIABLES = ("NVIDIA_VISIBLE_DEVICES=", "CUDA_VERSION=")
HOOKS = ("nvidia-container-runtime-hook", "nvidia-container-toolkit", "nvidia-cdi-hook", "nvidia-ctk")


class Wanted:
    """`request` is what is asked of NVIDIA's driver, None for nothing; `devices` are names of CDI devices; `native` the
    edits that hooks of the config stood for."""

    __slots__ = ("devices", "native", "request")

    def __init__(self) -> None:
        self.request: Request | None = None
        self.devices: list[str] = []
        self.native = Edits()

    def __bool__(self) -> bool:
        return self.request is not None or bool(self.devices) or self.native.cache is not None or self._has_native()

    def _has_native(self) -> bool:
        return bool(self.native.links or self.native.files)


def may_want(config: "Config", settings: "Settings", *, enabled: bool) -> bool:
    """Whether it is worth a closer look: containers without a device pay for this and for nothing more."""
    if any(key.startswith(ANNOTATIONS) for key in config.get("annotations", ())):
        return True
    if any(hook["path"].endswith(HOOKS) for hooks in config.get("hooks", {}).values() for hook in hooks):  # type: ignore[attr-defined]
        return True
    if not enabled:
        return False
    if settings.volume_requests and any(mount.get("source") == "/dev/null" for mount in config.get("mounts", ())):
        return True
    return any(entry.startswith(VARIABLES) for entry in config.get("process", {}).get("env", ()))


def find(config: "Config", settings: "Settings", *, enabled: bool, devices: "Sequence[str]" = ()) -> Wanted:
    """Returns what a config asks for, and takes NVIDIA's hooks out of it. `devices` are names of CDI devices that are
    asked for besides.

    NVIDIA_VISIBLE_DEVICES counts if it is `enabled`, or if one of those hooks would have acted on it. Raises
    DriverError, CdiError.
    """
    from .cdi import check_name, requested
    from .nvidia import hooks, request
    from .nvidia.root import Root

    wanted = Wanted()
    wanted.native, legacy = hooks.take(config, Root(settings.host_root))  # type: ignore[arg-type]
    for name in devices:
        check_name(name)
    wanted.devices = [*requested(config), *devices]
    if enabled or legacy:
        wanted.request = request.find(config, settings)
        if wanted.request is not None and wanted.request.cdi:
            wanted.devices += wanted.request.cdi
            wanted.request = None
    return wanted


def gather(
    wanted: Wanted,
    settings: "Settings",
    driver: "Driver | None" = None,
    image: "Image | None" = None,
    ask: "Ask | None" = None,
    root: str = "",
    *,
    readonly: bool = False,
) -> Edits:
    """Returns the edits for what a config asks for; `root` is the container's root directory on the host, "" if there
    is none yet, `readonly` whether nothing may be written there. Raises DriverError, CdiError.
    """
    edits = Edits()
    if wanted.devices:
        from . import cdi
        from .nvidia.hooks import take_own
        from .nvidia.root import Root

        edits.add(cdi.load(settings.spec_dirs).resolve(wanted.devices))
        cdi.complete(edits)
        take_own(edits, Root(settings.host_root))
    if wanted.request is not None and driver is not None:
        from .nvidia.select import select

        edits.add(select(wanted.request, driver, image, ask))
    edits.add(wanted.native)
    if edits.cache is not None and root:
        _resolve_compat(edits, root)
        if not readonly:
            _name_directories(edits, edits.cache.directories)
    return edits


def inject(
    config: "Config", settings: "Settings", root: str, *, enabled: bool, devices: "Sequence[str]" = ()
) -> Edits | None:
    """Changes a config, before its plan is made, so that the container gets what it asks for.

    `root` is the absolute path of its root file system, `devices` are names of CDI devices. Returns what is left for
    the plan, None if nothing was asked for. Raises DriverError, CdiError.
    """
    found = collect(config, settings, root, enabled=enabled, devices=devices)
    if found is None:
        return None
    wanted, edits = found
    from .edits import apply

    # CDI orders all mounts by their depth; without it those of the config keep their order
    apply(config, edits, sort=bool(wanted.devices))
    return edits


def collect(
    config: "Config", settings: "Settings", root: str, *, enabled: bool, devices: "Sequence[str]" = ()
) -> tuple[Wanted, Edits] | None:
    """Returns what a config asks for, and the edits for that on this host; the arguments are those of inject().

    Only hooks that are done here are taken out of the config. Raises DriverError, CdiError.
    """
    if not devices and not may_want(config, settings, enabled=enabled):
        return None
    wanted = find(config, settings, enabled=enabled, devices=devices)
    if not wanted:
        return None
    driver = image = None
    readonly = config["root"].get("readonly", False)
    if wanted.request is not None:
        from .nvidia.driver import discover
        from .nvidia.rootfs import look

        driver = discover(settings.host_root, settings.driver_root)
        driver.check(wanted.request.source)
        image = look(root, driver.machine, readonly=readonly, version=driver.version)
    return wanted, gather(wanted, settings, driver, image, _ask, root, readonly=readonly)


def _ask(driver: "Driver") -> None:
    from .nvidia.nvml import ask

    ask(driver)


def _resolve_compat(edits: Edits, root: str) -> None:
    """Puts the CUDA of the image first, where a hook would have looked for it."""
    if edits.cache is None or not edits.cache.compat:
        return
    from .nvidia.compat import find_in

    found = find_in(root, edits.cache.compat)
    edits.cache.compat = ""
    if found is not None:
        edits.cache.libraries[:0] = found.libraries
        edits.cache.directories.insert(0, found.directory)


def _name_directories(edits: Edits, directories: list[str]) -> None:
    """Names the directories that the linker does not look into by itself, so that an ldconfig that is run in the
    container later keeps them. Files of that directory are read in the order of the alphabet, and the first wins."""
    from .nvidia.compat import DIRECTORY
    from .nvidia.rootfs import TRIPLETS

    known = {"/lib", "/lib64", "/usr/lib", "/usr/lib64"}
    known |= {f"{top}/{name}" for top in ("/lib", "/usr/lib") for name in (*TRIPLETS.values(), "i386-linux-gnu")}
    others = [path for path in directories if path not in known and path.rpartition("/")[0] not in known]
    for name, paths in (
        ("00-compat-pyruntime.conf", [path for path in others if path == DIRECTORY]),
        ("00-nvidia-pyruntime.conf", [path for path in others if path != DIRECTORY]),
    ):
        if paths:
            edits.files.append(File(f"/etc/ld.so.conf.d/{name}", "".join(f"{path}\n" for path in paths)))


def cache_bytes(edits: Edits, root: int, machine: str) -> bytes | None:
    """Returns the linker's cache that a container is to have, None to leave it as it is.

    `root` is a descriptor of its root directory, with all its mounts: what is read is what its linker will see.
    """
    if edits.cache is None or not edits.cache.libraries:
        return None
    from .nvidia import ldcache
    from .nvidia.rootfs import CACHE, Rootfs

    tree = Rootfs(root)
    data = tree.read(CACHE, ldcache.MOST_BYTES)
    if data is None and tree.mode(CACHE):
        edits.notes.append(f"{CACHE} of the image is left alone: it is no file, or too large")
        return None
    try:
        return ldcache.extend(data, edits.cache.libraries, machine)
    except ldcache.BadCache as error:
        edits.notes.append(f"{CACHE} of the image is left alone: {error}")
        return None
