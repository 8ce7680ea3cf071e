"""NVIDIA's hooks: edits as the hooks of a CDI file, and hooks that are known by their name as edits.

What a hook would do after the container's mounts are made is here taken from its command line, so that no program has
to run with sight of the image. A hook with an argument that is not known stays a hook.
"""

from ..edits import Cache, Edits, File, Hook, Link, hook_entry
from .elf import BadElf, read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .root import Root

WHEN = "createContainer"
KINDS = ("prestart", "createRuntime", "createContainer")
# these read the environment of the container and do all the work
LEGACY = ("nvidia-container-runtime-hook", "nvidia-container-toolkit")
TOOLS = ("nvidia-cdi-hook", "nvidia-ctk")
PARAMS = "/proc/driver/nvidia/params"
# arguments of each hook that are known; True: they say something that is taken over
ARGUMENTS = {
    "create-symlinks": {"link": True, "container-spec": False},
    "update-ldcache": {"folder": True, "ldconfig-path": False, "container-spec": False},
    "enable-cuda-compat": {"host-driver-version": True, "cuda-compat-container-root": False, "container-spec": False},
    "disable-device-node-modification": {"container-spec": False},
}


# ---- to hooks


def to_hooks(edits: Edits, program: str) -> list[Hook]:
    """Returns the hooks that do what CDI has no words for; `program` is the path of nvidia-cdi-hook."""
    calls = []
    if edits.links:
        calls.append(["create-symlinks", *(f"--link={link.target}::{link.path}" for link in edits.links)])
    if edits.cache is not None:
        if edits.cache.compat:
            calls.append(["enable-cuda-compat", f"--host-driver-version={edits.cache.compat}"])
        calls.append(["update-ldcache", *(f"--folder={directory}" for directory in edits.cache.directories)])
    if any(file.path == PARAMS for file in edits.files):
        calls.append(["disable-device-node-modification"])
    name = program.rpartition("/")[2]
    return [Hook(WHEN, program, [name, *call], []) for call in calls]


# ---- from hooks


def take(config: "dict[str, Any]", host: "Root") -> tuple[Edits, bool]:
    """Takes the hooks that are known out of a config.

    Returns what they would have done, and whether there was one that acts on NVIDIA_VISIBLE_DEVICES.
    """
    edits, legacy = Edits(), False
    hooks = config.get("hooks", {})
    for kind in KINDS:
        left = []
        for entry in hooks.get(kind, ()):
            if is_legacy(entry):
                legacy = True
            elif (found := from_hook(entry, host)) is not None:
                edits.add(found)
            else:
                left.append(entry)
        if len(left) != len(hooks.get(kind, ())):
            hooks = {**hooks, kind: left}
    if hooks:
        config["hooks"] = hooks
    if edits.cache is not None:
        mounts = [(mount["destination"], mount.get("source", "")) for mount in config.get("mounts", ())]
        find_libraries(edits, edits.cache, mounts)
    return edits, legacy


def take_own(edits: Edits, host: "Root") -> None:
    """Does the same with the hooks of edits, as a CDI file has brought them."""
    left = []
    for hook in edits.hooks:
        found = from_hook(hook_entry(hook), host) if hook.when in KINDS else None
        if found is None:
            left.append(hook)
        else:
            edits.add(found)
    edits.hooks = left
    if edits.cache is not None:
        find_libraries(edits, edits.cache, [(mount.destination, mount.source) for mount in edits.mounts])


def is_legacy(entry: "dict[str, Any]") -> bool:
    """Whether it is the hook that reads the container's environment, called to do so."""
    return entry["path"].rpartition("/")[2] in LEGACY and entry.get("args", ())[1:] in ([], ["prestart"])


def from_hook(entry: "dict[str, Any]", host: "Root") -> Edits | None:
    """Returns what a hook does, None if it is not one of these."""
    name = entry["path"].rpartition("/")[2]
    words = list(entry.get("args", ()))[1:]
    if name not in TOOLS or (name == "nvidia-ctk" and words[:1] != ["hook"]):
        return None
    words = words[1:] if name == "nvidia-ctk" else words
    if not words or words[0] not in ARGUMENTS:
        return None
    arguments = _arguments(words[1:], ARGUMENTS[words[0]])
    if arguments is None:
        return None
    edits = Edits()
    if words[0] == "create-symlinks":
        return _links(edits, arguments)
    if words[0] == "disable-device-node-modification":
        from .select import params

        if text := host.read(PARAMS):
            edits.files.append(File(PARAMS, params(text), 0o444, over=True))
        return edits
    edits.cache = Cache()
    for argument, value in arguments:
        if argument == "folder":
            edits.cache.directories += [folder for folder in value.split(",") if folder[:1] == "/"]
        else:
            edits.cache.compat = value
    return edits


def _arguments(words: list[str], known: dict[str, bool]) -> list[tuple[str, str]] | None:
    """Returns the arguments that say something, as Go programs write them; None if there is an unknown one."""
    found = []
    position = 0
    while position < len(words):
        name, equals, value = words[position].lstrip("-").partition("=")
        if words[position][:1] != "-" or name not in known:
            return None
        position += 1
        if not equals:
            if position == len(words):
                return None
            value = words[position]
            position += 1
        if known[name]:
            found.append((name, value))
    return found


def _links(edits: Edits, arguments: list[tuple[str, str]]) -> Edits | None:
    for _, value in arguments:
        for link in value.split(","):
            target, separator, path = link.partition("::")
            if not separator or not target or path[:1] != "/":
                return None
            edits.links.append(Link(path, target))
    return edits


def find_libraries(edits: Edits, cache: Cache, mounts: "Sequence[tuple[str, str]]") -> None:
    """Adds to the cache what is mounted into its directories, and the links that ldconfig would have made.

    `mounts` are destinations and sources.
    """
    linked = {link.path for link in edits.links} | {destination for destination, _ in mounts}
    for destination, source in mounts:
        directory, _, name = destination.rpartition("/")
        if directory not in cache.directories or ".so" not in name or not source:
            continue
        try:
            library = read_file(source)
        except (BadElf, OSError):
            continue  # what is no library is none of ldconfig's business
        path = f"{directory}/{library.soname}"
        if not library.soname or any(entry[1] == path for entry in cache.libraries):
            continue
        cache.libraries.append((library.soname, path, library.bits))
        if path not in linked:
            edits.links.append(Link(path, name, source))
