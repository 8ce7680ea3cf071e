"""What a container uses, in the form of runc's `events`, on cgroup v1 and v2 (cgroups(7), cgroup-v1/*, cgroup-v2).

Where the two versions count differently the figures are those of v1, as clients expect them: times in nanoseconds, swap
as memory and swap together. What is nought is left out, where runc leaves it out.
"""

from .files import read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..config.model import Json
    from ..state import State

    Figures = dict[str, Json]

U64_MAX = (1 << 64) - 1
# nanoseconds in a tick of cpuacct.stat: USER_HZ is 100 on all machines that we know (time(7))
TICK = 10_000_000
# runc's names for the two operations that a disk counts
DISK_1 = (
    ("ioServiceBytesRecursive", "io_service_bytes"),
    ("ioServicedRecursive", "io_serviced"),
    ("ioQueueRecursive", "io_queued"),
    ("ioServiceTimeRecursive", "io_service_time"),
    ("ioWaitTimeRecursive", "io_wait_time"),
    ("ioMergedRecursive", "io_merged"),
    ("ioTimeRecursive", "time"),
    ("sectorsRecursive", "sectors"),
)
DISK_2 = {
    "rbytes": ("ioServiceBytesRecursive", "Read"),
    "wbytes": ("ioServiceBytesRecursive", "Write"),
    "dbytes": ("ioServiceBytesRecursive", "Discard"),
    "rios": ("ioServicedRecursive", "Read"),
    "wios": ("ioServicedRecursive", "Write"),
    "dios": ("ioServicedRecursive", "Discard"),
}
CPUSET_SCALARS = (
    "cpu_exclusive",
    "mem_hardwall",
    "mem_exclusive",
    "memory_migrate",
    "memory_spread_page",
    "memory_spread_slab",
    "memory_pressure",
    "sched_load_balance",
    "sched_relax_domain_level",
)


class Cgroups:
    """The cgroups of a container, to read from."""

    def __init__(self, state: "State") -> None:
        self._directories = state["cgroups"]
        self._has: dict[str, str] = {}

    def text(self, file: str) -> str | None:
        """Returns the content of the file of that name in the cgroup that has it, None if none has."""
        known = self._has.get(file)
        for directory in (known,) if known else self._directories:
            try:
                content = read_text(f"{directory}/{file}")
            except FileNotFoundError:
                continue
            except OSError:
                return None  # a file for which there is nothing to say here (EOPNOTSUPP), or a cgroup that goes away
            self._has[file] = directory
            return content
        return None

    def number(self, file: str) -> int:
        """Returns the number in a file: 0 for a missing one, the greatest there is for "max"."""
        text = (self.text(file) or "0").strip()
        return U64_MAX if text == "max" else int(text)

    def table(self, file: str) -> dict[str, int]:
        """Returns the lines of a file, each a name and a number."""
        pairs = [line.split() for line in (self.text(file) or "").splitlines()]
        return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}

    def names(self, beginning: str) -> list[str]:
        """Returns the names of all files that begin so."""
        import posix

        found: set[str] = set()
        for directory in self._directories:
            try:
                found.update(name for name in posix.listdir(directory) if name.startswith(beginning))
            except FileNotFoundError:
                continue
        return sorted(found)


def statistics(state: "State") -> "Figures":
    """Returns the figures of a container."""
    from .interfaces import interfaces

    cgroups = Cgroups(state)
    has_memory_2 = cgroups.text("memory.current") is not None
    return {
        "cpu": _cpu_2(cgroups) if cgroups.text("cpuacct.usage") is None else _cpu_1(cgroups),
        "cpuset": _cpuset(cgroups),
        "memory": _memory_2(cgroups) if has_memory_2 else _memory_1(cgroups),
        "pids": _pids(cgroups),
        "blkio": _disks_2(cgroups) if cgroups.text("io.stat") is not None else _disks_1(cgroups),
        "hugetlb": _hugepages(cgroups) or None,
        "intel_rdt": {},
        "network_interfaces": interfaces(state["pid"]) or None,
    }


def _filled(figures: "Mapping[str, Json]") -> "Figures":
    """Leaves out what is nought, or holds nothing."""
    return {name: value for name, value in figures.items() if value not in (0, [], {}, None)}


# ---- processors


def _cpu_1(cgroups: Cgroups) -> "Figures":
    ticks = cgroups.table("cpuacct.stat")
    # a line for each processor: number, user, system; the first one is the heading
    each = [line.split() for line in (cgroups.text("cpuacct.usage_all") or "").splitlines()[1:]]
    usage = _filled(
        {
            "total": cgroups.number("cpuacct.usage"),
            "percpu": [int(value) for value in (cgroups.text("cpuacct.usage_percpu") or "").split()],
            "percpu_kernel": [int(line[2]) for line in each],
            "percpu_user": [int(line[1]) for line in each],
        }
    )
    usage |= {"kernel": ticks.get("system", 0) * TICK, "user": ticks.get("user", 0) * TICK}
    throttled = cgroups.table("cpu.stat")
    return {"usage": usage, "throttling": _throttling(throttled, throttled.get("throttled_time", 0))}


def _cpu_2(cgroups: Cgroups) -> "Figures":
    table = cgroups.table("cpu.stat")
    usage = _filled({"total": table.get("usage_usec", 0) * 1000})
    usage |= {"kernel": table.get("system_usec", 0) * 1000, "user": table.get("user_usec", 0) * 1000}
    figures: Figures = {
        "usage": usage,
        "throttling": _throttling(table, table.get("throttled_usec", 0) * 1000),
    }
    return figures | _pressure(cgroups, "cpu.pressure")


def _throttling(table: "Mapping[str, int]", time: int) -> "Figures":
    periods, throttled = table.get("nr_periods", 0), table.get("nr_throttled", 0)
    return _filled({"periods": periods, "throttledPeriods": throttled, "throttledTime": time})


def _pressure(cgroups: Cgroups, file: str) -> "Figures":
    """Returns how long processes had to wait for something (accounting/psi)."""
    text = cgroups.text(file)
    if not text:
        return {}
    kinds: Figures = {}
    for line in text.splitlines():
        kind, *pairs = line.split()
        values = dict(pair.split("=") for pair in pairs)
        figures: Figures = {name: float(values[name]) for name in ("avg10", "avg60", "avg300")}
        kinds[kind] = figures | {"total": int(values["total"])}
    return {"psi": kinds}


def _numbers(text: str | None) -> "list[Json]":
    from ..config.kernel import parse_list

    return [*sorted(parse_list(text.strip()))] if text and text.strip() else []


def _cpuset(cgroups: Cgroups) -> "Figures":
    figures = _filled(
        {
            "cpus": _numbers(cgroups.text("cpuset.cpus.effective") or cgroups.text("cpuset.cpus")),
            "mems": _numbers(cgroups.text("cpuset.mems.effective") or cgroups.text("cpuset.mems")),
        }
    )
    return figures | {name: cgroups.number(f"cpuset.{name}") for name in CPUSET_SCALARS}


# ---- memory


def _entry(usage: int, limit: int, peak: int, failures: int) -> "Figures":
    return {"limit": limit, **_filled({"usage": usage, "max": peak}), "failcnt": failures}


def _memory_1(cgroups: Cgroups) -> "Figures":
    raw = cgroups.table("memory.stat")
    figures = _filled({"cache": raw.get("cache", 0)})
    for name, part in (("usage", ""), ("swap", "memsw."), ("kernel", "kmem."), ("kernelTCP", "kmem.tcp.")):
        file = f"memory.{part}"
        figures[name] = _entry(
            cgroups.number(f"{file}usage_in_bytes"),
            cgroups.number(f"{file}limit_in_bytes"),
            cgroups.number(f"{file}max_usage_in_bytes"),
            cgroups.number(f"{file}failcnt"),
        )
    return figures | _filled({"raw": dict(raw)})


def _memory_2(cgroups: Cgroups) -> "Figures":
    raw = cgroups.table("memory.stat")
    usage, limit = cgroups.number("memory.current"), cgroups.number("memory.max")
    swap_limit = cgroups.number("memory.swap.max")
    together = swap_limit if U64_MAX in (swap_limit, limit) else swap_limit + limit
    failures = cgroups.table("memory.events").get("max", 0)
    swap_failures = cgroups.table("memory.swap.events").get("max", 0)
    figures = _filled({"cache": raw.get("file", 0)})
    figures |= {
        "usage": _entry(usage, limit, cgroups.number("memory.peak"), failures),
        "swap": _entry(usage + cgroups.number("memory.swap.current"), together, 0, swap_failures),
        "kernel": _entry(0, 0, 0, 0),
        "kernelTCP": _entry(0, 0, 0, 0),
    }
    return figures | _filled({"raw": dict(raw)}) | _pressure(cgroups, "memory.pressure")


# ---- the others


def _pids(cgroups: Cgroups) -> "Figures":
    limit = cgroups.number("pids.max")
    return _filled({"current": cgroups.number("pids.current"), "limit": 0 if limit == U64_MAX else limit})


def _hugepages(cgroups: Cgroups) -> "Figures":
    figures: Figures = {}
    for name in cgroups.names("hugetlb."):
        size = name.split(".")[1]
        if size in figures:
            continue
        # reserved pages count where the kernel counts them: they are what a limit is mostly about
        reserved = ".rsvd" if cgroups.names(f"hugetlb.{size}.rsvd.") else ""
        first = f"hugetlb.{size}{reserved}"
        usage = cgroups.number(f"{first}.usage_in_bytes") or cgroups.number(f"{first}.current")
        failures = cgroups.number(f"{first}.failcnt") or cgroups.table(f"hugetlb.{size}.events").get("max", 0)
        peak = cgroups.number(f"{first}.max_usage_in_bytes")
        figures[size] = {**_filled({"usage": usage, "max": peak}), "failcnt": failures}
    return figures


def _disks_1(cgroups: Cgroups) -> "Figures":
    figures: Figures = {}
    scheduler = "bfq" if cgroups.text("blkio.bfq.io_serviced_recursive") else "throttle"
    for name, file in DISK_1:
        entries: list[Json] = []
        for line in (cgroups.text(f"blkio.{scheduler}.{file}_recursive") or "").splitlines():
            device, *rest = line.split()
            if ":" not in device or (len(rest) == 2 and rest[0] == "Total"):
                continue
            entries.append(_disk(device, rest[0] if len(rest) == 2 else "", int(rest[-1])))
        figures[name] = entries
    return _filled(figures)


def _disks_2(cgroups: Cgroups) -> "Figures":
    entries: dict[str, list[Json]] = {}
    for line in (cgroups.text("io.stat") or "").splitlines():
        device, *pairs = line.split()
        for pair in pairs:
            key, _, value = pair.partition("=")
            if key in DISK_2:
                name, operation = DISK_2[key]
                entries.setdefault(name, []).append(_disk(device, operation, int(value)))
    return {**_filled(dict(entries)), **_pressure(cgroups, "io.pressure")}


def _disk(device: str, operation: str, value: int) -> "Figures":
    major, _, minor = device.partition(":")
    return _filled({"major": int(major), "minor": int(minor), "op": operation, "value": value})
