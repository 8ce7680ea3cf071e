"""`features`."""

from .. import SPEC_VERSION, __version__
from ..config.dump import pretty
from ..config.kernel import FILTER_FLAGS, MEMORY_POLICIES, MEMORY_POLICY_FLAGS
from ..config.names import (
    CAPABILITIES,
    IGNORED_OPTIONS,
    MOUNT_ATTRIBUTES,
    NAMESPACES,
    PROPAGATIONS,
    SUPERBLOCK_OPTIONS,
)
from .flags import Flag, arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .flags import Values
    from .main import Context

ARGUMENTS = ""
DESCRIPTION = """
Shows what this runtime can do as JSON, in the form of the specification
(features.md). No rights are needed, and nothing is changed.
"""
FLAGS: tuple[Flag, ...] = ()

HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
OTHER_OPTIONS = ("bind", "rbind", "remount", "tmpcopyup", "idmap", "ridmap")
OLDEST_VERSION = "1.0.0"


def run(context: "Context", values: "Values", rest: list[str]) -> int:
    """Prints the features structure."""
    arguments("features", rest, 0, 0)
    print(pretty(features(), "    "))
    return 0


def features() -> "dict[str, Any]":
    """Returns the features structure: what is known here, whatever the host has of it (features.md)."""
    seccomp, annotations = _seccomp()
    return {
        "ociVersionMin": OLDEST_VERSION,
        "ociVersionMax": SPEC_VERSION,
        "hooks": list(HOOKS),
        "mountOptions": mount_options(),
        "linux": {
            "namespaces": sorted(NAMESPACES),
            "capabilities": list(CAPABILITIES),
            "cgroup": {"v1": True, "v2": True, "systemd": False, "systemdUser": False, "rdma": True},
            "seccomp": seccomp,
            "apparmor": {"enabled": True},
            "selinux": {"enabled": True},
            "memoryPolicy": {"modes": list(MEMORY_POLICIES), "flags": list(MEMORY_POLICY_FLAGS)},
            "intelRdt": {"enabled": True, "schemata": True, "monitoring": True},
            "mountExtensions": {"idmap": {"enabled": True}},
            "netDevices": {"enabled": True},
        },
        "annotations": {"pyruntime.version": __version__, **annotations},
        "potentiallyUnsafeConfigAnnotations": [],
    }


def mount_options() -> list[str]:
    """Returns all options that are not the file system's own."""
    attributes = [*MOUNT_ATTRIBUTES, *(f"r{option}" for option in MOUNT_ATTRIBUTES)]
    propagations = [*PROPAGATIONS, *(f"r{option}" for option in PROPAGATIONS)]
    return sorted({*attributes, *propagations, *SUPERBLOCK_OPTIONS, *IGNORED_OPTIONS, *OTHER_OPTIONS})


def _seccomp() -> "tuple[dict[str, Any], dict[str, str]]":
    """Returns what filters can have, and the library's version as an annotation; no filters without the library."""
    from ..errors import ConfigError
    from ..run import libseccomp

    try:
        version = libseccomp.version()
    except ConfigError:
        return {"enabled": False}, {}
    known = {
        "enabled": True,
        "actions": sorted(libseccomp.ACTIONS),
        "operators": sorted(libseccomp.COMPARISONS),
        "archs": libseccomp.architectures(),
        "knownFlags": list(FILTER_FLAGS),
        "supportedFlags": [name for name, flag in FILTER_FLAGS.items() if libseccomp.kernel_takes(flag)],
    }
    return known, {"io.github.seccomp.libseccomp.version": version}
