"""Installs pyruntime: the package, compiled; the images; the launcher that clients are given; and the hook.

    python install/install.py --prefix /usr/local [--destdir DIR] [--site DIR ...] [--nvidia-name]

Writes PREFIX/lib/pyruntime, PREFIX/sbin/pyruntime and PREFIX/sbin/pyruntime-nvidia-hook. `--site` names directories
in which the libraries are found that failures and `run` need (jsonschema, prctl); they come last on the path.
`--nvidia-name` is explained in install/nvidia_name.py. The launchers name the interpreter by its absolute path and
start it isolated (-I) and without site (-S): neither the environment, nor a .pth file, nor the current directory can
put code into a process that runs as root.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / "install"
sys.path[:0] = [str(ROOT), str(HERE)]

from nvidia_name import install_name  # noqa: E402

from pyruntime.image import MAGIC  # noqa: E402
from pyruntime.image import path as image_path  # noqa: E402

# What stands between the first line and the last two saves a tenth of a short command: the modules that all commands
# need come from one file (pyruntime/image.py), or are imported as usual where that is missing or another interpreter's.
LAUNCHER = """#!{python} -IS
import marshal
import sys
from _frozen_importlib_external import MAGIC_NUMBER

sys.path += {path!r}
modules = None
try:
    with open({image!r}, "rb", 0) as file:
        if file.read({size}) == b"PYIMAGE1" + MAGIC_NUMBER:
            modules = marshal.loads(file.read())
except (OSError, EOFError, ValueError, TypeError):
    modules = None
if modules:
    exec(modules[1][3], space := {{"__name__": "pyruntime.image"}})
    space["place"](modules, {path[0]!r})
from pyruntime.cli.main import entry
entry()
"""

# the hook is run once for a container that has GPUs, and by other runtimes too: no image, and nothing else to load
HOOK = """#!{python} -IS
import sys

sys.path += {path!r}
from pyruntime.hooks.nvidia import entry
entry()
"""


def interpreter() -> str:
    """Returns the real interpreter: a venv's python would look for its venv, which -S leaves out anyway."""
    return os.path.realpath(sys.executable)


def others_may_change(path: Path) -> bool:
    """Whether somebody other than root may change a file, or put another in its place."""
    return any(
        status.st_uid != 0 or status.st_mode & 0o022 for status in (part.stat() for part in (path, *path.parents))
    )


def copy_package(target: Path) -> None:
    """Copies what runs: no caches, no tests."""
    if target.exists():
        shutil.rmtree(target)
    shutil.copytree(ROOT / "pyruntime", target, ignore=shutil.ignore_patterns("__pycache__", "_images"))
    schemas = target / "config" / "schemas"
    schemas.mkdir()
    for schema in (ROOT / "specs").glob("*.schema.json"):
        shutil.copy(schema, schemas)
    for path in (target, *target.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.name == "_init" else 0o644)


def install(prefix: Path, destdir: Path, sites: list[str]) -> Path:
    """Installs below destdir/prefix; returns the launcher's path."""
    library = destdir / prefix.relative_to("/") / "lib" / "pyruntime"
    launcher = destdir / prefix.relative_to("/") / "sbin" / "pyruntime"
    library.mkdir(parents=True, exist_ok=True)
    launcher.parent.mkdir(parents=True, exist_ok=True)
    package = library / "pyruntime"
    copy_package(package)
    python = interpreter()
    # the same interpreter compiles; columns for tracebacks would only be read at every start
    compile_all = [python, "-I", "-X", "no_debug_ranges", "-m", "compileall", "-q"]
    strip = [] if destdir == Path("/") else ["-s", str(destdir)]
    subprocess.run([*compile_all, *strip, str(package)], check=True)
    subprocess.run([python, "-I", "-X", "no_debug_ranges", str(HERE / "images.py"), str(package)], check=True)
    if os.geteuid() == 0 and others_may_change(Path(python)):
        print(f"warning: {python} is not root's alone; whoever changes it can become root", file=sys.stderr)
    path = [str(prefix / "lib" / "pyruntime"), *sites]
    image = image_path(str(prefix / "lib" / "pyruntime" / "pyruntime"), "main")
    launcher.write_text(LAUNCHER.format(python=python, path=path, image=image, size=len(MAGIC)))
    launcher.chmod(0o755)
    hook = launcher.with_name("pyruntime-nvidia-hook")
    hook.write_text(HOOK.format(python=python, path=path))
    hook.chmod(0o755)
    return launcher


def main() -> None:
    parser = argparse.ArgumentParser(description="Installs pyruntime.")
    parser.add_argument("--prefix", type=Path, default=Path("/usr/local"))
    parser.add_argument("--destdir", type=Path, default=Path("/"))
    parser.add_argument("--site", action="append", default=[])
    parser.add_argument("--nvidia-name", action="store_true")
    options = parser.parse_args()
    launcher = install(options.prefix, options.destdir, options.site)
    print(launcher)
    if options.nvidia_name:
        print(install_name(launcher.parent, os.environ.get("PATH") if options.destdir == Path("/") else None))


if __name__ == "__main__":
    main()
