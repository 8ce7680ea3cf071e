"""What a schema cannot say: rules between members. Those for members that few configs have are in config/rules.py.

The schema has accepted the config before any of this runs.
"""

from ..errors import ConfigError
from .names import IPC_SYSCTLS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from .model import Config, IdMapping, Linux, Mount, Process

# config.md, Platform-specific configuration
OTHER_PLATFORMS = ("freebsd", "solaris", "vm", "windows", "zos")
HOST_NAME_MAX = 64
# 4294967295 is no id: to the kernel it means that one stays as it is
LAST_ID = 0xFFFFFFFE


def check(config: "Config") -> list[str]:
    """Checks a config that fits the schema. Returns warnings. Raises ConfigError."""
    warnings: list[str] = []
    linux = config.get("linux", {})
    _version(config["ociVersion"], warnings)
    warnings += [f"{name}: is for another platform and is ignored" for name in OTHER_PLATFORMS if name in config]
    if "" in config.get("annotations", ()):
        raise ConfigError("annotations", "a key is empty")
    kinds = _namespaces(linux)
    _mappings(linux, kinds)
    if "process" in config:
        _process(config["process"])
    if _is_rare(config):
        from .rules import check_rare

        check_rare(config, kinds)
    return warnings


def _is_rare(config: "Config") -> bool:
    """Whether there is anything that the rules for rare members are about."""
    linux, process = config.get("linux", {}), config.get("process", {})
    if "seccomp" in linux or "netDevices" in linux or "intelRdt" in linux or "memoryPolicy" in linux:
        return True
    if "timeOffsets" in linux or "scheduler" in process or "execCPUAffinity" in process:
        return True
    return any(is_id_mapped(mount) for mount in config.get("mounts", ()))


def is_id_mapped(mount: "Mount") -> bool:
    """Whether a mount asks for its ids to be mapped (config.md, Linux mount options)."""
    options = mount.get("options", ())
    return "idmap" in options or "ridmap" in options or "uidMappings" in mount or "gidMappings" in mount


def _version(version: str, warnings: list[str]) -> None:
    """config.md, Specification version: compatible within 1.x; of a later 1.x the new parts are unknown here."""
    numbers = version.partition("+")[0].partition("-")[0].split(".")
    if len(numbers) != 3 or not all(number.isascii() and number.isdigit() and len(number) < 10 for number in numbers):
        raise ConfigError("ociVersion", f'"{version[:60]}" is not a version (MAJOR.MINOR.PATCH)')
    if int(numbers[0]) != 1:
        raise ConfigError("ociVersion", f'"{version}" is not supported (1.0.0 to 1.3.x)')
    if int(numbers[1]) > 3:
        warnings.append(f"ociVersion {version} is newer than this runtime, which knows 1.3: new properties are ignored")


def _namespaces(linux: "Linux") -> dict[str, str]:
    """Returns type -> path of all namespaces."""
    kinds: dict[str, str] = {}
    for index, entry in enumerate(linux.get("namespaces", ())):
        if entry["type"] in kinds:
            raise ConfigError(f"linux.namespaces[{index}]", f'the type "{entry["type"]}" occurs twice')
        kinds[entry["type"]] = entry.get("path", "")
    return kinds


def _mappings(linux: "Linux", kinds: dict[str, str]) -> None:
    for name in ("uidMappings", "gidMappings"):
        mappings: list[IdMapping] = linux.get(name, [])  # type: ignore[assignment]
        origin = f"linux.{name}"
        if mappings and "user" not in kinds:
            raise ConfigError(origin, "User namespace mappings specified, but user namespace isn't enabled")
        if kinds.get("user") == "":
            if not mappings:
                raise ConfigError(origin, "a new user namespace needs a mapping")
            if not any(entry["containerID"] == 0 for entry in mappings):
                raise ConfigError(origin, "id 0 of the container is not mapped")
        check_map(mappings, origin)


def check_map(mappings: "list[IdMapping]", origin: str) -> None:
    """Refuses an id map that the kernel would refuse (user_namespaces(7)). Raises ConfigError."""
    for side in ("containerID", "hostID"):
        _overlap(mappings, side, origin)


def _overlap(mappings: "list[IdMapping]", side: str, origin: str) -> None:
    end, last = -1, -1
    for index in sorted(range(len(mappings)), key=lambda index: mappings[index][side]):  # type: ignore[literal-required]
        start: int = mappings[index][side]  # type: ignore[literal-required]
        if start <= end:
            raise ConfigError(f"{origin}[{index}].{side}", f"overlaps with {origin}[{last}]")
        end, last = start + mappings[index]["size"] - 1, index
        if end > LAST_ID:
            raise ConfigError(f"{origin}[{index}]", f"reaches beyond id {LAST_ID}")


def check_isolation(config: "Config", kinds: "AbstractSet[str]") -> None:
    """Refuses what would change the host for want of a namespace to keep it in.

    `kinds` are the types of namespaces that the container does not share with the runtime; a path in the config may
    lead to the runtime's own. Raises ConfigError.
    """
    linux = config.get("linux", {})
    _needs(config, kinds)
    _sysctls(linux, kinds)


def _needs(config: "Config", kinds: "AbstractSet[str]") -> None:
    for name in ("hostname", "domainname"):
        value: str = config.get(name, "")  # type: ignore[assignment]
        if value and "uts" not in kinds:
            raise ConfigError(name, f"unable to set {name} without a private UTS namespace")
        if len(value.encode()) > HOST_NAME_MAX:
            raise ConfigError(name, f"is longer than {HOST_NAME_MAX} bytes")


def _sysctls(linux: "Linux", kinds: "AbstractSet[str]") -> None:
    """Only what the kernel keeps per namespace may be set, and only in a namespace of the container's own."""
    characters = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./")
    for key in linux.get("sysctl", ()):
        origin = f'linux.sysctl["{key}"]'
        dot, slash = key.find("."), key.find("/")
        dotted = key.translate({ord("."): "/", ord("/"): "."}) if -1 < slash < dot or dot == -1 else key
        # "." and "/" both occur in names of interfaces, so an empty part is what a path could be smuggled in with
        if set(key) - characters or "" in dotted.replace("/", ".").split("."):
            from .dump import dumps

            raise ConfigError(f"linux.sysctl[{dumps(key)}]", "is not the name of a sysctl")
        if dotted in IPC_SYSCTLS or dotted.startswith("fs.mqueue."):
            if "ipc" not in kinds:
                raise ConfigError(origin, f'sysctl "{dotted}" is not allowed in the hosts ipc namespace')
        elif dotted.startswith("net."):
            if "network" not in kinds:
                raise ConfigError(origin, f'sysctl "{dotted}" not allowed in host network namespace')
        elif dotted.startswith("user."):
            if "user" not in kinds:
                raise ConfigError(origin, f"setting ucounts without a user namespace not allowed: {dotted}")
        elif dotted == "kernel.hostname" and "uts" in kinds:
            problem = 'sysctl "kernel.hostname" is not allowed as it conflicts with the OCI "hostname" field'
            raise ConfigError(origin, problem)
        elif dotted != "kernel.domainname" or "uts" not in kinds:
            raise ConfigError(origin, f'sysctl "{dotted}" is not in a separate kernel namespace')


def _process(process: "Process") -> None:
    seen = set()
    for index, limit in enumerate(process.get("rlimits", ())):
        origin = f"process.rlimits[{index}]"
        if limit["type"] in seen:
            raise ConfigError(f"{origin}.type", f'"{limit["type"]}" occurs twice')
        seen.add(limit["type"])
        if limit["soft"] > limit["hard"]:
            raise ConfigError(f"{origin}.soft", f"{limit['soft']} is more than the hard limit, {limit['hard']}")
