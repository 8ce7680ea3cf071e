"""linux.resources but devices, as files of cgroup v1 and v2 and what to write into them.

Where the specification's values are made for v1 they are converted for v2, with the formulas that runc uses, so that a
container gets the same share under either.
"""

from ..errors import ConfigError
from .cgroup import Write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

    from ..config.model import BlockIO, Cpu, Memory, Resources

UNLIMITED = -1
RESOURCES = "linux.resources"
# files by which processes are moved, held or ended, and a cgroup gets another nature: nothing for a config to set
PROCESS_FILES = frozenset(
    f"cgroup.{name}" for name in ("procs", "threads", "type", "subtree_control", "freeze", "kill")
)
# those of v2 that the configuration has names for
CONTROLLERS = frozenset(("cpu", "cpuset", "hugetlb", "io", "memory", "pids"))


def _one(controller: str, origin: str, file: str, value: int | str) -> Write:
    return Write(controller, f"{RESOURCES}.{origin}", ((file, str(value)),))


def _no_conversion(origin: str) -> ConfigError:
    return ConfigError(f"{RESOURCES}.{origin}", "cgroup v2 has nothing like it")


def translate(resources: "Resources", second: "Container[str]", warnings: list[str]) -> list[Write]:
    """Returns all writes. `second` are the controllers that the host has in version 2: a host may have some of them
    there and the others in version 1. Raises ConfigError for what a version cannot express."""
    memory = _memory_2 if "memory" in second else _memory_1
    cpu = _cpu_2 if "cpu" in second else _cpu_1
    block_io = _block_io_2 if "io" in second else _block_io_1
    suffix = "max" if "hugetlb" in second else "limit_in_bytes"
    writes = memory(resources.get("memory", {}))
    writes += cpu(resources.get("cpu", {}))
    writes += _cpuset(resources.get("cpu", {}))
    writes += _pids(resources)
    writes += block_io(resources.get("blockIO", {}))
    for index, limit in enumerate(resources.get("hugepageLimits", ())):
        writes += _hugepages(index, limit["limit"], f"hugetlb.{limit['pageSize']}", suffix)
    writes += _rdma(resources)
    writes += _network(resources)
    _obsolete_memory(resources.get("memory", {}), warnings)
    return writes + _unified(resources)


# ---- version 1


def _memory_1(memory: "Memory") -> list[Write]:
    writes = []
    limit, swap = memory.get("limit", 0), memory.get("swap", 0)
    if limit and (swap or limit == UNLIMITED):
        # the kernel keeps memory within memory+swap at every step, and a cgroup that was there before may have limits;
        # no swap accounting, no such file
        origin = f"{RESOURCES}.memory.limit"
        writes.append(Write("memory", origin, (("memory.memsw.limit_in_bytes", "-1"),), required=False))
    if limit:
        writes.append(_one("memory", "memory.limit", "memory.limit_in_bytes", limit))
    if swap:
        writes.append(_one("memory", "memory.swap", "memory.memsw.limit_in_bytes", swap))
    if memory.get("reservation"):
        writes.append(_one("memory", "memory.reservation", "memory.soft_limit_in_bytes", memory["reservation"]))
    if "swappiness" in memory:
        writes.append(_one("memory", "memory.swappiness", "memory.swappiness", memory["swappiness"]))
    if memory.get("kernelTCP"):
        writes.append(_one("memory", "memory.kernelTCP", "memory.kmem.tcp.limit_in_bytes", memory["kernelTCP"]))
    if memory.get("disableOOMKiller"):
        writes.append(_one("memory", "memory.disableOOMKiller", "memory.oom_control", 1))
    return writes


def _obsolete_memory(memory: "Memory", warnings: list[str]) -> None:
    """The kernel has withdrawn these (cgroup-v1/memory), and runc applies them no more."""
    if memory.get("kernel", 0) > 0:
        problem = "is not applied: the kernel has withdrawn limits on kernel memory"
        warnings.append(f"{RESOURCES}.memory.kernel {problem}")
    if memory.get("useHierarchy") is False:
        warnings.append(f"{RESOURCES}.memory.useHierarchy is not applied: the kernel knows hierarchies only")


def _no_burst(file: str) -> Write:
    """The kernel keeps the burst within the quota, and an earlier container may have left one above the new quota."""
    return Write("cpu", f"{RESOURCES}.cpu.burst", ((file, "0"),), required=False)


def _cpu_1(cpu: "Cpu") -> list[Write]:
    writes = []
    if cpu.get("shares"):
        writes.append(_one("cpu", "cpu.shares", "cpu.shares", cpu["shares"]))
    if cpu.get("period"):
        writes.append(_one("cpu", "cpu.period", "cpu.cfs_period_us", cpu["period"]))
    if cpu.get("quota"):
        if "burst" in cpu:
            writes.append(_no_burst("cpu.cfs_burst_us"))
        writes.append(_one("cpu", "cpu.quota", "cpu.cfs_quota_us", cpu["quota"]))
    if "burst" in cpu:
        writes.append(_one("cpu", "cpu.burst", "cpu.cfs_burst_us", cpu["burst"]))
    if cpu.get("realtimePeriod"):
        writes.append(_one("cpu", "cpu.realtimePeriod", "cpu.rt_period_us", cpu["realtimePeriod"]))
    if cpu.get("realtimeRuntime"):
        writes.append(_one("cpu", "cpu.realtimeRuntime", "cpu.rt_runtime_us", cpu["realtimeRuntime"]))
    if "idle" in cpu:
        writes.append(_one("cpu", "cpu.idle", "cpu.idle", cpu["idle"]))
    return writes


def _cpuset(cpu: "Cpu") -> list[Write]:
    writes = []
    if cpu.get("cpus"):
        writes.append(_one("cpuset", "cpu.cpus", "cpuset.cpus", cpu["cpus"]))
    if cpu.get("mems"):
        writes.append(_one("cpuset", "cpu.mems", "cpuset.mems", cpu["mems"]))
    return writes


def _pids(resources: "Resources") -> list[Write]:
    limit = resources.get("pids", {}).get("limit")
    if limit is None:
        return []
    return [_one("pids", "pids.limit", "pids.max", "max" if limit == UNLIMITED else limit)]


THROTTLES = (
    ("throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps"),
    ("throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps"),
    ("throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops"),
    ("throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops"),
)


def _block_io_1(block: "BlockIO") -> list[Write]:
    writes = []
    if block.get("weight"):
        weight = str(block["weight"])
        choices = (("blkio.weight", weight), ("blkio.bfq.weight", weight))
        writes.append(Write("blkio", f"{RESOURCES}.blockIO.weight", choices))
    if block.get("leafWeight"):
        writes.append(_one("blkio", "blockIO.leafWeight", "blkio.leaf_weight", block["leafWeight"]))
    for index, device in enumerate(block.get("weightDevice", ())):
        origin = f"blockIO.weightDevice[{index}]"
        number = f"{device['major']}:{device['minor']}"
        if device.get("weight"):
            line = f"{number} {device['weight']}"
            choices = (("blkio.weight_device", line), ("blkio.bfq.weight_device", line))
            writes.append(Write("blkio", f"{RESOURCES}.{origin}", choices))
        if device.get("leafWeight"):
            writes.append(_one("blkio", origin, "blkio.leaf_weight_device", f"{number} {device['leafWeight']}"))
    for name, file, _ in THROTTLES:
        for index, device in enumerate(block.get(name, ())):  # type: ignore[arg-type]
            line = f"{device['major']}:{device['minor']} {device['rate']}"
            writes.append(_one("blkio", f"blockIO.{name}[{index}]", file, line))
    return writes


def _hugepages(index: int, limit: int, prefix: str, suffix: str) -> list[Write]:
    origin = f"{RESOURCES}.hugepageLimits[{index}]"
    return [
        Write("hugetlb", origin, ((f"{prefix}.{suffix}", str(limit)),)),
        # kernels without reservation accounting limit usage alone (config-linux.md, Huge page limits)
        Write("hugetlb", origin, ((f"{prefix}.rsvd.{suffix}", str(limit)),), required=False),
    ]


def _rdma(resources: "Resources") -> list[Write]:
    writes = []
    for device, limit in resources.get("rdma", {}).items():
        keys = (("hca_handle", limit.get("hcaHandles")), ("hca_object", limit.get("hcaObjects")))
        values = " ".join(f"{key}={value}" for key, value in keys if value is not None)
        writes.append(_one("rdma", f'rdma["{device}"]', "rdma.max", f"{device} {values}"))
    return writes


def _network(resources: "Resources") -> list[Write]:
    """Version 1 only, and not converted: the kernel has nothing in place of these controllers. That no hierarchy has
    them is then the error."""
    writes = []
    network = resources.get("network", {})
    if network.get("classID"):
        writes.append(_one("net_cls", "network.classID", "net_cls.classid", network["classID"]))
    for index, entry in enumerate(network.get("priorities", ())):
        line = f"{entry['name']} {entry['priority']}"
        writes.append(_one("net_prio", f"network.priorities[{index}]", "net_prio.ifpriomap", line))
    return writes


# ---- version 2


def swap_only(limit: int, swap: int) -> int:
    """Converts the specification's limit of memory and swap together to one of swap alone. 0 means none is set."""
    origin = f"{RESOURCES}.memory.swap"
    if swap in (0, UNLIMITED):
        return UNLIMITED if UNLIMITED in (swap, limit) else 0
    if limit == UNLIMITED:
        return swap
    if limit == 0:
        raise ConfigError(origin, "a limit of memory and swap needs memory.limit as well")
    if swap < limit:
        raise ConfigError(origin, f"{swap} is less than memory.limit ({limit}), which it contains")
    return swap - limit


def _maximum(value: int) -> str:
    return "max" if value == UNLIMITED else str(value)


def _memory_2(memory: "Memory") -> list[Write]:
    writes = []
    limit, swap = memory.get("limit", 0), memory.get("swap", 0)
    alone = swap_only(limit, swap)
    if alone or swap:
        # a kernel without swap has no such file; then there is no swap to forbid or to allow without limit
        value = _maximum(alone)
        required = value not in ("0", "max")
        writes.append(Write("memory", f"{RESOURCES}.memory.swap", (("memory.swap.max", value),), required=required))
    if limit:
        writes.append(_one("memory", "memory.limit", "memory.max", _maximum(limit)))
    if memory.get("reservation"):
        writes.append(_one("memory", "memory.reservation", "memory.low", _maximum(memory["reservation"])))
    if "swappiness" in memory:
        raise _no_conversion("memory.swappiness")
    for name in ("disableOOMKiller", "kernelTCP"):
        if memory.get(name) not in (None, False, 0, UNLIMITED):
            raise _no_conversion(f"memory.{name}")
    return writes


def cpu_weight(shares: int) -> int:
    """Converts cpu.shares (2 to 262144, usually 1024) to cpu.weight (1 to 10000, usually 100)."""
    if shares <= 2:
        return 1
    if shares >= 262144:
        return 10000
    from math import ceil, log2

    exponent = log2(shares)
    # the parabola through the least, the usual and the greatest value of both scales
    return ceil(10 ** ((exponent * exponent + 125 * exponent) / 612 - 7 / 34))


def _cpu_2(cpu: "Cpu") -> list[Write]:
    writes = []
    for name in ("realtimeRuntime", "realtimePeriod"):
        if cpu.get(name):
            raise _no_conversion(f"cpu.{name}")
    if "idle" in cpu:
        writes.append(_one("cpu", "cpu.idle", "cpu.idle", cpu["idle"]))
    if cpu.get("shares") and cpu.get("idle") != 1:
        # the kernel refuses a weight for what runs only when nothing else does
        writes.append(_one("cpu", "cpu.shares", "cpu.weight", cpu_weight(cpu["shares"])))
    quota, period = cpu.get("quota", 0), cpu.get("period", 0)
    if quota or period:
        if "burst" in cpu:
            writes.append(_no_burst("cpu.max.burst"))
        origin = "cpu.quota" if quota else "cpu.period"
        value = f"{quota if quota > 0 else 'max'} {period or 100000}"
        writes.append(_one("cpu", origin, "cpu.max", value))
    if "burst" in cpu:
        writes.append(_one("cpu", "cpu.burst", "cpu.max.burst", cpu["burst"]))
    return writes


def io_weight(weight: int) -> int:
    """Converts blkio.weight (10 to 1000) to io.weight (1 to 10000)."""
    return 1 + (max(weight, 10) - 10) * 9999 // 990


def _block_io_2(block: "BlockIO") -> list[Write]:
    writes = []
    if block.get("leafWeight"):
        raise _no_conversion("blockIO.leafWeight")
    if block.get("weight"):
        weight = block["weight"]
        choices = (("io.bfq.weight", str(weight)), ("io.weight", str(io_weight(weight))))
        writes.append(Write("io", f"{RESOURCES}.blockIO.weight", choices))
    for index, device in enumerate(block.get("weightDevice", ())):
        origin = f"blockIO.weightDevice[{index}]"
        if device.get("leafWeight"):
            raise _no_conversion(f"{origin}.leafWeight")
        if device.get("weight"):
            number, weight = f"{device['major']}:{device['minor']}", device["weight"]
            choices = (("io.bfq.weight", f"{number} {weight}"), ("io.weight", f"{number} {io_weight(weight)}"))
            writes.append(Write("io", f"{RESOURCES}.{origin}", choices))
    for name, _, key in THROTTLES:
        for index, device in enumerate(block.get(name, ())):  # type: ignore[arg-type]
            line = f"{device['major']}:{device['minor']} {key}={device['rate']}"
            writes.append(_one("io", f"blockIO.{name}[{index}]", "io.max", line))
    return writes


def _unified(resources: "Resources") -> list[Write]:
    writes = []
    for file, value in resources.get("unified", {}).items():
        controller, dot, _ = file.partition(".")
        origin = f'{RESOURCES}.unified["{file}"]'
        allowed = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.")
        if not (dot and controller) or set(file) - allowed or ".." in file:
            raise ConfigError(origin, "is not the name of a file of cgroup v2 (controller.name)")
        if file in PROCESS_FILES:
            raise ConfigError(origin, "is about the cgroup's processes, which are the runtime's to manage")
        for line in value.split("\n"):
            # "If the value contains newlines": each line is an entry of its own, and so a write of its own
            writes.append(Write(controller, origin, ((file, line),), version=2))
    return writes
