"""Files whose content depends on what is in the container's root: found out by Python, written by init."""

import posix
from _struct import pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..plan.facts import Request
    from ..plan.finish import Files

# init/file.c, struct file_header
HEADER = "<IIQ"


def look(request: "Request", root: int) -> "Files":
    """Returns the files that the container needs, by a descriptor of its root, which is closed. Raises
    PyruntimeError."""
    try:
        assert request.finish is not None
        assert request.finish.look is not None
        return request.finish.look(root)
    finally:
        posix.close(root)


def write_files(fd: int, files: "Files") -> None:
    """Writes them to a descriptor as init reads them, and closes it. Raises OSError."""
    try:
        for path, content, mode in files:
            name = path.encode() + b"\0"
            data = pack(HEADER, len(name), mode, len(content)) + name + content
            while data:
                data = data[posix.write(fd, data) :]
    finally:
        posix.close(fd)
