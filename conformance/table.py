#!/usr/bin/env python3
"""Writes docs/conformance.md from results that were recorded before.

    conformance/table.py FOLDER

FOLDER has NAME.json of each runtime (`conformance/run --record`) and, where the official suite has been run too,
NAME.official.json (`conformance/official --json`).
"""

import json
import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import demands
from results import OUTCOMES, ROOT, area, short, totals

OURS = "pyruntime"
# whatever is not valid is an error
GENERAL = "config.values.invalid"
PAGE = ROOT / "docs/conformance.md"
EXPLANATIONS = ROOT / "conformance/official.toml"
Tests = dict[str, dict[str, Any]]


class Record:
    """The results of one runtime."""

    def __init__(self, path: Path) -> None:
        content = json.loads(path.read_text())
        self.name = path.stem
        self.version: str = content["runtime"]
        self.kernel: str = content["kernel"]
        self.cgroups: str = content["cgroups"]
        self.tests: Tests = content["tests"]
        official = path.with_suffix(".official.json")
        self.official: dict[str, dict[str, Any]] = {}
        if official.exists():
            self.official = {entry["name"]: entry for entry in json.loads(official.read_text())}

    def requirements(self) -> Counter[str]:
        """Returns how many requirements of the suite hold, how many do not, and how many could not be tested."""
        found: dict[str, set[str]] = {}
        for result in self.tests.values():
            for name in result["requirements"]:
                found.setdefault(name, set()).add(result["outcome"])
        return Counter(
            "failed" if "failed" in outcomes else "passed" if "passed" in outcomes else "not applicable"
            for outcomes in found.values()
        )


def records(folder: Path) -> list[Record]:
    """Reads all records, ours first. Raises SystemExit when it is not among them."""
    paths = [path for path in sorted(folder.glob("*.json")) if not path.name.endswith(".official.json")]
    found = sorted(map(Record, paths), key=lambda record: (record.name != OURS, record.name != "runc", record.name))
    if not found or found[0].name != OURS:
        raise SystemExit(f"table: {folder} has no {OURS}.json (conformance/run --record FILE)")
    return found


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Returns the lines of a table."""
    lines = (head, ["---"] * len(head), *rows)
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |" for cells in lines] + [""]


def outcomes(count: Counter[str]) -> str:
    return " / ".join(str(count[outcome]) for outcome in OUTCOMES)


def sums(found: list[Record]) -> list[str]:
    """Returns the table of sums: by area, by requirement, and of the official suite."""
    counts = [totals(record.tests) for record in found]
    rows = [[name, *(outcomes(count.get(name, Counter())) for count in counts)] for name in counts[0]]
    rows.append(["**all tests**", *(outcomes(sum(count.values(), Counter())) for count in counts)])
    rows.append(["**requirements**", *(outcomes(record.requirements()) for record in found)])
    if any(record.official for record in found):
        rows.append(["**official suite**: programs that are clean, not clean", *map(_clean, found)])
    return table(["", *(record.name for record in found)], rows)


def _clean(record: Record) -> str:
    clean = sum(entry["clean"] for entry in record.official.values())
    return f"{clean} / {len(record.official) - clean}" if record.official else "not run"


def functions(tests: Tests) -> dict[str, Counter[str]]:
    """Returns how many cases of each test function had which outcome."""
    found: dict[str, Counter[str]] = {}
    for name, result in tests.items():
        found.setdefault(name.partition("[")[0], Counter())[result["outcome"]] += 1
    return found


def failures(found: list[Record]) -> list[str]:
    """Returns the tables of what fails, an area each: how many cases of a test, for each runtime."""
    counts = [functions(record.tests) for record in found]
    requirements = demands.requirements()
    areas: dict[str, list[list[str]]] = {}
    for function in counts[0]:
        cases = [count.get(function, Counter()) for count in counts]
        if not any(count["failed"] for count in cases):
            continue
        cells = [_failed(count) for count in cases]
        demand = _demand(found, function, requirements)
        areas.setdefault(area(function), []).append([short(function).replace("_", " "), demand, *cells])
    lines: list[str] = []
    for name, rows in areas.items():
        lines += [f"### {name}", "", *table(["test", "requirement", *(record.name for record in found)], rows)]
    return lines


def _failed(count: Counter[str]) -> str:
    cases = count["passed"] + count["failed"]
    if not count["failed"]:
        return "" if count["passed"] else "n/a"
    return "fails" if cases == 1 else f"{count['failed']} of {cases} fail"


def _demand(found: list[Record], function: str, requirements: dict[str, demands.Requirement]) -> str:
    """Returns a requirement that a failing case of a test holds, with its level: one that says more than the general
    one about values, if there is one."""
    for record in found:
        for name, result in record.tests.items():
            if name.partition("[")[0] == function and result["outcome"] == "failed" and result["requirements"]:
                ids = sorted(result["requirements"], key=lambda name: name == GENERAL)
                demand = requirements[ids[0]]
                return f"{demand.level}: {demand.text}"
    return ""


def deviations() -> list[str]:
    """Returns the list of requirements that we deviate from, with the pages that say why."""
    pages = {path.name[:4]: path.name for path in (ROOT / "specs/decisions").glob("*.md")}
    return [
        f"- `{entry.id}`: {entry.text} pyruntime does otherwise: "
        f"[{entry.decision}](../specs/decisions/{pages[entry.decision]})."
        for entry in demands.requirements().values()
        if entry.deviates
    ]


def not_applicable(record: Record) -> list[str]:
    """Returns why tests were not applicable here."""
    reasons = Counter(result["reason"] for result in record.tests.values() if result["outcome"] == "not applicable")
    return [f"- {reason} ({count})" for reason, count in sorted(reasons.items())]


def official(found: list[Record]) -> list[str]:
    """Returns what the official suite says, with a table of what is not clean with one of the runtimes."""
    reasons: dict[str, str] = tomllib.loads(EXPLANATIONS.read_text())
    run = [record for record in found if record.official]
    if not run:
        return [NOT_RUN]
    ok = sum(entry["passed"] for entry in run[0].official.values())
    not_ok = sum(len(entry["failures"]) for entry in run[0].official.values())
    rows = []
    for name in run[0].official:
        entries = [record.official.get(name) for record in run]
        if all(entry and entry["clean"] for entry in entries):
            continue
        ours = entries[0]
        reason = reasons.get(name, "") if ours and not ours["clean"] else ""
        rows.append([f"`{name}`", *map(_program, entries), reason])
    return [
        "With",
        f"{run[0].name} it says {ok} ok and {not_ok} not ok. Programs that are not clean with one of the runtimes:",
        "",
        *table(["program", *(record.name for record in run), f"why it is not clean with {OURS}"], rows),
    ]


def _program(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return "not run"
    if entry["clean"]:
        return "clean"
    failed = f"{len(entry['failures'])} not ok" if entry["failures"] else ""
    return ", ".join(part for part in (failed, "comes to no good end" if entry["problem"] else "") if part)


TEXT = """# Conformance

<!-- written by conformance/table.py; do not edit -->

What version {version} of the runtime specification demands is in [specs/requirements](../specs/requirements/README.md):
{statements} statements, of which {binding} bind a runtime on Linux. {held} of these are held by the {tests} tests of
`conformance/suite`, which know nothing of a runtime but its command line. The others are held by tests of pyruntime
alone, since this host lacks what they are about.

This page has what came of it, with

{runtimes}
- Linux {kernel}, cgroup {cgroups}

runc and crun are the versions of a distribution. They are older than version {version} of the specification: some of
what fails here works in later ones.

```sh
make conformance                                          # all three, and this page anew
conformance/run --runtime /usr/sbin/runc -k test_hooks    # one of them, and a part
```

## Sums

Each cell is passed / failed / not applicable. A requirement has failed when one test that holds it has.

{sums}
## What pyruntime does otherwise

{deviations}

## What fails

How many cases of a test fail, and one of the requirements that the test holds.

{failures}
## What could not be tested

Reasons, and how many tests of pyruntime they are about:

{reasons}

## The official suite

The validation suite of opencontainers/runtime-tools; `conformance/official` runs one that has been built. {official}
"""

# what the page has of the official suite where it was not run
NOT_RUN = "It was\nnot run for this page."


def page(found: list[Record]) -> str:
    """Returns the whole page."""
    ours = found[0]
    every = demands.requirements().values()
    return TEXT.format(
        version=demands.recorded()[0],
        statements=len(every),
        binding=sum(entry.binds == "runtime" for entry in every),
        held=sum(ours.requirements().values()),
        tests=len(ours.tests),
        runtimes="\n".join(f"- {record.name}: {record.version}" for record in found),
        kernel=ours.kernel,
        cgroups=ours.cgroups,
        sums="\n".join(sums(found)),
        deviations="\n".join(deviations()),
        failures="\n".join(failures(found)),
        reasons="\n".join(not_applicable(ours)),
        official="\n".join(official(found)).rstrip(),
    )


def main() -> int:
    if len(sys.argv) != 2:
        raise SystemExit((__doc__ or "").strip())
    PAGE.write_text(page(records(Path(sys.argv[1]))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
