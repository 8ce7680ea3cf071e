"""Changes single members of a JSON text; order, indentation and everything else stay as they are.

The text has been through config/load.py, which is stricter than what is used here.
"""

import json

from ..config.dump import pretty
from ..errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..config.model import Json

SPACE = " \t\n\r"
DEFAULT_INDENT = "    "


class Member:
    """A member of an object: where its name begins, its value begins, and its value ends."""

    __slots__ = ("end", "name", "start", "value")

    def __init__(self, name: str, start: int, value: int, end: int) -> None:
        self.name = name
        self.start = start
        self.value = value
        self.end = end


def _skip(text: str, position: int) -> int:
    while text[position] in SPACE:
        position += 1
    return position


def members(text: str, brace: int) -> tuple[list[Member], int]:
    """Returns the members of the object that begins at `brace`, and where its closing brace is."""
    decoder = json.JSONDecoder()
    found: list[Member] = []
    position = _skip(text, brace + 1)
    while text[position] != "}":
        start = position
        name, position = decoder.raw_decode(text, start)
        value = _skip(text, _skip(text, position) + 1)
        _, end = decoder.raw_decode(text, value)
        found.append(Member(name, start, value, end))
        position = _skip(text, end)
        if text[position] == ",":
            position = _skip(text, position + 1)
    return found, position


def _member(found: "Sequence[Member]", name: str) -> Member | None:
    return next((member for member in found if member.name == name), None)


def put(text: str, file: str, path: "Sequence[str]", value: "Json") -> str:
    """Returns the text with a value at a path of names. Objects on the way are made where there are none.

    Raises ConfigError if something on the way is not an object.
    """
    return _put(text, file, _skip(text, 0), path, 0, value)


def _put(text: str, file: str, brace: int, path: "Sequence[str]", depth: int, value: "Json") -> str:
    if text[brace] != "{":
        line = text.count("\n", 0, brace) + 1
        raise ConfigError("", f"{file}, line {line}: {'.'.join(path[:depth])} is not an object")
    found, close = members(text, brace)
    member = _member(found, path[depth])
    nested = _nested(path[depth + 1 :], value)
    unit = _unit(text)
    if member is None:
        return _insert(text, brace, found, close, path[depth], nested, unit)
    old = text[member.value : member.end]
    if depth < len(path) - 1 and old != "null":  # null is as good as absent
        return _put(text, file, member.value, path, depth + 1, value)
    if json.loads(old) == nested:
        return text
    return text[: member.value] + _rendered(nested, unit, _margin(text, member.start), text) + text[member.end :]


def _nested(path: "Sequence[str]", value: "Json") -> "Json":
    for name in reversed(path):
        value = {name: value}
    return value


def _unit(text: str) -> str | None:
    """Returns what one level is indented by; None if the document has its members on one line."""
    brace = _skip(text, 0)
    if text[brace] != "{":
        return DEFAULT_INDENT
    found, _ = members(text, brace)
    if not found:
        return DEFAULT_INDENT
    if "\n" not in text[brace : found[0].start]:
        return None
    return _margin(text, found[0].start)[len(_margin(text, brace)) :] or DEFAULT_INDENT


def _margin(text: str, position: int) -> str:
    """Returns the white space that the line of a position begins with."""
    line = text[text.rfind("\n", 0, position) + 1 : position]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _rendered(value: "Json", unit: str | None, margin: str, text: str) -> str:
    """Returns a value as text, for a place in a line that begins with `margin`."""
    if unit is None:
        return json.dumps(value, ensure_ascii=False)
    return pretty(value, unit, _newline(text) + margin)


def _insert(
    text: str, brace: int, found: "Sequence[Member]", close: int, name: str, value: "Json", unit: str | None
) -> str:
    """Puts a new member behind the last one of an object."""
    key = json.dumps(name, ensure_ascii=False)
    if found:
        last = found[-1]
        # on lines of their own, or all on one, as the others are
        if "\n" in text[brace : found[0].start]:
            margin = _margin(text, found[0].start)
            joint = "," + _newline(text) + margin
        else:
            joint, unit, margin = ", ", None, ""
        return f"{text[: last.end]}{joint}{key}: {_rendered(value, unit, margin, text)}{text[last.end :]}"
    if unit is None:
        return f"{text[: brace + 1]}{key}: {_rendered(value, None, '', text)}{text[close:]}"
    outer = _margin(text, brace)
    inner, line = outer + unit, _newline(text)
    return f"{text[: brace + 1]}{line}{inner}{key}: {_rendered(value, unit, inner, text)}{line}{outer}{text[close:]}"


def take(text: str, path: "Sequence[str]") -> str:
    """Returns the text without the member at a path of names: the same text, if there is none."""
    brace = _skip(text, 0)
    for name in path[:-1]:
        member = _member(members(text, brace)[0], name)
        if member is None or text[member.value] != "{":
            return text
        brace = member.value
    found, close = members(text, brace)
    member = _member(found, path[-1])
    if member is None:
        return text
    at = found.index(member)
    if at:
        return text[: found[at - 1].end] + text[member.end :]
    if len(found) > 1:
        return text[: member.start] + text[found[1].start :]
    return text[: brace + 1] + text[close:]
