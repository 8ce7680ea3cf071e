"""process.apparmorProfile, process.selinuxLabel, linux.seccomp: what the program may not do, whoever it runs as.

The filter itself is compiled elsewhere (run/seccomp.py) and comes with the facts.
"""

from ..config.kernel import FILTER_FLAGS, FILTER_NEW_LISTENER, FILTER_SPEC_ALLOW, FILTER_WAIT_KILLABLE_RECV, NOTIFY
from ..errors import ConfigError
from .facts import Facts
from .ops import BARRIER_OFFER, SLOT_PROCFS, Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.model import Process, Seccomp


def key_label(plan: Plan, process: "Process", facts: Facts) -> None:
    """Adds the op that labels the session keyring, which is made next."""
    label = process.get("selinuxLabel", "")
    if label:
        _need_selinux(facts, "process.selinuxLabel")
        plan.init("write-self", "process.selinuxLabel", SLOT_PROCFS, "attr/keycreate", label)


def labels(plan: Plan, process: "Process", facts: Facts) -> None:
    """Adds the ops that write the labels for the next execve(2), and read them back. Raises ConfigError when the
    security module is not there: without it the label would confine nobody."""
    profile, label = process.get("apparmorProfile", ""), process.get("selinuxLabel", "")
    if profile:
        origin = "process.apparmorProfile"
        if not facts.apparmor:
            problem = "apparmor failed to apply profile: apparmor not enabled on the system"
            raise ConfigError(origin, problem)
        plan.init("write-self", origin, SLOT_PROCFS, "attr/apparmor/exec", f"exec {profile}")
        plan.init("check-self", origin, SLOT_PROCFS, "attr/apparmor/exec", profile)
    if label:
        origin = "process.selinuxLabel"
        _need_selinux(facts, origin)
        plan.init("write-self", origin, SLOT_PROCFS, "attr/exec", label)
        plan.init("check-self", origin, SLOT_PROCFS, "attr/exec", label)


def _need_selinux(facts: Facts, origin: str) -> None:
    if not facts.selinux:
        problem = "selinux label is specified in config, but selinux is disabled or not supported"
        raise ConfigError(origin, problem)


def mount_label(label: str, facts: Facts) -> list[str]:
    """Returns the parameters that give a file system its label. Raises ConfigError when there is no SELinux."""
    if not label:
        return []
    _need_selinux(facts, "linux.mountLabel")
    return [f"context={label}"]


def filter_flags(seccomp: "Seccomp") -> int:
    """Returns the flags for seccomp(2).

    A config that names none gets SPEC_ALLOW, as runc has it: the program is not slowed down by mitigations that the
    kernel no longer thinks necessary with a filter.
    """
    flags = FILTER_SPEC_ALLOW if "flags" not in seccomp else 0
    for flag in seccomp.get("flags", ()):
        flags |= FILTER_FLAGS[flag]
    if notifies(seccomp):
        return flags | FILTER_NEW_LISTENER
    # it is about waiting for an agent, and the kernel refuses it where there is none
    return flags & ~FILTER_WAIT_KILLABLE_RECV


def notifies(seccomp: "Seccomp") -> bool:
    """Whether an agent is asked about some system calls."""
    return any(rule["action"] == NOTIFY for rule in seccomp.get("syscalls", ()))


def load_filter(plan: Plan, seccomp: "Seccomp", facts: Facts) -> None:
    """Adds the op that puts the filter in force, and where there is an agent, those that hand the listener to it."""
    plan.init("seccomp", "linux.seccomp", filter_flags(seccomp), facts.filter)
    if notifies(seccomp):
        plan.host("hand-over", "linux.seccomp.listenerPath", str(seccomp["listenerPath"]))
        plan.host("pass-barrier", "linux.seccomp.listenerPath", BARRIER_OFFER)
