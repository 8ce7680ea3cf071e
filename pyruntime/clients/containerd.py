"""containerd's config.toml: the runtimes of the CRI plugin (containerd's docs/cri/config.md).

A file of version 1 or 2 is containerd 1's, one of version 3 or later containerd 2's, each with its own name for the
plugin. Runtimes that containerd has without being told are gone in containerd 1 as soon as a file names one.
"""

from ..errors import ConfigError, PyruntimeError, os_error
from .entry import Entry
from .toml_text import add_tables, assign, cut, header, literal, parse, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .toml_text import Path

TITLE = "containerd"
RESTART = "restart containerd: systemctl restart containerd"
FILE = "/etc/containerd/config.toml"

SHIM = "io.containerd.runc.v2"
PLUGINS = {1: "cri", 2: "io.containerd.grpc.v1.cri"}
PLUGIN = "io.containerd.cri.v1.runtime"
CRI = ("cri", "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", PLUGIN)
RUNC = """
[{}]
  # containerd 1 has no runc of its own once a runtime is named here
  runtime_type = "{}"
"""


def _version(document: "dict[str, Any]", file: str) -> int:
    """Returns the version of the form of a file; one that does not say is of version 1."""
    version = document.get("version", 1)
    if type(version) is not int or version < 1:
        raise ConfigError("", f"{file}: version: {version!r} is not a version")
    return version


def _place(version: int) -> "Path":
    return ("plugins", PLUGINS.get(version, PLUGIN), "containerd")


def _runtime(document: "dict[str, Any]", place: "Path", name: str) -> tuple[str, str]:
    """Returns the type and the program of a runtime; "" for what there is not."""
    found = table(document, (*place, "runtimes", name))
    program = table(found, ("options",)).get("BinaryName", "")
    kind = found.get("runtime_type", "")
    return kind if isinstance(kind, str) else "", program if isinstance(program, str) else ""


def find(text: str, file: str, name: str) -> Entry | None:
    """Returns what the text has of a runtime; None for nothing."""
    document = parse(text, file)
    version = _version(document, file)
    place = _place(version)
    is_default = table(document, place).get("default_runtime_name") == name
    if name not in table(document, (*place, "runtimes")) and not is_default:
        return None
    options = table(document, (*place, "runtimes", name, "options"))
    return Entry(
        name,
        _runtime(document, place, name)[1],
        default=is_default,
        version=version,
        systemd_cgroup=options.get("SystemdCgroup") is True,
    )


def add(text: str, file: str, entry: Entry) -> str:
    """Returns the text with a runtime in it."""
    if not text.strip():
        text = f"{text}version = {entry.version}\n"
    document = parse(text, file)
    version = _version(document, file)
    place = _place(version)
    runtimes = (*place, "runtimes")
    if entry.name in table(document, runtimes):
        kind, program = _runtime(document, place, entry.name)
        if kind != SHIM:
            text = assign(text, file, (*runtimes, entry.name, "runtime_type"), SHIM)
        if program != entry.path:
            text = assign(text, file, (*runtimes, entry.name, "options", "BinaryName"), entry.path)
    else:
        systemd = entry.systemd_cgroup or systemd_cgroup(document)
        block = _tables((*runtimes, entry.name), entry.path, systemd=systemd)
        if version in PLUGINS and not table(document, runtimes):
            block += RUNC.format(header((*runtimes, "runc")), SHIM)
        text = add_tables(text, file, block, header(runtimes))
    return assign(text, file, (*place, "default_runtime_name"), entry.name) if entry.default else text


def _tables(path: "Path", program: str, *, systemd: bool) -> str:
    lines = [f"[{header(path)}]", f'  runtime_type = "{SHIM}"', f"  [{header((*path, 'options'))}]"]
    lines.append(f"    BinaryName = {literal(program)}")
    if systemd:
        lines.append("    SystemdCgroup = true")
    return "\n".join(lines) + "\n"


def systemd_cgroup(document: "dict[str, Any]") -> bool:
    """Whether runc uses systemd's cgroups: all runtimes of a node must do as the kubelet does."""
    place = _place(document.get("version", 1))
    return table(document, (*place, "runtimes", "runc", "options")).get("SystemdCgroup") is True


def remove(text: str, file: str, name: str, default: str) -> str:
    """Returns the text without a runtime, and without the runc that add() has put beside it."""
    document = parse(text, file)
    place = _place(_version(document, file))
    runtimes = (*place, "runtimes")
    text = cut(text, file, (*runtimes, name))
    others = [other for other in table(document, runtimes) if other != name]
    ours = RUNC.format(header((*runtimes, "runc")), SHIM)
    if others == ["runc"] and ours.strip() in text.replace("\r\n", "\n"):
        text = cut(text, file, (*runtimes, "runc"))
    if table(document, place).get("default_runtime_name") != name:
        return text
    key = (*place, "default_runtime_name")
    return assign(text, file, key, default) if default else cut(text, file, key)


def default(text: str, file: str) -> str:
    """Returns the name of the default runtime; "" if the text has none."""
    document = parse(text, file)
    found = table(document, _place(_version(document, file))).get("default_runtime_name")
    return found if isinstance(found, str) else ""


def notes(text: str, file: str) -> list[str]:
    """Returns that the plugin is disabled, as it is in the file that comes with Docker."""
    disabled = parse(text, file).get("disabled_plugins")
    if not isinstance(disabled, list) or not set(CRI) & {name for name in disabled if isinstance(name, str)}:
        return []
    return [f"{file}: disabled_plugins has the CRI plugin, so nobody will see its runtimes"]


def drop_in(text: str, file: str, name: str) -> str:
    """Returns the path of the file for one runtime that a file of containerd 2 imports; "" if it imports no directory,
    or has the runtime itself."""
    document = parse(text, file)
    imports = document.get("imports")
    if _version(document, file) in PLUGINS or not isinstance(imports, list) or find(text, file, name) is not None:
        return ""
    for pattern in imports:
        if isinstance(pattern, str) and pattern.endswith("/*.toml"):
            folder = pattern.removesuffix("/*.toml")
            base = "" if folder.startswith("/") else f"{file.rpartition('/')[0]}/"
            return f"{base}{folder}/99-{name}.toml"
    return ""


def version_of(given: int) -> int:
    """Returns the version of the form for a new file: for containerd `given` (1 or 2), or, for 0, the one installed.

    Raises PyruntimeError when none is.
    """
    import subprocess

    if given:
        return 2 if given == 1 else 3
    try:
        done = subprocess.run(["containerd", "--version"], capture_output=True, text=True, timeout=20, check=True)
    except FileNotFoundError:
        raise PyruntimeError(
            "containerd is not installed, so its version has to be told: --containerd-version 1 or 2"
        ) from None
    except OSError as error:
        raise PyruntimeError(f"containerd --version: {os_error(error)}") from None
    except subprocess.SubprocessError as error:
        raise PyruntimeError(f"{error}: its version has to be told: --containerd-version 1 or 2") from None
    return 2 if _major(done.stdout) == "1" else 3


def _major(line: str) -> str:
    """Returns the first number of the version in "containerd github.com/containerd/containerd v2.1.4 COMMIT"."""
    words = [word.removeprefix("v") for word in line.split()]
    numbers = [word.partition(".")[0] for word in words if word[:1].isdigit() and "." in word]
    if not numbers:
        raise PyruntimeError(f"containerd --version says {line.strip()!r}; --containerd-version 1 or 2 is needed")
    return numbers[0]
