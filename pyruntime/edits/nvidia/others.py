"""The files of a driver that are no libraries: programs, configuration, firmware, and sockets of its services."""

import posix
from _stat import S_ISDIR, S_ISSOCK

from .files import (
    BINARIES,
    BINARY_DIRECTORIES,
    CONFIGURATION,
    CONFIGURATION_DIRECTORIES,
    FIRMWARE,
    MPS_DIRECTORY,
    SOCKETS,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .driver import Driver
    from .root import Root

FIRMWARE_PATH = "/sys/module/firmware_class/parameters/path"


class File:
    """`source` is where it is on the host, `path` where the container has it, `kind` one of "binary", "configuration",
    "firmware" and "socket"."""

    __slots__ = ("classes", "kind", "path", "source")

    def __init__(self, kind: str, source: str, path: str, classes: str) -> None:
        self.kind = kind
        self.source = source
        self.path = path
        self.classes = tuple(classes.split())


def find(driver: "Driver") -> list[File]:
    """Returns all that is there."""
    return [*_binaries(driver), *_configuration(driver), *_firmware(driver), *_sockets(driver.host)]


def _first(root: "Root", directories: list[str], name: str) -> str:
    for directory in directories:
        if found := root.regular(directory, name):
            return root.at(found)
    return ""


def _binaries(driver: "Driver") -> list[File]:
    found = []
    directories = _present(driver, BINARY_DIRECTORIES)
    for name, classes in BINARIES.items():
        if source := _first(driver.root, directories, name):
            found.append(File("binary", source, f"/usr/bin/{name}", classes))
    return found


def _present(driver: "Driver", directories: tuple[str, ...]) -> list[str]:
    """Returns the directories of the place that exist, resolved, each once."""
    paths = [driver.root.find(driver.place + directory or "/") for directory in directories]
    return list(dict.fromkeys(path for path in paths if path))


def _configuration(driver: "Driver") -> list[File]:
    found = []
    directories = _present(driver, CONFIGURATION_DIRECTORIES)
    for row, top, classes in CONFIGURATION:
        name = row.replace("VERSION", driver.version)
        if source := _first(driver.root, directories, name):
            found.append(File("configuration", source, f"{top}/{name}", classes))
    return found


def _firmware(driver: "Driver") -> list[File]:
    """The kernel loads it from the host; tools in the container want to see it (Documentation/driver-api/firmware)."""
    release = posix.uname().release
    custom = driver.host.read(FIRMWARE_PATH).strip()
    places = [
        *([custom] if custom[:1] == "/" else []),
        f"/lib/firmware/updates/{release}",
        "/lib/firmware/updates",
        f"/lib/firmware/{release}",
        "/lib/firmware",
        *([f"{driver.place}/lib/firmware", f"{driver.place}/firmware"] if driver.place else []),
    ]
    for place in places:
        directory = driver.root.find(f"{place}/nvidia/{driver.version}")
        names = driver.root.entries(directory) if directory else []
        names = [name for name in sorted(names) if name.startswith("gsp") and name.endswith(".bin")]
        found = []
        for name in names:
            if source := _first(driver.root, [directory], name):
                found.append(File("firmware", source, f"/lib/firmware/nvidia/{driver.version}/{name}", FIRMWARE))
        if found:
            return found
    return []


def _sockets(host: "Root") -> list[File]:
    found = []
    for name, classes in SOCKETS:
        for top in ("/run", "/var/run"):
            path = host.find(f"{top}/{name}")
            if path and S_ISSOCK(posix.lstat(host.at(path)).st_mode):
                found.append(File("socket", host.at(path), path, classes))
                break
    path = host.find(MPS_DIRECTORY)
    if path:
        status = posix.lstat(host.at(path))
        # everybody may make a directory of that name where everybody may write
        if S_ISDIR(status.st_mode) and status.st_uid in (0, posix.geteuid()):
            found.append(File("socket", host.at(path), MPS_DIRECTORY, "compute"))
    return found
