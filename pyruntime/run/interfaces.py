"""What has gone through a container's network interfaces (proc_pid_net(5))."""

import posix

from .files import read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.model import Json

# columns of /proc/<pid>/net/dev behind the name: eight for what was received, eight for what was sent
COLUMNS = (
    ("RxBytes", 0),
    ("RxPackets", 1),
    ("RxErrors", 2),
    ("RxDropped", 3),
    ("TxBytes", 8),
    ("TxPackets", 9),
    ("TxErrors", 10),
    ("TxDropped", 11),
)


def interfaces(pid: int) -> "list[Json]":
    """Returns the figures of each interface but lo; none for a container in the runtime's own network namespace, whose
    interfaces are not its own, and for one that has ended."""
    try:
        there, here = posix.stat(f"/proc/{pid}/ns/net"), posix.stat("/proc/self/ns/net")
        if (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino):
            return []
        lines = read_text(f"/proc/{pid}/net/dev").splitlines()[2:]
    except OSError:
        return []
    found: list[Json] = []
    for line in lines:
        name, _, rest = line.partition(":")
        values = rest.split()
        if name.strip() != "lo":
            found.append({"Name": name.strip(), **{label: int(values[at]) for label, at in COLUMNS}})
    return found
