"""Writes the seeds of the corpus anew: plans of the golden cases, and their configs. Run by `make golden`.

What fuzzing has found lies beside them under other names, and is left alone.
"""

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent.parent), str(HERE.parent / "golden"), str(HERE.parent / "unit")]

import cases  # noqa: E402 (found through the path above)
from valid_configs import FULL  # noqa: E402

from pyruntime.plan.form import encode  # noqa: E402
from pyruntime.plan.ops import SLOT_CGROUP, SLOT_CONSOLE, SLOT_START, SLOT_STARTED  # noqa: E402

TABLE_HASH = 0  # as in hosted.h
SOCKET = 7
DESCRIPTORS = {SLOT_START: 3, SLOT_STARTED: 4, SLOT_CONSOLE: 5, SLOT_CGROUP: 6}


def plan_seeds():
    """Returns name -> bytes of a plan for each golden case."""
    return {f"golden-{name}": encode(cases.plan_of(name), TABLE_HASH, SOCKET, DESCRIPTORS) for name in cases.CASES}


def config_seeds():
    """Returns name -> bytes of a config for each golden case, and one with everything that there is."""
    configs = {f"golden-{name}.json": case[0] for name, case in cases.CASES.items()} | {"golden-everything.json": FULL}
    return {name: (json.dumps(config, indent=1) + "\n").encode() for name, config in configs.items()}


SEEDS = {"plan": plan_seeds, "config": config_seeds}


def main():
    for kind, seeds in SEEDS.items():
        folder = HERE / "corpus" / kind
        for path in folder.glob("golden-*"):
            path.unlink()
        for name, data in seeds().items():
            (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
