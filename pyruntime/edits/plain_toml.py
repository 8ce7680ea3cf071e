"""Reads the plain kind of TOML that settings are written in: headers, and keys with true, false, a text or some texts.

tomllib knows all of TOML, and takes as long to import as a whole create takes.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
WORDS = {"true": True, "false": False}
SPACE = " \t"


def parse(text: str) -> "dict[str, Any] | None":
    """Returns the tables of a document, None where it has anything else: then tomllib has to say what it is."""
    tables: dict[str, Any] = {}
    table: dict[str, Any] | None = None
    for line in text.split("\n"):
        part = line.strip(SPACE)
        if not part or (part[0] == "#" and part.isprintable()):
            continue
        if part[0] == "[":
            name = part[1:-1].strip(SPACE)
            if part[-1] != "]" or not _is_bare(name) or name in tables:
                return None
            table = tables[name] = {}
            continue
        key, equals, value = part.partition("=")
        key = key.rstrip(SPACE)
        if table is None or not equals or not _is_bare(key) or key in table:
            return None
        found = _value(value.strip(SPACE))
        if found is None:
            return None
        table[key] = found
    return tables


def _is_bare(name: str) -> bool:
    return name != "" and BARE.issuperset(name)


def _value(text: str) -> "bool | str | list[str] | None":
    """Returns a value, None if it is of another kind."""
    if text[:1] != "[":
        value, rest = _text(text) if text[:1] == '"' else (None, "")
        if value is None:
            word, _, _ = text.partition("#")
            return WORDS.get(word.rstrip(SPACE)) if text.isprintable() else None
        return value if _is_end(rest) else None
    values: list[str] = []
    rest = text[1:].lstrip(SPACE)
    while rest[:1] == '"':
        value, rest = _text(rest)
        if value is None:
            return None
        values.append(value)
        if rest[:1] == "]":
            break
        if rest[:1] != ",":
            return None
        rest = rest[1:].lstrip(SPACE)
    return values if rest[:1] == "]" and _is_end(rest[1:].lstrip(SPACE)) else None


def _text(text: str) -> tuple[str | None, str]:
    """Takes a text in quotes from the front; returns it, None if it is of another kind, and what follows."""
    value, quote, rest = text[1:].partition('"')
    if not quote or "\\" in value or not value.isprintable() or (value == "" and rest[:1] == '"'):
        return None, ""
    return value, rest.lstrip(SPACE)


def _is_end(rest: str) -> bool:
    return rest == "" or (rest[0] == "#" and rest.isprintable())
