"""Records which modules each command imports, on its way to success, into tests/budget/imports/.

    python tests/budget/record.py            (or `make budget`)

Every import costs time at every start, so a list changes only when somebody means it to: look at the difference before
you commit it. The lists are also what the images of an installed pyruntime are made from (install/images.py). Commands
that make containers need root and busybox; as another user only the other lists are written.

tests/unit/test_structure_imports.py and tests/integration/test_imports.py compare the lists with what is imported.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests.fakes.driver import FakeHost  # noqa: E402 (found through the path above)

LISTS = Path(__file__).resolve().parent / "imports"
BUSYBOX = Path("/bin/busybox")

# what runs in the fresh interpreter: the result goes to a file, since a container keeps standard output
PROGRAM = """
import posix, sys
result = sys.argv[1]
sys.path += sys.argv[2].split(":")
before = set(sys.modules)
from pyruntime.cli.main import main
status = main(sys.argv[3:])
sys.stdout.flush()
after = sorted(set(sys.modules) - before)
with open(result, "w") as file:
    file.write("".join(name + "\\n" for name in after))
posix._exit(status)
"""
# the same thing under another name, from CPython 3.12 on
RENAMED = {"_sha2": "_sha256"}


def lists() -> dict[str, list[str]]:
    """Returns the recorded lists: command -> modules."""
    return {path.stem: path.read_text().split() for path in sorted(LISTS.glob("*.txt"))}


def imported(work: Path, *argv: str, top: Path = ROOT) -> list[str]:
    """Runs a command line in an interpreter of its own, isolated as the launcher's is; returns what it imported.

    `work` is a directory for files; `top` is the one that holds the package.
    """
    result = work / f"imports-{uuid.uuid4().hex}"
    path = f"{top}:{sysconfig.get_path('purelib')}"
    python = [os.path.realpath(sys.executable), "-IS", "-c", PROGRAM]
    with (work / "out").open("wb") as out, (work / "err").open("wb") as err:
        done = subprocess.run(
            [*python, str(result), path, *argv],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            timeout=60,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"{argv}: exit status {done.returncode}: {(work / 'err').read_text()}")
    return sorted(RENAMED.get(name, name) for name in result.read_text().split())


def make_bundle(work: Path, *args: str) -> Path:
    """Makes the bundle of `spec`, without a terminal, that runs busybox."""
    bundle = work / f"bundle-{uuid.uuid4().hex}"
    (bundle / "rootfs/bin").mkdir(parents=True)
    for name in ("dev", "proc", "sys"):
        (bundle / "rootfs" / name).mkdir()
    if BUSYBOX.exists():
        shutil.copy(BUSYBOX, bundle / "rootfs/bin/busybox")
    imported(work, "spec", "-b", str(bundle))
    config = json.loads((bundle / "config.json").read_text())
    config["process"]["terminal"] = False
    config["process"]["args"] = list(args)
    (bundle / "config.json").write_text(json.dumps(config))
    return bundle


def without_root(work: Path) -> dict[str, list[str]]:
    """Returns what the commands import that touch nothing."""
    bundle = make_bundle(work, "/bin/busybox", "true")
    (work / "spec").mkdir()
    configure = ("configure", "docker", "--config", str(work / "daemon.json"), "--runtime-path", "/bin/true")
    host = ("--host-root", str(FakeHost(work / "host").make().root))
    return {
        "cdi": imported(work, "cdi", "list", "--spec-dir", str(work / "spec")),
        # once on a host it may take what it likes of the standard library, which is not the same in every version
        "configure": [name for name in imported(work, *configure) if name.startswith("pyruntime")],
        "features": imported(work, "features"),
        "gpu": imported(work, "gpu", "--no-nvml", *host),
        "plan": imported(work, "plan", str(bundle)),
        "spec": imported(work, "spec", "-b", str(work / "spec")),
    }


def as_root(work: Path) -> dict[str, list[str]]:
    """Takes a container through its life; returns what each command imports."""
    bundle = make_bundle(work, "/bin/busybox", "sleep", "1000")
    once = make_bundle(work, "/bin/busybox", "true")
    name = f"test-{uuid.uuid4().hex[:12]}"
    at = ("--root", str(work / "state"))
    found = {}
    try:
        found["create"] = imported(work, *at, "create", "-b", str(bundle), name)
        found["state"] = imported(work, *at, "state", name)
        found["list"] = imported(work, *at, "list")
        found["start"] = imported(work, *at, "start", name)
        found["pause"] = imported(work, *at, "pause", name)
        found["resume"] = imported(work, *at, "resume", name)
        found["ps"] = imported(work, *at, "ps", "-f", "json", name)
        found["events"] = imported(work, *at, "events", "--stats", name)
        (work / "limits.json").write_text(json.dumps({"pids": {"limit": 100}}))
        found["update"] = imported(work, *at, "update", "-r", str(work / "limits.json"), name)
        process = {"cwd": "/", "args": ["/bin/busybox", "true"]}
        (work / "process.json").write_text(json.dumps(process))
        found["exec"] = imported(work, *at, "exec", "-d", "-p", str(work / "process.json"), name)
        found["kill"] = imported(work, *at, "kill", name, "KILL")
        wait_until_stopped(work, at, name)
        found["delete"] = imported(work, *at, "delete", name)
        found["run"] = imported(work, *at, "run", "-b", str(once), f"{name}-once")
    finally:
        for each in (name, f"{name}-once"):
            imported(work, *at, "delete", "--force", each)
    return found


def wait_until_stopped(work: Path, at: tuple[str, str], name: str) -> None:
    """Waits until the container's process is gone."""
    for _ in range(100):
        imported(work, *at, "state", name)
        if json.loads((work / "out").read_text())["status"] == "stopped":
            return
        time.sleep(0.02)
    raise RuntimeError(f"{name} does not stop")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        found = without_root(work)
        if os.geteuid() == 0:
            found |= as_root(work)
    for command, modules in found.items():
        (LISTS / f"{command}.txt").write_text("".join(f"{module}\n" for module in modules))
    print(f"recorded: {', '.join(sorted(found))}; now look at `git diff {LISTS.relative_to(ROOT)}`")


if __name__ == "__main__":
    main()
