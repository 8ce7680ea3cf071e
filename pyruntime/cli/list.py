"""`list`."""

import posix

from .. import state
from ..config.dump import dumps
from ..errors import NoSuchContainer, PyruntimeError
from .flags import Flag, arguments
from .state import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.model import Json
    from .flags import Values
    from .main import Context

ARGUMENTS = ""
DESCRIPTION = "Lists the containers below the state directory (--root)."
FLAGS = (
    Flag("format", "table", "table or json", "f"),
    Flag("quiet", False, "show the ids only", "q"),
)
COLUMNS = ("ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER")
MIN_WIDTH, PADDING = 12, 3


def run(context: "Context", values: "Values", rest: list[str]) -> int:
    """Lists containers."""
    arguments("list", rest, 0, 0)
    if values["format"] not in ("table", "json"):
        raise PyruntimeError("invalid format option")
    ids = _ids(context.root(), given=bool(context.values["root"]))
    if values["quiet"]:
        for name in ids:
            print(name)
        return 0
    rows = []
    for name in ids:
        try:
            rows.append(_row(context.root(), name))
        except NoSuchContainer:
            continue  # gone, or not there yet
        except PyruntimeError as error:
            posix.write(2, f"load container {name}: {error}\n".encode())
    if values["format"] == "table":
        print(table(rows))
    else:
        print(dumps(list(rows)) if rows else "null")  # an empty slice, to Go
    return 0


def _ids(root: str, *, given: bool) -> list[str]:
    try:
        names = [entry.name for entry in posix.scandir(root) if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        if given:
            raise PyruntimeError(f"open {root}: no such file or directory") from None
        return []
    # what has no container's name was not put there by us
    return sorted([name for name in names if state.is_id(name)])


def _row(root: str, name: str) -> "dict[str, Json]":
    container = state.find(root, name)
    try:
        return describe(container, _owner(container.owner()))
    finally:
        container.close()


def _owner(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"


def table(rows: "list[dict[str, Json]]") -> str:
    """Returns the rows as runc prints them: columns of at least 12, three spaces apart, the last one ragged."""
    lines = [COLUMNS, *(tuple(str(row[column.lower()]) for column in COLUMNS) for row in rows)]
    widths = [max(MIN_WIDTH, *(len(line[at]) + PADDING for line in lines)) for at in range(len(COLUMNS) - 1)]
    return "\n".join(
        "".join(cell.ljust(width) for cell, width in zip(line, widths, strict=False)) + line[-1] for line in lines
    )
