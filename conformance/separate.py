"""A mount namespace in which a host with hybrid cgroups looks like one with version 1."""

import os
import sys
from pathlib import Path

UNIFIED = "/sys/fs/cgroup/unified"
MARK = "PYRUNTIME_CONFORMANCE_SEPARATE"


def without_hybrid() -> None:
    """Goes on in one where the hierarchy of cgroup v2 has controllers beside those of v1: crun refuses such a host.

    Executes the program anew, so it comes first. Needs root.
    """
    controllers = Path(UNIFIED, "cgroup.controllers")
    if os.environ.get(MARK) or not controllers.exists() or not controllers.read_text().split():
        return
    script = f'umount {UNIFIED} && exec "$0" "$@"'
    command = ["unshare", "-m", "--propagation", "private", "sh", "-c", script, sys.executable, *sys.argv]
    os.execvpe(command[0], command, {**os.environ, MARK: "1"})
