"""process, hostname, domainname, linux.sysctl: what the container's process is, and the order in which it becomes so.

The order is the safe one: groups before user, directory as root and again as the user, capabilities last, everything
read back by init. See capabilities(7), credentials(7).
"""

from _struct import pack

from ..config.check import is_id_mapped
from ..config.names import CAPABILITIES, RLIMITS
from ..errors import ConfigError
from ..paths import clean
from .facts import Facts, Request
from .namespaces import Isolation
from .ops import (
    CONSOLE_BIND,
    DIRECTORY_TRY,
    PROGRAM_NOWHERE,
    PROGRAM_SEARCH,
    SLOT_CONSOLE,
    SLOT_PROCFS,
    SLOT_START,
    SLOT_STARTED,
    Plan,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.model import Config, Process

DEFAULT_UMASK = 0o022
SYS_ADMIN = 1 << CAPABILITIES.index("CAP_SYS_ADMIN")
SETS = ("bounding", "permitted", "effective", "inheritable", "ambient")


def inherited(plan: Plan, config: "Config") -> None:
    """What only the host's rights can do, and a clone passes on."""
    process = config.get("process")
    asks = _asks_for_procfs(config)
    if asks:
        plan.init("procfs", asks, SLOT_PROCFS)
    if process is None:
        return
    for index, limit in enumerate(process.get("rlimits", ())):
        origin = f"process.rlimits[{index}] ({limit['type']})"
        plan.init("raise-limit", origin, RLIMITS[limit["type"]], limit["hard"])
    if "oomScoreAdj" in process:
        score = str(process["oomScoreAdj"])
        plan.init("write-self", "process.oomScoreAdj", SLOT_PROCFS, "oom_score_adj", score)


def _asks_for_procfs(config: "Config") -> str:
    """Returns the first member that needs a procfs of our own, "" for none."""
    process, linux = config.get("process"), config.get("linux", {})
    if linux.get("sysctl"):
        return "linux.sysctl"
    if linux.get("timeOffsets"):
        return "linux.timeOffsets"
    if process is not None and "oomScoreAdj" in process:
        return "process.oomScoreAdj"
    if process is not None and (process.get("apparmorProfile") or process.get("selinuxLabel")):
        return "process"
    if any(is_id_mapped(mount) for mount in config.get("mounts", ())):
        return "mounts"
    return ""


def keyring(plan: Plan, config: "Config", facts: Facts, request: Request) -> None:
    process = config.get("process")
    if process is not None and process.get("selinuxLabel"):
        from .confine import key_label

        key_label(plan, process, facts)
    if request.keyring:
        plan.init("keyring", "", f"_ses.{request.container_id}")


def console(plan: Plan, config: "Config", *, bind: bool = True) -> None:
    """Adds the op for the terminal, which the container's first process also has at /dev/console (`bind`)."""
    process = config.get("process")
    if process is None or not process.get("terminal"):
        return
    size = process.get("consoleSize", {"height": 0, "width": 0})
    uid = process.get("user", {}).get("uid", 0)
    plan.init(
        "console", "process.terminal", SLOT_CONSOLE, size["height"], size["width"], uid, CONSOLE_BIND if bind else 0
    )


def names(plan: Plan, config: "Config") -> None:
    if config.get("hostname"):
        plan.init("hostname", "hostname", config["hostname"])
    if config.get("domainname"):
        plan.init("domainname", "domainname", config["domainname"])
    for key, value in config.get("linux", {}).get("sysctl", {}).items():
        plan.init("sysctl", f'linux.sysctl["{key}"]', SLOT_PROCFS, sysctl_path(key), value)


def sysctl_path(key: str) -> str:
    """Returns the file below /proc/sys. sysctl.d(5): whichever of "." and "/" comes first separates the parts."""
    dot, slash = key.find("."), key.find("/")
    if slash == -1 or -1 < dot < slash:
        return key.translate({ord("."): "/", ord("/"): "."})
    return key


def identity(plan: Plan, config: "Config", facts: Facts, request: Request, isolation: Isolation) -> None:
    """From root in the container to the user of the config.

    A system call filter comes as late as it can, so that it need permit little of what init does. Without
    noNewPrivileges loading it takes CAP_SYS_ADMIN: then that is kept until after it, beyond what the config grants.
    """
    process = config["process"]
    user = process.get("user", {})
    uid, gid = user.get("uid", 0), user.get("gid", 0)
    cwd = clean(process["cwd"])
    seccomp = config.get("linux", {}).get("seccomp")
    masks = capability_masks(plan, process, facts)
    plan.init("stdio", "process.user", uid)
    if _is_scheduled(config):
        from .schedule import schedule

        schedule(plan, config)
    plan.init("working-directory", "process.cwd", cwd, DIRECTORY_TRY)
    if process.get("apparmorProfile") or process.get("selinuxLabel"):
        from .confine import labels

        labels(plan, process, facts)
    plan.init("bounding-set", "process.capabilities.bounding", masks["bounding"])
    _groups(plan, user.get("additionalGids", []), facts, isolation)
    plan.init("identity", "process.user", uid, gid)
    plan.init("working-directory", "process.cwd", cwd, 0)
    if seccomp is None or process.get("noNewPrivileges"):
        _capabilities(plan, masks)
    else:
        _capabilities(plan, masks, SYS_ADMIN)
    plan.init("umask", "process.user.umask", user.get("umask", DEFAULT_UMASK))
    if process.get("noNewPrivileges"):
        plan.init("no-new-privileges", "process.noNewPrivileges")
    if not any(entry.startswith("HOME=") and len(entry) > 5 for entry in process.get("env", ())):
        plan.init("home", "process.env", uid)
    _program(plan, process)
    close_descriptors(plan, request)
    for index, limit in enumerate(process.get("rlimits", ())):
        origin = f"process.rlimits[{index}] ({limit['type']})"
        plan.init("limit", origin, RLIMITS[limit["type"]], limit["soft"], limit["hard"])
    plan.init("arguments", "process.args", process["args"], environment(process, request))
    plan.init("outlive", "")
    if seccomp is not None:
        from .confine import load_filter

        load_filter(plan, seccomp, facts)
        if not process.get("noNewPrivileges"):
            _capabilities(plan, masks)


def _is_scheduled(config: "Config") -> bool:
    process, linux = config["process"], config.get("linux", {})
    if "scheduler" in process or "ioPriority" in process or "memoryPolicy" in linux or "personality" in linux:
        return True
    return bool(linux.get("resources", {}).get("cpu", {}).get("cpus"))


def _capabilities(plan: Plan, masks: dict[str, int], more: int = 0) -> None:
    """Adds the op for all sets but the bounding one. With `more` capabilities there is no ambient set yet."""
    plan.init(
        "capabilities",
        "process.capabilities",
        masks["permitted"] | more,
        masks["effective"] | more,
        masks["inheritable"],
        0 if more else masks["ambient"],
    )


def close_descriptors(plan: Plan, request: Request) -> None:
    kept = request.listen_fds + request.preserve_fds
    start, started = (SLOT_START, SLOT_STARTED) if request.waits else (0, 0)
    plan.init("close-descriptors", "", kept, start, started)


def _groups(plan: Plan, groups: list[int], facts: Facts, isolation: Isolation) -> None:
    if not facts.privileged and isolation.maps_ids:
        # an unprivileged user may not drop groups, lest a group that denies lose its effect (user_namespaces(7))
        if groups:
            raise ConfigError("process.user.additionalGids", "cannot be set by an unprivileged user")
        return
    plan.init("groups", "process.user.additionalGids", pack(f"<{len(groups)}I", *groups))


def capability_masks(plan: Plan, process: "Process", facts: Facts) -> dict[str, int]:
    """Returns the five sets as masks.

    None given means none. A name that the kernel does not know, and a capability that is not to be had here, is left
    out with a warning, as the specification wants; and what is not permitted cannot be effective or ambient.
    """
    capabilities = process.get("capabilities", {})
    masks = {}
    for name in SETS:
        mask = 0
        for capability in capabilities.get(name, ()):  # type: ignore[attr-defined]
            bit = 1 << CAPABILITIES.index(capability) if capability in CAPABILITIES else 0
            if not bit & facts.bounding:
                reason = "is not available here" if bit else "is not a capability"
                plan.warnings.append(f"process.capabilities.{name}: {capability} {reason}, left out")
            mask |= bit & facts.bounding
        masks[name] = mask
    if masks["effective"] & ~masks["permitted"]:
        raise ConfigError("process.capabilities.effective", "has capabilities that are not permitted")
    if masks["ambient"] & ~(masks["permitted"] & masks["inheritable"]):
        lost = masks["ambient"] & ~(masks["permitted"] & masks["inheritable"])
        missing = ", ".join(name for number, name in enumerate(CAPABILITIES) if lost >> number & 1)
        if process.get("user", {}).get("uid"):
            # root gets by execve(2) what is permitted, ambient or not (capabilities(7)); buildah asks for it so
            plan.warnings.append(
                f"process.capabilities.ambient: can't raise ambient capability {missing}: "
                "it is not both permitted and inheritable, left out"
            )
        masks["ambient"] &= masks["permitted"] & masks["inheritable"]
    return masks


def _program(plan: Plan, process: "Process") -> None:
    """Finds the program as execvp(3) does, with the PATH of the container."""
    name = process["args"][0]
    if "/" in name:
        plan.init("find-program", "process.args[0]", [name], 0)
        return
    search = ""
    for entry in process.get("env", ()):
        if entry.startswith("PATH="):
            search = entry[5:]
    if not search or not name:
        plan.init("find-program", "process.args[0]", [name], PROGRAM_SEARCH | PROGRAM_NOWHERE)
        return
    candidates = [f"{folder or '.'}/{name}" for folder in search.split(":")]
    plan.init("find-program", "process.args[0]", candidates, PROGRAM_SEARCH)


def environment(process: "Process", request: Request) -> list[str]:
    """Returns the container's environment: the config's list, the last of two entries for one name, no empty HOME."""
    entries = {entry.partition("=")[0]: entry for entry in process.get("env", ())}
    if entries.get("HOME") == "HOME=":
        del entries["HOME"]
    if request.listen_fds:
        # sd_listen_fds(3): the program checks that they are meant for it
        entries["LISTEN_FDS"] = f"LISTEN_FDS={request.listen_fds}"
        entries["LISTEN_PID"] = "LISTEN_PID=1"
    return list(entries.values())


def execute(plan: Plan) -> None:
    plan.init("started", "")
    plan.init("execute", "process.args")
