"""Pid files, which clients read as soon as a command returns, and some of them earlier."""

import posix


def write_pid_file(path: str, pid: int) -> None:
    """Writes digits alone, and renames the file into place: it is read while we may still be writing."""
    folder, _, name = path.rpartition("/")
    temporary = f"{folder}/.{name}.{posix.getpid()}"
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC
    fd = posix.open(temporary, flags, 0o666)
    try:
        try:
            posix.write(fd, str(pid).encode())
        finally:
            posix.close(fd)
        posix.rename(temporary, path)
    except OSError:
        posix.unlink(temporary)
        raise


def remove_pid_file(path: str) -> None:
    """Takes a pid file away, if it is still there."""
    try:
        posix.unlink(path)
    except FileNotFoundError:
        return
