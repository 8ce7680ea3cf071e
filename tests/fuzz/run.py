"""Fuzzes each target for its share of some seconds: run.py SECONDS [TARGET ...]

What it finds lies below build/fuzz/found, and makes it fail. New inputs that reach new code are kept below
build/fuzz/grown, from where the next run goes on.
"""

import subprocess
import sys
from pathlib import Path

from decoder import AS_IT_LIKES, build

HERE = Path(__file__).resolve().parent
WORK = HERE.parent.parent / "build/fuzz"
# target -> share of the time, longest input
TARGETS = {"plan": (0.4, 16384), "passwd": (0.1, 10000), "config": (0.5, 32768)}


def command(target):
    """Returns the program of a target, and its arguments in front of libFuzzer's."""
    if target == "config":
        return [sys.executable, HERE / "fuzz_config.py", WORK / "check/decode"]
    return [*AS_IT_LIKES, WORK / "targets" / target]


def fuzz(target, seconds):
    """Fuzzes one target; prints what came of it and returns whether it found nothing."""
    grown, found, log = WORK / "grown" / target, WORK / "found" / target, WORK / f"{target}.log"
    for folder in (grown, found):
        folder.mkdir(parents=True, exist_ok=True)
    known = set(found.iterdir())
    flags = [
        f"-max_total_time={seconds}",
        f"-max_len={TARGETS[target][1]}",
        "-timeout=20",
        "-print_final_stats=1",
        f"-artifact_prefix={found}/",
    ]
    with log.open("wb") as output:
        done = subprocess.run(
            [*command(target), *flags, grown, HERE / "corpus" / target], stdout=output, stderr=output, check=False
        )
    text = log.read_text(errors="replace")
    print(f"fuzz {target}: {figure(text, 'number_of_executed_units')} inputs in at most {seconds} s, "
          f"{figure(text, 'new_units_added')} of them new ways through the code, "
          f"{len(list(grown.iterdir()))} kept")  # fmt: skip
    if done.returncode == 0:
        return True
    print(text[-8000:])
    for path in sorted(set(found.iterdir()) - known):
        print(f"FOUND by fuzz {target}: {path}; to keep it for good, copy it to {HERE / 'corpus' / target}")
    print(f"fuzz {target} FAILED with status {done.returncode}; {log} has it all")
    return False


def figure(text, name):
    """Returns a number from the statistics that libFuzzer prints in the end."""
    numbers = [line.split()[-1] for line in text.splitlines() if line.startswith(f"stat::{name}:")]
    return numbers[-1] if numbers else "an unknown number of"


def main():
    total = int(sys.argv[1])
    build(WORK / "targets", "fuzz")
    build(WORK / "check")
    results = [fuzz(target, max(1, round(total * TARGETS[target][0]))) for target in sys.argv[2:] or TARGETS]
    if not all(results):
        sys.exit(1)
    print("fuzz: nothing found")


if __name__ == "__main__":
    main()
