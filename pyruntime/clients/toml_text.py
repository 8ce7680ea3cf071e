"""Changes single lines of a TOML text (TOML 1.0); comments, order and everything else stay as they are.

Lines are found by their keys and changed as text. What has come out is then parsed, and has to be what was meant and
nothing else; so a form that this module does not know leads to an error, and never to a damaged file.
"""

import json
import re
import tomllib

from ..errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Path = tuple[str, ...]

KEY = re.compile(r"""[ \t]*("(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[A-Za-z0-9_-]+)[ \t]*""")
BARE = re.compile(r"[A-Za-z0-9_-]+")
# the pieces of a value: strings of four kinds, comments, brackets, the end of a line, and what else there is
PIECE = re.compile(
    r'''"""(?:[^\\]|\\.)*?"""(?:"{0,2})|\'\'\'.*?\'\'\'(?:'{0,2})|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|\#[^\n]*|[\[\]{}\n]'''
    r"""|[^"'\#\[\]{}\n]+""",
    re.DOTALL,
)
PLACE = re.compile(r"(.*) \(at line (\d+), column (\d+)\)", re.DOTALL)


class Statement:
    """A header of a table, or a key with its value, with the place of both in the text.

    `path` is from the top of the document. `start` is where the line begins and `end` where the next one does; for a
    key, `value` is where the value begins and `after` where it ends.
    """

    __slots__ = ("after", "end", "is_header", "path", "start", "value")

    def __init__(self, path: "Path", start: int, end: int, value: int, after: int, *, is_header: bool) -> None:
        self.path = path
        self.start = start
        self.end = end
        self.value = value
        self.after = after
        self.is_header = is_header


def parse(text: str, file: str) -> "dict[str, Any]":
    """Parses a document. Raises ConfigError, with the line."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = PLACE.fullmatch(str(error))
        problem = f", line {match[2]}, column {match[3]}: {match[1]}" if match else f": {error}"
        head, colon, tail = problem.partition(": ")
        raise ConfigError("", f"{file}{head}{colon}{tail[:1].lower()}{tail[1:]}") from None
    except RecursionError:
        raise ConfigError("", f"{file}: nested too deeply") from None


def table(document: "dict[str, Any]", path: "Path") -> "dict[str, Any]":
    """Returns the table at a path; an empty one if there is none, or something else."""
    value: Any = document
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def quoted(text: str) -> str:
    """Returns a basic string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def header(path: "Path") -> str:
    """Returns a path as a header has it, without the brackets."""
    return ".".join(name if BARE.fullmatch(name) else quoted(name) for name in path)


def statements(text: str) -> "Iterator[Statement]":
    """Finds the statements of a document that can be parsed."""
    position = 0
    prefix: Path = ()
    while position < len(text):
        start = position
        while position < len(text) and text[position] in " \t\r":
            position += 1
        if position == len(text) or text[position] in "\n#":
            position = _line_end(text, position)
            continue
        if text[position] == "[":
            path, _ = _path(text, position + 1 + text.startswith("[[", position))
            position = _line_end(text, position)
            prefix = path
            yield Statement(path, start, position, 0, 0, is_header=True)
            continue
        path, value = _path(text, position)
        value += 1  # the equals sign
        value += len(text[value:]) - len(text[value:].lstrip(" \t"))
        after = _value_end(text, value)
        position = _line_end(text, after)
        yield Statement((*prefix, *path), start, position, value, after, is_header=False)


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end + 1


def _path(text: str, position: int) -> "tuple[Path, int]":
    """Reads a dotted key; returns its parts and where it ends."""
    parts: list[str] = []
    while match := KEY.match(text, position):
        word, position = match[1], match.end()
        parts.append(word if BARE.fullmatch(word) else tomllib.loads(f"x = {word}")["x"])
        if text[position : position + 1] != ".":
            break
        position += 1
    return tuple(parts), position


def _value_end(text: str, position: int) -> int:
    depth, end = 0, position
    while match := PIECE.match(text, position):
        piece = match[0]
        if depth == 0 and piece[0] in "\n#":
            break
        depth += (piece in ("[", "{")) - (piece in ("]", "}"))
        position = match.end()
        if piece.strip() and piece[0] != "#":
            end = match.start() + len(piece.rstrip())
    return end


def _checked(text: str, file: str, wanted: "dict[str, Any]", what: str, *, taken: bool = False) -> str:
    """Returns the text, if it says what is wanted. Raises ConfigError."""
    try:
        found = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        found = {}
    same = _without_empty(found) == _without_empty(wanted) if taken else found == wanted
    if not same:
        raise ConfigError("", f"{file}: {what} is written in a form that has to be changed by hand")
    return text


def _without_empty(value: "Any") -> "Any":
    if not isinstance(value, dict):
        return value
    members = {name: _without_empty(member) for name, member in value.items()}
    return {name: member for name, member in members.items() if member != {}}


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def append(text: str, block: str) -> str:
    """Returns the text with lines at its end, behind an empty one."""
    line = _newline(text)
    if text and not text.endswith("\n"):
        text += line
    return text + (line if text.strip() else "") + block.replace("\n", line)


def assign(text: str, file: str, path: "Path", value: "Any") -> str:
    """Returns the text with a value (a string, a switch, or an array of strings) at a path. Raises ConfigError."""
    document = parse(text, file)
    if table(document, path[:-1]).get(path[-1]) == value:
        return text
    *tables, name = path
    inner = document
    for part in tables:
        inner = inner.setdefault(part, {})
        if not isinstance(inner, dict):
            raise ConfigError("", f"{file}: {header(path[:-1])} is not a table")
    inner[name] = value
    return _checked(_assigned(text, path, literal(value)), file, document, header(path))


def literal(value: "Any") -> str:
    """Returns a value as TOML has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    return quoted(value)


def _assigned(text: str, path: "Path", value: str) -> str:
    where: Statement | None = None  # the line that a new one follows
    inside = False
    for statement in statements(text):
        if statement.path == path and not statement.is_header:
            return text[: statement.value] + value + text[statement.after :]
        if statement.is_header:
            inside = statement.path == path[:-1]
            where = statement if inside else where
        elif where is not None and inside:
            where = statement
    line = f"{header(path[-1:])} = {value}"
    if where is None:
        return append(text, f"[{header(path[:-1])}]\n{line}\n")
    first = text[where.start : where.end]
    margin = first[: len(first) - len(first.lstrip(" \t"))] + ("  " if where.is_header else "")
    newline = _newline(text)
    before = text[: where.end] if first.endswith("\n") else text[: where.end] + newline
    return f"{before}{margin}{line}{newline}{text[where.end :]}"


def add_tables(text: str, file: str, block: str, what: str) -> str:
    """Returns the text with tables at its end that it does not have yet. Raises ConfigError."""
    document = parse(text, file)
    _merge(document, tomllib.loads(block))
    return _checked(append(text, block), file, document, what)


def _merge(document: "dict[str, Any]", more: "dict[str, Any]") -> None:
    for name, value in more.items():
        if isinstance(value, dict) and isinstance(document.get(name), dict):
            _merge(document[name], value)
        else:
            document[name] = value


def cut(text: str, file: str, path: "Path") -> str:
    """Returns the text without a table or key, and without the header that would be left alone. Raises ConfigError."""
    document = parse(text, file)
    outer = table(document, path[:-1])
    if path[-1] not in outer:
        return text
    del outer[path[-1]]
    found = list(statements(text))
    going = [statement for statement in found if statement.path[: len(path)] == path]
    for run in reversed(_runs(found, going)):
        text = _without_lines(text, run[0].start, run[-1].end)
    return _checked(text, file, document, header(path), taken=True)


def _runs(found: list[Statement], going: list[Statement]) -> list[list[Statement]]:
    """Returns the statements to go, those together that follow each other; and what would be a header without lines."""
    runs: list[list[Statement]] = []
    for at, statement in enumerate(found):
        if statement not in going:
            continue
        if runs and runs[-1][-1] is found[at - 1]:
            runs[-1].append(statement)
            continue
        behind = found[at + 1].is_header if at + 1 < len(found) else True
        alone = not statement.is_header and behind and at > 0 and found[at - 1].is_header
        # with a comment between them it is not alone
        alone = alone and found[at - 1].end == statement.start
        runs.append([found[at - 1], statement] if alone else [statement])
    return runs


def _without_lines(text: str, start: int, end: int) -> str:
    """Takes lines out, with the empty line before them if one follows too, or nothing."""
    before, behind = text[:start], text[end:]
    at_end = not behind.strip() or behind.lstrip(" \t")[:1] in "\r\n"
    for blank in ("\r\n\r\n", "\n\n"):
        if at_end and before.endswith(blank):
            return before[: -len(blank) // 2] + behind
    if at_end and not before.strip():
        return before.rstrip(" \t\r\n") + behind.lstrip("\r\n")
    return before + behind
