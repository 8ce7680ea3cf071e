"""Says why a config is refused. Only ever imported once it is: jsonschema takes 70 ms to load."""

import json
from pathlib import Path

from ..errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
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
    """Returns jsonschema's validator for a schema of ours; to it 1.0 is no integer, as it is to us."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    checker = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    return extend(Draft202012Validator, type_checker=checker)(schema(name))


def origin(path: "Iterable[str | int]") -> str:
    """Writes a path into a document as messages do: process.rlimits[0].type."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def quote(value: "Json") -> str:
    """Writes a value as JSON, cut to a length that fits a line."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def explain(config: "Json") -> "NoReturn":
    """Raises the ConfigError for a config that is_valid() refused."""
    from jsonschema.exceptions import best_match

    error = best_match(validator("config.schema.json").iter_errors(config))
    if error is None:
        raise AssertionError("the compiled check refuses a config that the schema accepts")
    where = origin(error.absolute_path)
    problem = describe(error)
    if error.validator == "required":
        missing = next(name for name in error.validator_value if name not in error.instance)
        where = f"{where}.{missing}" if where else missing
        problem = missing_text(where)
    raise ConfigError(where, problem)


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
