"""Finds the line of config.json that a message is about. For failures only."""

import json
import re

from ..errors import ConfigError, OperationError

# a name in quotes, an index, a name
PART = re.compile(r'\[("(?:[^"\\]|\\.)*")\]|\[(\d+)\]|\.?(\w+)')
SPACE = re.compile(r"[ \t\n\r]*")


def parts(origin: str) -> "list[str | int]":
    """Takes an origin apart: mounts[3].type -> mounts, 3, type.

    What follows in parentheses is for people. A name that is no word stands in brackets and quotes, as JSON has it.
    """
    found: list[str | int] = []
    position = 0
    while match := PART.match(origin, position):
        quoted, index, word = match.groups()
        found.append(json.loads(quoted) if quoted else int(index) if index else word)
        position = match.end()
    return found


def line(text: str, origin: str) -> int:
    """Returns the number of the line that holds the value, or the nearest one above it that there is; 0 for none."""
    position = _start(text, 0)
    try:
        for part in parts(origin):
            inner = _member(text, position, part)
            if inner < 0:
                break
            position = inner
    except (ValueError, IndexError, RecursionError):
        return 0
    return text.count("\n", 0, position) + 1


def _start(text: str, position: int) -> int:
    match = SPACE.match(text, position)
    return match.end() if match else position


def _member(text: str, position: int, part: "str | int") -> int:
    """Returns where a member of the object or array at `position` begins; -1 if there is none."""
    decoder = json.JSONDecoder()
    if text[position] != ("[" if isinstance(part, int) else "{"):
        return -1
    position = _start(text, position + 1)
    index = 0
    while text[position] not in "]}":
        key: str | int = index
        if not isinstance(part, int):
            key, position = decoder.raw_decode(text, position)
            position = _start(text, _start(text, position) + 1)
        if key == part:
            return position
        _, position = decoder.raw_decode(text, position)
        position = _start(text, position)
        if text[position] == ",":
            position = _start(text, position + 1)
        index += 1
    return -1


def point_out(error: "ConfigError | OperationError", source: bytes, name: str = "config.json", top: str = "") -> str:
    """Returns the message of an error that has an origin, with the line it comes from, unless all is on one line.

    `source` is the document `name`; it holds the whole config or the member `top` of one.
    """
    text = source.decode("utf-8", "replace").strip()
    origin = error.origin.removeprefix(top).removeprefix(".") if top else error.origin
    number = line(text, origin) if origin and "\n" in text else 0
    return f"{error} ({name}, line {number})" if number else str(error)
