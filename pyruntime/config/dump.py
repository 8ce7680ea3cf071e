"""Writes JSON: compact for state files and hooks, indented for people. Two functions in place of the json module."""

from .. import SPEC_VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .model import Config, Json

try:
    from _json import encode_basestring
except ImportError:  # another interpreter, or a later CPython
    from json.encoder import encode_basestring


def dumps(value: "Json | Mapping[str, Json]") -> str:
    """Returns JSON on one line without spaces; hooks that take it apart by hand rely on that form."""
    if isinstance(value, str):
        return encode_basestring(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list):
        return "[" + ",".join([dumps(item) for item in value]) + "]"
    return "{" + ",".join([encode_basestring(key) + ":" + dumps(item) for key, item in value.items()]) + "}"


def pretty(value: "Json | Mapping[str, Json]", indent: str = "  ", level: str = "\n") -> str:
    """Returns JSON with a line per member."""
    inner = level + indent
    if isinstance(value, list) and value:
        return "[" + inner + ("," + inner).join([pretty(item, indent, inner) for item in value]) + level + "]"
    if isinstance(value, dict) and value:
        members = [f"{encode_basestring(key)}: {pretty(item, indent, inner)}" for key, item in value.items()]
        return "{" + inner + ("," + inner).join(members) + level + "}"
    return dumps(value)


def hook_state(config: "Config", container_id: str, bundle: str, status: str, pid: int | None) -> str:
    """Returns the state as hooks get it on standard input (runtime.md, State). `pid` None: there is no process."""
    state: dict[str, Json] = {"ociVersion": SPEC_VERSION, "id": container_id, "status": status}
    if pid is not None:
        state["pid"] = pid
    state["bundle"] = bundle
    if config.get("annotations"):
        state["annotations"] = dict(config["annotations"])
    return dumps(state)
