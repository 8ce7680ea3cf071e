"""Podman's containers.conf and the files beside it (containers.conf(5)): [engine.runtimes] and `runtime`."""

from .entry import Entry
from .toml_text import assign, cut, parse, table

TITLE = "Podman"
RESTART = "nothing to restart, but for a service of Podman that runs: systemctl restart podman"
FOLDER = "/etc/containers/containers.conf.d"

ENGINE = ("engine",)
RUNTIMES = ("engine", "runtimes")


def find(text: str, file: str, name: str) -> Entry | None:
    """Returns what the text has of a runtime; None for nothing."""
    document = parse(text, file)
    is_default = table(document, ENGINE).get("runtime") == name
    paths = table(document, RUNTIMES).get(name)
    if paths is None and not is_default:
        return None
    path = paths[0] if isinstance(paths, list) and len(paths) == 1 and isinstance(paths[0], str) else ""
    return Entry(name, path, default=is_default)


def add(text: str, file: str, entry: Entry) -> str:
    """Returns the text with a runtime in it."""
    text = assign(text, file, (*RUNTIMES, entry.name), [entry.path])
    return assign(text, file, (*ENGINE, "runtime"), entry.name) if entry.default else text


def remove(text: str, file: str, name: str, default: str) -> str:
    """Returns the text without a runtime."""
    is_default = table(parse(text, file), ENGINE).get("runtime") == name
    text = cut(text, file, (*RUNTIMES, name))
    if not is_default:
        return text
    return assign(text, file, (*ENGINE, "runtime"), default) if default else cut(text, file, (*ENGINE, "runtime"))


def default(text: str, file: str) -> str:
    """Returns the name of the default runtime; "" if the text has none."""
    found = table(parse(text, file), ENGINE).get("runtime")
    return found if isinstance(found, str) else ""


def notes(text: str, file: str) -> list[str]:
    """Returns nothing: what matters to Podman is in the text."""
    return []
