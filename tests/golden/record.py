"""Writes the plans of all cases anew, and what `configure` changes: `make golden`."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent)]

import configure_cases  # noqa: E402
from cases import CASES, shown  # noqa: E402 (found through the path above, as the one before it)

for old in HERE.glob("*.plan"):
    old.unlink()
for name in CASES:
    (HERE / f"{name}.plan").write_text(shown(name))

for old in HERE.glob("configure/*.diff"):
    old.unlink()
for name in configure_cases.CASES:
    (HERE / f"configure/{name}.diff").write_bytes(configure_cases.shown(name).encode())
