"""Groups of resctrl: made, given their schemata, removed (the kernel's filesystems/resctrl)."""

import errno
import posix

from ..errors import PyruntimeError
from ..paths import exists
from .files import read_text, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def create(directory: str, way: str, lines: "Sequence[str]") -> None:
    """Makes a group, or checks the one that is there.

    `way` is "make" for one that is made where it is missing, "find" for one that has to be there, "either" for one
    that is made, or is there with these lines among its schemata. Raises OSError, PyruntimeError.
    """
    if way == "find":
        posix.stat(directory)
        return
    try:
        posix.mkdir(directory, 0o755)
    except FileExistsError:
        if way == "either":
            _compare(directory, lines)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise PyruntimeError(
                f"there are no more resctrl groups to be had for {directory}: {_last_status(directory)}"
            ) from None
        raise


def _compare(directory: str, lines: "Sequence[str]") -> None:
    """config-linux.md, IntelRdt: a group that others may be in is not changed behind their backs."""
    present = {_key(line): _values(line) for line in read_text(f"{directory}/schemata").splitlines()}
    for line in lines:
        there = present.get(_key(line), {})
        if any(there.get(domain) != value for domain, value in _values(line).items()):
            raise PyruntimeError(f"{directory} is there already, and its schemata are not {line}")


def _key(line: str) -> str:
    return line.partition(":")[0].strip()


def _values(line: str) -> dict[str, str]:
    """Returns domain -> value of one line of schemata, such as L3:0=7f0;1=1f. The kernel pads with blanks and zeros."""
    values = {}
    for entry in line.partition(":")[2].split(";"):
        domain, _, value = entry.partition("=")
        values[domain.strip()] = value.strip().lower().lstrip("0") or "0"
    return values


def write_schemata(directory: str, lines: "Sequence[str]") -> None:
    """Writes lines of schemata, one after the other. Raises OSError, or PyruntimeError with what the kernel notes."""
    for line in lines:
        try:
            write(f"{directory}/schemata", f"{line}\n")
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            raise PyruntimeError(
                f"the kernel does not take {line!r} for {directory}/schemata: {_last_status(directory)}"
            ) from None


def _last_status(directory: str) -> str:
    """Returns what resctrl says about the last thing that it refused."""
    while directory and not exists(f"{directory}/info/last_cmd_status"):
        directory = directory.rpartition("/")[0]
    return read_text(f"{directory}/info/last_cmd_status").strip() if directory else "it does not say why"


def remove(directories: "Sequence[str]") -> None:
    """Removes groups; who is still in them falls back to the group above. Raises PyruntimeError."""
    for directory in directories:
        try:
            posix.rmdir(directory)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise PyruntimeError(f"unable to remove the resctrl group {directory}: {error.strerror}") from None
