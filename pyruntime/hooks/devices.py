"""Lets a container use more devices: in the devices cgroup of version 1, or by another program for one of version 2.

A runtime has set up the cgroup by then. In version 1 the hook adds to it. In version 2 a program decides, and of
several all must allow: so the runtime's is replaced by one for the rules of config.json and those that are added.
"""

import posix

from ..errors import PyruntimeError, error_text, os_error
from ..plan.devices import ALL, LETTERS, Rule, program, rules
from ..run.files import read_text
from ..run.hierarchies import below, mounts
from . import kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..config.model import Config
    from .state import Container

F_ALLOW_MULTI, F_REPLACE = 2, 4
DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC


def allow(container: "Container", added: "Sequence[Rule]") -> None:
    """Lets the container's cgroup use devices. Raises PyruntimeError."""
    if not added:
        return
    version, names, path = _path(container.process)
    if container.process != "self" and _path("self") == (version, names, path):
        return  # the container has none of its own: this is the runtime's, which is not the container's to widen
    directory = _open_inside(version, names, path) if container.process == "self" else _open(version, path)
    try:
        if version == 1:
            _allow_1(directory, added)
        else:
            replace_program(directory, container.config, added)
    finally:
        posix.close(directory)


def _path(process: str) -> tuple[int, str, str]:
    """Returns the version of the hierarchy that decides about a process's devices, its controllers, and the path of the
    cgroup in it."""
    unified = ""
    for text in read_text(f"/proc/{process}/cgroup").splitlines():
        number, names, path = text.split(":", 2)
        if "devices" in names.split(","):
            return 1, names, path
        if number == "0":
            unified = path
    return 2, "", unified


def _open(version: int, path: str) -> int:
    """Returns a descriptor of a cgroup. Raises PyruntimeError."""
    wanted = "cgroup" if version == 1 else "cgroup2"
    for kind, top, mountpoint, options in mounts():
        if kind == wanted and (version == 2 or "devices" in options.split(",")):
            try:
                return posix.open(f"{mountpoint}{below(path, top)}", DIRECTORY)
            except OSError as error:
                raise PyruntimeError(f"cannot open the container's cgroup: {os_error(error)}") from None
    raise PyruntimeError("the cgroup of the container cannot be found: its hierarchy is not mounted")


def _open_inside(version: int, names: str, path: str) -> int:
    """Returns a descriptor of the cgroup that this process is in. In a cgroup namespace only a new mount of the
    hierarchy has paths as they are told here. Raises PyruntimeError."""
    try:
        if version == 1:
            mount = kernel.file_system("cgroup", [(name, "") for name in names.split(",")])
        else:
            mount = kernel.file_system("cgroup2")
        try:
            return posix.open(path.lstrip("/") or ".", DIRECTORY, dir_fd=mount)
        finally:
            posix.close(mount)
    except OSError as error:
        raise PyruntimeError(
            f"cannot open the container's cgroup from its own namespaces: {error_text(error.errno or 0)}; use the hook "
            f"as createRuntime"
        ) from None


# ---- version 1


def line(rule: Rule) -> str:
    """Returns a rule as devices.allow takes it."""
    numbers = ":".join("*" if number == ALL else str(number) for number in (rule.major, rule.minor))
    return f"{rule.kind} {numbers} {''.join(letter for letter, bit in LETTERS if rule.access & bit)}"


def is_allowed(rule: Rule, listed: str) -> bool:
    """Whether one of the lines of a devices.list covers a rule."""
    for text in listed.splitlines():
        kind, _, rest = text.partition(" ")
        numbers, _, access = rest.partition(" ")
        major, _, minor = numbers.partition(":")
        if (
            kind in ("a", rule.kind)
            and major in ("*", str(rule.major))
            and minor in ("*", str(rule.minor))
            and all(letter in access for letter, bit in LETTERS if rule.access & bit)
        ):
            return True
    return False


def _allow_1(directory: int, added: "Sequence[Rule]") -> None:
    try:
        missing = [rule for rule in added if not is_allowed(rule, _list(directory))]
        if not missing:
            return
        fd = posix.open("devices.allow", posix.O_WRONLY | posix.O_CLOEXEC, dir_fd=directory)
    except OSError as error:
        raise PyruntimeError(f"cannot allow the devices in the container's cgroup: {os_error(error)}") from None
    try:
        for rule in missing:
            posix.write(fd, line(rule).encode())
    except OSError as error:
        text = error_text(error.errno or 0)
        raise PyruntimeError(f"cannot allow {line(rule)} in the container's cgroup: devices.allow: {text}") from None
    finally:
        posix.close(fd)


def _list(directory: int) -> str:
    fd = posix.open("devices.list", posix.O_RDONLY | posix.O_CLOEXEC, dir_fd=directory)
    try:
        data = b""
        while chunk := posix.read(fd, 1 << 16):
            data += chunk
        return data.decode()
    finally:
        posix.close(fd)


# ---- version 2


def replace_program(directory: int, config: "Config", added: "Sequence[Rule]") -> None:
    """Replaces the program of a cgroup. Raises PyruntimeError when that would not help, or cannot be done at once."""
    wanted = config.get("linux", {}).get("resources", {}).get("devices", ())
    code = program([*rules(wanted), *added])
    opened: list[int] = []
    try:
        flags, present = kernel.programs(directory)
        if not present:
            return  # nothing keeps the container from any device
        if len(present) > 1:
            raise PyruntimeError(
                f"cannot allow the devices: the container's cgroup has {len(present)} programs for devices, and all "
                f"of them would have to allow these; let the runtime manage the cgroup alone, without systemd"
            )
        opened.append(kernel.load_program(code))
        if flags & F_ALLOW_MULTI:
            opened.append(kernel.open_program(present[0]))
            kernel.attach_program(directory, opened[0], F_ALLOW_MULTI | F_REPLACE, opened[1])
        else:  # one only can be attached, and the new one takes its place
            kernel.attach_program(directory, opened[0], flags)
    except OSError as error:
        text = error_text(error.errno or 0)
        raise PyruntimeError(
            f"cannot allow the devices: the program of the container's cgroup cannot be replaced: {text}"
        ) from None
    finally:
        for fd in opened:
            posix.close(fd)
