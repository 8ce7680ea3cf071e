"""What came of each test of conformance/suite: collected while pytest runs it."""

import contextlib
import io
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SUITE = ROOT / "conformance/suite"
OUTCOMES = ("passed", "failed", "not applicable")
LONGEST = 160


def pytest_arguments(runtime: str, wanted: str = "", *more: str) -> list[str]:
    """Returns the command line for pytest, which is to print nothing of its own."""
    # the repository's own options are for its own tests
    quiet = ["-o", "addopts=", "-p", "no:terminal", "-p", "no:cacheprovider"]
    return [str(SUITE), f"--rootdir={ROOT}", *quiet, f"--runtime={runtime}", *(["-k", wanted] if wanted else []), *more]


def area(name: str) -> str:
    """Returns the area that a test belongs to: that of its file."""
    return name.partition("::")[0].rpartition("/")[2].partition(".py")[0].removeprefix("test_").replace("_", " ")


def short(name: str) -> str:
    """Returns the name of a test without its file."""
    return name.partition("::")[2].removeprefix("test_")


class Results:
    """A plugin for pytest; `tests` has outcome, reason and requirements of each test by its name."""

    def __init__(self, *, show: bool) -> None:
        self.tests: dict[str, dict[str, Any]] = {}
        self.cgroups = "v2" if Path("/sys/fs/cgroup/cgroup.controllers").exists() else "v1"
        self._show = show

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        for item in items:
            self.tests[item.nodeid] = {"outcome": "", "reason": "", "requirements": required(item)}

    def pytest_deselected(self, items: list[Any]) -> None:
        for item in items:
            self.tests.pop(item.nodeid, None)

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            raise SystemExit(str(report.longrepr))

    def pytest_runtest_logreport(self, report: Any) -> None:
        result = self.tests[report.nodeid]
        if report.failed:
            result |= {"outcome": "failed", "reason": _crash(report)}
        elif report.skipped:
            result |= {"outcome": "not applicable", "reason": report.longrepr[2].removeprefix("Skipped: ")}
        elif report.when == "call":
            result["outcome"] = "passed"
        if report.when == "teardown" and self._show:
            print(line(report.nodeid, result), flush=True)

    @staticmethod
    def list(pytest: Any) -> int:
        """Prints which requirements each test holds, as JSON."""
        results = Results(show=False)
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            status = pytest.main(pytest_arguments("", "", "--collect-only"), plugins=[results])
        if status:
            raise SystemExit(output.getvalue())
        print(json.dumps({name: test["requirements"] for name, test in results.tests.items()}, indent=1))
        return 0


def required(item: Any) -> list[str]:
    """Returns the ids of the requirements that a test names in its markers."""
    return [name for marker in item.iter_markers("requirement") for name in marker.args]


def _crash(report: Any) -> str:
    """Returns why a test failed, in a line."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else str(report.longrepr)
    first = next((part for part in text.splitlines() if part.strip()), "")
    first = re.sub(r"^(AssertionError|Failed|[\w.]*Refused): ", "", first.strip())
    return first if len(first) <= LONGEST else first[: LONGEST - 1] + "…"


def line(name: str, result: dict[str, Any]) -> str:
    """Returns the line for one test."""
    text = f"{result['outcome']:14}  {area(name)}: {short(name)}"
    return f"{text}  ({result['reason']})" if result["reason"] else text


def totals(tests: dict[str, dict[str, Any]]) -> dict[str, Counter[str]]:
    """Returns how many tests of each area had which outcome, areas in the order of their files."""
    found: dict[str, Counter[str]] = {}
    for name, result in tests.items():
        found.setdefault(area(name), Counter())[result["outcome"]] += 1
    return found


def areas(tests: dict[str, dict[str, Any]]) -> str:
    """Returns the table of sums."""
    rows: list[tuple[str, ...]] = [("", *OUTCOMES)]
    counts = totals(tests)
    counts["all"] = sum(counts.values(), Counter())
    rows += [(name, *(str(count[outcome]) for outcome in OUTCOMES)) for name, count in counts.items()]
    return "\n".join(f"{row[0]:20}" + "".join(f"{cell:>16}" for cell in row[1:]) for row in rows)
