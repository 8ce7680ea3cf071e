"""Reads the part of YAML that CDI files are written in: block mappings and sequences, and scalars on one line.

Flow forms ([a, b] and {a: b}) are read as long as they end on their line. What else YAML has is refused with the number
of the line: anchors, tags, multi-line scalars, several documents. So nothing means something that a reader would not
expect, and nothing grows when it is read.
"""

from ..errors import CdiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.model import Json

    # number, indentation, the rest without what trails
    Line = tuple[int, int, str]

DEEPEST = 32
# what a plain scalar cannot begin with: other syntax, or reserved
INDICATORS = "&*!|>%@`,[]{}#\"'?"
ESCAPES = {
    '"': '"', "\\": "\\", "/": "/", "0": "\0", "a": "\a", "b": "\b", "t": "\t", "n": "\n", "v": "\v", "f": "\f",
    "r": "\r", "e": "\x1b", " ": " ", "N": "\x85", "_": "\xa0",
}  # fmt: skip
HEXADECIMAL = {"x": 2, "u": 4, "U": 8}
HEX_DIGITS = frozenset("0123456789abcdefABCDEF")
NULLS = ("", "~", "null", "Null", "NULL")
TRUTHS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


def parse(text: str) -> "Json":
    """Parses one document. Raises CdiError."""
    lines = _lines(text)
    if not lines:
        return None
    reader = _Reader(lines)
    value = reader.block(lines[0][1], 0)
    if reader.at < len(lines):
        raise _error(lines[reader.at][0], "indented in a way that fits nothing")
    return value


def _error(number: int, problem: str) -> CdiError:
    return CdiError(f"line {number}: {problem}")


def _lines(text: str) -> "list[Line]":
    found: list[Line] = []
    ended = False
    # other line ends than these are text to YAML
    for number, raw in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        content = raw.lstrip(" ")
        indent = len(raw) - len(content)
        content = content.rstrip(" \t")
        if not content or content[0] == "#":
            continue
        if ended:
            raise _error(number, "text behind the end of the document")
        if content[0] == "\t":
            raise _error(number, "a tab in the indentation")
        if indent == 0 and (content == "---" or content.startswith(("--- #", "%"))):
            if found or content[0] == "%":
                raise _error(number, "a second document" if found else "a directive, which is not supported")
            continue
        if indent == 0 and content == "...":
            ended = True
            continue
        found.append((number, indent, content))
    return found


class _Reader:
    """The lines, and where we are in them. `line` is the one to be read next, None at the end."""

    __slots__ = ("at", "line", "lines")

    def __init__(self, lines: "list[Line]") -> None:
        self.lines = lines
        self.at = 0
        self.line: Line | None = lines[0]

    def advance(self) -> None:
        self.at += 1
        self.line = self.lines[self.at] if self.at < len(self.lines) else None

    def block(self, indent: int, depth: int) -> "Json":
        """Returns the value that begins at the current line."""
        assert self.line is not None
        number, _, content = self.line
        if depth > DEEPEST:
            raise _error(number, "nested too deeply")
        if _is_item(content):
            return self.sequence(indent, depth)
        if _split_key(number, content) is not None:
            return self.mapping(indent, depth)
        self.advance()
        if self.line is not None and self.line[1] > indent:
            raise _error(self.line[0], "text that goes on over several lines, which is not supported")
        return _inline(number, content)

    def sequence(self, indent: int, depth: int) -> "list[Json]":
        items: list[Json] = []
        while self.line is not None and self.line[1] == indent and _is_item(self.line[2]):
            number, _, content = self.line
            rest = content[1:].lstrip(" ")
            if not rest or rest[0] == "#":
                self.advance()
                items.append(self.below(indent, depth))
                continue
            # what stands behind the dash is a line of its own, as far in as it stands
            self.line = self.lines[self.at] = (number, indent + len(content) - len(rest), rest)
            items.append(self.block(self.line[1], depth + 1))
        self.check(indent)
        return items

    def mapping(self, indent: int, depth: int) -> "dict[str, Json]":
        found: dict[str, Json] = {}
        while self.line is not None and self.line[1] == indent and not _is_item(self.line[2]):
            number, _, content = self.line
            split = _split_key(number, content)
            if split is None:
                raise _error(number, "a key is expected")
            key, rest = split
            if key in found:
                raise _error(number, f"the key {key[:60]!r} occurs twice")
            self.advance()
            if rest and rest[0] != "#":
                found[key] = _inline(number, rest)
            elif self.line is not None and self.line[1] == indent and _is_item(self.line[2]):
                found[key] = self.sequence(indent, depth + 1)
            else:
                found[key] = self.below(indent, depth)
        self.check(indent)
        return found

    def below(self, indent: int, depth: int) -> "Json":
        """Returns the value on the lines that are further in, None if there are none."""
        if self.line is None or self.line[1] <= indent:
            return None
        return self.block(self.line[1], depth + 1)

    def check(self, indent: int) -> None:
        if self.line is not None and self.line[1] > indent:
            raise _error(self.line[0], "indented in a way that fits nothing")


def _is_item(content: str) -> bool:
    return content == "-" or content.startswith("- ")


def _split_key(number: int, content: str) -> "tuple[str, str] | None":
    """Returns key and rest of a line "key: rest", None if it has no key."""
    if content[0] in "\"'":
        key, end = _quoted(number, content, 0)
        rest = content[end:].lstrip(" ")
        return (key, rest[1:].lstrip(" \t")) if rest[:1] == ":" and rest[1:2] in ("", " ", "\t") else None
    if content[0] in "[{":
        return None
    if content[:2] in ("?", "? ") or content[0] == ":":
        raise _error(number, "a key of this form is not supported")
    end = content.find(": ")
    if end < 0 and content[-1] == ":":
        end = len(content) - 1
    comment = content.find(" #")
    if end < 0 or 0 <= comment < end:
        return None
    return _plain_text(number, content[:end].rstrip(" ")), content[end + 1 :].lstrip(" \t")


def _inline(number: int, text: str) -> "Json":
    """Returns the value that a line ends with."""
    flow = _Flow(number, text)
    value = flow.value(0) if text[0] in "[{\"'" else None
    if text[0] in "[{\"'":
        rest = text[flow.at :]
        if rest.strip(" \t") and not (rest[0] in " \t" and rest.lstrip(" \t")[0] == "#"):
            raise _error(number, f"text behind the end of a value: {rest.strip()[:60]!r}")
        return value
    plain = text.partition(" #")[0].rstrip(" \t")
    if ": " in plain or plain[-1:] == ":":
        raise _error(number, "a mapping on one line")
    return _resolve(_plain_text(number, plain))


def _plain_text(number: int, text: str) -> str:
    if not text or text[0] in INDICATORS or text[:2] in ("-", "?", "- ", "? ") or not _is_printable(text):
        raise _error(number, f"{text[:60]!r} is written in a form that is not supported")
    return text


def _is_printable(text: str) -> bool:
    return all(character >= " " and character != "\x7f" for character in text)


def _resolve(text: str) -> "Json":
    """Returns the value of a plain scalar: null, truth, number, else text (the core schema, and octals of YAML 1.1)."""
    if text in NULLS:
        return None
    if text in TRUTHS:
        return TRUTHS[text]
    digits = text[1:] if text[0] in "+-" else text
    if not (digits.isascii() and digits[:1].isdigit()) or len(digits) > 40:
        return text
    bases = {"0x": 16, "0o": 8, "0b": 2}
    base = bases.get(digits[:2], 8 if digits[0] == "0" and len(digits) > 1 else 10)
    body = digits[2:] if digits[:2] in bases else digits
    try:
        number = int(body, base) if body.isalnum() else None
        if number is not None:
            return -number if text[0] == "-" else number
        return float(text) if not set(digits) - set("0123456789.eE+-") else text
    except ValueError:
        return text


def _quoted(number: int, text: str, at: int) -> tuple[str, int]:
    """Returns a quoted scalar that begins at a place, and where it ends."""
    return _single(number, text, at) if text[at] == "'" else _double(number, text, at)


def _single(number: int, text: str, at: int) -> tuple[str, int]:
    parts = []
    while True:
        end = text.find("'", at + 1)
        if end < 0:
            raise _error(number, "a quoted text that does not end on its line")
        parts.append(text[at + 1 : end])
        if text[end + 1 : end + 2] != "'":
            return "'".join(parts), end + 1
        at = end + 1


def _double(number: int, text: str, at: int) -> tuple[str, int]:
    made: list[str] = []
    at += 1
    while at < len(text):
        character = text[at]
        at += 1
        if character == '"':
            return "".join(made), at
        if character != "\\":
            made.append(character)
            continue
        kind = text[at : at + 1]
        at += 1
        if kind in HEXADECIMAL:
            digits = text[at : at + HEXADECIMAL[kind]]
            at += len(digits)
            code = int(digits, 16) if len(digits) == HEXADECIMAL[kind] and set(digits) <= HEX_DIGITS else -1
            if not 0 <= code <= 0x10FFFF or 0xD800 <= code <= 0xDFFF:
                raise _error(number, "an escape that is no character")
            made.append(chr(code))
        elif kind in ESCAPES:
            made.append(ESCAPES[kind])
        else:
            raise _error(number, "an escape that is not known")
    raise _error(number, "a quoted text that does not end on its line")


class _Flow:
    """A value in flow form on one line."""

    __slots__ = ("at", "number", "text")

    def __init__(self, number: int, text: str) -> None:
        self.number = number
        self.text = text
        self.at = 0

    def skip(self) -> str:
        """Returns the next character that is no blank."""
        while self.text[self.at : self.at + 1] in (" ", "\t"):
            self.at += 1
        return self.text[self.at : self.at + 1]

    def value(self, depth: int) -> "Json":
        if depth > DEEPEST:
            raise _error(self.number, "nested too deeply")
        first = self.skip()
        if first == "[":
            return self.sequence(depth)
        if first == "{":
            return self.mapping(depth)
        if first and first in "\"'":
            text, self.at = _quoted(self.number, self.text, self.at)
            return text
        return _resolve(self.plain())

    def plain(self) -> str:
        start = self.at
        while self.at < len(self.text) and self.text[self.at] not in ",[]{}":
            if self.text[self.at] == ":" and self.text[self.at + 1 : self.at + 2] in ("", " ", ",", "]", "}"):
                break
            if self.text[self.at] == "#" and self.text[self.at - 1] == " ":
                break
            self.at += 1
        return _plain_text(self.number, self.text[start : self.at].rstrip(" \t"))

    def ends(self, end: str) -> bool:
        """Whether a list is over, else goes behind its comma."""
        found = self.skip()
        self.at += 1
        if found not in (end, ","):
            raise _error(self.number, f"a list that does not end with {end} on its line")
        if found == end:
            return True
        if self.skip() == end:
            self.at += 1
            return True
        return False

    def sequence(self, depth: int) -> "list[Json]":
        self.at += 1
        items: list[Json] = []
        if self.skip() == "]":
            self.at += 1
            return items
        while True:
            items.append(self.value(depth + 1))
            if self.ends("]"):
                return items

    def mapping(self, depth: int) -> "dict[str, Json]":
        self.at += 1
        found: dict[str, Json] = {}
        if self.skip() == "}":
            self.at += 1
            return found
        while True:
            first = self.skip()
            if first and first in "\"'":
                key, self.at = _quoted(self.number, self.text, self.at)
            else:
                key = self.plain()
            if self.skip() != ":":
                raise _error(self.number, f"the key {key[:60]!r} has no value")
            if key in found:
                raise _error(self.number, f"the key {key[:60]!r} occurs twice")
            self.at += 1
            found[key] = None if self.skip() in (",", "}") else self.value(depth + 1)
            if self.ends("}"):
                return found
