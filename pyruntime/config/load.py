"""Reads JSON, strictly and cheaply.

The scanner is the one inside the json module, used without the module (which costs 7.7 ms). What the module lets pass
and a runtime must not is refused here: duplicate members (two readers could see two configs), NaN, text after the
document, NUL characters and lone surrogates (neither can be passed to the kernel as it is).

A member whose value is null counts as absent, as it does for Go clients, and is taken out.
"""

import posix
from _stat import S_ISFIFO, S_ISREG

from ..errors import ConfigError, os_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from .model import Config, Json

    Scanner = Callable[[str, int], tuple[Json, int]]

try:
    from _json import make_scanner
except ImportError:  # another interpreter, or a later CPython
    from json import JSONDecoder

    def make_scanner(options: "_Options") -> "Scanner":  # type: ignore[no-redef]
        return JSONDecoder(
            object_pairs_hook=options.object_pairs_hook,
            parse_float=options.parse_float,
            parse_constant=options.parse_constant,
        ).raw_decode


MAX_SIZE = 16 << 20
WHITESPACE = " \t\n\r"
INFINITY = float("inf")


class _Duplicate(ValueError):
    """A member that occurs twice."""


def _members(pairs: "list[tuple[str, Json]]") -> "dict[str, Json]":
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        raise _Duplicate(next(name for name in names if names.count(name) > 1))
    if None in members.values():
        return {name: value for name, value in pairs if value is not None}
    return members


def _constant(name: str) -> "NoReturn":
    raise ValueError(f"{name} is not a number in JSON")


def _number(text: str) -> float:
    value = float(text)
    if value in (INFINITY, -INFINITY):
        raise ValueError(f"{text if len(text) <= 20 else text[:17] + '...'} is too large a number")
    return value


class _Options:
    """What make_scanner reads its settings from."""

    strict = True
    object_hook = None
    object_pairs_hook = staticmethod(_members)
    parse_float = staticmethod(_number)
    parse_int = int
    parse_constant = staticmethod(_constant)


def parse(text: str, name: str) -> "Json":
    """Parses one JSON document.

    `name` is what messages call it. Raises ConfigError.
    """
    try:
        value, end = _scan(text)
    except StopIteration as stop:
        raise ConfigError("", f"{_place(name, text, stop.value)}: a value is expected") from None
    except _Duplicate as duplicate:
        raise ConfigError("", f"{name}: the member {str(duplicate)!r} occurs twice in one object") from None
    except RecursionError:
        raise ConfigError("", f"{name}: nested too deeply") from None
    except ValueError as error:
        raise ConfigError("", _problem(name, text, error)) from None
    if text[end:].strip(WHITESPACE):
        raise ConfigError("", f"{_place(name, text, end)}: there is text behind the end of the document")
    if "\\u0000" in text or "\\ud" in text or "\\uD" in text:
        _check_strings(value, "")
    return value


def _scan(text: str) -> "tuple[Json, int]":
    start = len(text) - len(text.lstrip(WHITESPACE))
    scan = make_scanner(_Options())  # type: ignore[arg-type]
    try:
        return scan(text, start)
    except SystemError:
        # the scanner takes its exception from a module that is not there before it is needed (CPython 3.11)
        import json.decoder  # noqa: F401

        return scan(text, start)


def _problem(name: str, text: str, error: ValueError) -> str:
    if (message := getattr(error, "msg", "")) and (position := getattr(error, "pos", None)) is not None:
        return f"{_place(name, text, position)}: {message[0].lower()}{message[1:]}"
    if str(error).startswith("Exceeds the limit"):  # of digits, which int() has so that it cannot be kept busy
        return f"{name}: a number has too many digits"
    return f"{name}: {error}"


def _place(name: str, text: str, position: int) -> str:
    line = text.count("\n", 0, position) + 1
    column = position - (text.rfind("\n", 0, position) + 1) + 1
    return f"{name}, line {line}, column {column}"


def _check_strings(value: "Json", origin: str) -> None:
    if isinstance(value, str):
        if "\0" in value:
            raise ConfigError(origin, "holds a NUL character")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ConfigError(origin, "holds half of a surrogate pair") from None
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_strings(item, f"{origin}[{index}]")
    elif isinstance(value, dict):
        for name, member in value.items():
            _check_strings(name, origin)
            _check_strings(member, f"{origin}.{name}" if origin else name)


def read(path: str, missing: str, *, pipes: bool = False) -> bytes:
    """Reads a whole file of at most 16 MiB.

    `missing` is the message when it is not there. With `pipes` it may also be a pipe, as a shell's <(...) is. Raises
    ConfigError.
    """
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK | posix.O_NOCTTY)
    except FileNotFoundError:
        raise ConfigError("", missing) from None
    except OSError as error:
        raise ConfigError("", f"open {os_error(error)}") from None
    try:
        status = posix.fstat(fd)
        if pipes and S_ISFIFO(status.st_mode):
            posix.set_blocking(fd, True)
            return drain(fd, path)
        if not S_ISREG(status.st_mode):
            raise ConfigError("", f"{path} is not a regular file")
        data = posix.read(fd, status.st_size + 1) if status.st_size <= MAX_SIZE else b""
        # a file system may give less than asked for, and procfs says 0 of all its files
        while data and len(data) != status.st_size and len(data) <= MAX_SIZE and (more := posix.read(fd, 65536)):
            data += more
    finally:
        posix.close(fd)
    if status.st_size > MAX_SIZE or len(data) > MAX_SIZE:
        raise ConfigError("", f"{path} is larger than {MAX_SIZE >> 20} MiB")
    return data


def drain(fd: int, name: str) -> bytes:
    """Reads what comes from a descriptor, at most 16 MiB. Raises ConfigError."""
    data = b""
    while len(data) <= MAX_SIZE and (more := posix.read(fd, 65536)):
        data += more
    if len(data) > MAX_SIZE:
        raise ConfigError("", f"{name} is larger than {MAX_SIZE >> 20} MiB")
    return data


def decode(data: bytes, name: str) -> "Json":
    """Parses the bytes of a JSON document in UTF-8. Raises ConfigError."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError("", f"{name}: byte {error.start} is not UTF-8") from None
    if text[:1] == "\ufeff":
        raise ConfigError("", f"{name} begins with a byte order mark, which JSON does not have")
    return parse(text, name)


def parse_config(source: bytes) -> "Config":
    """Parses the bytes of a config.json and holds them against specs/config.schema.json. Raises ConfigError."""
    from .verdict import is_valid

    config = decode(source, "config.json")
    if not is_valid(config):
        from .explain import explain

        explain(config)
    return config  # type: ignore[return-value]
