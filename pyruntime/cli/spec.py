"""`spec`."""

import posix

from .. import SPEC_VERSION
from ..config.dump import pretty
from ..errors import PyruntimeError
from .flags import Flag, arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .flags import Values
    from .main import Context

ARGUMENTS = ""
DESCRIPTION = """
Writes a config.json to begin with: a shell on a terminal, with few capabilities,
a read-only root, and what every container has mounted.
"""
FLAGS = (
    Flag("bundle", "", "directory to write to (default: the current directory)", "b"),
    Flag("rootless", False, "for a user without privileges"),
)

CAPABILITIES = ("CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE")
MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
PLAIN = ("nosuid", "noexec", "nodev")


def run(context: "Context", values: "Values", rest: list[str]) -> int:
    """Writes a config.json."""
    arguments("spec", rest, 0, 0)
    path = f"{values['bundle'] or '.'}/config.json"
    try:
        fd = posix.open(path, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC, 0o666)
    except FileExistsError:
        raise PyruntimeError("File config.json exists. Remove it first") from None
    with open(fd, "w", encoding="utf-8") as file:
        file.write(pretty(default_config(rootless=bool(values["rootless"])), "\t"))
    return 0


def default_config(*, rootless: bool) -> "dict[str, Any]":
    """Returns the config that `spec` writes."""
    config: dict[str, Any] = {
        "ociVersion": SPEC_VERSION,
        "process": {
            "terminal": True,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {name: list(CAPABILITIES) for name in ("bounding", "effective", "permitted")},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "pyruntime",
        "mounts": _mounts(),
        "linux": {
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup")],
            "maskedPaths": list(MASKED_PATHS),
            "readonlyPaths": list(READONLY_PATHS),
        },
    }
    if rootless:
        _make_rootless(config)
    return config


def _mount(destination: str, kind: str, source: str, *options: str) -> "dict[str, Any]":
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}


def _mounts() -> "list[dict[str, Any]]":
    return [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        _mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        _mount(
            "/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"
        ),
        _mount("/dev/shm", "tmpfs", "shm", *PLAIN, "mode=1777", "size=65536k"),
        _mount("/dev/mqueue", "mqueue", "mqueue", *PLAIN),
        _mount("/sys", "sysfs", "sysfs", *PLAIN, "ro"),
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", *PLAIN, "relatime", "ro"),
    ]


def _make_rootless(config: "dict[str, Any]") -> None:
    """Without privileges there is one id to map, no network to own, and no cgroup to limit."""
    linux = config["linux"]
    linux["namespaces"] = [entry for entry in linux["namespaces"] if entry["type"] != "network"] + [{"type": "user"}]
    linux["uidMappings"] = [{"containerID": 0, "hostID": posix.geteuid(), "size": 1}]
    linux["gidMappings"] = [{"containerID": 0, "hostID": posix.getegid(), "size": 1}]
    del linux["resources"]
    for mount in config["mounts"]:
        if mount["destination"] == "/dev/pts":
            mount["options"].remove("gid=5")  # not mapped
        elif mount["destination"] == "/sys":
            # sysfs can only be mounted by who owns the network namespace
            mount.update(type="none", source="/sys", options=["rbind", *PLAIN, "ro"])
    config["mounts"] = [mount for mount in config["mounts"] if mount["destination"] != "/sys/fs/cgroup"]
