"""The ops of `create` on the host."""

import posix
import time

from ..errors import PyruntimeError
from ..paths import exists
from ..plan.filesystem import root_path
from ..plan.ops import BARRIER_HOOKS, INIT, SLOT_START, SLOT_STARTED, Op
from ..state import CONFIG, START, STARTED, boot_id, process_start
from . import cgroup
from .lane import Lane

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.model import Config
    from ..plan.facts import Facts, Request
    from ..plan.finish import Files
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


class Executor(Lane):
    """The plan of a `create` being carried out. `container` is locked by the caller and stays its own."""

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
        super().__init__(config, plan, request, console, observer)
        self.container = container
        # the bytes of config.json
        self.source = source
        self.facts = facts
        # where network devices have been moved to, if any have
        self.network: Network | None = None
        # what the container's root has shown to be needed
        self.files: Files = ()
        # whether any hook has been run, here or by init
        self.ran_hooks = False
        self.state: State = self._first_state()

    def run(self) -> None:
        """Carries out the plan up to the state "created". Raises PyruntimeError; what was done until then is not
        undone, but all of it is in the state, where run/destroy.py finds it."""
        self.walk()
        self.init().close()
        if self.network is not None:
            self.network.close()

    def abandon(self) -> None:
        """Brings network devices back, ends init, if it runs, and gives up all descriptors."""
        if self.network is not None:
            self.network.restore()
        super().abandon()

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
            "keyring": self.request.keyring,
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
            if self.request.notify:
                self.container.make_notify()
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

    def move_device(self, op: Op) -> None:
        from .network import Network

        name, new = op.args
        handshake = self.init()
        if self.network is None:
            self.network = Network(handshake.take_offered(), handshake.pid)
        self.network.move(name, new)

    def look_at_root(self, op: Op) -> None:
        from .finish import look

        self.files = look(self.request, self.init().take_offered())

    def make_files(self, op: Op) -> None:
        from .finish import write_files

        write_files(self.init().take_offered(), self.files)

    def spawn(self, op: Op) -> None:
        self.container.make_fifos()
        descriptors: dict[int, int] = {}
        try:
            # for reading and writing: so a fifo has a reader from now on, and `start` can tell that init is there
            for slot, name in ((SLOT_START, START), (SLOT_STARTED, STARTED)):
                descriptors[slot] = self.container.open_file(name, posix.O_RDWR)
        except BaseException:
            for fd in descriptors.values():
                posix.close(fd)
            raise
        self.start_init(descriptors, list(descriptors.values()))

    def map_ids(self, op: Op) -> None:
        from .idmap import write_maps

        linux = self.config["linux"]
        pid = self.init().wait_pid()
        write_maps(pid, linux["uidMappings"], linux["gidMappings"], privileged=self.facts.privileged)

    def run_hook(self, op: Op) -> None:
        from . import hooks

        self.ran_hooks = True
        kind, index = op.args
        hook = self.config["hooks"][kind][index]  # type: ignore[literal-required]
        hooks.run(hook, str(kind), int(index), self.state_text("created"))

    def state_text(self, status: str) -> str:
        from ..config.dump import hook_state

        pid = self.init().wait_pid()
        return hook_state(self.config, self.request.container_id, self.request.bundle, status, pid)

    def pass_barrier(self, op: Op) -> None:
        (number,) = op.args
        self.ran_hooks = self.ran_hooks or number == BARRIER_HOOKS
        super().pass_barrier(op)


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
    "look-at-root": Executor.look_at_root,
    "make-files": Executor.make_files,
    "run-hook": Executor.run_hook,
    "pass-barrier": Executor.pass_barrier,
    "write-pid-file": Executor.write_pid_file,
}
Executor.operations = OPERATIONS
