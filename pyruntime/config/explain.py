"""Says why a config is refused. Only ever imported once it is: jsonschema takes 70 ms to load."""

import json
import re
from pathlib import Path

from ..errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, NoReturn

    from jsonschema.exceptions import ValidationError

    from .model import Json

NOUNS = {
    "string": "a string",
    "boolean": "true or false",
    "object": "an object",
    "array": "an array",
    "integer": "an integer",
}
MAX_CHOICES = 40


def schema(name: str) -> "dict[str, Any]":
    """Returns a schema of ours, from the package or, in a checkout, from specs/."""
    here = Path(__file__).resolve().parent
    for folder in (here / "schemas", here.parent.parent / "specs"):
        if (folder / name).is_file():
            return json.loads((folder / name).read_text())  # type: ignore[no-any-return]
    raise FileNotFoundError(name)


def validator(name: str) -> "Any":
    """Returns jsonschema's validator for a schema of ours.

    It judges as the compiled check does: 1.0 is no integer, and the end of a pattern is the end of the text, as the
    schemas' dialect has it, and not what stands before a last newline.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError
    from jsonschema.validators import extend

    def pattern(_: "Any", wanted: str, value: "Json", __: "Any") -> "Iterator[ValidationError]":
        if isinstance(value, str) and not re.search(wanted.replace("$", r"\Z"), value):
            yield ValidationError(f"{value!r} does not match {wanted!r}")

    checker = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    return extend(Draft202012Validator, {"pattern": pattern}, type_checker=checker)(schema(name))


def pointer(path: "Iterable[str | int]") -> str:
    """Writes a path into a document as messages do: process.rlimits[0].type, linux.sysctl["net.ipv4.ip_forward"]."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.isascii() and part.isidentifier():
            text += f".{part}" if text else part
        else:
            text += f"[{json.dumps(part, ensure_ascii=False)}]"
    return text


def quote(value: "Json") -> str:
    """Writes a value as JSON, cut to a length that fits a line."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def explain(config: "Json") -> "NoReturn":
    """Raises the ConfigError for a config that is_valid() refused."""
    try:
        origin, problem = reason(config)
    except RecursionError:  # jsonschema writes values down, and the scanner reads them deeper than that goes
        raise ConfigError("", "config.json has a value that is wrong, and nested too deeply to be shown") from None
    raise ConfigError(origin, problem)


def reason(config: "Json") -> tuple[str, str]:
    """Returns where a config is wrong, and how."""
    errors: Iterator[ValidationError] = validator("config.schema.json").iter_errors(config)
    # the outermost one: what is inside a wrong value cannot be judged
    error = min(errors, key=lambda error: len(error.absolute_path), default=None)
    if error is None:
        raise AssertionError("the compiled check refuses a config that the schema accepts")
    where = pointer(error.absolute_path)
    if error.validator == "required":
        missing = next(name for name in error.validator_value if name not in error.instance)
        where = f"{where}.{missing}" if where else missing
        return where, missing_text(where)
    return where, describe(error)


def missing_text(where: str) -> str:
    """Some of runc's texts are known to its users; they go with what we would say ourselves."""
    known = {"process.args": "args must not be empty", "process.cwd": "Cwd property must not be empty"}
    return known.get(where, "is missing")


def describe(error: "ValidationError") -> str:
    """Says what is wrong with the value an error is about, and what would be right."""
    value = quote(error.instance)
    subschema = error.schema if isinstance(error.schema, dict) else {}
    if "x-message" in subschema and error.validator != "type":
        return str(subschema["x-message"]) + ("" if error.instance in ([], "") else f": {value}")
    title = subschema.get("title")
    match error.validator:
        case "type":
            return f"{value} is not {NOUNS[str(error.validator_value)]}"
        case "enum":
            choices = [choice for choice in error.validator_value if choice][:MAX_CHOICES]
            return f"{value} is not {title} (one of {', '.join(choices)})"
        case "minimum" | "maximum":
            bounds = f"{subschema['minimum']} to {subschema['maximum']}"
            return f"{value} is not {title or 'in range'} ({bounds})"
        case "minLength" | "minItems":
            return "must not be empty"
        case "maxItems":
            return f"has {len(error.instance)} entries, more than {error.validator_value}"
        case "pattern":
            return f"{value} is not {title}"
        case _:
            return str(error.message)
