"""The runtimes that are measured, and the bundles that they are given."""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

BUSYBOX = "/bin/busybox"
APPLETS = ("sh", "sleep", "true")


class Runtime:
    """One runtime, with a state directory of its own."""

    def __init__(self, name: str, path: str, work: Path) -> None:
        self.name = name
        self.path = path
        self.state = work / f"state-{name}"
        self.state.mkdir(mode=0o700)

    def command(self, *words: object) -> list[str]:
        """Returns the command line for one command of the runtime."""
        return [self.path, "--root", str(self.state), *map(str, words)]

    def version(self) -> str:
        """Returns the first line of what --version prints."""
        done = subprocess.run([self.path, "--version"], capture_output=True, text=True, check=True)
        return done.stdout.splitlines()[0]

    def delete_all(self) -> None:
        """Removes what an interrupted run has left."""
        for path in self.state.iterdir():
            subprocess.run(self.command("delete", "--force", path.name), check=False, capture_output=True)


def interpreter(launcher: str) -> str:
    """Returns the interpreter that a launcher names in its first line."""
    with Path(launcher).open(encoding="utf-8") as file:
        line = file.readline()
    if not line.startswith("#!"):
        raise SystemExit(f"{launcher} is not a launcher: its first line names no interpreter")
    return line[2:].split()[0]


def find(given: Sequence[str], ours: str, work: Path) -> list[Runtime]:
    """Returns the runtimes to measure: NAME=PATH as given, or pyruntime and those of the others that are installed."""
    if given:
        pairs = [tuple(word.split("=", 1)) for word in given]
    else:
        pairs = [("pyruntime", ours)]
        pairs += [(name, path) for name in ("runc", "crun") if (path := shutil.which(name))]
    for name, path in pairs:
        if not os.access(path, os.X_OK):
            raise SystemExit(f"{name}: {path} is not a program (make build makes ours)")
    return [Runtime(name, path, work) for name, path in pairs]


def make_root(path: Path) -> Path:
    """Makes a root directory with busybox."""
    for name in ("bin", "dev", "etc", "mnt", "proc", "sys", "tmp"):
        (path / name).mkdir(parents=True)
    shutil.copy(BUSYBOX, path / "bin/busybox")
    for name in APPLETS:
        (path / "bin" / name).symlink_to("busybox")
    return path


def make_bundle(work: Path, name: str, config: dict[str, Any], root: Path) -> Path:
    """Writes a bundle; all of them share one root directory."""
    path = work / name
    path.mkdir()
    config["root"]["path"] = str(root)
    (path / "config.json").write_text(json.dumps(config, indent="\t"))
    return path


def default_config(runtime: Runtime, work: Path) -> dict[str, Any]:
    """Returns what the runtime's own `spec` writes, without a terminal: the default bundle."""
    place = work / "spec"
    place.mkdir(exist_ok=True)
    (place / "config.json").unlink(missing_ok=True)
    subprocess.run(runtime.command("spec", "--bundle", place), check=True, capture_output=True)
    config: dict[str, Any] = json.loads((place / "config.json").read_text())
    config["ociVersion"] = "1.0.2"  # the latest that every runtime here knows
    config["process"].update(terminal=False, args=["sleep", "1000"])
    config["root"]["readonly"] = True
    return config


def with_mounts(config: dict[str, Any], source: Path, count: int) -> dict[str, Any]:
    """Returns a config with so many bind mounts more."""
    more = [
        {"destination": f"/mnt/{number}", "type": "bind", "source": str(source), "options": ["bind", "ro"]}
        for number in range(count)
    ]
    copy: dict[str, Any] = json.loads(json.dumps(config))
    copy["root"]["readonly"] = False
    copy["process"]["rlimits"] = []  # crun needs a descriptor for each mount, and applies the container's limit early
    copy["mounts"] += [{"destination": "/mnt", "type": "tmpfs", "source": "tmpfs"}, *more]
    return copy
