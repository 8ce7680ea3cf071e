"""Docker's daemon.json: `runtimes` and `default-runtime` (dockerd(8), Daemon configuration file)."""

from ..config.load import decode
from ..errors import ConfigError
from .entry import Entry
from .json_text import put, take

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TITLE = "Docker"
RESTART = "restart Docker: systemctl restart docker"
FILE = "/etc/docker/daemon.json"


def _document(text: str, file: str) -> "dict[str, Any]":
    """Returns the document; an empty file is one without members, as it is for dockerd."""
    document = decode((text if text.strip() else "{}").encode("utf-8", "surrogatepass"), file)
    if not isinstance(document, dict):
        raise ConfigError("", f"{file}, line 1: the document is not an object")
    return document


def find(text: str, file: str, name: str) -> Entry | None:
    """Returns what the text has of a runtime; None for nothing."""
    document = _document(text, file)
    runtimes = document.get("runtimes")
    known = isinstance(runtimes, dict) and name in runtimes
    is_default = document.get("default-runtime") == name
    if not known and not is_default:
        return None
    return Entry(name, _path(runtimes, name), default=is_default)


def _path(runtimes: "Any", name: str) -> str:
    entry = runtimes.get(name) if isinstance(runtimes, dict) else None
    path = entry.get("path") if isinstance(entry, dict) else None
    return path if isinstance(path, str) else ""


def add(text: str, file: str, entry: Entry) -> str:
    """Returns the text with a runtime in it."""
    document = _document(text, file)
    text = text if text.strip() else "{}\n"
    runtimes = document.get("runtimes")
    if _path(runtimes, entry.name):
        text = put(text, file, ("runtimes", entry.name, "path"), entry.path)
    else:  # none, or a shim, which has another form
        text = put(text, file, ("runtimes", entry.name), {"path": entry.path})
    return put(text, file, ("default-runtime",), entry.name) if entry.default else text


def remove(text: str, file: str, name: str, default: str) -> str:
    """Returns the text without a runtime, and without `runtimes` when that has no other."""
    document = _document(text, file)
    runtimes = document.get("runtimes")
    if isinstance(runtimes, dict) and name in runtimes:
        text = take(text, ("runtimes", name) if len(runtimes) > 1 else ("runtimes",))
    if document.get("default-runtime") == name:
        text = put(text, file, ("default-runtime",), default) if default else take(text, ("default-runtime",))
    return text


def default(text: str, file: str) -> str:
    """Returns the name of the default runtime; "" if the text has none."""
    found = _document(text, file).get("default-runtime")
    return found if isinstance(found, str) else ""


def notes(text: str, file: str) -> list[str]:
    """Returns nothing: what matters to Docker is in the text."""
    return []
