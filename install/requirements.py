"""Prints what pyproject.toml says is needed, for pip: requirements.py dependencies|EXTRA ..."""

import sys
import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).resolve().parent.parent / "pyproject.toml").read_text())["project"]

for part in sys.argv[1:]:
    for requirement in PROJECT["dependencies"] if part == "dependencies" else PROJECT["optional-dependencies"][part]:
        print(requirement)
