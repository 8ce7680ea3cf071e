"""`create`, from a bundle to a container that waits for its start; and back to nothing when something fails."""

import posix

from ..config.check import check
from ..config.load import parse_config, read
from ..errors import ConfigError, OperationError, PyruntimeError, error_text, os_error
from ..plan.create import compile_create
from ..state import NOTIFY
from ..state import create as take_id
from .host import Executor
from .probe import check_kernel, gather

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..config.model import Config
    from ..plan.facts import Facts, Request
    from ..plan.ops import Plan
    from ..state import Container, State
    from .handshake import Observer


class Bundle:
    """A bundle's config, read and checked."""

    def __init__(self, path: str) -> None:
        """Reads the config.json of the bundle in the directory `path`. Raises ConfigError."""
        self.source = read(f"{path}/config.json", "JSON specification file config.json not found")
        # what becomes part of the container's state
        self.stored = self.source
        try:
            self.config: Config = parse_config(self.source)
            self.warnings = check(self.config)
        except ConfigError as error:
            raise self.point_out(error) from None

    def edited(self) -> None:
        """Takes note that `config` has been changed. Raises ConfigError when it has become wrong by that."""
        from ..config.dump import dumps

        self.stored = dumps(self.config).encode()  # type: ignore[arg-type]
        self.config = parse_config(self.stored)
        self.warnings = check(self.config)

    def point_out(self, error: "ConfigError | OperationError") -> PyruntimeError:
        """Returns the error with the line of config.json in it."""
        from ..config.where import point_out

        return PyruntimeError(point_out(error, self.source))

    def plan(self, request: "Request") -> "tuple[Plan, Facts]":
        """Compiles the plan for this host. Raises ConfigError."""
        facts = gather(self.config, pivot=request.pivot, root=request.state_root)
        return compile_create(self.config, facts, request), facts


def enter_bundle(path: str) -> str:
    """Makes a bundle the working directory, where hooks expect to be; returns its absolute path."""
    try:
        posix.chdir(path or ".")
    except OSError as error:
        raise PyruntimeError(f"chdir {path}: {error_text(error.errno or 0)}") from None
    return posix.getcwd()


def create(
    bundle: Bundle,
    request: "Request",
    *,
    console: int = -1,
    observer: "Observer | None" = None,
    announce: "Callable[[int], None] | None" = None,
) -> "tuple[State, list[str]]":
    """Creates a container; returns its state, and warnings.

    `console` is a connected socket that gets the terminal. `observer` is called for
    each op before it runs, `announce` with the pid of the container's first process. When anything
    fails nothing stays behind. Raises PyruntimeError.
    """
    check_kernel()
    if request.notify:
        from .notify import add_to

        add_to(bundle.config, f"{request.state_root}/{request.container_id}/{NOTIFY}")
    try:
        plan, facts = bundle.plan(request)
    except ConfigError as error:
        raise bundle.point_out(error) from None
    container = take_id(request.state_root, request.container_id)
    executor = None
    try:
        if facts.filter:
            from .seccomp import keep

            keep(bundle.config["linux"]["seccomp"], facts.filter, request.state_root)
        executor = Executor(container, bundle.config, bundle.stored, plan, facts, request, console, observer)
        executor.run()
        if announce is not None:
            announce(executor.state["pid"])
    except BaseException as error:
        problems = _undo(container, executor)
        if isinstance(error, OperationError):
            error = bundle.point_out(error)
        if problems:
            raise PyruntimeError("; ".join([_words(error), *problems])) from None
        raise error from None
    finally:
        container.close()
    return executor.state, [*bundle.warnings, *plan.warnings]


def _undo(container: "Container", executor: Executor | None) -> list[str]:
    """Takes back what a failed create has done; returns what went wrong with that.

    Once hooks have had their turn, poststop hooks have theirs (runtime.md, Lifecycle, steps 3 to 5 and 13).
    """
    from .destroy import destroy_remains, run_poststop
    from .pidfile import remove_pid_file

    problems = []
    if executor is not None:
        problems += _attempt(executor.abandon)
        if executor.wrote_pid_file:
            problems += _attempt(lambda: remove_pid_file(executor.request.pid_file))
    problems += _attempt(lambda: destroy_remains(container))
    if problems or executor is None or not executor.ran_hooks:
        return problems
    return run_poststop(executor.state, executor.config)


def _attempt(step: "Callable[[], None]") -> list[str]:
    """Does a part of the undoing; returns what went wrong with it, which must not keep the other parts from being
    done."""
    try:
        step()
    except (PyruntimeError, OSError) as error:
        return [_words(error)]
    return []


def _words(error: BaseException) -> str:
    return os_error(error) if isinstance(error, OSError) else str(error)
