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


def init_processes():
    """Returns the pids of all inits that live; a dead one may wait for pid 1 to take notice."""
    return {pid for pid, name, state, _ in processes() if name == "pyruntime-init" and state not in "ZX"}
