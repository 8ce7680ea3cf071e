"""CRI-O's crio.conf and the files beside it (crio.conf(5)): [crio.runtime.runtimes.NAME] and `default_runtime`."""

from .entry import Entry
from .toml_text import add_tables, assign, cut, header, literal, parse, table

TITLE = "CRI-O"
RESTART = "restart CRI-O: systemctl restart crio"
FOLDER = "/etc/crio/crio.conf.d"

RUNTIME = ("crio", "runtime")
RUNTIMES = ("crio", "runtime", "runtimes")
KIND = "oci"


def find(text: str, file: str, name: str) -> Entry | None:
    """Returns what the text has of a runtime; None for nothing."""
    document = parse(text, file)
    is_default = table(document, RUNTIME).get("default_runtime") == name
    if name not in table(document, RUNTIMES) and not is_default:
        return None
    path = table(document, (*RUNTIMES, name)).get("runtime_path", "")
    return Entry(name, path if isinstance(path, str) else "", default=is_default)


def add(text: str, file: str, entry: Entry) -> str:
    """Returns the text with a runtime in it."""
    document = parse(text, file)
    place = (*RUNTIMES, entry.name)
    if entry.name in table(document, RUNTIMES):
        text = assign(text, file, (*place, "runtime_path"), entry.path)
        text = assign(text, file, (*place, "runtime_type"), KIND)
    else:
        block = f'[{header(place)}]\nruntime_path = {literal(entry.path)}\nruntime_type = "{KIND}"\n'
        text = add_tables(text, file, block, header(RUNTIMES))
    return assign(text, file, (*RUNTIME, "default_runtime"), entry.name) if entry.default else text


def remove(text: str, file: str, name: str, default: str) -> str:
    """Returns the text without a runtime."""
    is_default = table(parse(text, file), RUNTIME).get("default_runtime") == name
    text = cut(text, file, (*RUNTIMES, name))
    if not is_default:
        return text
    key = (*RUNTIME, "default_runtime")
    return assign(text, file, key, default) if default else cut(text, file, key)


def default(text: str, file: str) -> str:
    """Returns the name of the default runtime; "" if the text has none."""
    found = table(parse(text, file), RUNTIME).get("default_runtime")
    return found if isinstance(found, str) else ""


def notes(text: str, file: str) -> list[str]:
    """Returns nothing: what matters to CRI-O is in the text."""
    return []
