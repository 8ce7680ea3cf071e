"""Rules for the members that few configs have, as config/check.py has them for the others; loaded when one is there."""

from ..errors import ConfigError
from .kernel import MEMORY_NODES, NOTIFY, WITH_ERRNO, parse_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .model import Config, IntelRdt, Linux, MemoryPolicy, Mount, NetDevice, Process, Scheduler, Seccomp

INTERFACE_NAME_MAX = 15
# those to which the kernel applies a nice value
NICE_POLICIES = ("SCHED_OTHER", "SCHED_BATCH", "SCHED_IDLE")
REALTIME_POLICIES = ("SCHED_FIFO", "SCHED_RR")
ERRNO_MAX = 4095


def check_rare(config: "Config", kinds: dict[str, str]) -> None:
    """Checks them. `kinds` are the types of namespaces that the config asks for, with their paths.

    Raises ConfigError.
    """
    linux = config.get("linux", {})
    _process(config.get("process"))
    _time(linux, kinds)
    if "seccomp" in linux:
        _seccomp(linux["seccomp"])
    if "intelRdt" in linux:
        _intel_rdt(linux["intelRdt"])
    _net_devices(linux.get("netDevices", {}))
    if "memoryPolicy" in linux:
        _memory_policy(linux["memoryPolicy"])
    for index, mount in enumerate(config.get("mounts", ())):
        _id_mapped(f"mounts[{index}]", mount, kinds)


def _process(process: "Process | None") -> None:
    if process is None:
        return
    if "scheduler" in process:
        _scheduler(process["scheduler"])
    for name in ("initial", "final"):
        cpus = process.get("execCPUAffinity", {}).get(name, "")
        if cpus:
            _numbers(f"process.execCPUAffinity.{name}", str(cpus))


def _numbers(origin: str, text: str) -> set[int]:
    try:
        return parse_list(text)
    except ValueError as error:
        raise ConfigError(origin, str(error)) from None


def _scheduler(scheduler: "Scheduler") -> None:
    """What sched_setattr(2) would refuse with no more than "invalid argument"."""
    policy = scheduler["policy"]
    origin = "process.scheduler"
    nice = scheduler.get("nice", 0)
    if not -20 <= nice <= 19:
        raise ConfigError(f"{origin}.nice", f"invalid scheduler.nice: {nice} (-20 to 19)")
    if nice and policy not in NICE_POLICIES:
        raise ConfigError(f"{origin}.nice", f"is for {', '.join(NICE_POLICIES)}, not for {policy}")
    if scheduler.get("priority") and policy not in REALTIME_POLICIES:
        problem = "scheduler.priority can only be specified for SchedFIFO or SchedRR policy"
        raise ConfigError(f"{origin}.priority", problem)
    if policy in REALTIME_POLICIES and not 1 <= scheduler.get("priority", 0) <= 99:
        raise ConfigError(f"{origin}.priority", f"{policy} needs one of 1 to 99")
    if policy != "SCHED_DEADLINE" and any(scheduler.get(name) for name in ("runtime", "deadline", "period")):
        problem = "scheduler runtime/deadline/period can only be specified for SchedDeadline policy"
        raise ConfigError(origin, problem)


def _time(linux: "Linux", kinds: dict[str, str]) -> None:
    if not linux.get("timeOffsets"):
        return
    if "time" not in kinds:
        problem = "time namespace offsets specified, but time namespace isn't enabled"
        raise ConfigError("linux.timeOffsets", problem)
    if kinds["time"]:
        raise ConfigError("linux.timeOffsets", "the clocks of a time namespace that is joined cannot be set")


def _seccomp(seccomp: "Seccomp") -> None:
    origin = "linux.seccomp"
    _errno(f"{origin}.defaultErrnoRet", seccomp["defaultAction"], seccomp.get("defaultErrnoRet"))
    if seccomp["defaultAction"] == NOTIFY:
        raise ConfigError(f"{origin}.defaultAction", "SCMP_ACT_NOTIFY cannot be used as default action")
    if seccomp.get("listenerMetadata") and not seccomp.get("listenerPath"):
        raise ConfigError(f"{origin}.listenerMetadata", "is for listenerPath, which is missing")
    for number, rule in enumerate(seccomp.get("syscalls", ())):
        place = f"{origin}.syscalls[{number}]"
        _errno(f"{place}.errnoRet", rule["action"], rule.get("errnoRet"))
        if rule["action"] == NOTIFY:
            if not seccomp.get("listenerPath"):
                raise ConfigError(
                    f"{origin}.listenerPath", "seccomp listenerPath is not set, and SCMP_ACT_NOTIFY needs one"
                )
            if "write" in rule["names"]:
                # init says with it that there is a listener, before there is anybody to let it
                raise ConfigError(f"{place}.names", "SCMP_ACT_NOTIFY cannot be used for the write syscall")


def _errno(origin: str, action: str, number: int | None) -> None:
    if number is None:
        return
    if action not in WITH_ERRNO:
        raise ConfigError(origin, f"is for {' and '.join(WITH_ERRNO)}, not for {action}")
    if action == "SCMP_ACT_ERRNO" and number > ERRNO_MAX:
        raise ConfigError(origin, f"{number} is no errno (0 to {ERRNO_MAX})")
    if number > 0xFFFF:
        raise ConfigError(origin, f"{number} is more than a tracer can be told (0 to {0xFFFF})")


def _intel_rdt(rdt: "IntelRdt") -> None:
    """config-linux.md, IntelRdt."""
    origin = "linux.intelRdt"
    group = rdt.get("closID", "")
    if group in (".", "..") or (len(group) > 1 and "/" in group):
        raise ConfigError(
            f"{origin}.closID", f'invalid intelRdt.ClosID "{group}" (one name, or "/" for the default group)'
        )
    if "\n" in group:
        raise ConfigError(f"{origin}.closID", "holds a newline")
    for name, prefix in (("l3CacheSchema", "L3"), ("memBwSchema", "MB:")):
        schema = str(rdt.get(name, ""))
        if schema and not schema.startswith(prefix):
            raise ConfigError(f"{origin}.{name}", f'"{schema[:40]}" does not begin with "{prefix}"')
        if "\n" in schema:
            raise ConfigError(f"{origin}.{name}", "holds a newline")
    for number, line in enumerate(rdt.get("schemata", ())):
        if "\n" in line:
            raise ConfigError(f"{origin}.schemata[{number}]", "holds a newline")


def _net_devices(devices: "dict[str, NetDevice]") -> None:
    taken: dict[str, str] = {}
    for name, device in devices.items():
        origin = f'linux.netDevices["{name}"]'
        new = device.get("name") or name
        for text in (name, new):
            if not _is_interface(text):
                raise ConfigError(origin, f'"{text}" is not the name of a network device')
        if "%" in new and (new.count("%") > 1 or not new.endswith("%d")):
            raise ConfigError(f"{origin}.name", f'"{new}": a template has one %d, at its end')
        if "%" not in new and new in taken:
            raise ConfigError(f"{origin}.name", f'"{new}" is the name of {taken[new]} already')
        taken[new] = origin


def _is_interface(name: str) -> bool:
    """Whether the kernel would take it (dev_valid_name): 15 bytes, without slash, colon or space."""
    if not name or len(name.encode()) > INTERFACE_NAME_MAX or name in (".", ".."):
        return False
    return not any(letter in "/:" or letter.isspace() for letter in name)


def _memory_policy(policy: "MemoryPolicy") -> None:
    """set_mempolicy(2)."""
    origin = "linux.memoryPolicy.nodes"
    nodes = _numbers(origin, policy["nodes"]) if policy.get("nodes") else set()
    if nodes and max(nodes) >= MEMORY_NODES:
        raise ConfigError(origin, f"{max(nodes)} is not a memory node (0 to {MEMORY_NODES - 1})")
    if policy["mode"] in ("MPOL_DEFAULT", "MPOL_LOCAL"):
        if nodes:
            raise ConfigError(origin, f"memory policy mode requires 0 nodes but got {len(nodes)}")
    elif policy["mode"] != "MPOL_PREFERRED" and not nodes:
        raise ConfigError(origin, "memory policy mode requires at least one node but got 0")


def _id_mapped(origin: str, mount: "Mount", kinds: dict[str, str]) -> None:
    """config.md, Linux mount options: idmap, ridmap; POSIX-platform Mounts: uidMappings, gidMappings."""
    from .check import check_map

    maps = [name for name in ("uidMappings", "gidMappings") if mount.get(name)]
    if len(maps) == 1:
        raise ConfigError(f"{origin}.{maps[0]}", "id-mapped mounts must have both uid and gid mappings specified")
    for name in maps:
        check_map(mount[name], f"{origin}.{name}")  # type: ignore[literal-required]
    options = [option for option in mount.get("options", ()) if option in ("idmap", "ridmap")]
    if options and not maps and "user" not in kinds:
        problem = f'"{options[0]}" needs uidMappings and gidMappings, or a user namespace to take them from'
        raise ConfigError(f"{origin}.options", problem)
    if (options or maps) and "remount" in mount.get("options", ()):
        raise ConfigError(f"{origin}.options", "a remount cannot change how ids are mapped")
