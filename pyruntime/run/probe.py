"""Finds out about the host what the compiler wants to know. Reads only; `plan` uses it without being root."""

import os

from ..config.names import NAMESPACE_FILES
from ..errors import PyruntimeError
from ..plan.facts import Facts, Hierarchy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.model import Config

CGROUP_ROOT = "/sys/fs/cgroup"
OLDEST_KERNEL = (5, 14)
WHOLE_RANGE = ["0", "0", "4294967295"]
CAP_SYS_ADMIN = 21


def read_text(path: str) -> str:
    """Returns a small file of procfs, sysfs or cgroupfs. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = b""
        while chunk := os.read(fd, 65536):  # such files give a page at most, and end only with an empty one
            data += chunk
    finally:
        os.close(fd)
    return data.decode("utf-8", "surrogateescape")


def check_kernel() -> None:
    """Raises PyruntimeError on a kernel too old for what init relies on, which is never emulated."""
    release = os.uname().release
    numbers = release.split(".")[:2]
    if tuple(int(part) if part.isdigit() else 0 for part in numbers) < OLDEST_KERNEL:
        raise PyruntimeError(f"Linux {release} is too old: pyruntime needs 5.14 or newer")


def gather(config: "Config", *, pivot: bool = True) -> Facts:
    """Returns the facts for one config."""
    bounding, effective = _capabilities()
    layout, unified = cgroups()
    linux = config.get("linux", {})
    limits: dict[int, tuple[int, int]] = {}
    if config.get("process", {}).get("rlimits"):
        limits = _limits()
    return Facts(
        privileged=bool(effective >> CAP_SYS_ADMIN & 1),
        user_namespace=read_text("/proc/self/uid_map").split() != WHOLE_RANGE,
        bounding=bounding,
        cgroups=layout,
        unified=unified,
        own_namespaces=frozenset(
            entry["type"] for entry in linux.get("namespaces", ()) if _is_own(entry["type"], entry.get("path", ""))
        ),
        rlimits=limits,
        proc_mounts=() if pivot else _proc_mounts(),
    )


def _capabilities() -> tuple[int, int]:
    """Returns the bounding and the effective set of this process, as masks (proc(5))."""
    bounding = effective = 0
    for line in read_text("/proc/self/status").splitlines():
        if line.startswith("CapBnd:"):
            bounding = int(line[7:], 16)
        elif line.startswith("CapEff:"):
            effective = int(line[7:], 16)
    return bounding, effective


def _limits() -> dict[int, tuple[int, int]]:
    from resource import getrlimit

    unsigned = (1 << 64) - 1
    limits = {}
    for number in range(16):
        soft, hard = getrlimit(number)
        limits[number] = (soft & unsigned, hard & unsigned)
    return limits


def _is_own(kind: str, path: str) -> bool:
    if not path:
        return False
    try:
        there, here = os.stat(path), os.stat(f"/proc/self/ns/{NAMESPACE_FILES[kind]}")
    except OSError:
        return False  # init will say what is wrong with it
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


# ---- cgroups


def cgroups() -> tuple[tuple[Hierarchy, ...], bool]:
    """Returns all cgroup hierarchies, and whether there is only the one of v2 (cgroups(7))."""
    if os.path.exists(f"{CGROUP_ROOT}/cgroup.controllers"):
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


def _proc_mounts() -> tuple[str, ...]:
    mounts = []
    for line in read_text("/proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        _, _, _, top, mountpoint = before.split(" ")[:5]
        if after.split(" ")[0] in ("proc", "sysfs") and top == "/":
            mounts.append(mountpoint.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\"))
    return tuple(reversed(mounts))
