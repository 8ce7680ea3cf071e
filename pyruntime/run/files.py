"""Small files of procfs, sysfs and cgroupfs: read whole, and written in one write(2), as the kernel parses them."""

import posix


def read_text(path: str) -> str:
    """Returns the content of a file. Raises OSError."""
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        data = b""
        while chunk := posix.read(fd, 65536):  # such files give a page at most, and end only with an empty one
            data += chunk
    finally:
        posix.close(fd)
    return data.decode("utf-8", "surrogateescape")


def write(path: str, value: str) -> None:
    """Writes a value. Raises OSError."""
    fd = posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC | posix.O_NOFOLLOW)
    try:
        posix.write(fd, value.encode())
    finally:
        posix.close(fd)
