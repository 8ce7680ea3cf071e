"""Carries out a plan: walks the host lane op by op, and keeps in step with init at the barriers."""

import posix
import time

from ..errors import OperationError, PyruntimeError
from ..paths import exists
from ..plan.filesystem import root_path
from ..plan.form import encode
from ..plan.ops import BARRIER_HOOKS, HOST, INIT, SLOT_CGROUP, SLOT_CONSOLE, SLOT_START, SLOT_STARTED, Op
from ..state import CONFIG, START, STARTED, boot_id, process_start
from . import cgroup
from .files import write
from .handshake import Handshake, pair
from .launch import init_program, spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.model import Config
    from ..plan.facts import Facts, Request
    from ..plan.ops import Plan
    from ..state import Container, State
    from .handshake import Observer
    from .network import Network


def count_mounts(path: str) -> int:
    if not path:
        return 0
    from .mounts import count

    return count(path)


def now() -> str:
    """Returns the time as RFC 3339 with nanoseconds."""
    nanoseconds = time.time_ns()
    stamp = time.gmtime(nanoseconds // 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', stamp)}.{nanoseconds % 1_000_000_000:09d}Z"


class Executor:
    """One plan being carried out. `container` is locked by the caller and stays its own."""

    def __init__(
        self,
        container: "Container",
        config: "Config",
        source: bytes,
        plan: "Plan",
        facts: "Facts",
        request: "Request",
        console: int = -1,
        observer: "Observer | None" = None,
    ) -> None:
        self.container = container
        self.config = config
        # the bytes of config.json
        self.source = source
        self.plan = plan
        self.facts = facts
        self.request = request
        # a connected socket that gets the terminal, or -1
        self.console = console
        # called for every op of either lane before it runs
        self.observer = observer
        self.handshake: Handshake | None = None
        # where network devices have been moved to, if any have
        self.network: Network | None = None
        self.cgroup_fd = -1
        self.wrote_pid_file = False
        # whether any hook has been run, here or by init
        self.ran_hooks = False
        self.state: State = self._first_state()

    def run(self) -> None:
        """Carries out the plan up to the state "created". Raises PyruntimeError; what was done until then is not
        undone, but all of it is in the state, where run/destroy.py finds it."""
        for op in self.plan.ops:
            if op.lane == HOST:
                if self.observer is not None:
                    self.observer(op)
                self._carry_out(op)
            elif op.name in ("barrier", "ready"):
                # the host's next ops are for a container that has come this far
                self._init().wait_barrier()
        self._init().close()
        if self.network is not None:
            self.network.close()

    def _carry_out(self, op: Op) -> None:
        """Carries out an op of the host lane. Raises OperationError, or what went wrong with init meanwhile."""
        try:
            OPERATIONS[op.name](self, op)
        except OSError as error:
            from .report import host_failed

            raise host_failed(op, error) from None
        except OperationError:
            raise
        except PyruntimeError as error:
            where = f"{op.origin}: " if op.origin else ""
            raise OperationError(f"{where}{error}", op.origin) from None

    def _init(self) -> Handshake:
        if self.handshake is None:
            raise PyruntimeError("init has not been started")
        return self.handshake

    def abandon(self) -> None:
        """Brings network devices back, ends init, if it runs, and gives up all descriptors."""
        if self.network is not None:
            self.network.restore()
        if self.handshake is not None:
            self.handshake.abandon()
        if self.cgroup_fd >= 0:
            posix.close(self.cgroup_fd)
            self.cgroup_fd = -1

    def _first_state(self) -> "State":
        directories = self.plan.cgroups
        freezers = [
            f"{directory}/freezer.state" if hierarchy.version == 1 else f"{directory}/cgroup.events"
            for hierarchy, directory in zip(self.facts.cgroups, directories, strict=True)
            if "freezer" in hierarchy.controllers or self.facts.unified
        ]
        namespaces = self.config.get("linux", {}).get("namespaces", ())
        return {
            "ociVersion": self.config["ociVersion"],
            "id": self.request.container_id,
            "pid": 0,
            "startTime": 0,
            "bootId": boot_id(),
            "status": "creating",
            "bundle": self.request.bundle,
            "rootfs": root_path(self.config, self.request.bundle),
            "created": now(),
            "annotations": self.config.get("annotations", {}),
            "cgroups": directories,
            "cgroupsMade": cgroup.missing(directories, [hierarchy.mountpoint for hierarchy in self.facts.cgroups]),
            "freezer": freezers[0] if freezers else "",
            "hostRoot": self.plan.host_root,
            "hostMounts": count_mounts(self.plan.host_root),
            "rdt": [directory for directory in self.plan.rdt if not exists(directory)],
            "ownPidNamespace": any(entry["type"] == "pid" and not entry.get("path") for entry in namespaces),
            "process": "process" in self.config,
            "hooks": [kind for kind, hooks in self.config.get("hooks", {}).items() if hooks],
            "startOp": self._start_op(),
        }

    def _start_op(self) -> int:
        """Returns the number, in init's lane, of the op behind wait-start."""
        names = [op.name for op in self.plan.ops if op.lane == INIT]
        return names.index("wait-start") + 1

    # ---- the ops

    def write_state(self, op: Op) -> None:
        (status,) = op.args
        if self.handshake is not None:
            pid = self.handshake.wait_pid()
            self.state["pid"] = pid
            self.state["startTime"] = self.state["startTime"] or process_start(pid)
        else:
            self.container.write(CONFIG, self.source)
        self.state["status"] = str(status)
        self.container.store(self.state)

    def create_cgroup(self, op: Op) -> None:
        directory, mountpoint, version, kind, needed = op.args
        try:
            cgroup.create(directory, mountpoint, version, kind, needed)
        except PyruntimeError:
            # somebody else was faster to make it, and it is in use: not ours to empty and to remove
            self.state["cgroupsMade"] = [path for path in self.state["cgroupsMade"] if path != directory]
            self.container.store(self.state)
            raise

    def write_cgroup(self, op: Op) -> None:
        directory, choices, required = op.args
        cgroup.write_first(directory, choices, required=bool(required))

    def own_cgroup(self, op: Op) -> None:
        directory, uid, files = op.args
        cgroup.hand_over(directory, uid, files)

    def create_rdt(self, op: Op) -> None:
        from . import rdt

        directory, way, lines = op.args
        rdt.create(directory, way, lines)

    def write_rdt(self, op: Op) -> None:
        from . import rdt

        directory, lines = op.args
        rdt.write_schemata(directory, lines)

    def enter_rdt(self, op: Op) -> None:
        (directory,) = op.args
        write(f"{directory}/tasks", str(self._init().wait_pid()))

    def move_device(self, op: Op) -> None:
        from .network import Network

        name, new = op.args
        handshake = self._init()
        if self.network is None:
            self.network = Network(handshake.take_offered(), handshake.pid)
        self.network.move(name, new)

    def hand_over(self, op: Op) -> None:
        from .listener import hand_over

        (path,) = op.args
        handshake = self._init()
        listener = handshake.take_offered()
        metadata = self.config["linux"]["seccomp"].get("listenerMetadata", "")
        try:
            hand_over(path, handshake.pid, listener, self._hook_state("creating"), metadata)
        finally:
            posix.close(listener)

    def spawn(self, op: Op) -> None:
        program, table_hash = init_program()
        self.container.make_fifos()
        ours, theirs = pair()
        opened, descriptors = [theirs], {}
        try:
            # for reading and writing: so a fifo has a reader from now on, and `start` can tell that init is there
            for slot, name in ((SLOT_START, START), (SLOT_STARTED, STARTED)):
                descriptors[slot] = self.container.open_file(name, posix.O_RDWR)
                opened.append(descriptors[slot])
            if self.console >= 0:
                descriptors[SLOT_CONSOLE] = self.console
            if self.plan.clone_into:
                self.cgroup_fd = posix.open(self.plan.clone_into, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
                descriptors[SLOT_CGROUP] = self.cgroup_fd
            data = encode(self.plan, table_hash, theirs, descriptors, step=self.observer is not None)
            kept = range(3, 3 + self.request.listen_fds + self.request.preserve_fds)
            helper = spawn(program, data, [theirs, *descriptors.values(), *kept])
        except BaseException:
            posix.close(ours)
            raise
        finally:
            for fd in opened:
                posix.close(fd)
        self.handshake = Handshake(self.plan, ours, helper, self.observer)

    def map_ids(self, op: Op) -> None:
        from .idmap import write_maps

        linux = self.config["linux"]
        pid = self._init().wait_pid()
        write_maps(pid, linux["uidMappings"], linux["gidMappings"], privileged=self.facts.privileged)

    def run_hook(self, op: Op) -> None:
        from . import hooks

        self.ran_hooks = True
        kind, index = op.args
        hook = self.config["hooks"][kind][index]  # type: ignore[literal-required]
        hooks.run(hook, str(kind), int(index), self._hook_state("created"))

    def _hook_state(self, status: str) -> str:
        """Returns the state as hooks and agents get it."""
        from ..config.dump import hook_state

        pid = self._init().wait_pid()
        return hook_state(self.config, self.request.container_id, self.request.bundle, status, pid)

    def pass_barrier(self, op: Op) -> None:
        (number,) = op.args
        self.ran_hooks = self.ran_hooks or number == BARRIER_HOOKS
        self._init().pass_barrier(int(number))

    def write_pid_file(self, op: Op) -> None:
        (path,) = op.args
        write_pid_file(str(path), self._init().wait_pid())
        self.wrote_pid_file = True


def write_pid_file(path: str, pid: int) -> None:
    """Writes digits alone, and renames the file into place: it is read while we may still be writing."""
    folder, _, name = path.rpartition("/")
    temporary = f"{folder}/.{name}.{posix.getpid()}"
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC
    fd = posix.open(temporary, flags, 0o666)
    try:
        try:
            posix.write(fd, str(pid).encode())
        finally:
            posix.close(fd)
        posix.rename(temporary, path)
    except OSError:
        posix.unlink(temporary)
        raise


def remove_pid_file(path: str) -> None:
    """Takes a pid file away, if it is still there."""
    try:
        posix.unlink(path)
    except FileNotFoundError:
        return


OPERATIONS = {
    "write-state": Executor.write_state,
    "create-cgroup": Executor.create_cgroup,
    "write-cgroup": Executor.write_cgroup,
    "own-cgroup": Executor.own_cgroup,
    "create-rdt": Executor.create_rdt,
    "write-rdt": Executor.write_rdt,
    "spawn": Executor.spawn,
    "map-ids": Executor.map_ids,
    "enter-rdt": Executor.enter_rdt,
    "move-device": Executor.move_device,
    "hand-over": Executor.hand_over,
    "run-hook": Executor.run_hook,
    "pass-barrier": Executor.pass_barrier,
    "write-pid-file": Executor.write_pid_file,
}
