"""What a container asks for: which GPUs, which parts of the driver, and what it requires of them.

A request is read from the config and from nothing else. Its values are looked up among what the host has; none becomes
a path.
"""

from ...errors import DriverError
from .files import CLASSES, INCLUDED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...config.model import Config
    from ..settings import Settings

DEVICES = "NVIDIA_VISIBLE_DEVICES"
CAPABILITIES = "NVIDIA_DRIVER_CAPABILITIES"
DISABLE_REQUIRE = "NVIDIA_DISABLE_REQUIRE"
REQUIRE = "NVIDIA_REQUIRE_"
# mounts, unlike variables, do not come from an image
VOLUMES = "/var/run/nvidia-container-devices/"
DEFAULT_CLASSES = ("utility", "compute")
ALL, NONE, VOID = "all", "none", "void"
# strconv.ParseBool of Go, which is what images are written for
TRUE = ("1", "t", "T", "TRUE", "true", "True")
# parts of the hardware that have a switch of their own, and that are not injected by this version
SWITCHES = ("NVIDIA_GDS", "NVIDIA_GDRCOPY", "NVIDIA_MOFED", "NVIDIA_NVSWITCH", "NVIDIA_IMEX_CHANNELS")


class Request:
    """`source` is how the request was made, for messages; `devices` what it names, ("all",), ("none",) or ids;
    `classes` the parts of the driver; `requirements` as pairs of a variable and its value; `cdi` qualified names."""

    __slots__ = ("cdi", "classes", "devices", "notes", "requirements", "source")

    def __init__(self, source: str, devices: tuple[str, ...], classes: "Iterable[str]" = DEFAULT_CLASSES) -> None:
        self.source = source
        self.devices = devices
        self.classes = _closure(classes)
        self.requirements: list[tuple[str, str]] = []
        self.cdi: list[str] = []
        self.notes: list[str] = []


def find(config: "Config", settings: "Settings") -> Request | None:
    """Returns what a config asks for, None if nothing. Raises DriverError."""
    env = environment(config.get("process", {}).get("env", ()))
    source, devices = _requested(config, settings, env)
    if not devices:
        return None
    return make(source, devices, env, settings)


def make(source: str, devices: list[str], env: dict[str, str], settings: "Settings") -> Request:
    """Returns the request for devices that were asked for in some way; `env` says the rest. Raises DriverError."""
    request = Request(source, tuple(devices), classes(env, settings))
    qualified = [name for name in devices if is_qualified(name)]
    if qualified and len(qualified) != len(devices):
        plain = next(name for name in devices if name not in qualified)
        raise DriverError(f'{source}: "{plain}" is no CDI device, and cannot be asked for together with {qualified[0]}')
    if qualified:
        request.cdi, request.devices = qualified, ()
    if settings.require and env.get(DISABLE_REQUIRE, "") not in TRUE:
        request.requirements = requirements(env)
    for name in SWITCHES:
        if env.get(name, "") not in ("", "disabled"):
            request.notes.append(f"{name}={env[name]} is ignored: this version does not inject what it stands for")
    return request


def environment(env: "Iterable[str]") -> dict[str, str]:
    """Returns the variables of a process; of two with one name the last counts, as for NVIDIA's runtime."""
    return {name: value for name, _, value in (entry.partition("=") for entry in env)}


def _requested(config: "Config", settings: "Settings", env: dict[str, str]) -> tuple[str, list[str]]:
    if settings.volume_requests and (names := _volumes(config)):
        return f"mounts below {VOLUMES}", values(",".join(names))
    text = env.get(DEVICES)
    if text is None and is_legacy(env):
        text = ALL
    if not text or not (settings.trust_env or is_privileged(config)):
        return "", []
    return f"{DEVICES}={text}", values(text)


def values(text: str) -> list[str]:
    """Returns the names in a list, each once; a word that stands for all or none of them stands alone."""
    names = list(dict.fromkeys(name for name in (part.strip() for part in text.split(",")) if name))
    for name in names:
        if name == VOID:
            return []
        if name in (ALL, NONE):
            return [name]
    return names


def _volumes(config: "Config") -> list[str]:
    """Returns the devices that mounts name: /dev/null at .../DEVICE, .../cdi/VENDOR/CLASS/DEVICE."""
    names = []
    for mount in config.get("mounts", ()):
        destination = mount["destination"]
        if mount.get("source") != "/dev/null" or not destination.startswith(VOLUMES):
            continue
        name = destination.removeprefix(VOLUMES).strip("/")
        if name.startswith("cdi/"):
            name = name.removeprefix("cdi/")
            if "=" not in name:
                name = "=".join(name.rsplit("/", 1))
        names.append(name)
    return names


def is_privileged(config: "Config") -> bool:
    """Whether the container could make any device node itself."""
    return "CAP_SYS_ADMIN" in config.get("process", {}).get("capabilities", {}).get("bounding", ())


def is_legacy(env: dict[str, str]) -> bool:
    """Whether the image was made before there were requirements: what it leaves out means everything."""
    return bool(env.get("CUDA_VERSION")) and "NVIDIA_REQUIRE_CUDA" not in env


def is_qualified(name: str) -> bool:
    """Whether it is the name of a CDI device: vendor/class=device."""
    kind, equals, _ = name.partition("=")
    return bool(equals) and "/" in kind


def classes(env: dict[str, str], settings: "Settings") -> list[str]:
    """Returns the parts of the driver that are asked for. Raises DriverError."""
    supported = list(CLASSES) if settings.capabilities == ALL else settings.capabilities.split(",")
    text = env.get(CAPABILITIES, "")
    words = [word for word in (part.strip() for part in text.split(",")) if word]
    if ALL in words or (not words and is_legacy(env)):
        return supported
    for word in words:
        if word not in supported:
            raise DriverError(f'{CAPABILITIES}={text}: "{word}" is not one of {", ".join([*supported, ALL])}')
    return words or [word for word in DEFAULT_CLASSES if word in supported]


def _closure(words: "Iterable[str]") -> frozenset[str]:
    found = set(words)
    for word in tuple(found):
        found.update(INCLUDED.get(word, ()))
    return frozenset(found)


def requirements(env: dict[str, str]) -> list[tuple[str, str]]:
    """Returns variable and expression of all requirements."""
    found = [(name, value) for name, value in env.items() if name.startswith(REQUIRE) and value]
    found = [(name, value) for name, value in found if name != f"{REQUIRE}JETPACK"]
    if is_legacy(env):
        version = ".".join(env["CUDA_VERSION"].split(".")[:2])
        found.append(("CUDA_VERSION", f"cuda>={version}"))
    return found
