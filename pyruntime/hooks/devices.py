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


def allow(container: "Container", added: "Sequence[Rule]") -> None:
    """Lets the container's cgroup use devices. Raises PyruntimeError."""
    if not added:
        return
    version, directory = find_cgroup(container.process)
    if not directory:
        return
    if version == 1:
        _allow_1(directory, added)
    else:
        replace_program(directory, container.config, added)


def find_cgroup(process: str) -> tuple[int, str]:
    """Returns the version and the directory of the cgroup that decides about a container's devices, "" if it has none
    of its own. Raises PyruntimeError."""
    if process == "self":
        _leave_namespace()
    path, version = _path(process)
    if process != "self" and _path("self") == (path, version):
        return version, ""  # that of the runtime, which is not the container's to widen
    wanted = "cgroup" if version == 1 else "cgroup2"
    for kind, top, mountpoint, options in mounts():
        if kind == wanted and (version == 2 or "devices" in options.split(",")):
            return version, f"{mountpoint}{below(path, top)}".rstrip("/")
    raise PyruntimeError("the cgroup of the container cannot be found: its hierarchy is not mounted")


def _path(process: str) -> tuple[str, int]:
    """Returns the path in its hierarchy of the cgroup for devices, and the version."""
    unified = ""
    for line in read_text(f"/proc/{process}/cgroup").splitlines():
        number, names, path = line.split(":", 2)
        if "devices" in names.split(","):
            return path, 1
        if number == "0":
            unified = path
    return unified, 2


def _leave_namespace() -> None:
    """Goes back to the host's cgroup namespace: in another one the path of the own cgroup is not told."""
    try:
        host = posix.open("/proc/1/ns/cgroup", posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            kernel.join(host, kernel.CLONE_NEWCGROUP)
        finally:
            posix.close(host)
    except OSError:
        if _path("self")[0] != "/":
            return  # it is told all the same
        raise PyruntimeError(
            "the cgroup of the container cannot be found from its own namespaces: use the hook as createRuntime"
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


def _allow_1(directory: str, added: "Sequence[Rule]") -> None:
    try:
        listed = read_text(f"{directory}/devices.list")
        missing = [rule for rule in added if not is_allowed(rule, listed)]
        if not missing:
            return
        fd = posix.open(f"{directory}/devices.allow", posix.O_WRONLY | posix.O_CLOEXEC)
    except OSError as error:
        raise PyruntimeError(f"cannot allow the devices: {os_error(error)}") from None
    try:
        for rule in missing:
            posix.write(fd, line(rule).encode())
    except OSError as error:
        text = error_text(error.errno or 0)
        raise PyruntimeError(f"cannot allow {line(rule)}: {directory}/devices.allow: {text}") from None
    finally:
        posix.close(fd)


# ---- version 2


def replace_program(directory: str, config: "Config", added: "Sequence[Rule]") -> None:
    """Replaces the program of a cgroup. Raises PyruntimeError when that would not help, or cannot be done at once."""
    wanted = config.get("linux", {}).get("resources", {}).get("devices", ())
    code = program([*rules(wanted), *added])
    opened: list[int] = []
    try:
        opened.append(posix.open(directory, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC))
        flags, present = kernel.programs(opened[0])
        if not present:
            return  # nothing keeps the container from any device
        if len(present) > 1:
            raise PyruntimeError(
                f"cannot allow the devices: {directory} has {len(present)} programs for devices, and all of them must "
                f"allow one; let the runtime manage the cgroup alone, without systemd"
            )
        opened.append(kernel.load_program(code))
        if flags & F_ALLOW_MULTI:
            opened.append(kernel.open_program(present[0]))
            kernel.attach_program(opened[0], opened[1], F_ALLOW_MULTI | F_REPLACE, opened[2])
        else:  # one only can be attached, and the new one takes its place
            kernel.attach_program(opened[0], opened[1], flags)
    except OSError as error:
        raise PyruntimeError(
            f"cannot allow the devices: the program of {directory} cannot be replaced: {error_text(error.errno or 0)}"
        ) from None
    finally:
        for fd in opened:
            posix.close(fd)
