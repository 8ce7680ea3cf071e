"""Installs the name that dockerd looks for when it is asked for GPUs (`docker run --gpus`).

The daemon refuses `--gpus` unless a program `nvidia-container-runtime-hook` is on its PATH. It does not run it: it
makes it a hook of the container. pyruntime does itself what that hook is for. Another runtime runs the program: it is
pyruntime's own hook where that is installed, and one line that says what is wrong where it is not.
"""

import os
import shutil
from pathlib import Path

NAME = "nvidia-container-runtime-hook"
PROGRAM = "pyruntime-nvidia-hook"
MARK = "# written by pyruntime's installation"
SCRIPT = f"""#!/bin/sh
{MARK}
echo "{NAME}: only pyruntime does what this hook is for: make it the container's runtime" >&2
exit 1
"""


def install_name(sbin: Path, search: str | None) -> Path:
    """Puts the name into a directory, beside the launcher; returns its path.

    `search` is a PATH on which no other program of that name may be, None not to look. Raises SystemExit where
    there is one, NVIDIA's own in general: that one stays.
    """
    path = sbin / NAME
    others = [path] if os.path.lexists(path) and not is_ours(path) else []
    others += [Path(folder) / NAME for folder in (search or "").split(os.pathsep) if Path(folder) != sbin]
    for other in others:
        if shutil.which(other):
            raise SystemExit(f"{other} is there already, and dockerd finds that: {path} is not installed")
    if others[:1] == [path]:
        raise SystemExit(f"{path} is there already, and is no program: it is not installed")
    path.unlink(missing_ok=True)
    for program in (sbin / PROGRAM, sbin.parent / "libexec" / PROGRAM):
        if os.access(program, os.X_OK):
            path.symlink_to(os.path.relpath(program, sbin))
            return path
    path.write_text(SCRIPT)
    path.chmod(0o755)
    return path


def is_ours(path: Path) -> bool:
    """Whether an earlier installation has put it there."""
    if path.is_symlink():
        return path.readlink().name == PROGRAM
    return path.is_file() and MARK.encode() in path.read_bytes()[:200]
