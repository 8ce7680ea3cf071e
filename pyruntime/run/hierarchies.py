"""The cgroup hierarchies of this host, and where in them this process is (cgroups(7))."""

from ..paths import exists
from ..plan.facts import Hierarchy
from .files import read_text

CGROUP_ROOT = "/sys/fs/cgroup"


def cgroups() -> tuple[tuple[Hierarchy, ...], bool]:
    """Returns all cgroup hierarchies, and whether there is only the one of v2 (cgroups(7))."""
    if exists(f"{CGROUP_ROOT}/cgroup.controllers"):
        own = _own_cgroups().get("", "/")
        controllers = read_text(f"{CGROUP_ROOT}/cgroup.controllers").split()
        return (Hierarchy(2, CGROUP_ROOT, tuple(controllers), own),), True
    own_paths = _own_cgroups()
    hierarchies = []
    for line in read_text("/proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ")[:3]
        if kind not in ("cgroup", "cgroup2"):
            continue
        _, _, _, top, mountpoint = before.split(" ")[:5]
        if kind == "cgroup2":
            controllers = read_text(f"{mountpoint}/cgroup.controllers").split()
            hierarchies.append(Hierarchy(2, mountpoint, tuple(controllers), _below(own_paths.get("", "/"), top)))
            continue
        names = tuple(name for name in options.split(",") if name in own_paths)
        if names and not any(names == known.controllers for known in hierarchies):
            hierarchies.append(Hierarchy(1, mountpoint, names, _below(own_paths[names[0]], top)))
    return tuple(hierarchies), False


def _own_cgroups() -> dict[str, str]:
    """Returns controller -> cgroup of this process; "" stands for v2, "name=x" for a named hierarchy."""
    paths = {}
    for line in read_text("/proc/self/cgroup").splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            paths[name] = path
    return paths


def _below(path: str, top: str) -> str:
    """Returns a cgroup's path relative to what is mounted: in a container that is not the hierarchy's root."""
    if top != "/" and (path == top or path.startswith(top + "/")):
        return path[len(top) :] or "/"
    return path
