"""What the caller has left open: the first thing to look at, before anything of our own is opened."""

import fcntl
import posix


def sweep_descriptors() -> list[int]:
    """Makes every descriptor that the caller left open close-on-exec; returns their numbers.

    What is not close-on-exec is the caller's (Python's own files are), and only what the command line names is passed
    on (CVE-2024-21626 began with one too many).
    """
    inherited = []
    for name in posix.listdir("/proc/self/fd"):
        fd = int(name)
        if fd > 2:
            try:
                flags = fcntl.fcntl(fd, fcntl.F_GETFD)
            except OSError:
                continue  # the listing's own
            if not flags & fcntl.FD_CLOEXEC:
                inherited.append(fd)
                posix.set_inheritable(fd, False)
    return inherited
