"""`ps`."""

import posix

from .. import state
from ..errors import PyruntimeError
from ..run.kill import processes
from .flags import Flag, arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .flags import Values
    from .main import Context

ARGUMENTS = "ID [PS-OPTION...]"
DESCRIPTION = """
Lists the processes of a container, by their pids on the host. The table is that
of ps(1), run with your options (default: -ef), and needs a column PID.
"""
FLAGS = (Flag("format", "table", "table or json", "f"),)
# where ps is looked for when the caller has no PATH
PATH = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run(context: "Context", values: "Values", rest: list[str]) -> int:
    """Lists the processes of a container."""
    arguments("ps", rest, 1, len(rest))
    if values["format"] not in ("table", "json"):
        raise PyruntimeError("invalid format option")
    container = state.find(context.root(), rest[0])
    try:
        stored = container.load()
    finally:
        container.close()
    pids = sorted({pid for directory in stored["cgroups"] for pid in processes(directory)} - {0})
    if values["format"] == "json":
        print(str(pids).replace(" ", "") if pids else "null")  # an empty slice, to Go
    else:
        print("\n".join(chosen(_ps(rest[1:] or ["-ef"]), pids)))
    return 0


def chosen(table: str, pids: "Sequence[int]") -> list[str]:
    """Returns the header of what ps has printed, and the lines of those pids. Raises PyruntimeError."""
    header, *lines = table.splitlines() or [""]
    columns = header.split()
    if "PID" not in columns:
        raise PyruntimeError("couldn't find PID field in ps output")
    at = columns.index("PID")
    wanted = {str(pid) for pid in pids}
    kept = [header]
    for line in lines:
        fields = line.split(maxsplit=at + 1)
        if len(fields) > at and fields[at] in wanted:
            kept.append(line)
    return kept


def _ps(options: "Sequence[str]") -> str:
    """Runs ps(1); returns what it prints. Raises PyruntimeError."""
    read, write = posix.pipe2(posix.O_CLOEXEC)
    actions = [(posix.POSIX_SPAWN_DUP2, write, 1), (posix.POSIX_SPAWN_DUP2, write, 2)]
    environment = {b"PATH": PATH} | posix.environ
    try:
        pid = posix.posix_spawnp("ps", ["ps", *options], environment, file_actions=actions)
    except OSError as error:
        from ..errors import error_text

        raise PyruntimeError(f'exec: "ps": {error_text(error.errno or 0)}') from None
    finally:
        posix.close(write)
    with open(read, "rb", buffering=0) as file:
        output = file.readall().decode("utf-8", "backslashreplace")
    status = posix.waitstatus_to_exitcode(posix.waitpid(pid, 0)[1])
    if status:
        raise PyruntimeError(f"ps: exit status {status}: {output.strip()}")
    return output
