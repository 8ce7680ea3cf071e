"""Runs commands and times them, from the moment before the fork to the moment after the exit."""

import os
import signal
import subprocess
import time
from pathlib import Path

TIMEOUT = 60


class CommandFailed(Exception):
    """A measured command failed: then no figure means anything."""


def timed(argv: list[str], log: Path) -> float:
    """Runs a command; returns the seconds that it took. What it prints goes to `log`. Raises CommandFailed."""
    with log.open("wb") as output:
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, output.fileno(), 1),
            (os.POSIX_SPAWN_DUP2, output.fileno(), 2),
        ]
        start = time.perf_counter()
        pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=actions)
        _, status = os.waitpid(pid, 0)
        seconds = time.perf_counter() - start
    if status:
        code = os.waitstatus_to_exitcode(status)
        raise CommandFailed(f"{' '.join(argv)}: exit status {code}: {log.read_text(errors='replace').strip()}")
    return seconds


def at_once(commands: list[list[str]], log: Path) -> float:
    """Runs commands side by side; returns the seconds until the last one had ended. Raises CommandFailed."""
    with log.open("wb") as output:
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, output.fileno(), 1),
            (os.POSIX_SPAWN_DUP2, output.fileno(), 2),
        ]
        start = time.perf_counter()
        pids = [os.posix_spawn(argv[0], argv, os.environ, file_actions=actions) for argv in commands]
        statuses = [os.waitpid(pid, 0)[1] for pid in pids]
        seconds = time.perf_counter() - start
    if any(statuses):
        failed = sum(map(bool, statuses))
        raise CommandFailed(f"{failed} of {len(commands)} failed: {log.read_text(errors='replace').strip()[-500:]}")
    return seconds


def peak_memory(argv: list[str], log: Path) -> int:
    """Runs a command; returns the most memory that it had resident at one time, in KiB.

    time(1) stands in between: a process begins with the peak of the one that it was forked from, and ours is large.
    Raises CommandFailed.
    """
    figure = log.with_suffix(".peak")
    with log.open("wb") as output:
        done = subprocess.run(
            ["/usr/bin/time", "-f", "%M", "-o", str(figure), *argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            timeout=TIMEOUT,
            check=False,
        )
    if done.returncode:
        raise CommandFailed(f"{' '.join(argv)}: {log.read_text(errors='replace').strip()}")
    return int(figure.read_text().split()[-1])


def private_memory(pid: int) -> int:
    """Returns how much memory a process shares with no other, in KiB (proc_pid_smaps(5))."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean:", "Private_Dirty:")))


def become_subreaper() -> None:
    """Makes containers our children when their runtime has ended, so that they can be waited for."""
    import prctl

    prctl.set_child_subreaper(1)


def end(pid: int) -> None:
    """Kills a container's first process and waits until it is gone."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
