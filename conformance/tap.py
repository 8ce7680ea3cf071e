"""Runs the validation suite of opencontainers/runtime-tools against a runtime, and reads what it says (TAP)."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

LINE = re.compile(r"^\s*(not )?ok\b\s*(\d+)?\s*(?:- )?(.*)$")
# what a program says that has no results to count, where something is wrong all the same
ERROR = re.compile(r'^\s*"error": "(.*)"$', re.MULTILINE)
PLAN = re.compile(r"^\s*1\.\.(\d+)")
SECONDS = 120


@dataclass
class Result:
    """What one test program said: `failures` are the lines of its "not ok", `problem` why it did not come to an end."""

    name: str
    passed: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)
    problem: str = ""

    @property
    def is_clean(self) -> bool:
        """Whether it had nothing to complain of; some programs say no more than that."""
        return not self.failures and not self.problem


def read(name: str, text: str, status: int) -> Result:
    """Reads the output of one test program; `status` is its exit status, negative for a signal."""
    result = Result(name)
    planned = seen = 0
    for line in text.splitlines():
        if match := PLAN.match(line):
            planned = int(match[1])
        if not (match := LINE.match(line)):
            continue
        seen += 1
        failed, _, description = match.groups()
        if "# SKIP" in line or "# skip" in line:
            result.skipped += 1
        elif failed:
            result.failures.append(description.strip() or line.strip())
        else:
            result.passed += 1
    if status:
        last = text.strip().splitlines()[-1:] or ["no output"]
        result.problem = f"exit status {status}: {last[0][:200]}"
    elif seen < planned:
        result.problem = f"{seen} of {planned} results"
    elif not seen and (match := ERROR.search(text)):
        result.problem = match[1].partition("\\n")[0]
    return result


def programs(folder: Path) -> list[Path]:
    """Returns the test programs of a built suite. Raises SystemExit when it is not one."""
    found = sorted(folder.glob("validation/*/*.t"))
    for needed in (folder / "runtimetest", *found[:1]):
        if not os.access(needed, os.X_OK):
            raise SystemExit(f"{needed} is not there: build the suite (make runtimetest validation-executables)")
    if not found:
        raise SystemExit(f"{folder} holds no validation/*/*.t: build the suite (make validation-executables)")
    return found


def run(folder: Path, runtime: str, wanted: str = "") -> Iterator[Result]:
    """Runs the programs whose name contains `wanted`, one after the other, each in a session of its own."""
    for program in programs(folder):
        name = program.stem
        if wanted not in name:
            continue
        process = subprocess.Popen(
            [str(program)],
            cwd=folder,
            env={**os.environ, "RUNTIME": runtime},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            text, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            text, _ = process.communicate()
            yield Result(name, problem=f"not at its end after {SECONDS} seconds")
            continue
        yield read(name, text, process.returncode)
