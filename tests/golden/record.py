"""Writes the plans of all cases anew: `make golden`."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent)]

from cases import CASES, shown  # noqa: E402 (found through the path above)

for old in HERE.glob("*.plan"):
    old.unlink()
for name in CASES:
    (HERE / f"{name}.plan").write_text(shown(name))
