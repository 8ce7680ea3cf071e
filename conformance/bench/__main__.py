"""Measures pyruntime beside runc and crun: python conformance/bench [--rounds N] [--svg FILE] [--record FILE]

All runtimes take turns within each round, and so does the bare interpreter, so that whatever else the machine does
meets all of them alike. What counts are the ratios; the milliseconds belong to the machine. Needs root, busybox,
time(1), and runc and crun to compare with. On a host with hybrid cgroups the whole benchmark runs in a mount namespace
without the hierarchy of version 2, which crun would refuse.
"""

import argparse
import json
import os
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median, quantiles

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.append(str(Path(__file__).resolve().parents[2]))

from budgets import Times, Verdict, judge
from chart import PHASES, svg
from gpus import GpuBundles
from measure import at_once, become_subreaper, end, peak_memory, private_memory, timed
from runtimes import Runtime, default_config, find, interpreter, make_bundle, make_root, with_mounts
from separate import without_hybrid

ROOT = Path(__file__).resolve().parents[2]
OURS = ROOT / "build/root/sbin/pyruntime"
MOUNTS = (10, 100, 1000)
AT_ONCE = 100
MEASURED = ("create", "start", "state", "exec", "kill", "delete", "run")
BEGIN, END = "<!-- figures: `make figures` writes them -->", "<!-- end of figures -->"


class Bench:
    """One run of the benchmark; `times`, `memory` and the others fill up as it goes."""

    def __init__(self, runtimes: list[Runtime], work: Path, python: str) -> None:
        self.runtimes = runtimes
        self.work = work
        self.python = python
        self.log = work / "log"
        self.pid_file = work / "pid"
        self.times: Times = defaultdict(lambda: defaultdict(list))
        self.memory: dict[str, dict[str, int]] = defaultdict(dict)
        self.mounts: dict[int, dict[str, float]] = defaultdict(dict)
        self.together: dict[str, float] = {}
        self.gpu: dict[str, float] = {}
        self.root = make_root(work / "rootfs")
        config = default_config(runtimes[0], work)
        self.bundle = make_bundle(work, "sleeping", config, self.root)
        config["process"]["args"] = ["true"]
        self.short = make_bundle(work, "short", config, self.root)
        config["process"]["args"] = ["sleep", "1000"]
        self.process = work / "process.json"
        self.process.write_text(json.dumps({"cwd": "/", "args": ["true"], "env": ["PATH=/bin"]}))
        source = work / "source"
        source.mkdir()
        self.bundles = {
            count: make_bundle(work, f"mounts-{count}", with_mounts(config, source, count), self.root)
            for count in (0, *MOUNTS)
        }
        self.number = 0

    def name(self) -> str:
        self.number += 1
        return f"bench-{os.getpid()}-{self.number}"

    def pid(self) -> int:
        return int(self.pid_file.read_text())

    def create(self, runtime: Runtime, name: str, bundle: Path) -> list[str]:
        return runtime.command("create", "--bundle", bundle, "--pid-file", self.pid_file, name)

    def exec(self, runtime: Runtime, name: str) -> list[str]:
        """What a health check of Docker's is, or of Kubernetes': a program in a container that runs."""
        return runtime.command("exec", "--process", self.process, name)

    def lifecycle(self, runtime: Runtime) -> None:
        """One container from create to delete, each command by itself."""
        name = self.name()
        times = {"create": timed(self.create(runtime, name, self.bundle), self.log)}
        times["start"] = timed(runtime.command("start", name), self.log)
        times["state"] = timed(runtime.command("state", name), self.log)
        times["exec"] = timed(self.exec(runtime, name), self.log)
        times["kill"] = timed(runtime.command("kill", name, "KILL"), self.log)
        os.waitpid(self.pid(), 0)
        times["delete"] = timed(runtime.command("delete", name), self.log)
        times["create+start+delete"] = times["create"] + times["start"] + times["delete"]
        times["run"] = timed(runtime.command("run", "--bundle", self.short, self.name()), self.log)
        for phase, seconds in times.items():
            self.times[phase][runtime.name].append(seconds)

    def lifecycles(self, rounds: int) -> None:
        for number in range(rounds + 2):
            if number == 2:
                self.times.clear()  # the first two only warm the caches
            turn = number % len(self.runtimes)
            for runtime in (*self.runtimes[turn:], *self.runtimes[:turn]):
                self.lifecycle(runtime)
            bare = timed([self.python, "-I", "-S", "-c", "pass"], self.log)
            self.times["bare"]["bare"].append(bare)

    def memories(self) -> None:
        """The peak of each command, and what a container costs that waits for its start."""
        for runtime in self.runtimes:
            name = self.name()
            for command, argv in (
                ("create", self.create(runtime, name, self.bundle)),
                ("start", runtime.command("start", name)),
                ("state", runtime.command("state", name)),
                ("exec", self.exec(runtime, name)),
                ("kill", runtime.command("kill", name, "KILL")),
                ("delete", runtime.command("delete", name)),
                ("run", runtime.command("run", "--bundle", self.short, self.name())),
            ):
                if command == "delete":
                    os.waitpid(self.pid(), 0)
                self.memory[command][runtime.name] = peak_memory(argv, self.log)
                if command == "create":
                    self.memory["init"][runtime.name] = private_memory(self.pid())

    def many_mounts(self, rounds: int) -> None:
        """`create` with ever more bind mounts."""
        for count, bundle in self.bundles.items():
            seconds: dict[str, list[float]] = defaultdict(list)
            for _ in range(rounds):
                for runtime in self.runtimes:
                    name = self.name()
                    seconds[runtime.name].append(timed(self.create(runtime, name, bundle), self.log))
                    end(self.pid())
                    timed(runtime.command("delete", "--force", name), self.log)
            self.mounts[count] = {name: median(values) for name, values in seconds.items()}

    def many_containers(self) -> None:
        """A hundred creates side by side."""
        for runtime in self.runtimes:
            names = [self.name() for _ in range(AT_ONCE)]
            commands = []
            for number, name in enumerate(names):
                pid_file = self.work / f"pid-{number}"
                commands.append(runtime.command("create", "--bundle", self.bundle, "--pid-file", pid_file, name))
            self.together[runtime.name] = at_once(commands, self.log)
            for number, name in enumerate(names):
                end(int((self.work / f"pid-{number}").read_text()))
                timed(runtime.command("delete", "--force", name), self.log)

    def gpus(self, rounds: int) -> None:
        """`create` of pyruntime with all GPUs of a host that is made up, and the same without."""
        runtime = self.runtimes[0]
        bundles = GpuBundles(self.work, default_config(runtime, self.work))
        seconds: dict[str, list[float]] = defaultdict(list)
        for _ in range(rounds):
            for what, bundle in bundles.pair.items():
                name = self.name()
                create = ["create", "--bundle", bundle, "--pid-file", self.pid_file, name]
                command = runtime.command("--config", bundles.settings, *create)
                seconds[what].append(timed(command, self.log))
                end(self.pid())
                timed(runtime.command("delete", "--force", name), self.log)
        self.gpu = {what: median(values) for what, values in seconds.items()}

    def per_mount(self) -> dict[str, float]:
        """Seconds for one mount of the thousand."""
        last = MOUNTS[-1]
        return {name: (self.mounts[last][name] - self.mounts[0][name]) / last for name in self.mounts[last]}


def rows(bench: Bench) -> list[list[str]]:
    """All figures as a table: what, then a column for each runtime."""
    names = [runtime.name for runtime in bench.runtimes]
    table = [["", *names]]
    for phase in PHASES:
        cells = []
        for name in names:
            values = bench.times[phase][name]
            low, _, high = quantiles(values, n=4)
            cells.append(f"{median(values) * 1000:.1f} ({low * 1000:.1f} to {high * 1000:.1f})")
        table.append([f"`{phase}`, ms", *cells])
    for count in (0, *MOUNTS):
        cells = [f"{bench.mounts[count][name] * 1000:.1f}" for name in names]
        table.append([f"`create` with {count:,} bind mounts, ms", *cells])
    table.append([f"{AT_ONCE} creates at once, ms", *(f"{bench.together[name] * 1000:.0f}" for name in names)])
    for what, seconds in bench.gpu.items():
        table.append([f"`create` {what} GPUs, ms", f"{seconds * 1000:.1f}", *("" for _ in names[1:])])
    for command in MEASURED:
        cells = [f"{bench.memory[command][name] / 1024:.1f}" for name in names]
        table.append([f"peak memory of `{command}`, MiB", *cells])
    waiting = [str(bench.memory["init"][name]) for name in names]
    table.append(["private memory of a container that waits, KiB", *waiting])
    return table


def as_text(table: list[list[str]]) -> str:
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    return "\n".join(lines).replace("`", "")


def as_markdown(table: list[list[str]]) -> str:
    head, *body = table
    lines = [head, ["---", *("---:" for _ in head[1:])], *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def budget_table(verdicts: list[Verdict]) -> str:
    head = ["budget", "measured", "at most"]
    return as_markdown([head, *([v.what, f"{v.measured:.2f} {v.unit}", f"{v.limit:g} {v.unit}"] for v in verdicts)])


def record(document: Path, figures: str) -> None:
    """Puts the figures between the two marks of a document."""
    before, begin, rest = document.read_text().partition(BEGIN)
    _, end_mark, after = rest.partition(END)
    if not begin or not end_mark:
        raise SystemExit(f"bench: {document} lacks {BEGIN} or {END}")
    document.write_text(f"{before}{begin}\n\n{figures}\n{end_mark}{after}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runtime", action="append", default=[], metavar="NAME=PATH", help="instead of the usual ones")
    parser.add_argument("--rounds", type=int, default=60, help="containers of each runtime (default: 60)")
    parser.add_argument("--mount-rounds", type=int, default=5, help="containers for each number of mounts (default: 5)")
    parser.add_argument("--svg", type=Path, help="file to draw a chart into")
    parser.add_argument("--record", type=Path, help="document to put the figures into, in place of those in it")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    if os.geteuid() != 0:
        raise SystemExit("bench: making containers needs root")
    without_hybrid()
    become_subreaper()
    with tempfile.TemporaryDirectory(prefix="bench-") as place:
        runtimes = find(options.runtime, str(OURS), Path(place))
        if runtimes[0].name != "pyruntime":
            raise SystemExit("bench: the first runtime has to be pyruntime")
        bench = Bench(runtimes, Path(place), interpreter(runtimes[0].path))
        versions = ", ".join(runtime.version() for runtime in runtimes)
        try:
            bench.lifecycles(options.rounds)
            bench.memories()
            bench.many_mounts(options.mount_rounds)
            bench.many_containers()
            bench.gpus(options.rounds)
        finally:
            for runtime in runtimes:
                runtime.delete_all()
        verdicts = judge(bench.times, bench.memory, bench.per_mount(), bench.gpu)
    bare = median(bench.times["bare"]["bare"]) * 1000
    table = rows(bench)
    print(f"{versions}; {options.rounds} rounds; the bare interpreter takes {bare:.1f} ms\n\n{as_text(table)}\n")
    print("\n".join(verdict.line() for verdict in verdicts))
    if options.svg:
        options.svg.write_text(svg(bench.times, f"{versions}: median of {options.rounds} rounds, ms"))
    if options.record:
        note = f"{versions}; {options.rounds} rounds; the bare interpreter takes {bare:.1f} ms."
        record(options.record, f"{note}\n\n{as_markdown(table)}\n{budget_table(verdicts)}")
    return 0 if all(verdict.held for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
