"""Reads and replaces configuration files: whole or not at all, with a backup of the old one."""

import os
import stat
import time

from ..config.load import read as read_regular
from ..errors import PyruntimeError

MODE = 0o644
# more backups of one second than anybody makes
MOST = 1000


class ConfigFile:
    """A configuration file, as it was when it was read.

    `path` is as given, `real` where it leads through symbolic links, `text` "" if there is none. Raises ConfigError and
    OSError.
    """

    __slots__ = ("data", "path", "real", "text")

    def __init__(self, path: str) -> None:
        self.path = path
        self.real = os.path.realpath(path)
        self.data = _read(self.real)
        self.text = _decoded(self.data or b"", path)

    @property
    def exists(self) -> bool:
        return self.data is not None

    def earlier(self) -> list[str | None]:
        """Returns the texts of the backups, the newest first; behind them None, since there may have been no file."""
        folder, prefix = _backup_place(self.real)
        try:
            names = sorted((name for name in os.listdir(folder) if name.startswith(prefix)), reverse=True)
        except FileNotFoundError:
            names = []
        texts: list[str | None] = []
        for name in names:
            try:
                texts.append(_decoded(_read(f"{folder}/{name}") or b"", name))
            except (PyruntimeError, OSError):  # not a backup of ours, or not to be read: there is nothing in it to use
                continue
        return [*texts, None]

    def replace(self, text: str | None) -> str:
        """Writes another text, or for None removes the file; returns the path of the backup, "" if there was no file.

        Mode, owner and extended attributes stay. Raises PyruntimeError when the file has changed meanwhile.
        """
        folder, base = os.path.split(self.real)
        os.makedirs(folder, mode=0o755, exist_ok=True)
        temporary = f"{folder}/.{base}.{os.getpid()}"
        made: list[str] = []
        try:
            if text is not None:
                self._write(temporary, text.encode(), made)
            backup = self._back_up(made)
            self._put(None if text is None else temporary)
        except BaseException:
            for path in made:
                os.unlink(path)
            raise
        _sync(folder)
        return backup

    def _put(self, temporary: str | None) -> None:
        if _read(self.real) != self.data:
            raise PyruntimeError(f"{self.path} has changed meanwhile: nothing is written")
        if temporary is not None:
            os.rename(temporary, self.real)
        else:
            os.unlink(self.real)

    def _back_up(self, made: list[str]) -> str:
        if self.data is None:
            return ""
        folder, prefix = _backup_place(self.real)
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        for number in range(MOST):
            path = f"{folder}/{prefix}{stamp}" + (f"-{number:03}" if number else "")
            if not os.path.lexists(path):
                self._write(path, self.data, made)
                _sync(folder)
                return path
        raise PyruntimeError(f"{folder}/{prefix}{stamp}: there are {MOST} backups of this second")

    def _write(self, path: str, data: bytes, made: list[str]) -> None:
        """Writes a new file, and notes it in `made`; it has what belongs to the old one beside its content."""
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        made.append(path)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            if self.data is None:
                os.fchmod(fd, MODE)
            else:
                _take_over(self.real, fd)
            file.flush()
            os.fsync(fd)


def _take_over(path: str, fd: int) -> None:
    status = os.stat(path)
    new = os.fstat(fd)
    if (new.st_uid, new.st_gid) != (status.st_uid, status.st_gid):
        os.fchown(fd, status.st_uid, status.st_gid)
    os.fchmod(fd, stat.S_IMODE(status.st_mode))
    try:
        for name in os.listxattr(path):
            os.setxattr(fd, name, os.getxattr(path, name))
    except OSError:  # labels that only the kernel or another user may set; the new file has those of its directory
        return


def _backup_place(real: str) -> tuple[str, str]:
    """Returns the directory for backups of a file, and what their names begin with.

    That is not the file's own directory if that is one for drop-in files: CRI-O reads all that it finds there.
    """
    folder, base = os.path.split(real)
    if folder.endswith(".d"):
        folder, above = os.path.split(folder)
        base = f"{above}-{base}"
    return folder, f"{base}.bak-"


def _read(path: str) -> bytes | None:
    """Returns what is in a regular file; None if there is none. Raises ConfigError."""
    return read_regular(path, "") if os.path.lexists(path) else None


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise PyruntimeError(f"{name}, line {line}: a byte is not UTF-8") from None


def _sync(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
