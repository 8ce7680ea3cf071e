"""`update`."""

from .. import state
from ..errors import PyruntimeError
from ..run.update import check_resources, read_resources, update
from .create import observer
from .flags import Flag, arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..config.model import IntelRdt, Resources
    from .flags import Values
    from .main import Context

ARGUMENTS = "ID"
DESCRIPTION = """
Changes limits of a container. What is not named stays as it is. With
--resources they come from a file, or with - from standard input, as JSON: the
object that config.json calls linux.resources; the other flags then do not count.
"""
FLAGS = (
    Flag("resources", "", "file with the new limits, - for standard input", "r"),
    Flag("blkio-weight", "", "weight for block IO, 10 to 1000"),
    Flag("cpu-period", "", "period of the processor quota, in µs"),
    Flag("cpu-quota", "", "processor time in each period, in µs; -1 for no limit"),
    Flag("cpu-burst", "", "processor time that may be saved up, in µs"),
    Flag("cpu-share", "", "share of the processors, relative to others"),
    Flag("cpu-rt-period", "", "period of the real-time quota, in µs"),
    Flag("cpu-rt-runtime", "", "real-time processor time in each period, in µs"),
    Flag("cpuset-cpus", "", "processors to run on: 0-3,7"),
    Flag("cpuset-mems", "", "memory nodes to allocate from"),
    Flag("cpu-idle", "", "1 to run only when nobody else does, 0 otherwise"),
    Flag("kernel-memory", "", "not applied: withdrawn by the kernel"),
    Flag("kernel-memory-tcp", "", "limit on the buffers of TCP, with unit (cgroup v1)"),
    Flag("memory", "", "limit on memory, with unit (64M); -1 for none"),
    Flag("memory-reservation", "", "memory that is left to the container when it gets scarce, with unit"),
    Flag("memory-swap", "", "limit on memory and swap together, with unit; -1 for none"),
    Flag("pids-limit", "", "limit on processes and threads; -1 for none"),
    Flag("l3-cache-schema", "", "share of the third-level cache (Intel RDT)"),
    Flag("mem-bw-schema", "", "share of the memory bandwidth (Intel RDT)"),
)
# flag -> member of linux.resources
NUMBERS = {
    "blkio-weight": ("blockIO", "weight"),
    "cpu-period": ("cpu", "period"),
    "cpu-quota": ("cpu", "quota"),
    "cpu-burst": ("cpu", "burst"),
    "cpu-share": ("cpu", "shares"),
    "cpu-rt-period": ("cpu", "realtimePeriod"),
    "cpu-rt-runtime": ("cpu", "realtimeRuntime"),
    "cpu-idle": ("cpu", "idle"),
    "pids-limit": ("pids", "limit"),
}
TEXTS = {"cpuset-cpus": ("cpu", "cpus"), "cpuset-mems": ("cpu", "mems")}
SIZES = {
    "kernel-memory": ("memory", "kernel"),
    "kernel-memory-tcp": ("memory", "kernelTCP"),
    "memory": ("memory", "limit"),
    "memory-reservation": ("memory", "reservation"),
    "memory-swap": ("memory", "swap"),
}
SCHEMATA = {"l3-cache-schema": "l3CacheSchema", "mem-bw-schema": "memBwSchema"}
UNITS = "kmgtp"


def run(context: "Context", values: "Values", rest: list[str]) -> int:
    """Changes the limits of a container."""
    arguments("update", rest, 1, 1)
    container = state.find(context.root(), rest[0])
    try:
        rdt: dict[str, str] = {}
        if values["resources"]:
            resources = _from_file(str(values["resources"]))
        else:
            resources = _from_flags(values)
            rdt = {member: str(values[flag]) for flag, member in SCHEMATA.items() if values[flag]}
        container.lock()
        warnings = update(container, resources, _schemata(rdt), observer(context))
    finally:
        container.close()
    for warning in warnings:
        context.log().warning(warning)
    return 0


def _schemata(rdt: dict[str, str]) -> "IntelRdt | None":
    return rdt or None  # type: ignore[return-value]


def _from_file(path: str) -> "Resources":
    from ..config.load import drain, read

    if path == "-":
        return read_resources(drain(0, "standard input"), "standard input")
    return read_resources(read(path, f"open {path}: no such file or directory", pipes=True), path)


def _from_flags(values: "Values") -> "Resources":
    resources: dict[str, dict[str, Any]] = {}
    for table, reader in ((NUMBERS, _number), (TEXTS, _text), (SIZES, size)):
        for flag, (group, member) in table.items():
            if values[flag]:
                resources.setdefault(group, {})[member] = reader(flag, str(values[flag]))
    check_resources(resources)
    return resources  # type: ignore[return-value]


def _text(_flag: str, text: str) -> str:
    return text


def _number(flag: str, text: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 19:
        raise PyruntimeError(f'invalid value for {flag}: parsing "{text}": invalid syntax')
    return int(text)


def size(flag: str, text: str) -> int:
    """Returns a number of bytes: 64M, 1.5g, 512 KiB are multiples of 1024, -1 is none. Raises PyruntimeError."""
    if text == "-1":
        return -1
    number = text.lower().removesuffix("b").removesuffix("i").rstrip()
    factor = 1
    if number[-1:] and number[-1:] in UNITS:
        factor = 1024 ** (UNITS.index(number[-1]) + 1)
        number = number[:-1].rstrip()
    whole, _, fraction = number.partition(".")
    if not whole.isascii() or not whole.isdigit() or len(whole) > 19 or not (fraction or "0").isdigit():
        raise PyruntimeError(f"invalid value for {flag}: invalid size: '{text}'")
    return int(whole) * factor + (int(float(f"0.{fraction}") * factor) if fraction else 0)
