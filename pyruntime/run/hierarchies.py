"""The cgroup hierarchies of this host, and where in them this process is (cgroups(7))."""

from ..errors import PyruntimeError
from ..paths import exists
from ..plan.facts import Hierarchy
from .files import read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

CGROUP_ROOT = "/sys/fs/cgroup"


def cgroups() -> tuple[tuple[Hierarchy, ...], bool]:
    """Returns all cgroup hierarchies, and whether there is only the one of v2 (cgroups(7))."""
    own_paths = _own_cgroups(read_text("/proc/self/cgroup"))
    if exists(f"{CGROUP_ROOT}/cgroup.controllers"):
        controllers = read_text(f"{CGROUP_ROOT}/cgroup.controllers").split()
        own = below(own_paths.get("", "/"), "/")
        if own != "/" and not exists(f"{CGROUP_ROOT}{own}"):
            # what is mounted there is not the root of the hierarchy, as in a container without a cgroup namespace
            tops = [top for _, top, mountpoint, _ in mounts() if mountpoint == CGROUP_ROOT]
            own = below(own, tops[-1]) if tops else "/"
        return (Hierarchy(2, CGROUP_ROOT, tuple(controllers), own),), True
    hierarchies: list[Hierarchy] = []
    for kind, top, mountpoint, options in mounts():
        if kind == "cgroup2":
            names, version = _controllers(mountpoint, hierarchies), 2
        else:
            names, version = tuple(name for name in options.split(",") if name in own_paths), 1
        if names is None or (version == 1 and not names):
            continue
        if not any((version, names) == (known.version, known.controllers) for known in hierarchies):
            own = own_paths.get(names[0] if version == 1 else "", "/")
            hierarchies.append(Hierarchy(version, mountpoint, names, below(own, top)))
    return tuple(hierarchies), False


def hierarchy_of(directory: str, hierarchies: "Sequence[Hierarchy]") -> Hierarchy:
    """Returns the hierarchy that a cgroup is in. Raises PyruntimeError."""
    for hierarchy in hierarchies:
        if directory.startswith(f"{hierarchy.mountpoint.rstrip('/')}/"):
            return hierarchy
    raise PyruntimeError(f"the cgroup {directory} is in no hierarchy that is mounted here")


def _controllers(mountpoint: str, known: list[Hierarchy]) -> tuple[str, ...] | None:
    """Returns what the hierarchy of v2 has; None if that is known, or if something else is mounted over it."""
    if any(hierarchy.version == 2 for hierarchy in known):
        return None
    try:
        return tuple(read_text(f"{mountpoint}/cgroup.controllers").split())
    except FileNotFoundError:
        return None


def mounts() -> list[tuple[str, str, str, str]]:
    """Returns the mounts of cgroups: type, what of the hierarchy is mounted, where, options (proc_pid_mountinfo(5))."""
    mounts = []
    for line in read_text("/proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ")[:3]
        if kind in ("cgroup", "cgroup2"):
            _, _, _, top, mountpoint = before.split(" ")[:5]
            mounts.append((kind, unescape(top), unescape(mountpoint), options))
    return mounts


def unescape(path: str) -> str:
    r"""Returns a path of mountinfo as it is: space, tab, newline and backslash are in octal there, as \040."""
    first, *parts = path.split("\\")
    return first + "".join([chr(int(part[:3], 8)) + part[3:] for part in parts])


def _own_cgroups(text: str) -> dict[str, str]:
    """Returns controller -> cgroup of this process; "" stands for v2, "name=x" for a named hierarchy."""
    paths = {}
    for line in text.splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            paths[name] = path
    return paths


def below(path: str, top: str) -> str:
    """Returns a cgroup's path relative to what is mounted: in a container that is not the hierarchy's root. When it
    is not in there, as in a cgroup namespace that was entered later, what is mounted is all that can be used."""
    if "/../" in f"{path}/":
        return "/"
    if top == "/":
        return path
    if path == top or path.startswith(f"{top}/"):
        return path[len(top) :] or "/"
    return "/"
