"""Files of the host, as seen from a directory that stands for "/": the driver's own root, or a host mounted elsewhere.

Links are followed below that directory, as they would be for a process that has it as its root. What lies there is
the administrator's: for roots that a container can change while they are looked at see rootfs.py.
"""

import posix
from _stat import S_ISLNK, S_ISREG

from ...errors import PyruntimeError
from ...paths import absolute

MOST_LINKS = 40
MOST_BYTES = 1 << 20
ELOOP = 40


class Root:
    """`path` is the directory, "" for the host's own root. Paths given to the methods begin with "/"."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = "" if path in ("", "/") else absolute(path)

    def at(self, path: str) -> str:
        """Returns where on the host a resolved path is."""
        return (self.path + path) or "/"

    def resolve(self, path: str) -> str:
        """Returns the path without links. Raises OSError if there is nothing."""
        todo = path.split("/")[::-1]
        done: list[str] = []
        links = 0
        while todo:
            part = todo.pop()
            if part in ("", "."):
                continue
            if part == "..":
                del done[-1:]
                continue
            here = "/".join(["", *done, part])
            if not S_ISLNK(posix.lstat(self.at(here)).st_mode):
                done.append(part)
                continue
            links += 1
            if links > MOST_LINKS:
                raise OSError(ELOOP, "too many levels of symbolic links", self.at(path))
            target = posix.readlink(self.at(here))
            if target[:1] == "/":
                done = []
            todo += target.split("/")[::-1]
        return "/" + "/".join(done)

    def find(self, path: str) -> str:
        """Returns the path without links, "" if there is nothing that can be reached."""
        try:
            return self.resolve(path)
        except OSError:
            return ""

    def regular(self, directory: str, name: str) -> str:
        """Returns the path of a regular file without links, "" if there is none. `directory` is a resolved one."""
        path = f"{directory.rstrip('/')}/{name}"
        try:
            mode = posix.lstat(self.at(path)).st_mode
            if S_ISLNK(mode) or "/" in name:
                path = self.resolve(path)
                mode = posix.lstat(self.at(path)).st_mode
        except OSError:
            return ""
        return path if S_ISREG(mode) else ""

    def entries(self, path: str) -> list[str]:
        """Returns the names in a resolved directory; none if it is not there."""
        try:
            return posix.listdir(self.at(path))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise PyruntimeError(f"cannot read {self.at(path)}: {error.strerror}") from None

    def read(self, path: str) -> str:
        """Returns the text of a file of at most 1 MiB, "" if it is not there or cannot be read."""
        return self.read_bytes(path, MOST_BYTES).decode("utf-8", "replace")

    def read_bytes(self, path: str, most: int) -> bytes:
        """Returns a file whole, b"" if it is not there, cannot be read, or is larger than `most` bytes."""
        try:
            fd = posix.open(
                self.at(self.resolve(path)),
                posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK | posix.O_NOCTTY | posix.O_NOFOLLOW,
            )
        except OSError:
            return b""
        try:
            status = posix.fstat(fd)
            if not S_ISREG(status.st_mode) or status.st_size > most:
                return b""
            data = posix.read(fd, status.st_size + 1)
            while len(data) <= most and (chunk := posix.read(fd, 1 << 16)):  # files of procfs have no size
                data += chunk
        except OSError:
            return b""
        finally:
            posix.close(fd)
        return data if len(data) <= most else b""
