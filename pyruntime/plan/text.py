"""Plans for people: one line per op, in the lane that carries it out. Also the words for an op in error messages."""

from ..config.kernel import (
    FILTER_FLAGS,
    FILTER_NEW_LISTENER,
    IO_CLASS_SHIFT,
    IO_CLASSES,
    MEMORY_POLICIES,
    MEMORY_POLICY_FLAGS,
    PERSONALITIES,
    SCHEDULER_FLAGS,
    SCHEDULERS,
)
from ..config.names import (
    AT_RECURSIVE,
    CAPABILITIES,
    MOUNT_ATTRIBUTES,
    NAMESPACES,
    PROPAGATIONS,
    RLIMITS,
    S_IFBLK,
    S_IFIFO,
)
from .ops import (
    ATTACH_COPY_UP,
    ATTACH_MODE,
    ATTACH_MUST_BE_PROC,
    ATTACH_NO_SYMLINKS,
    BARRIER_NAMES,
    HOST,
    IDMAP_RECURSIVE,
    SLOT_CGROUP,
    SLOT_CONSOLE,
    SLOT_NULL,
    SLOT_PROCESS,
    SLOT_PROCFS,
    SLOT_ROOT,
    Op,
    Plan,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from ..config.model import Json
    from .ops import Attributes

SLOT_NAMES = {
    SLOT_CGROUP: "cgroup",
    SLOT_CONSOLE: "console",
    SLOT_PROCESS: "process",
    SLOT_PROCFS: "procfs",
    SLOT_NULL: "null",
    SLOT_ROOT: "root",
}
UNLIMITED = (1 << 64) - 1
ATTACH_WORDS = {
    ATTACH_NO_SYMLINKS: "no links",
    ATTACH_MUST_BE_PROC: "must be procfs",
    ATTACH_COPY_UP: "copied up",
    ATTACH_MODE: "mode as below",
}
WAITS = {"barrier": "init waits", "ready": "init waits", "pass-barrier": "init goes on"}


def slot(number: int) -> str:
    """Names a slot: <root>, <9>."""
    return f"<{SLOT_NAMES.get(number, number)}>"


def namespaces(flags: int) -> str:
    """Lists the namespaces of clone flags."""
    return " ".join(kind for kind, flag in NAMESPACES.items() if flags & flag) or "no new namespaces"


def capabilities(mask: int) -> str:
    """Lists the capabilities of a mask, without the CAP_ in front."""
    names = [name[4:].lower() for number, name in enumerate(CAPABILITIES) if mask >> number & 1]
    if len(names) == len(CAPABILITIES):
        return "all"
    return ",".join(names) or "none"


def _bits(to_set: int, to_clear: int) -> list[str]:
    words = []
    for option, (sets, clears) in MOUNT_ATTRIBUTES.items():
        if option in ("atime", "norelatime", "nostrictatime"):
            continue  # other words for relatime
        if sets and to_set & (sets | clears) == sets:
            words.append(option)
        elif not sets and to_clear & clears == clears and not to_set & clears:
            words.append(option)
    return words


def attributes(values: "Attributes") -> str:
    """Lists mount attributes as options."""
    words = _bits(values[0], values[1]) + ["r" + word for word in _bits(values[2], values[3])]
    for name, flag in PROPAGATIONS.items():
        words += [name] if values[4] == flag else []
        words += ["r" + name] if values[5] == flag else []
    return ",".join(words) or "-"


def shell_words(words: "Sequence[str]") -> str:
    """Joins words so that they can be told apart."""
    plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=,+@%"
    return " ".join(word if word and not word.strip(plain) else repr(word) for word in words)


def _parameters(parameters: "Sequence[str]") -> str:
    return f" with {','.join(parameters)}" if parameters else ""


def _attached(flags: int) -> str:
    """Says what is special about attaching a mount."""
    words = [word for flag, word in ATTACH_WORDS.items() if flags & flag]
    return f" ({', '.join(words)})" if words else ""


def _limit(value: int) -> str:
    return "unlimited" if value == UNLIMITED else str(value)


def _resource(number: int) -> str:
    return next(name for name, value in RLIMITS.items() if value == number)


def _device(path: str, kind: int, mode: int, major: int, minor: int, uid: int, gid: int) -> str:
    letter = {S_IFIFO: "fifo", S_IFBLK: "block"}.get(kind, "character")
    number = "" if kind == S_IFIFO else f" {major}:{minor}"
    return f"{path}  {letter}{number} mode {mode:04o} owner {uid}:{gid}"


def _groups(data: bytes) -> str:
    return ",".join(str(int.from_bytes(data[at : at + 4], "little")) for at in range(0, len(data), 4)) or "none"


def _hook(path: str, args: "Sequence[str]", env: "Sequence[str]", before: str, after: str, timeout: int) -> str:
    return f"{path} {shell_words(args[1:])}".rstrip() + (f" (at most {timeout // 1000} s)" if timeout else "")


def _write(directory: str, choices: "Sequence[str]", required: int) -> str:
    first = f"{choices[1]!r} to {directory}/{choices[0]}"
    others = "".join(f", or {choices[at + 1]!r} to {choices[at]}" for at in range(2, len(choices), 2))
    return first + others + ("" if required else ", if there is one")


def _create(directory: str, mountpoint: str, version: int, kind: str, controllers: "Sequence[str]") -> str:
    return directory + (f" with {','.join(controllers)}" if version == 2 and controllers else "")


RDT_WAYS = {"make": "new", "find": "that is there", "either": "new, or with these schemata"}


def _map(text: str) -> str:
    return ",".join(":".join(line.split()) for line in text.splitlines())


def _word(table: "Mapping[str, int]", number: int) -> str:
    return next((name for name, value in table.items() if value == number), str(number))


def _words(table: "Mapping[str, int]", flags: int) -> str:
    return "".join(f" {name}" for name, value in table.items() if value and flags & value)


def _scheduler(policy: int, flags: int, nice: int, priority: int, runtime: int, deadline: int, period: int) -> str:
    if nice >> 63:
        nice -= 1 << 64
    numbers = {"nice": nice, "priority": priority, "runtime": runtime, "deadline": deadline, "period": period}
    shown = "".join(f" {name} {value}" for name, value in numbers.items() if value)
    return f"{_word(SCHEDULERS, policy)}{shown}{_words(SCHEDULER_FLAGS, flags)}"


def _set_bits(data: bytes) -> str:
    if not data.strip(b"\xff"):
        return "all" if data else ""
    mask = int.from_bytes(data, "little")
    return ",".join(str(number) for number in range(mask.bit_length()) if mask >> number & 1)


def _memory_policy(mode: int, nodes: bytes) -> str:
    chosen = _set_bits(nodes)
    flags = _words(MEMORY_POLICY_FLAGS, mode)
    return f"{_word(MEMORY_POLICIES, mode & 0xFF)}{' nodes ' + chosen if chosen else ''}{flags}"


def _filter_flags(flags: int) -> str:
    listener = " with a listener" if flags & FILTER_NEW_LISTENER else ""
    return _words(FILTER_FLAGS, flags) + listener


# op: its arguments in words. What is not here has none that matter.
DETAILS: "dict[str, Callable[..., str]]" = {
    # host lane
    "write-state": lambda status: status,
    "create-cgroup": _create,
    "own-cgroup": lambda directory, uid, files: f"{directory} and {', '.join(files)} in it to user {uid}",
    "create-rdt": lambda directory, way, lines: f"{directory} ({RDT_WAYS[way]})",
    "write-rdt": lambda directory, lines: f"{'; '.join(lines)} to {directory}",
    "enter-rdt": lambda directory: directory,
    "move-device": lambda name, new: name if name == new else f"{name} as {new}",
    "hand-over": lambda path: f"the listener to {path}",
    "write-cgroup": _write,
    "run-hook": lambda kind, index: f"{kind}[{index}]",
    "pass-barrier": lambda number: BARRIER_NAMES[number],
    "write-pid-file": lambda path: path,
    # init lane
    "procfs": slot,
    "open-namespace": lambda number, kind, path: f"{namespaces(kind)} {path} -> {slot(number)}",
    "join-process": lambda number, flags: f"{namespaces(flags)} of {slot(number)}",
    "join-namespace": lambda number, kind: f"{namespaces(kind)} {slot(number)}",
    "unshare": namespaces,
    "write-self": lambda procfs, file, value: f"{value!r} to /proc/self/{file}",
    "check-self": lambda procfs, file, value: f"{value!r} in /proc/self/{file}",
    "user-namespace": lambda number, procfs, uids, gids: f"uids {_map(uids)} gids {_map(gids)} -> {slot(number)}",
    "idmap": lambda mount, namespace, flags: (
        f"{slot(mount)} by {slot(namespace)}" + (" and all below" if flags & IDMAP_RECURSIVE else "")
    ),
    "raise-limit": lambda resource, hard: f"{_resource(resource)} hard {_limit(hard)}",
    "open-tree": lambda number, path, flags, bits: (
        f"{path}{' and all below' if flags & AT_RECURSIVE else ''} {attributes(bits)} -> {slot(number)}"
    ),
    "enter-root": lambda path: path,
    "enter-cgroup": lambda directory, file: directory,
    "attach-devices": lambda cgroup, program: f"{len(program) // 8} instructions on {slot(cgroup)}",
    "clone": lambda flags, cgroup: namespaces(flags) + (f" into {slot(cgroup)}" if cgroup else ""),
    "dumpable": lambda value: "yes" if value else "no",
    "barrier": lambda number: BARRIER_NAMES[number],
    "become": lambda uid, gid: f"{uid}:{gid}",
    "propagation": lambda flag: f"/ {attributes((0, 0, 0, 0, 0, flag))}",
    "attach-root": slot,
    "mount": lambda number, kind, source, parameters, path, flags, id_map, bits: (
        f"{kind} at {path} {attributes(bits)}{_parameters(parameters)}{_attached(flags)}"
        + (f" ids by {slot(id_map)}" if id_map else "")
        + (f" -> {slot(number)}" if number else "")
    ),
    "attach": lambda number, path, flags: f"{slot(number)} at {path}{_attached(flags)}",
    "remount": lambda path, parameters, flags, bits: f"{path} {attributes(bits)}{_parameters(parameters)}",
    "set-attributes": lambda number, bits: f"{slot(number)} {attributes(bits)}",
    "root-attributes": attributes,
    "make-directory": lambda path: path,
    "symlink": lambda target, path, flags: f"{path} -> {target}",
    "write-file": lambda path, content, mode, flags: (
        f"{path}  {len(content)} bytes mode {mode:04o}" + (" over what is there" if flags else "")
    ),
    "offer-file": lambda number: f"-> {slot(number)}",
    "install-files": slot,
    "device": _device,
    "console": lambda number, rows, columns, uid, flags: f"{rows}x{columns} for user {uid} -> {slot(number)}",
    "hook": _hook,
    "find-null": lambda number: f"/dev/null -> {slot(number)}",
    "move-root": lambda paths: f"hiding {shell_words(paths)}" if paths else "",
    "mask-path": lambda null, path: path,
    "readonly-path": lambda path: path,
    "hostname": lambda name: name,
    "domainname": lambda name: name,
    "sysctl": lambda procfs, path, value: f"{path} = {value!r}",
    "keyring": lambda name: name,
    "limit": lambda resource, soft, hard: f"{_resource(resource)} soft {_limit(soft)} hard {_limit(hard)}",
    "stdio": lambda uid: f"to user {uid}",
    "scheduler": _scheduler,
    "affinity": lambda mask: f"processors {_set_bits(mask)}",
    "io-priority": lambda value: f"{_word(IO_CLASSES, value >> IO_CLASS_SHIFT)} level {value & 7}",
    "memory-policy": _memory_policy,
    "personality": lambda persona: _word(PERSONALITIES, persona),
    "working-directory": lambda path, flags: path + (" if root may" if flags else ""),
    "bounding-set": capabilities,
    "groups": _groups,
    "identity": lambda uid, gid: f"{uid}:{gid}",
    "capabilities": lambda permitted, effective, inheritable, ambient: (
        f"permitted {capabilities(permitted)} effective {capabilities(effective)} "
        f"inheritable {capabilities(inheritable)} ambient {capabilities(ambient)}"
    ),
    "home": lambda uid: f"of user {uid}",
    "find-program": lambda candidates, flags: shell_words(candidates),
    "umask": lambda mask: f"{mask:04o}",
    "close-descriptors": lambda kept, start, started: f"but {kept} preserved ones" if kept else "",
    "arguments": lambda argv, env: shell_words(argv),
    "seccomp": lambda flags, program: f"{len(program) // 8} instructions" + _filter_flags(flags),
    "ready": lambda number: BARRIER_NAMES[number],
}


def describe(op: Op) -> str:
    """Returns an op in words: its name, then what it is done to."""
    details = DETAILS.get(op.name)
    return f"{op.name} {details(*op.args)}".rstrip() if details else op.name


HOST_WIDTH = 34
RULE_WIDTH = 76


def render(plan: Plan) -> str:
    """Returns the whole plan as a table: number, what the host does, what init does, and the origin in brackets.

    A line across both lanes is a place where init waits for the host, or is let go on.
    """
    lines = [f"{'#':>4}  {'host':{HOST_WIDTH}} init"]
    for number, op in enumerate(plan.ops, 1):
        lines.append(f"{number:>4}  {_row(op)}".rstrip())
    return "\n".join(lines) + "\n"


def _row(op: Op) -> str:
    origin = f"   [{op.origin}]" if op.origin else ""
    if op.name in WAITS:
        return f"── {BARRIER_NAMES[op.args[0]]}: {WAITS[op.name]} ".ljust(RULE_WIDTH, "─") + origin
    name, _, rest = describe(op).partition(" ")
    if op.lane == HOST:
        return f"{name} {rest}".rstrip() + origin
    return f"{'':{HOST_WIDTH}} {name:<17} {rest}".rstrip() + origin


def to_json(plan: Plan) -> "list[dict[str, Json]]":
    """Returns the plan as data, a member for each op. Bytes are given in hexadecimal."""
    return [
        {
            "number": number,
            "lane": op.lane,
            "op": op.name,
            "args": [_plain(argument) for argument in op.args],
            "origin": op.origin,
            "description": describe(op),
        }
        for number, op in enumerate(plan.ops, 1)
    ]


def _plain(argument: "Any") -> "Json":
    if isinstance(argument, bytes):
        return argument.hex()
    return list(argument) if isinstance(argument, list | tuple) else argument
