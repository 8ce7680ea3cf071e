"""What there is of a driver on this host: its version, libraries, other files, GPUs and device nodes.

All of it comes from directories, ELF headers, /proc and /sys, in about a millisecond: neither ldconfig is run nor NVML
loaded.
"""

import posix

from ...errors import DriverError
from . import gpus as gpu
from . import nodes
from .elf import AARCH64, I386, X86_64, BadElf, read_file
from .files import (
    CUDA_OF_BRANCH,
    IN_DIRECTORIES,
    LIBRARIES,
    LIBRARY_DIRECTORIES,
    OWN_VERSION,
    PLACES,
    SUBDIRECTORIES,
    UNKNOWN_LIBRARY,
    X_MODULES,
)
from .root import Root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .gpus import Gpu
    from .nodes import Node
    from .others import File

MODULE_VERSION = "/sys/module/nvidia/version"
PROC_VERSION = "/proc/driver/nvidia/version"
# by these a driver is known; the others may come from a package of their own
KNOWN_BY = ("libcuda.so.", "libnvidia-ml.so.")
MACHINES = {"x86_64": X86_64, "aarch64": AARCH64}


class Library:
    """`source` is where the file is on the host, `path` where below the driver's root, `directory` the one below the
    library directory that it has to stay in, "" for none."""

    __slots__ = ("bits", "classes", "directory", "name", "path", "soname", "source")

    def __init__(self, name: str, path: str, source: str, bits: int, soname: str, classes: tuple[str, ...]) -> None:
        self.name = name
        self.path = path
        self.source = source
        self.bits = bits
        self.soname = soname or name
        self.classes = classes
        stem = name.partition(".so")[0]
        self.directory = IN_DIRECTORIES.get(stem) or X_MODULES.get(stem, "")


class Driver:
    """What discover() has found. `module` is the version of the loaded kernel module, `version` that of the libraries;
    "" where there is none. `missing` says of device nodes why they are not there, `notes` is for people to read."""

    __slots__ = (
        "control", "cuda", "files", "gpus", "host", "libraries", "links", "machine", "majors", "missing", "module",
        "notes", "place", "root", "version",
    )  # fmt: skip

    def __init__(self, host: Root, root: Root, place: str) -> None:
        self.host = host
        self.root = root
        self.place = place
        self.machine = posix.uname().machine
        self.module = ""
        self.version = ""
        # by the table, unless NVML has been asked; "" if not known
        self.cuda = ""
        self.libraries: list[Library] = []
        # names beside the libraries that programs open: (link, SONAME)
        self.links: list[tuple[str, str]] = []
        self.files: list[File] = []
        self.majors: dict[str, int] = {}
        self.gpus: list[Gpu] = []
        self.control: list[tuple[Node, tuple[str, ...]]] = []
        self.missing: dict[str, str] = {}
        self.notes: list[str] = []

    def check(self, asked: str) -> None:
        """Raises DriverError unless module and libraries are there and fit each other; `asked` is the request."""
        if not self.module:
            raise DriverError(
                f"NVIDIA GPUs were requested ({asked}), but no NVIDIA driver is loaded: "
                f"{self.host.at(PROC_VERSION)} is missing. Load it with: modprobe nvidia"
            )
        if not self.version:
            raise DriverError(
                f"NVIDIA GPUs were requested ({asked}), but the libraries of the driver {self.module} were not found "
                f"below {self.root.at('/')}: name the directory that holds them (driver_root in config.toml)"
            )
        if self.mismatch():
            raise DriverError(self.mismatch())

    def mismatch(self) -> str:
        """Returns what is wrong with the versions, "" if they fit."""
        if not self.module or not self.version or self.module == self.version:
            return ""
        return (
            f"the kernel has NVIDIA driver {self.module} but the installed libraries are {self.version}: "
            f"reboot, or reload the nvidia modules"
        )


class _Place:
    """A place where a driver may be: its library directories, resolved, with the names in each."""

    __slots__ = ("directories", "path", "root", "versions")

    def __init__(self, root: Root, path: str) -> None:
        self.root = root
        self.path = path
        self.directories: dict[str, list[str]] = {}
        self.versions: list[str] = []
        for directory in LIBRARY_DIRECTORIES:
            self.add(path + directory)

    def add(self, path: str) -> None:
        directory = self.root.find(path)
        if not directory or directory in self.directories:
            return
        names = self.directories[directory] = self.root.entries(directory)
        links = []
        for name in names:
            if name.startswith(KNOWN_BY):
                version = name.partition(".so.")[2]
                if is_version(version):
                    self.versions.append(version)
                elif version == "1":
                    links.append(name)
        for name in SUBDIRECTORIES:
            if name.partition("/")[0] in names:
                self.add(f"{directory}/{name}")
        # Debian's alternatives: /usr/lib/x86_64-linux-gnu/libcuda.so.1 ends in .../nvidia/current/
        for name in links:
            target = self.root.find(f"{directory}/{name}")
            if target:
                self.add(target.rpartition("/")[0])


def is_version(text: str) -> bool:
    """Whether it is a driver's version: 535.104.05 or 580.95."""
    parts = text.split(".")
    return 2 <= len(parts) <= 3 and all(part.isascii() and part.isdigit() for part in parts)


def number(version: str) -> tuple[int, ...]:
    """Returns a version so that it can be compared."""
    return tuple(int(part) for part in version.split(".") if part.isascii() and part.isdigit())


def cuda_of(version: str) -> str:
    """Returns the version of CUDA that a driver brings, "" if the table does not have its branch."""
    branch = version.partition(".")[0]
    return CUDA_OF_BRANCH.get(int(branch), "") if branch.isascii() and branch.isdigit() else ""


def discover(host_root: str = "", driver_root: str = "", machine: str = "") -> Driver:
    """Returns what there is. Nothing is refused here, and nothing is written.

    `host_root` is the directory below which /proc, /sys and /dev are, and the driver too unless `driver_root` is given;
    "" is the host's own. `machine` is as in uname(2), "" for this one.
    """
    host = Root(host_root)
    module = module_version(host)
    place = _choose(_places(host, driver_root), module)
    found = Driver(host, place.root, place.path)
    found.machine = machine or found.machine
    found.module = module
    found.version = _library_version(place.versions, module)
    found.cuda = cuda_of(found.version)
    if found.version:
        from .others import find

        _find_libraries(found, place)
        found.files = find(found)
    found.majors = nodes.majors(host)
    if module:
        found.gpus, notes = gpu.find(host)
        found.notes += notes
        found.control, found.missing = nodes.control_nodes(host, found.majors)
    return found


def module_version(host: Root) -> str:
    """Returns the version of the loaded kernel module, "" if none is."""
    text = host.read(MODULE_VERSION).strip()
    if is_version(text):
        return text
    # "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build ...": words, not columns
    for word in host.read(PROC_VERSION).partition("\n")[0].split():
        if is_version(word):
            return word
    return ""


def _places(host: Root, driver_root: str) -> "list[tuple[Root, str]]":
    if driver_root:
        return [(Root(driver_root), "")]
    return [(Root(host.at(path)), "") if own else (host, path) for path, own in PLACES]


def _choose(candidates: "list[tuple[Root, str]]", module: str) -> _Place:
    """Returns the first place with the libraries of the loaded module, else the first with any, else the first."""
    chosen = None
    for root, path in candidates:
        if (path or root.path) and not root.find(path or "/"):
            continue
        place = _Place(root, path)
        if place.versions and (module in place.versions or not module):
            return place
        if chosen is None or (place.versions and not chosen.versions):
            chosen = place
    chosen = chosen or _Place(*candidates[0])
    if not chosen.versions or (module and module not in chosen.versions):
        _look_into_cache(chosen)
    return chosen


def _look_into_cache(place: _Place) -> None:
    """Adds the directories that the linker of the place finds libraries in, for layouts that the list does not have."""
    from . import ldcache

    data = place.root.read_bytes("/etc/ld.so.cache", ldcache.MOST_BYTES)
    if not data:
        return
    try:
        for directory in ldcache.directories(data, [f"{name}1" for name in KNOWN_BY]):
            place.add(directory)
    except ldcache.BadCache:
        return  # the linker of that place would not read it either


def _library_version(versions: list[str], module: str) -> str:
    return module if module in versions else max(versions, key=number, default="")


def _find_libraries(found: Driver, place: _Place) -> None:
    """Fills in libraries and links. The first directory that has a name wins; a file is taken once."""
    suffix = f".so.{found.version}"
    seen: set[tuple[str, int]] = set()
    files: set[tuple[int, int]] = set()
    unknown: list[str] = []
    for directory, names in place.directories.items():
        for name in sorted(_candidates(names, suffix), key=_newest_first):
            library = _library(found, directory, name, files)
            stem = name.partition(".so")[0]
            key = (stem if stem in OWN_VERSION else name, library.bits if library else 0)
            if library is None or key in seen:
                continue
            seen.add(key)
            if stem not in LIBRARIES and name not in unknown:
                unknown.append(name)
            found.libraries.append(library)
            if library.bits == 64 and f"{stem}.so" in names:
                _add_link(found, directory, f"{stem}.so", library)
    found.notes += [f"{name} is not in the table, and is taken for {UNKNOWN_LIBRARY}" for name in unknown]


def _newest_first(name: str) -> tuple[str, list[int]]:
    """Returns what to sort by: a link with one number, which is the host's own choice, stands before them all."""
    stem, _, version = name.partition(".so")
    return stem, [-part for part in number(version)]


def _candidates(names: list[str], suffix: str) -> list[str]:
    found = []
    for name in names:
        if name.endswith(suffix):
            if name[:3] == "lib":
                found.append(name)
        elif name == "nvidia_drv.so" or (name[:10] == "libnvidia-" and _has_own_version(name)):
            found.append(name)
    return found


def _has_own_version(name: str) -> bool:
    stem, dot, version = name.partition(".so.")
    return bool(dot) and stem in OWN_VERSION and version.replace(".", "").isdigit()


def _library(found: Driver, directory: str, name: str, files: "set[tuple[int, int]]") -> "Library | None":
    """Returns a library, None if it is for another machine, a second name of one, or no library."""
    path = found.root.regular(directory, name)
    if not path:
        return None
    source = found.root.at(path)
    stem = name.partition(".so")[0]
    # the name of a library with its own version may be a link to it: libnvidia-egl-gbm.so.1
    if stem in OWN_VERSION:
        name = path.rpartition("/")[2]
    try:
        status = posix.lstat(source)
        identity = (status.st_dev, status.st_ino)
        if identity in files:
            return None
        files.add(identity)
        header = read_file(source)
    except (BadElf, OSError) as error:
        found.notes.append(f"{source} is left out: {error}")
        return None
    wanted = MACHINES.get(found.machine)
    if header.machine != wanted and not (header.machine == I386 and wanted == X86_64):
        return None
    classes = tuple(LIBRARIES.get(stem, UNKNOWN_LIBRARY).split())
    return Library(name, path, source, header.bits, header.soname, classes)


def _add_link(found: Driver, directory: str, link: str, library: Library) -> None:
    """Adds a link of the host, libX.so, if it leads to the library."""
    if library.name != link and found.root.find(f"{directory}/{link}") == library.path:
        found.links.append((link, library.soname))
