"""`exec`."""

from .. import state
from ..paths import absolute
from ..plan.facts import Request
from .console import PIDFD_SOCKET, announcer, connect_console
from .create import check_preserved, observer
from .flags import Flag, arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.model import Process
    from .flags import Values
    from .main import Context

ARGUMENTS = "ID [--] PROGRAM [ARGUMENT...]\n   pyruntime exec [options] --process FILE ID"
DESCRIPTION = """
Runs one more program in a container, created or running, and exits with its
status (128 and the signal, if one ended it), or with 255 when it could not be
run. With --process the program and all about it come from a file, otherwise
from the bundle's config.json and the flags.
"""
FLAGS = (
    Flag("process", "", "file that describes the process: the object that config.json calls process", "p"),
    Flag("detach", False, "return when the program runs", "d"),
    Flag("tty", False, "give it a terminal", "t"),
    Flag("console-socket", "", "AF_UNIX socket that is sent the terminal's descriptor"),
    PIDFD_SOCKET,
    Flag("pid-file", "", "file to write the pid of the process to"),
    Flag("cwd", "", "directory to run it in"),
    Flag("env", [], "NAME=VALUE to add to its environment (repeatable)", "e"),
    Flag("user", "", "user id, and after a colon the group id, to run it as", "u"),
    Flag("additional-gids", [], "further group id (repeatable)", "g"),
    Flag("process-label", "", "SELinux label"),
    Flag("apparmor", "", "AppArmor profile"),
    Flag("no-new-privs", False, "keep it from gaining privileges"),
    Flag("cap", [], "capability to add to its bounding, effective and permitted set (repeatable)", "c"),
    Flag("preserve-fds", 0, "pass on this many descriptors, from 3"),
    Flag("cgroup", [], "cgroup below the container's own, on v1 CONTROLLER[,CONTROLLER]:PATH (repeatable)"),
    Flag("ignore-paused", False, "also in a paused container: the program runs once that is resumed"),
)


def run(context: "Context", values: "Values", rest: list[str]) -> int:
    """Runs a program in a container."""
    from ..run.descriptors import sweep_descriptors

    inherited = sweep_descriptors()
    arguments("exec", rest, 1 if values["process"] else 2, len(rest))
    container = state.find(context.root(), rest[0])
    try:
        process = _process(container, values, rest[1:])
        preserve = int(values["preserve-fds"])  # type: ignore[arg-type]
        check_preserved(inherited, preserve)
        request = Request(
            container_id=rest[0],
            bundle="",
            state_root=context.root(),
            pid_file=absolute(str(values["pid-file"])) if values["pid-file"] else "",
            preserve_fds=preserve,
            waits=False,
        )
        return _execute(context, values, container, process, request)
    finally:
        container.close()


def _process(container: "state.Container", values: "Values", words: list[str]) -> "Process":
    if values["process"]:
        from ..config.load import read
        from ..run.exec import read_process

        path = str(values["process"])
        return read_process(read(path, f"open {path}: no such file or directory", pipes=True))
    from .process import process_of_flags

    return process_of_flags(container, values, words)


def _execute(
    context: "Context", values: "Values", container: "state.Container", process: "Process", request: Request
) -> int:
    terminal, detached = bool(process.get("terminal")), bool(values["detach"])
    console = connect_console(str(values["console-socket"]), terminal=terminal, detached=detached)
    request.console = terminal
    if detached:
        _start(context, values, container, process, request, console)
        return 0
    from ..run.foreground import Foreground

    foreground = Foreground(terminal=terminal, subreaper=False)
    try:
        if terminal and (size := foreground.console_size()) is not None:
            # from the beginning: the program may ask for it before we have the terminal
            process["consoleSize"] = size
        pid = _start(context, values, container, process, request, foreground.console_end)
        foreground.take_terminal()
        return foreground.wait(pid)
    finally:
        foreground.close()


def _start(
    context: "Context",
    values: "Values",
    container: "state.Container",
    process: "Process",
    request: Request,
    console: int,
) -> int:
    from ..run.exec import execute

    announce = announcer(str(values["pidfd-socket"]), b"setns")
    pid, warnings = execute(
        container,
        process,
        request,
        values["cgroup"],  # type: ignore[arg-type]
        ignore_paused=bool(values["ignore-paused"]),
        console=console,
        observer=observer(context),
        announce=announce,
    )
    for warning in warnings:
        context.log().warning(warning)
    return pid
