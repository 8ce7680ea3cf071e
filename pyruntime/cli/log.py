"""Where messages go: standard error, and the file of --log in the form that its readers parse.

containerd's shim takes the last record of level "error" for the reason of a failure, whenever that was; so an error is
written only by a command that fails.
"""

import posix
import time

from ..errors import PyruntimeError, os_error


class Log:
    """The log of one command: on standard error until open() has been told of a file."""

    def __init__(self, form: str, *, debug: bool) -> None:
        self._json = form == "json"
        self._debug = debug
        self._fd = -1

    def open(self, path: str, form: str) -> None:
        """Opens the file `path`, if it is not empty. Raises PyruntimeError for that and for an unknown form."""
        if form not in ("", "text", "json"):
            raise PyruntimeError(f"invalid log-format: {form}")
        if path:
            flags = posix.O_CREAT | posix.O_WRONLY | posix.O_APPEND | posix.O_SYNC | posix.O_CLOEXEC
            try:
                # made even if nothing will be written: clients open it after a failure
                self._fd = posix.open(path, flags, 0o644)
            except OSError as error:
                raise PyruntimeError(f"open {os_error(error)}") from None

    def error(self, message: str) -> None:
        """Reports why the command fails."""
        self._write("error", message)
        if self._fd >= 0:
            # with a log file standard error is for people
            _write(2, printable(message))

    def warning(self, message: str) -> None:
        self._write("warning", message)

    def debug(self, message: str) -> None:
        if self._debug:
            self._write("debug", message)

    def _write(self, level: str, message: str) -> None:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        if self._json:
            from ..config.dump import dumps

            line = dumps({"level": level, "msg": message, "time": stamp})
        else:
            line = f'time="{stamp}" level={level} msg={quoted(message)}'
        _write(2 if self._fd < 0 else self._fd, line)


def _write(fd: int, line: str) -> None:
    """Writes a line. What keeps it from being written could only be told in the same place."""
    try:
        posix.write(fd, f"{line}\n".encode("utf-8", "backslashreplace"))
    except OSError:
        return


def printable(text: str) -> str:
    """Returns text without characters that a terminal would act on."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def quoted(text: str) -> str:
    """Returns text in double quotes, as logrus writes it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{printable(escaped)}"'
