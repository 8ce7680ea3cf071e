"""The programs of the suite that run in containers, as C sources and how they are compiled."""

import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


def build(folder):
    """Compiles all of them into a folder, statically; returns the folder."""
    for source in sorted(HERE.glob("*.c")):
        command = ["cc", "-static", "-Os", "-Wall", "-Wextra", "-Werror", "-o", folder / source.stem, source]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.fail(f"{source.name} cannot be compiled: {done.stderr}")
    return folder
