"""`configure`."""

import posix
import sys
from _io import TextIOWrapper

from ..clients.diff import unified
from ..clients.entry import Entry, taken_out
from ..clients.files import ConfigFile
from ..errors import PyruntimeError, UsageError, os_error
from ..paths import absolute
from .flags import Flag, arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..clients.entry import Client
    from .flags import Values
    from .main import Context

ARGUMENTS = "CLIENT"
DESCRIPTION = """
Adds pyruntime to the configuration of a client as a runtime. CLIENT is docker,
containerd, podman or crio. What is changed is shown as a unified diff, and the
old file is kept beside the new one, under a name with the time in it. What is
there already is not added again.
"""
FLAGS = (
    Flag("config", "", "file to change (default: the client's)"),
    Flag("name", "pyruntime", "name of the runtime in the client's configuration"),
    Flag("runtime-path", "", "program that the client is to run (default: this one)"),
    Flag("set-as-default", False, "for all containers that do not ask for another runtime"),
    Flag("containerd-version", 0, "1 or 2: for a new file, where containerd is not installed"),
    Flag("remove", False, "take out what had been added"),
    Flag("dry-run", False, "show the difference and write nothing"),
)

CLIENTS = ("docker", "containerd", "podman", "crio")
# what the clients themselves understand by these names
TAKEN = ("runc", "crun")
NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")


def run(context: "Context", values: "Values", rest: list[str]) -> int:
    """Changes a client's configuration."""
    arguments("configure", rest, 1, 1)
    if rest[0] not in CLIENTS:
        raise UsageError(f'pyruntime: "configure" knows no client {rest[0]!r}: it is one of {", ".join(CLIENTS)}')
    if isinstance(sys.stdout, TextIOWrapper):  # files are UTF-8, whatever the terminal is
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    name = str(values["name"])
    new: str | None
    _check(values, name)
    client = _client(rest[0])
    file, version, systemd = _target(rest[0], str(values["config"]), name)
    if values["remove"]:
        new = taken_out(client, file.text, file.path, name, file.earlier()) if file.exists else None
    else:
        entry = Entry(
            name,
            _runtime_path(context, str(values["runtime-path"])),
            default=bool(values["set-as-default"]),
            version=version or _version(rest[0], file, values),
            systemd_cgroup=systemd,
        )
        new = client.add(file.text, file.path, entry)
        for note in client.notes(file.text, file.path):
            context.log().warning(note)
    return _finish(client, file, new, dry_run=bool(values["dry-run"]))


def _client(name: str) -> "Client":
    package = __package__.rpartition(".")[0]
    module: Client = __import__(f"{package}.clients.{name}", fromlist=("find",))
    return module


def _check(values: "Values", name: str) -> None:
    if not name or not NAME.issuperset(name) or name[0] in ".-":
        raise UsageError(f'invalid value "{name}" for flag -name: letters, digits and _ . - make a name')
    if name in TAKEN:
        raise UsageError(f'invalid value "{name}" for flag -name: clients have a runtime of that name')
    if not str(values["config"]).isprintable():
        raise UsageError(f"invalid value {values['config']!r} for flag -config: a character cannot be printed")
    if values["containerd-version"] not in (0, 1, 2):
        raise UsageError(f'invalid value "{values["containerd-version"]}" for flag -containerd-version: it is 1 or 2')
    if values["remove"] and values["set-as-default"]:
        raise UsageError("flags -remove and -set-as-default exclude each other")


def _target(client: str, given: str, name: str) -> tuple[ConfigFile, int, bool]:
    """Returns the file to change; for a file that containerd's own imports also the version that it has, and whether
    runc uses systemd's cgroups there."""
    if given:
        return ConfigFile(absolute(given)), 0, False
    if client == "docker":
        from ..clients.docker import FILE

        return ConfigFile(FILE), 0, False
    if client != "containerd":
        if client == "podman":
            from ..clients.podman import FOLDER
        else:
            from ..clients.crio import FOLDER
        return ConfigFile(f"{FOLDER}/99-{name}.conf"), 0, False
    return _containerd(name)


def _containerd(name: str) -> tuple[ConfigFile, int, bool]:
    from ..clients import containerd
    from ..clients.toml_text import parse

    main = ConfigFile(containerd.FILE)
    path = containerd.drop_in(main.text, main.path, name)
    if not path:
        return main, 0, False
    document = parse(main.text, main.path)
    return ConfigFile(absolute(path)), int(document["version"]), containerd.systemd_cgroup(document)


def _version(client: str, file: ConfigFile, values: "Values") -> int:
    """Returns the version of the form of a new file for containerd; 0 for all others."""
    if client != "containerd" or file.text.strip():
        return 0
    from ..clients.containerd import version_of

    return version_of(int(str(values["containerd-version"])))


def _runtime_path(context: "Context", given: str) -> str:
    """Returns the absolute path of the program to enter: the one given, or the launcher that runs."""
    path = absolute(given or sys.argv[0])
    if not given and (path.endswith("/__main__.py") or not _runs(path)):
        raise PyruntimeError("which launcher runs cannot be told: name it with --runtime-path")
    if not path.isprintable():
        raise UsageError(f"invalid value {path!r} for flag -runtime-path: a character cannot be printed")
    if not _runs(path):
        context.log().warning(f"{path} is not a program that can be run")
    return path


def _runs(path: str) -> bool:
    try:
        return posix.stat(path).st_mode & 0o170000 == 0o100000 and posix.access(path, posix.X_OK)
    except OSError:
        return False


def _finish(client: "Client", file: ConfigFile, new: str | None, *, dry_run: bool) -> int:
    """Shows the difference, writes the file, and says what else is to be done."""
    old = file.text if file.exists else None
    if new == old:
        print(f"{file.path}: nothing is to be changed")
        return 0
    print(unified(old, new, file.path), end="", flush=True)
    if dry_run:
        return 0
    try:
        backup = file.replace(new)
    except OSError as error:
        raise PyruntimeError(f"{file.path} cannot be written: {os_error(error)}") from None
    print(
        f"{file.path} is {'removed' if new is None else 'written'}" + (f"; the old one is {backup}" if backup else "")
    )
    print(client.RESTART)
    return 0
