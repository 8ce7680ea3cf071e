"""pyruntime-nvidia-hook: gives a container the GPUs that it asks for, whatever runtime makes it.

    pyruntime-nvidia-hook [--config FILE] prestart | createRuntime | createContainer | poststart | poststop

What a container gets is found out as for pyruntime's own containers (edits/inject.py). Here it is done to a container
whose mounts are there already:

    open_sources   files, nodes and what stays visible of /proc/driver/nvidia, from the host, as mounts without a place
    allow          the devices, in the container's cgroup
    enter          the container's namespaces
    place          mounts, links and files, below the container's root
"""

import gc
import posix
import sys
from _signal import SIG_DFL, SIGCHLD, signal
from _stat import S_ISCHR

from ..edits import settings as settings_file
from ..edits.edits import NO_ACCESS
from ..edits.inject import cache_bytes, collect
from ..edits.nvidia.rootfs import CACHE
from ..errors import PyruntimeError, UsageError, os_error
from ..plan.devices import LETTERS, Rule
from . import kernel
from .devices import allow
from .state import Container, find, read_state
from .tree import Tree, is_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..edits.edits import Device, Edits, Mount
    from ..edits.settings import Settings

NAME = "pyruntime-nvidia-hook"
USAGE = f"usage: {NAME} [--config FILE] prestart | createRuntime | createContainer | poststart | poststop"
ACTIVE = ("prestart", "createRuntime", "createContainer")
NOTHING_TO_DO = ("poststart", "poststop")
DRIVER, NVIDIA = "/proc/driver", "/proc/driver/nvidia"

ATTRIBUTES = {"ro": kernel.RDONLY, "noexec": kernel.NOEXEC, "nosuid": kernel.NOSUID, "nodev": kernel.NODEV}
# those that a mount has anyway: it is a clone with all below it, and private
DEFAULT_OPTIONS = {"bind", "rbind", "private", "rprivate", "rw", "suid", "dev", "exec", "slave", "rslave"}
ALWAYS = kernel.NOSUID | kernel.NODEV


def parse(arguments: "Sequence[str]") -> tuple[str, str]:
    """Returns when the hook is called and the path of the settings, "" for the usual one. Raises UsageError."""
    path, rest = "", list(arguments)
    while rest and rest[0][:1] == "-":
        name, equals, value = rest.pop(0).lstrip("-").partition("=")
        if name != "config" or not (equals or rest):
            raise UsageError(USAGE)
        path = value if equals else rest.pop(0)
    if len(rest) != 1 or rest[0] not in (*ACTIVE, *NOTHING_TO_DO):
        raise UsageError(USAGE)
    return rest[0], path


def run(when: str, path: str) -> list[str]:
    """Does what is to be done for the container whose state is on standard input; returns what is worth knowing.

    Raises PyruntimeError.
    """
    container = find(read_state(0), when)
    settings = settings_file.load(path)
    root = container.open_root()
    found = _collect(container, settings, root)
    if found is None:
        return []
    check(found)
    sources = Sources(found, settings, container)
    cache = cache_bytes(found, root, posix.uname().machine)
    allow(container, [rule(device) for device in found.devices if device.access != NO_ACCESS])
    container.enter()
    place(found, sources, cache, Tree(root))
    return found.notes


def _collect(container: Container, settings: "Settings", root: int) -> "Edits | None":
    try:
        found = collect(container.config, settings, f"/proc/self/fd/{root}", enabled=True)
    except (AttributeError, KeyError, TypeError) as error:
        raise PyruntimeError(f"config.json is not of the form that the specification gives it: {error!r}") from None
    return None if found is None else found[1]


def check(edits: "Edits") -> None:
    """Finds out, before anything is done, what a hook comes too late for. Raises PyruntimeError."""
    late = [("hooks", edits.hooks), ("network devices", edits.net_devices), ("intelRdt", edits.rdt)]
    for what, value in late:
        if value:
            raise PyruntimeError(f"a CDI device asks for {what}, which no hook can add to a container")
    for mount in edits.mounts:
        options(mount)
    # these are left out: the engine may have set them, and many programs do without
    if edits.env:
        names = ", ".join(entry.partition("=")[0] for entry in edits.env)
        edits.notes.append(f"variables are not set by a hook: {names}")
    if edits.gids:
        edits.notes.append(f"groups are not added by a hook: {', '.join(map(str, edits.gids))}")


def options(mount: "Mount") -> int:
    """Returns the attributes of a mount. Raises PyruntimeError for what a hook cannot mount."""
    if mount.type not in ("", "bind", "none"):
        raise PyruntimeError(f"a CDI device asks for a mount of type {mount.type}, which this hook does not make")
    attributes = ALWAYS
    for option in mount.options:
        if option not in ATTRIBUTES and option not in DEFAULT_OPTIONS:
            raise PyruntimeError(f"a CDI device asks for the mount option {option}, which this hook does not know")
        attributes |= ATTRIBUTES.get(option, 0)
    return attributes


def rule(device: "Device") -> Rule:
    """Returns what the cgroup must allow for a device."""
    letters = device.access or "rwm"
    access = sum(bit for letter, bit in LETTERS if letter in letters)
    return Rule(True, "b" if device.type == "b" else "c", device.major, device.minor, access)


class Sources:
    """Mounts of what is the host's, that have no place yet: (descriptor, path in the container)."""

    __slots__ = ("cover", "devices", "mounts", "proc")

    def __init__(self, edits: "Edits", settings: "Settings", container: Container) -> None:
        """Opens them all. Raises PyruntimeError."""
        self.devices = [(_device(device), device.path) for device in edits.devices]
        self.mounts = [(_clone(mount.source, options(mount)), mount.destination) for mount in edits.mounts]
        self.proc: list[tuple[int, str]] = []
        self.cover = ""
        own = f"{settings.host_root.rstrip('/')}{NVIDIA}"
        written = {file.path for file in edits.files}
        if edits.proc is not None and _has_proc(container):
            # the container's own procfs has the directory if this host's kernel has the module, and nothing can be
            # made there; if the driver is that of another root, it goes one directory higher
            self.cover = NVIDIA if own == NVIDIA else DRIVER
            for name in edits.proc:
                if f"{NVIDIA}/{name}" not in written:
                    self.proc.append((_clone(f"{own}/{name}", ALWAYS | kernel.RDONLY | kernel.NOEXEC), name))


def _has_proc(container: Container) -> bool:
    mounts = container.config.get("mounts", ())
    return any(mount["destination"] == "/proc" and mount.get("type") == "proc" for mount in mounts)


def _clone(path: str, attributes: int) -> int:
    try:
        mount = kernel.clone(path)
        kernel.set_attributes(mount, attributes)
    except OSError as error:
        raise PyruntimeError(f"cannot take {path} from the host: {os_error(error)}") from None
    return mount


def _device(device: "Device") -> int:
    """Returns a mount of the host's node, which is the device that the rules are for."""
    path = device.source or device.path
    mount = _clone(path, kernel.NOSUID | kernel.NOEXEC)
    status = posix.fstat(mount)
    numbers = (posix.major(status.st_rdev), posix.minor(status.st_rdev))
    if device.type == "c" and (not S_ISCHR(status.st_mode) or numbers != (device.major, device.minor)):
        raise PyruntimeError(f"{path} is not the character device {device.major}:{device.minor}")
    return mount


def place(edits: "Edits", sources: Sources, cache: bytes | None, tree: Tree) -> None:
    """Puts everything into the container. Raises PyruntimeError."""
    for mount, path in (*sources.devices, *sources.mounts):
        tree.mount(mount, path, directory=is_directory(mount))
    if sources.cover:
        _cover_proc(edits, sources, tree)
    for link in edits.links:
        tree.link(link.path, link.target)
    for file in edits.files:
        content = file.content.encode()
        if not file.path.startswith(f"{NVIDIA}/"):
            tree.write(file.path, content, file.mode)
        elif not sources.cover:
            tree.cover(file.path, content, file.mode)
    if cache is not None:
        tree.write(CACHE, cache, 0o644)


def _cover_proc(edits: "Edits", sources: Sources, tree: Tree) -> None:
    """Hides /proc/driver/nvidia behind a directory that has what was granted."""
    try:
        memory = kernel.memory((("size", "64k"), ("mode", "755")))
        kernel.set_attributes(memory, ALWAYS | kernel.NOEXEC)
    except OSError as error:
        raise PyruntimeError(f"cannot make a file system for {sources.cover}: {os_error(error)}") from None
    tree.mount(memory, sources.cover, directory=True)
    for mount, name in sources.proc:
        tree.mount(mount, f"{NVIDIA}/{name}", directory=is_directory(mount))
    for file in edits.files:
        if file.path.startswith(f"{NVIDIA}/"):
            tree.write(file.path, file.content.encode(), file.mode)
    tree.shut(sources.cover)


def main(arguments: "Sequence[str]") -> int:
    """Runs the hook; returns its exit status."""
    try:
        when, path = parse(arguments)
        notes = [] if when in NOTHING_TO_DO else run(when, path)
    except PyruntimeError as error:
        return _say(str(error), 1)
    except OSError as error:
        return _say(os_error(error), 1)
    except (ImportError, MemoryError, RecursionError) as error:
        return _say(f"{type(error).__name__}: {error}", 1)
    for note in notes:
        _say(f"warning: {note}", 0)
    return 0


def _say(text: str, status: int) -> int:
    """Writes one line to standard error, whatever there is in the text."""
    line = "".join(character if character.isprintable() else " " for character in text)
    try:
        posix.write(2, f"{NAME}: {line}\n".encode("utf-8", "backslashreplace"))
    except OSError:
        return status
    return status


def entry() -> None:
    """Runs the process's own command line and ends the process."""
    gc.disable()
    signal(SIGCHLD, SIG_DFL)  # where a runtime has it ignored nobody can wait for a child
    for stream in range(3):  # no file of ours may become one by taking its number
        try:
            posix.fstat(stream)
        except OSError:
            posix.open("/dev/null", posix.O_RDWR)
    posix._exit(main(sys.argv[1:]))
