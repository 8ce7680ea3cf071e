"""What the host shows: mounts, and the cgroups of a process."""

import os
from pathlib import Path

from containers import not_applicable


class MountPoint:
    """A line of mountinfo (proc_pid_mountinfo(5))."""

    def __init__(self, line):
        left, _, right = line.partition(" - ")
        words = left.split()
        self.point = words[4]
        self.options = set(words[5].split(","))
        self.propagation = {word.partition(":")[0] for word in words[6:]}
        kind, source, parameters = [*right.split(" "), "", ""][:3]
        self.kind = kind
        self.source = source
        self.parameters = set(parameters.split(","))


def mount_points(text):
    """Returns all lines of mountinfo in their order."""
    return [MountPoint(line) for line in text.splitlines() if " - " in line]


def mount_at(text, point):
    """Returns what is mounted at a place: the last of several that lie over each other."""
    found = [mount for mount in mount_points(text) if mount.point == point]
    assert found, f"nothing is mounted at {point}"
    return found[-1]


class Cgroups:
    """The cgroups of a process, wherever its controllers are."""

    def __init__(self, pid="self"):
        self.pid = pid

    def _place(self, controller):
        """Returns version, mount point and path in the hierarchy, of the hierarchy that has the controller."""
        mounts = mount_points(Path("/proc/self/mountinfo").read_text())
        for line in Path(f"/proc/{self.pid}/cgroup").read_text().splitlines():
            _, names, path = line.split(":", 2)
            for mount in mounts:
                controllers = names.split(",")
                if mount.kind == "cgroup" and controller in controllers and mount.parameters.issuperset(controllers):
                    return 1, Path(mount.point), path
                if not names and mount.kind == "cgroup2":
                    top = Path(mount.point, "cgroup.controllers")
                    if top.exists() and controller in (*top.read_text().split(), "cgroup"):
                        return 2, Path(mount.point), path
        return 0, None, ""

    def version(self, controller):
        """Returns in which version of cgroups the host has a controller, 0 for none."""
        return self._place(controller)[0]

    def directory(self, controller):
        version, mount, path = self._place(controller)
        if not version:
            not_applicable(f"this host has no cgroup controller {controller}")
        return mount / path.lstrip("/")

    def read(self, controller, file):
        return (self.directory(controller) / file).read_text().strip()


def need_controller(controller, version=0, file=""):
    """Ends the test where the host lacks a controller, has it in another version, or lacks a file of it."""
    found = Cgroups()
    if not found.version(controller):
        not_applicable(f"this host has no cgroup controller {controller}")
    if version and found.version(controller) != version:
        not_applicable(f"this host has the controller {controller} in cgroup v{found.version(controller)}")
    if file:
        mount = found._place(controller)[1]
        present = [place for place in (mount, found.directory(controller), *mount.iterdir()) if (place / file).exists()]
        if not present:
            not_applicable(f"this kernel has no {file}")


def has_lsm(name):
    path = Path("/sys/kernel/security/lsm")
    if path.exists():
        return name in path.read_text().split(",")
    switch = {"apparmor": "/sys/module/apparmor/parameters/enabled", "selinux": "/sys/fs/selinux/enforce"}[name]
    return Path(switch).exists()


def own_capabilities():
    """Returns the mask of capabilities that this process could pass on."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapBnd:"):
            return int(line.split()[1], 16)
    return 0


def kernel():
    """Returns major and minor version of the kernel."""
    return tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
