"""Device nodes of the driver: which numbers they have to have, and whether the host has them so."""

import posix
from _stat import S_IMODE, S_ISCHR

from ...errors import DriverError
from .files import CAPS_DRIVER, CONTROL_NODES, DRM_MAJOR, GPU_DRIVERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .root import Root

# Documentation/admin-guide/devices.txt: the one major of the driver that is not handed out at run time
NVIDIA_MAJOR = 195
MODULES = {"nvidia-uvm": "nvidia-uvm", "nvidia-modeset": "nvidia-modeset"}


class Node:
    """A character device of the host: `path` is the container's, `source` where it is on the host."""

    __slots__ = ("gid", "major", "minor", "mode", "path", "source")

    def __init__(self, path: str, source: str, major: int, minor: int, mode: int, gid: int) -> None:
        self.path = path
        self.source = source
        self.major = major
        self.minor = minor
        self.mode = mode
        self.gid = gid


def majors(host: "Root") -> dict[str, int]:
    """Returns the majors of character devices by the names of their drivers (/proc/devices)."""
    found: dict[str, int] = {}
    characters, _, _ = host.read("/proc/devices").partition("Block devices:")
    for line in characters.split("\n"):
        number, _, name = line.strip().partition(" ")
        if number.isascii() and number.isdigit() and name:
            found.setdefault(name, int(number))
    return found


def look(host: "Root", path: str, major: int, minor: int) -> Node:
    """Returns the node at a path, if it is the device that it should be. Raises DriverError."""
    try:
        status = posix.lstat(host.at(path))
    except OSError:
        raise DriverError(f"{host.at(path)} does not exist") from None
    if not S_ISCHR(status.st_mode):
        raise DriverError(f"{host.at(path)} is not a character device")
    found = (posix.major(status.st_rdev), posix.minor(status.st_rdev))
    if found != (major, minor):
        raise DriverError(
            f"{host.at(path)} is device {found[0]}:{found[1]}, where the driver's is {major}:{minor}: "
            f"remove it, and make it again with: nvidia-modprobe -u -c 0"
        )
    return Node(path, host.at(path), major, minor, S_IMODE(status.st_mode), status.st_gid)


def gpu_node(host: "Root", numbers: dict[str, int], minor: int) -> Node:
    """Returns the node of a GPU. Raises DriverError."""
    return look(host, f"/dev/nvidia{minor}", _major(numbers, GPU_DRIVERS) or NVIDIA_MAJOR, minor)


def caps_node(host: "Root", numbers: dict[str, int], minor: int) -> Node:
    """Returns the node of a capability, by which MIG devices are had. Raises DriverError."""
    path = f"/dev/nvidia-caps/nvidia-cap{minor}"
    major = _major(numbers, (CAPS_DRIVER,))
    if not major:
        raise DriverError(f"{path} is of no use: /proc/devices has no {CAPS_DRIVER}")
    return look(host, path, major, minor)


def drm_node(host: "Root", name: str) -> Node:
    """Returns a node of /dev/dri. Raises DriverError."""
    minor = name.removeprefix("renderD").removeprefix("card")
    if not (minor.isascii() and minor.isdigit()):
        raise DriverError(f"/dev/dri/{name} is no node of a graphics card")
    return look(host, f"/dev/dri/{name}", DRM_MAJOR, int(minor))


def control_nodes(host: "Root", numbers: dict[str, int]) -> "tuple[list[tuple[Node, tuple[str, ...]]], dict[str, str]]":
    """Returns the nodes that belong to no GPU with the classes they are for, and of those that are missing, why."""
    found = []
    missing = {}
    for path, drivers, minor, classes in CONTROL_NODES:
        major = _major(numbers, drivers) or (NVIDIA_MAJOR if drivers[-1] in GPU_DRIVERS else 0)
        if not major:
            module = MODULES.get(drivers[0], "nvidia")
            missing[path] = f"the module {module} is not loaded. Load it with: modprobe {module}"
            continue
        try:
            found.append((look(host, path, major, minor), tuple(classes.split())))
        except DriverError as error:
            missing[path] = str(error)
            if str(error).endswith("does not exist"):
                missing[path] += ". Make it with: nvidia-modprobe -c 0 -u -m"
    return found, missing


def _major(numbers: dict[str, int], drivers: tuple[str, ...]) -> int:
    for name in drivers:
        if name in numbers:
            return numbers[name]
    return 0
