"""The host lane: walks a plan op by op, and keeps in step with init at the barriers.

What is the same for every plan is here; the ops of `create` are in run/host.py, those of `exec` in run/exec.py.
"""

import posix

from ..errors import OperationError, PyruntimeError, os_error
from ..plan.form import encode
from ..plan.ops import HOST, SLOT_CGROUP, SLOT_CONSOLE, Op
from .handshake import Handshake, pair
from .launch import init_program, spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, ClassVar

    from ..config.model import Config
    from ..plan.facts import Request
    from ..plan.ops import Plan
    from .handshake import Observer


class Lane:
    """One plan being carried out."""

    # op -> the function that carries it out
    operations: "ClassVar[Mapping[str, Callable[[Any, Op], None]]]"

    def __init__(
        self, config: "Config", plan: "Plan", request: "Request", console: int, observer: "Observer | None"
    ) -> None:
        self.config = config
        self.plan = plan
        self.request = request
        # a connected socket that gets the terminal, or -1
        self.console = console
        # called for every op of either lane before it runs
        self.observer = observer
        self.handshake: Handshake | None = None
        self.cgroup_fd = -1
        self.wrote_pid_file = False

    def walk(self) -> None:
        """Carries out all ops of the host lane, each when init has come as far. Raises PyruntimeError."""
        for op in self.plan.ops:
            if op.lane == HOST:
                if self.observer is not None:
                    self.observer(op)
                self._carry_out(op)
            elif op.name in ("barrier", "ready"):
                # the host's next ops are for a container that has come this far
                self.init().wait_barrier()

    def _carry_out(self, op: Op) -> None:
        """Carries out an op of the host lane. Raises OperationError, or what went wrong with init meanwhile."""
        try:
            self.operations[op.name](self, op)
        except OSError as error:
            from .report import host_failed

            raise host_failed(op, error) from None
        except OperationError:
            raise
        except PyruntimeError as error:
            where = f"{op.origin}: " if op.origin else ""
            raise OperationError(f"{where}{error}", op.origin) from None

    def init(self) -> Handshake:
        """Returns the conversation with init. Raises PyruntimeError before there is one."""
        if self.handshake is None:
            raise PyruntimeError("init has not been started")
        return self.handshake

    def abandon(self) -> None:
        """Ends init, if it runs, and gives up all descriptors."""
        if self.handshake is not None:
            self.handshake.abandon()
        if self.cgroup_fd >= 0:
            posix.close(self.cgroup_fd)
            self.cgroup_fd = -1

    def state_text(self, status: str) -> str:
        """Returns the container's state, as hooks and agents get it."""
        raise NotImplementedError

    # ---- ops of every plan

    def start_init(self, descriptors: dict[int, int], opened: list[int]) -> None:
        """Starts init with the plan. `descriptors` are those that the plan names by slot; `opened` are closed here,
        whatever happens. Raises PyruntimeError, OSError."""
        try:
            program, table_hash = init_program()
            ours, theirs = pair()
            opened.append(theirs)
            try:
                if self.console >= 0:
                    descriptors[SLOT_CONSOLE] = self.console
                if self.plan.clone_into:
                    self.cgroup_fd = open_cgroup(self.plan.clone_into)
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

    def enter_rdt(self, op: Op) -> None:
        from .files import write

        (directory,) = op.args
        write(f"{directory}/tasks", str(self.init().wait_pid()))

    def hand_over(self, op: Op) -> None:
        from .listener import hand_over

        (path,) = op.args
        handshake = self.init()
        listener = handshake.take_offered()
        metadata = self.config["linux"]["seccomp"].get("listenerMetadata", "")
        try:
            hand_over(path, handshake.pid, listener, self.state_text("creating"), metadata)
        finally:
            posix.close(listener)

    def pass_barrier(self, op: Op) -> None:
        (number,) = op.args
        self.init().pass_barrier(int(number))

    def write_pid_file(self, op: Op) -> None:
        from .pidfile import write_pid_file

        (path,) = op.args
        write_pid_file(str(path), self.init().wait_pid())
        self.wrote_pid_file = True


def open_cgroup(path: str) -> int:
    """Opens a cgroup that somebody is to be born into. Raises PyruntimeError."""
    try:
        return posix.open(path, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    except OSError as error:
        raise PyruntimeError(f"unable to apply cgroup configuration: open {os_error(error)}") from None
