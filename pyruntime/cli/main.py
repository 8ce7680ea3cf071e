"""The dispatcher: global flags, then one command. Errors end up here, and nowhere else are they printed."""

import gc
import posix
import sys
from _signal import SIG_DFL, signal

from .. import image
from ..errors import PyruntimeError, UsageError, os_error
from ..paths import absolute
from .flags import Flag, parse

SIGCHLD = 17
# each is a module beside this one
COMMANDS = frozenset(
    (
        "cdi",
        "configure",
        "create",
        "delete",
        "events",
        "exec",
        "features",
        "gpu",
        "kill",
        "list",
        "pause",
        "plan",
        "ps",
        "resume",
        "run",
        "spec",
        "start",
        "state",
        "update",
    )
)
# what comes behind the id belongs to another program's command line
PROGRAM_FOLLOWS = ("exec", "ps")
# exit status of `exec` when the program did not run: other numbers are the program's own
NOT_EXECUTED = 255

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from ..edits.settings import Settings
    from .flags import Values
    from .log import Log

GLOBAL_FLAGS = (
    Flag("debug", False, "log what is done, op by op"),
    Flag("log", "", "file to write the log to (default: standard error)"),
    Flag("log-format", "text", "form of the log: text or json"),
    Flag("root", "", "directory for the state of containers, on a tmpfs (default: /run/pyruntime)"),
    Flag("config", "", "settings of the administrator (default: /etc/pyruntime/config.toml, if it exists)"),
    Flag("gpu", False, "act on NVIDIA_VISIBLE_DEVICES, as enable = true under [nvidia] in the settings does"),
    Flag("systemd-cgroup", False, "let systemd make the cgroups; cgroupsPath is then slice:prefix:name"),
    Flag("criu", "", "accepted and ignored, as by runc"),
    Flag("rootless", "auto", "ignore that cgroups are not permitted: true, false or auto"),
    Flag("help", False, "show help", "h"),
    Flag("version", False, "print the version", "v"),
)


class Context:
    """What the global flags say, for a command."""

    __slots__ = ("_log", "values")

    def __init__(self, values: "Values") -> None:
        self.values = values
        self._log: Log | None = None

    def root(self) -> str:
        """Returns the absolute path of the state directory."""
        return state_root(str(self.values["root"]))

    def settings(self) -> "Settings":
        """Returns what the administrator has set. Raises PyruntimeError when the file is wrong."""
        from ..edits.settings import load

        return load(str(self.values["config"]))

    def log(self) -> "Log":
        """Returns the log. Raises PyruntimeError when it cannot be opened; from then on it is standard error."""
        if self._log is None:
            from .log import Log

            form = str(self.values["log-format"])
            self._log = Log(form, debug=bool(self.values["debug"]))
            self._log.open(str(self.values["log"]), form)
        return self._log


def state_root(given: str) -> str:
    """Returns the absolute state directory: the one given, else /run/pyruntime, else the user's own.

    Only the user namespace and XDG_RUNTIME_DIR decide: podman calls with few variables and not always the same.
    """
    if given:
        path = absolute(given)
        if path == "/":
            raise PyruntimeError("Option --root argument should not be set to /")
        return path
    runtime_dir = posix.environ.get(b"XDG_RUNTIME_DIR", b"").decode("utf-8", "surrogateescape")
    if runtime_dir and (posix.geteuid() != 0 or _in_user_namespace()):
        from ..state import make_directories

        path = f"{runtime_dir}/pyruntime"
        # the sticky bit keeps cleaners of temporary files away (XDG Base Directory Specification)
        make_directories(path)
        posix.chmod(path, 0o1700)
        return path
    return "/run/pyruntime"


def _in_user_namespace() -> bool:
    with open("/proc/self/uid_map", "rb", buffering=0) as file:
        return file.read().split() != [b"0", b"0", b"4294967295"]


def command(name: str) -> "ModuleType | None":
    """Imports the module of a command, and no other; None if there is no such command."""
    if name not in COMMANDS:
        return None
    image.load(name)
    return __import__(f"{__package__}.{name}", fromlist=("run",))


def main(argv: "Sequence[str]") -> int:
    """Runs one command line, without the program's name; returns the exit status."""
    context = None
    try:
        values, rest = parse(argv, GLOBAL_FLAGS, stop_early=True)
        if values["version"]:
            return _version()
        context = Context(values)
        if values["log"] or values["log-format"] != "text":
            context.log()  # made at once: clients look for the file, whatever happens
        if not rest or rest[0] in ("help", "h"):
            return _help(context, rest[1:])
        return _dispatch(rest, context)
    except UsageError as error:
        return _misused(None, error, "")
    except PyruntimeError as error:
        return _fail(context, str(error), 1)
    except OSError as error:
        return _fail(context, os_error(error), 1)
    except KeyboardInterrupt:
        return 130
    except (RecursionError, MemoryError) as error:
        return _fail(context, f"{type(error).__name__}: the input is too large", 1)
    except ImportError as error:  # what only failures and `run` need may be missing
        return _fail(context, f"{error}: pyruntime is not installed completely (docs/guide/install.md)", 1)


def _dispatch(rest: list[str], context: Context) -> int:
    name = rest[0]
    module = command(name)
    if module is None:
        return _fail(context, f"No help topic for '{name}'", 3)
    # runc takes some of the global flags behind the command too
    late = tuple(flag for flag in GLOBAL_FLAGS if flag.name in ("root", "debug", "systemd-cgroup", "help"))
    try:
        own, arguments = parse(rest[1:], (*module.FLAGS, *late), stop_early=name in PROGRAM_FOLLOWS)
        if own["help"] or context.values["help"]:
            return _help(context, [name])
        for flag in late:
            if own[flag.name] != flag.default:
                context.values[flag.name] = own[flag.name]
        return int(module.run(context, own, arguments))
    except UsageError as error:
        return _misused(context, error, name)
    except (PyruntimeError, OSError) as error:
        return _failed(context, name, error)


def _failed(context: Context, name: str, error: PyruntimeError | OSError) -> int:
    """Says that a command has failed. The words in front are runc's."""
    text = os_error(error) if isinstance(error, OSError) else str(error)
    if name == "exec":
        return _fail(context, f"exec failed: {text}", NOT_EXECUTED)
    prefix = f"pyruntime {name} failed: " if name in ("create", "run") and isinstance(error, PyruntimeError) else ""
    return _fail(context, prefix + text, 1)


def _fail(context: Context | None, message: str, status: int) -> int:
    from .log import Log

    log = context.log() if context is not None else Log("text", debug=False)
    log.error(message)
    return status


def _misused(context: Context | None, error: UsageError, name: str) -> int:
    """Shows the help of a command, or the program's if `name` is empty, and says what was wrong."""
    from .help import overview, usage

    module = command(name) if name else None
    print(f"Incorrect Usage.\n\n{usage(name, module) if module else overview()}", flush=True)
    return _fail(context, str(error), 1)


def _help(context: Context, words: "Sequence[str]") -> int:
    from .help import overview, usage

    module = command(words[0]) if words else None
    if words and module is None:
        return _fail(context, f"No help topic for '{words[0]}'", 3)
    print(usage(words[0], module) if module else overview())
    return 0


def _version() -> int:
    from .. import SPEC_VERSION, __version__

    try:
        from .._build import INIT_SHA256

        commit = f"init-{INIT_SHA256[:12]}"
    except ImportError:
        commit = "not built"
    print(f"pyruntime version {__version__}\ncommit: {commit}\nspec: {SPEC_VERSION}")
    return 0


def _ensure_streams() -> None:
    """Opens /dev/null for standard streams that are closed: no file of ours may become one by taking its number."""
    for stream in range(3):
        try:
            posix.fstat(stream)
        except OSError:
            posix.set_inheritable(posix.open("/dev/null", posix.O_RDWR), True)


def entry() -> None:
    """Runs the process's own command line and ends the process, without taking the interpreter apart first."""
    gc.disable()  # a command is over before there is garbage worth looking for; `run` enables it again
    signal(SIGCHLD, SIG_DFL)  # where a caller has it ignored nobody can wait for a child
    _ensure_streams()
    try:
        status = main(sys.argv[1:])
        if sys.stdout is not None:  # so it is when the caller has closed it
            sys.stdout.flush()
    except BrokenPipeError:
        status = 1
    except OSError as error:
        status = _fail(None, f"write /dev/stdout: {os_error(error)}", 1)
    posix._exit(status)
