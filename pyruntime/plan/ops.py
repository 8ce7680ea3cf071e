"""The vocabulary of plans: ops, and the numbers and letters that init knows them by.

An op belongs to a lane: the host lane is carried out by Python (run/lane.py), the init lane by init/. What each op does
is written down in specs/ops.md. The numbers and signatures here are held equal to init/ops.def by a test, and a hash
of that file goes into every plan.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    # a mount's attributes: set, clear, recursive set, recursive clear, propagation, recursive propagation
    Attributes = tuple[int, int, int, int, int, int]
    # int, str, bytes, list[str] or Attributes; form.py holds them against the op's signature
    Argument = Any

HOST, INIT = "host", "init"

# init lane: the position is the op's number, the letters are its arguments (see init/ops.def)
INIT_OPS = (
    ("procfs", "u"),
    ("open-namespace", "uus"),
    ("join-namespace", "uu"),
    ("join-process", "uu"),
    ("unshare", "u"),
    ("write-self", "uss"),
    ("check-self", "uss"),
    ("raise-limit", "uu"),
    ("user-namespace", "uuss"),
    ("open-tree", "usua"),
    ("idmap", "uuu"),
    ("enter-root", "s"),
    ("enter-cgroup", "ss"),
    ("attach-devices", "ub"),
    ("clone", "uu"),
    ("session", ""),
    ("dumpable", "u"),
    ("barrier", "u"),
    ("become", "uu"),
    ("loopback", ""),
    ("netlink", ""),
    ("propagation", "u"),
    ("attach-root", "u"),
    ("use-root", ""),
    ("mount", "usslsuua"),
    ("attach", "usu"),
    ("remount", "slua"),
    ("set-attributes", "ua"),
    ("root-attributes", "a"),
    ("make-directory", "s"),
    ("symlink", "ssu"),
    ("write-file", "sbuu"),
    ("offer-root", ""),
    ("offer-file", "u"),
    ("install-files", "u"),
    ("device", "suuuuuu"),
    ("console", "uuuuu"),
    ("hook", "sllssu"),
    ("find-null", "u"),
    ("pivot-root", ""),
    ("move-root", "l"),
    ("change-root", ""),
    ("mask-path", "us"),
    ("readonly-path", "s"),
    ("detach-old-root", ""),
    ("hostname", "s"),
    ("domainname", "s"),
    ("sysctl", "uss"),
    ("keyring", "s"),
    ("limit", "uuu"),
    ("stdio", "u"),
    ("scheduler", "uuuuuuu"),
    ("affinity", "b"),
    ("io-priority", "u"),
    ("memory-policy", "ub"),
    ("personality", "u"),
    ("working-directory", "su"),
    ("bounding-set", "u"),
    ("groups", "b"),
    ("identity", "uu"),
    ("capabilities", "uuuu"),
    ("no-new-privileges", ""),
    ("home", "u"),
    ("find-program", "lu"),
    ("umask", "u"),
    ("close-descriptors", "uuu"),
    ("arguments", "ll"),
    ("outlive", ""),
    ("seccomp", "ub"),
    ("ready", "u"),
    ("wait-start", ""),
    ("started", ""),
    ("execute", ""),
)

# host lane: carried out by the method of the same name in run/host.py, run/exec.py or what both inherit, run/lane.py
HOST_OPS = (
    "write-state",
    "create-cgroup",
    "write-cgroup",
    "own-cgroup",
    "create-rdt",
    "write-rdt",
    "spawn",
    "map-ids",
    "enter-rdt",
    "move-device",
    "hand-over",
    "look-at-root",
    "make-files",
    "run-hook",
    "pass-barrier",
    "write-pid-file",
)

# Slots: numbers by which ops name descriptors. The first ones are given to init by Python.
SLOT_CGROUP = 1
SLOT_CONSOLE = 2
SLOT_START = 3
SLOT_STARTED = 4
SLOT_PROCESS = 5
# The others init fills itself.
SLOT_PROCFS = 6
SLOT_NULL = 7
SLOT_ROOT = 8
FIRST_FREE_SLOT = 9
LAST_SLOT = 8190

# flags of `mount` and `attach`
ATTACH_NO_SYMLINKS = 1
ATTACH_ON_PROC = 2
ATTACH_MUST_BE_PROC = 4
ATTACH_COPY_UP = 8
ATTACH_MODE = 16
# flags of `symlink`
SYMLINK_IF_TARGET = 1
SYMLINK_REPLACE = 2
SYMLINK_TRY = 4
# flags of `write-file`
FILE_OVER = 1
# flags of `console`
CONSOLE_BIND = 1
# flags of `working-directory`
DIRECTORY_TRY = 1
# flags of `find-program`
PROGRAM_SEARCH = 1
PROGRAM_NOWHERE = 2  # there is no PATH to search, and the candidate is but a name
# flags of `idmap`
IDMAP_RECURSIVE = 1
# flags of `remount`
REMOUNT_FILESYSTEM = 1

# Barriers: places where init waits for the host lane.
BARRIER_CLONED = 1
BARRIER_HOOKS = 2
BARRIER_READY = 3
BARRIER_CGROUP = 4
# not an op of its own: init waits while a descriptor of its is taken over
BARRIER_OFFER = 5
BARRIER_NAMES = {
    BARRIER_CLONED: "ids mapped",
    BARRIER_CGROUP: "in the cgroup",
    BARRIER_OFFER: "descriptor taken over",
    BARRIER_HOOKS: "hooks run",
    BARRIER_READY: "ready",
}

NO_ATTRIBUTES = (0, 0, 0, 0, 0, 0)


class Op:
    """One operation of a plan."""

    __slots__ = ("args", "lane", "name", "origin")

    def __init__(self, lane: str, name: str, origin: str, args: "tuple[Argument, ...]") -> None:
        self.lane = lane
        self.name = name
        self.origin = origin
        self.args = args


class Plan:
    """All ops of both lanes, in order, and what was worth a warning while they were made."""

    __slots__ = ("cgroups", "clone_into", "free_slot", "host_root", "ops", "rdt", "warnings")

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.warnings: list[str] = []
        # the directories of the container's cgroups, which `delete` will remove
        self.cgroups: list[str] = []
        # the one of cgroup v2, in which the container is born; "" if there is none
        self.clone_into = ""
        # the root directory, where the container's mounts are made on the host; "" if they are in a mount namespace
        self.host_root = ""
        # directories of resctrl that `delete` will remove
        self.rdt: list[str] = []
        self.free_slot = FIRST_FREE_SLOT

    def host(self, name: str, origin: str, *args: "Argument") -> None:
        """Adds an op of the host lane. `origin` is the part of the config that asks for it, "" if none does."""
        self.ops.append(Op(HOST, name, origin, args))

    def init(self, name: str, origin: str, *args: "Argument") -> None:
        """Adds an op of the init lane."""
        self.ops.append(Op(INIT, name, origin, args))

    def slot(self) -> int:
        """Returns a slot that is not in use."""
        self.free_slot += 1
        return self.free_slot - 1
