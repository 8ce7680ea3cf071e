"""What a container may have left behind."""

import os
from pathlib import Path


def leftovers(ids):
    """Returns what the containers of these ids have left behind: cgroups and mounts."""
    found = [str(path) for path in Path("/sys/fs/cgroup").glob("*/test-*") if path.name in ids]
    found += [str(path) for path in Path("/sys/fs/cgroup").glob("*/process_api/*/test-*") if path.name in ids]
    found += [str(path) for path in Path("/sys/fs/cgroup").glob("test-*") if path.name in ids]
    mounts = Path("/proc/self/mountinfo").read_text()
    found += [name for name in ids if name in mounts]
    return found


def processes():
    """Yields pid, name, state and parent of every process (proc_pid_stat(5))."""
    for number in os.listdir("/proc"):
        if not number.isdigit():
            continue
        try:
            with open(f"/proc/{number}/stat", "rb", buffering=0) as file:
                head, _, rest = file.read().rpartition(b") ")
        except OSError:
            continue  # it has just ended
        state, parent = rest.split()[:2]
        yield int(number), head.partition(b"(")[2].decode(errors="replace"), state.decode(), int(parent)


def init_processes(root=""):
    """Returns the pids of all inits that live; a dead one may wait for pid 1 to take notice. With `root`, of those that
    have the fifos of a container in that state directory."""
    pids = {pid for pid, name, state, _ in processes() if name == "pyruntime-init" and state not in "ZX"}
    return {pid for pid in pids if not root or _has_open(pid, f"{root}/")}


def _has_open(pid, prefix):
    try:
        return any(os.readlink(f"/proc/{pid}/fd/{fd}").startswith(prefix) for fd in os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return False  # it has just ended
