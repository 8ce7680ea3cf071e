"""Finds out about the host what the compiler wants to know. Reads only; `plan` uses it without being root."""

import posix

from ..config.names import NAMESPACE_FILES
from ..errors import PyruntimeError
from ..paths import exists
from ..plan.facts import Facts
from .files import read_text
from .hierarchies import cgroups, unescape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.model import Config, Seccomp

OLDEST_KERNEL = (5, 14)
WHOLE_RANGE = ["0", "0", "4294967295"]
CAP_SYS_ADMIN = 21


def check_kernel() -> None:
    """Raises PyruntimeError on a kernel too old for what init relies on, which is never emulated."""
    release = posix.uname().release
    numbers = release.split(".")[:2]
    if tuple(int(part) if part.isdigit() else 0 for part in numbers) < OLDEST_KERNEL:
        raise PyruntimeError(f"Linux {release} is too old: pyruntime needs 5.14 or newer")


def gather(config: "Config", *, pivot: bool = True, root: str = "") -> Facts:
    """Returns the facts for one config. `root` is the state directory, below which compiled filters may be found."""
    bounding, effective = _capabilities()
    layout, unified = cgroups()
    linux, process = config.get("linux", {}), config.get("process", {})
    return Facts(
        privileged=bool(effective >> CAP_SYS_ADMIN & 1),
        user_namespace=read_text("/proc/self/uid_map").split() != WHOLE_RANGE,
        bounding=bounding,
        cgroups=layout,
        unified=unified,
        own_namespaces=frozenset(
            entry["type"] for entry in linux.get("namespaces", ()) if _is_own(entry["type"], entry.get("path", ""))
        ),
        proc_mounts=() if pivot else _proc_mounts(),
        apparmor=_is_yes("/sys/module/apparmor/parameters/enabled") if process.get("apparmorProfile") else False,
        selinux=exists("/sys/fs/selinux/enforce") if process.get("selinuxLabel") or linux.get("mountLabel") else False,
        resctrl=mountpoint("resctrl") if "intelRdt" in linux else "",
        delegate=_delegate() if linux.get("uidMappings") and unified else (),
        filter=_filter(linux["seccomp"], root) if "seccomp" in linux and process else b"",
    )


def _is_yes(path: str) -> bool:
    try:
        return read_text(path).startswith("Y")
    except OSError:
        return False


def mountpoint(kind: str) -> str:
    """Returns where a file system of this type is mounted, "" if nowhere."""
    for line in read_text("/proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        if after.split(" ")[0] == kind:
            return unescape(before.split(" ")[4])
    return ""


def _delegate() -> tuple[str, ...]:
    """Returns the files that go with a cgroup that is delegated: what the kernel says, else those of old."""
    try:
        return tuple(read_text("/sys/kernel/cgroup/delegate").split())
    except FileNotFoundError:
        return ("cgroup.procs", "cgroup.subtree_control", "cgroup.threads")


def _filter(seccomp: "Seccomp", root: str) -> bytes:
    from .seccomp import program

    return program(seccomp, root)


def _capabilities() -> tuple[int, int]:
    """Returns the bounding and the effective set of this process, as masks (proc(5))."""
    bounding = effective = 0
    for line in read_text("/proc/self/status").splitlines():
        if line.startswith("CapBnd:"):
            bounding = int(line[7:], 16)
        elif line.startswith("CapEff:"):
            effective = int(line[7:], 16)
    return bounding, effective


def _is_own(kind: str, path: str) -> bool:
    if not path:
        return False
    try:
        there, here = posix.stat(path), posix.stat(f"/proc/self/ns/{NAMESPACE_FILES[kind]}")
    except OSError:
        return False  # init will say what is wrong with it
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


def _proc_mounts() -> tuple[str, ...]:
    mounts = []
    for line in read_text("/proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        _, _, _, top, mountpoint = before.split(" ")[:5]
        if after.split(" ")[0] in ("proc", "sysfs") and top == "/":
            mounts.append(unescape(mountpoint))
    return tuple(reversed(mounts))
