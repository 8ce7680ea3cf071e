"""What is entered for a runtime, and how it is taken out again."""

from ..errors import PyruntimeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    class Client(Protocol):
        """The module of a client. All its functions take the text of a file ("" for none) and raise ConfigError."""

        TITLE: str
        RESTART: str

        def find(self, text: str, file: str, name: str) -> "Entry | None":
            """Returns what the text has of the runtime `name`; None for nothing."""

        def add(self, text: str, file: str, entry: "Entry") -> str:
            """Returns the text with the runtime in it: the same text, if it has all of it already."""

        def remove(self, text: str, file: str, name: str, default: str) -> str:
            """Returns the text without the runtime; if it is the default then `default` is, or, for "", none."""

        def default(self, text: str, file: str) -> str:
            """Returns the name of the default runtime; "" if the text has none."""

        def notes(self, text: str, file: str) -> list[str]:
            """Returns what whoever adds a runtime to this text should know."""


class Entry:
    """A runtime in a client's configuration.

    `path` is "" where a text has only the name, as its default. `version` is that of the form of containerd's file, for
    one that has none yet; `systemd_cgroup` is what containerd's other file says of runc.
    """

    __slots__ = ("default", "name", "path", "systemd_cgroup", "version")

    def __init__(
        self, name: str, path: str, *, default: bool = False, version: int = 0, systemd_cgroup: bool = False
    ) -> None:
        self.name = name
        self.path = path
        self.default = default
        self.version = version
        self.systemd_cgroup = systemd_cgroup


def taken_out(client: "Client", text: str, file: str, name: str, earlier: "Sequence[str | None]") -> str | None:
    """Returns a text without the runtime `name`; None if the file is to go.

    `earlier` has the texts of backups, the newest first, and None if there may have been no file. If the text is what
    add() makes of one of them, nobody has changed it since, and that one comes back, byte for byte. If not, only the
    runtime is taken out, and the default is the one from before it. Raises ConfigError.
    """
    entry = client.find(text, file, name)
    if entry is None:
        return text
    for other in earlier:
        if entry.path and _lacks(client, other, file, name) and _added(client, other or "", file, entry) == text:
            return other
    rest = client.remove(text, file, name, _earlier_default(client, file, name, earlier))
    return rest if rest.strip() else None


def _lacks(client: "Client", text: str | None, file: str, name: str) -> bool:
    try:
        return client.find(text or "", file, name) is None
    except PyruntimeError:  # a backup may be a file that was broken
        return False


def _earlier_default(client: "Client", file: str, name: str, earlier: "Sequence[str | None]") -> str:
    """Returns the default before `name` was it."""
    for other in earlier:
        try:
            found = client.default(other or "", file)
        except PyruntimeError:
            continue
        if found != name:
            return found
    return ""


def _added(client: "Client", text: str, file: str, entry: Entry) -> str | None:
    try:
        return client.add(text, file, entry)
    except PyruntimeError:
        return None
