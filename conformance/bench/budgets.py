"""The budgets of docs/design.md, held against what was measured. Ratios within one run, bytes, and differences."""

from dataclasses import dataclass
from statistics import median

INIT_KIB = 300
PEAK_KIB = 14 * 1024
MOUNT_MICROSECONDS = 60
GPU_MILLISECONDS = 3

# what, against which runtime ("bare" is the interpreter alone), at most
RATIOS = (
    ("state", "bare", 1.35),
    ("start", "bare", 1.35),
    ("kill", "bare", 1.35),
    ("delete", "bare", 1.35),
    ("create", "runc", 0.75),
    ("create+start+delete", "runc", 0.9),
    ("run", "runc", 0.8),
    ("exec", "runc", 0.8),
)


@dataclass
class Verdict:
    """One budget: what it is about, what was measured, what it may be at most."""

    what: str
    measured: float
    limit: float
    unit: str = ""

    @property
    def held(self) -> bool:
        return self.measured <= self.limit

    def line(self) -> str:
        mark = "held" if self.held else "MISSED"
        return f"{self.what:44} {self.measured:10.2f} {self.unit:4} at most {self.limit:8.2f}   {mark}"


Times = dict[str, dict[str, list[float]]]
"""Phase -> runtime -> seconds of each round."""


def ratio(times: Times, phase: str, against: str) -> float:
    """Returns how long pyruntime takes for a phase, in units of what another takes."""
    other = times["bare"]["bare"] if against == "bare" else times[phase][against]
    return median(times[phase]["pyruntime"]) / median(other)


def judge(
    times: Times, memory: dict[str, dict[str, int]], per_mount: dict[str, float], gpu: dict[str, float]
) -> list[Verdict]:
    """Returns a verdict for each budget that could be measured."""
    verdicts = []
    for phase, against, limit in RATIOS:
        if against == "bare" or against in times[phase]:
            name = "bare interpreter" if against == "bare" else against
            verdicts.append(Verdict(f"{phase}, times {name}", ratio(times, phase, against), limit))
    verdicts.append(Verdict("a waiting init's private memory", memory["init"]["pyruntime"], INIT_KIB, "KiB"))
    for command in ("create", "start", "state", "exec", "kill", "delete", "run"):
        verdicts.append(Verdict(f"peak memory of {command}", memory[command]["pyruntime"], PEAK_KIB, "KiB"))
    verdicts.append(Verdict("one bind mount of 1,000", per_mount["pyruntime"] * 1e6, MOUNT_MICROSECONDS, "µs"))
    milliseconds = (gpu["with"] - gpu["without"]) * 1000
    verdicts.append(Verdict("what a GPU adds to create", milliseconds, GPU_MILLISECONDS, "ms"))
    return verdicts
