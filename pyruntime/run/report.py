"""Turns what failed into the one sentence that the user gets: where in the config, what was done, what the kernel said.

The words in front are runc's, since clients look for them. Nothing here is on the hot path.
"""

import errno

from ..errors import HookError, OperationError, error_text
from ..plan.ops import HOST, Op

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

START = "unable to start container process: "
INIT = START + "error during container init: "

# (op, errno) -> what is probably the matter. An op of "" stands for all.
HINTS: "Mapping[tuple[str, int], str]" = {
    ("spawn", errno.EPERM): "pyruntime must be run as root",
    ("clone", errno.EPERM): "are you root? are user namespaces allowed?",
    ("clone", errno.ENOSPC): "too many namespaces: see /proc/sys/user",
    ("clone", errno.EINVAL): "the kernel lacks one of these namespaces",
    ("clone", errno.EBUSY): "the cgroup gives out controllers, so it can hold no processes",
    ("clone", errno.EAGAIN): "a limit on processes is reached",
    ("open-tree", errno.ENOENT): "the source does not exist on the host",
    ("open-tree", errno.EMFILE): "raise the limit on open files (RLIMIT_NOFILE)",
    ("enter-root", errno.ENOENT): "the root directory does not exist",
    ("enter-root", errno.ELOOP): "the root directory is, or is reached through, a symbolic link",
    ("mount", errno.ENODEV): "the kernel does not know this file system",
    ("mount", errno.EPERM): "may it be mounted in this user namespace?",
    ("mount", errno.ENAMETOOLONG): "options are limited to 255 bytes each",
    ("attach", errno.EPERM): "mounting over files of /proc is not allowed",
    ("create-cgroup", errno.EROFS): "the cgroup file system is read-only",
    ("create-cgroup", errno.EACCES): "the cgroup is not writable: are you root, or was it delegated to you?",
    ("create-cgroup", errno.EBUSY): "the cgroup above has processes of its own, so it can hand on no controllers",
    ("write-cgroup", errno.EROFS): "the cgroup file system is read-only",
    ("write-cgroup", errno.ENOENT): "the kernel or the parent cgroup lacks this controller",
    ("write-cgroup", errno.EINVAL): "the kernel does not take this value",
    ("write-cgroup", errno.EBUSY): "the limit is below what is in use",
    ("enter-cgroup", errno.EBUSY): "the cgroup gives out controllers, so it can hold no processes",
    ("enter-cgroup", errno.ENOSPC): "cpuset.cpus or cpuset.mems is empty",
    ("raise-limit", errno.EPERM): "only CAP_SYS_RESOURCE may raise a hard limit",
    ("limit", errno.EPERM): "only CAP_SYS_RESOURCE may raise a hard limit",
    ("sysctl", errno.EACCES): "read-only here, or forbidden by a security module of the host",
    ("sysctl", errno.ENOENT): "this kernel has no such sysctl",
    ("identity", errno.EINVAL): "the id is not mapped in the user namespace",
    ("groups", errno.EINVAL): "a group id is not mapped in the user namespace",
    ("scheduler", errno.EPERM): "real time takes CAP_SYS_NICE, and on cgroup v1 linux.resources.cpu.realtimeRuntime",
    ("scheduler", errno.EBUSY): "the deadlines of all processes together cannot be kept",
    ("io-priority", errno.EPERM): "the real-time class takes CAP_SYS_NICE on the host",
    ("memory-policy", errno.EINVAL): "is there such a memory node, and is it among linux.resources.cpu.mems?",
    ("memory-policy", errno.ENOSYS): "the kernel has no memory policies",
    ("idmap", errno.EINVAL): "this file system, or one below it, cannot be id-mapped by this kernel",
    ("seccomp", errno.EACCES): "without process.noNewPrivileges a filter takes CAP_SYS_ADMIN",
    ("seccomp", errno.EINVAL): "the kernel does not take the filter or one of its flags",
    ("write-self", errno.ENOENT): "the kernel, or the security module, has no such file or profile",
    ("write-self", errno.EINVAL): "the kernel, or the security module, does not take this value",
    ("write-state", errno.ENOSPC): "the file system of the state directory (--root) is full",
    ("create-rdt", errno.ENOENT): "a closID without schemata has to name a group that is there",
    ("map-ids", errno.EPERM): "the host ids are not yours to map",
    ("", errno.ENOSYS): "the kernel is too old: 5.14 or newer is needed",
    ("", errno.ENOMEM): "out of memory: is the container's memory limit too small?",
}


def hint(op: Op, number: int) -> str:
    """Returns " (advice)" or ""."""
    text = HINTS.get((op.name, number)) or HINTS.get(("", number))
    return f" ({text})" if text else ""


def init_failed(op: Op, number: int, detail: str) -> OperationError:
    """Returns the error for an op of the init lane: `number` is the errno, `detail` what init noted about the step."""
    from ..plan.text import describe

    text = error_text(number)
    if op.name == "find-program":
        return OperationError(START + program_error(op, number), op.origin)
    if op.name == "execute":
        return OperationError(f"{START}exec {detail}: {text}", op.origin)
    if op.name == "hook":
        return hook_failed(op.origin, hook_problem(number, detail), INIT)
    words = f"{describe(op)}: {detail}: {text}" if detail else f"{describe(op)}: {text}"
    where = f"{op.origin}: " if op.origin else ""
    return OperationError(f"{INIT}{_mount_words(op)}{where}{words}{hint(op, number)}", op.origin)


def _mount_words(op: Op) -> str:
    """Runc's words for a mount that failed."""
    if op.name == "mount":
        return f'error mounting "{op.args[2]}" to rootfs at "{op.args[4]}": '
    if op.name == "open-tree" and op.origin.startswith("mounts["):
        destination = op.origin.partition(" (")[2].rstrip(")")
        return f'error mounting "{op.args[1]}" to rootfs at "{destination}": '
    if op.name == "attach" and op.origin.startswith("mounts["):
        return f'error mounting to rootfs at "{op.args[1]}": '
    return ""


def program_error(op: Op, number: int) -> str:
    """Says why there is no program to run, in the words that docker and podman make exit codes of."""
    candidates, search = op.args
    if search:
        name = candidates[0].rpartition("/")[2]
        return f'exec: "{name}": executable file not found in $PATH'
    path = candidates[0]
    if number in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
        return f'exec: "{path}": stat {path}: {error_text(number)}'
    # older versions of docker know what execve says of a directory (EACCES), and not what it is
    denied = f": {error_text(errno.EACCES)}" if number == errno.EISDIR else ""
    return f'exec: "{path}": {error_text(number)}{denied}'


def hook_problem(number: int, detail: str) -> str:
    """Says what went wrong with a hook that init ran: `detail` tells how it ended, or what could not be done."""
    return detail if number in (errno.ECHILD, errno.ETIMEDOUT) else f"{detail}: {error_text(number)}"


def hook_failed(origin: str, problem: str, prefix: str = "") -> HookError:
    """Returns the error for a hook; `origin` is hooks.<kind>[<index>]."""
    kind, _, index = origin.removeprefix("hooks.").rstrip("]").partition("[")
    return HookError(f"{prefix}{origin}: error running {kind} hook #{index}: {problem}", origin)


def init_gone(status: int) -> OperationError:
    """Returns the error for an init that ended without a message; `status` is what waitpid(2) gave."""
    if status & 0x7F == 9:
        reason = "it was killed, possibly because the container's memory limit is too small"
    elif status & 0x7F:
        reason = f"it was ended by signal {status & 0x7F}"
    else:
        reason = f"it exited with status {status >> 8}"
    return OperationError(f"{START}init is gone: {reason}")


def host_failed(op: Op, error: OSError, prefix: str = START) -> OperationError:
    """Returns the error for an op of the host lane. `prefix` says what it keeps from being done."""
    from ..plan.text import describe

    assert op.lane == HOST
    number = error.errno or 0
    where = f"{op.origin}: " if op.origin else ""
    if "cgroup" in op.name:
        prefix += "unable to apply cgroup configuration: "
    return OperationError(f"{prefix}{where}{describe(op)}: {error_text(number)}{hint(op, number)}", op.origin)
