"""What a runtime tells its hooks, and how a hook gets into the container: its root directory and its namespaces.

Source: the OCI runtime specification, "State" and "POSIX-platform Hooks".
"""

import posix
import sys

from ..config.load import decode, read
from ..edits.nvidia.root import Root
from ..errors import ConfigError, PyruntimeError, os_error
from . import kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..config.model import Config

MOST_BYTES = 1 << 20
CREATE_CONTAINER = "createContainer"
# what a hook can change; annotations and other hooks are acted on by those who made the bundle
MEMBERS = ("root", "process", "mounts", "linux")


class Container:
    """The container that a hook is run for. `process` names it below /proc: "self" for a hook that is itself inside."""

    __slots__ = ("config", "process", "rootfs")

    def __init__(self, config: "Config", process: str, rootfs: str) -> None:
        self.config = config
        self.process = process
        self.rootfs = rootfs

    def open_root(self) -> int:
        """Returns a descriptor of the container's root directory, with all its mounts. Raises PyruntimeError."""
        top = f"/proc/{self.process}/root"
        try:
            # before pivot_root the container has the root directory of the host
            path = f"{top}{self.rootfs}" if self.process == "self" or _same(f"{top}/", "/") else f"{top}/"
            return posix.open(path, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
        except OSError as error:
            raise PyruntimeError(f"cannot open the container's root: {os_error(error)}") from None

    def enter(self) -> None:
        """Moves this process into the user and the mount namespace of the container, as root there. From then on no
        path may be used, and no module is imported: it could be the image's. Raises PyruntimeError."""
        if self.process == "self":
            return
        sys.meta_path.clear()
        try:
            user = _other_namespace(self.process, "user")
            mount = _other_namespace(self.process, "mnt")
            if user >= 0:
                kernel.join(user, kernel.CLONE_NEWUSER)
                posix.setresgid(0, 0, 0)
                posix.setresuid(0, 0, 0)
            if mount >= 0:
                kernel.join(mount, kernel.CLONE_NEWNS)
        except OSError as error:
            raise PyruntimeError(f"cannot enter the container's namespaces: {os_error(error)}") from None


def _same(one: str, other: str) -> bool:
    first, second = posix.stat(one), posix.stat(other)
    return (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino)


def _other_namespace(process: str, name: str) -> int:
    """Returns a descriptor of a namespace, -1 if this process is in it."""
    path = f"/proc/{process}/ns/{name}"
    if _same(path, f"/proc/self/ns/{name}"):
        return -1
    return posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)


def find(source: bytes, when: str) -> Container:
    """Returns the container that a state describes. Raises PyruntimeError."""
    state = decode(source, "the state on standard input")
    if not isinstance(state, dict):
        raise PyruntimeError("the state on standard input is not an object")
    bundle = state.get("bundle") or state.get("bundlePath")
    if not isinstance(bundle, str) or bundle[:1] != "/":
        raise PyruntimeError("the state on standard input has no bundle")
    config = _config(bundle)
    process = "self"
    if when != CREATE_CONTAINER:
        pid = state.get("pid")
        if type(pid) is not int or pid <= 0:
            raise PyruntimeError("the state on standard input has no pid")
        process = str(pid)
    given = state.get("root")  # crun's
    path = given if isinstance(given, str) and given[:1] == "/" else config["root"]["path"]
    try:
        rootfs = Root("").resolve(path if path[:1] == "/" else f"{bundle}/{path}")
    except OSError as error:
        raise PyruntimeError(f"the root directory of the container is not there: {os_error(error)}") from None
    return Container(config, process, rootfs)


def _config(bundle: str) -> "Config":
    source = read(f"{bundle}/config.json", f"{bundle}/config.json is missing")
    # what the runtime has accepted is not judged again
    document: Any = decode(source, "config.json")
    if not isinstance(document, dict) or not isinstance(document.get("root"), dict):
        raise ConfigError("root", "is missing")
    if not isinstance(document["root"].get("path"), str):
        raise ConfigError("root.path", "is missing")
    kept: Any = {name: document[name] for name in MEMBERS if name in document}
    return kept  # type: ignore[no-any-return]


def read_state(fd: int) -> bytes:
    """Reads the state that the runtime writes. Raises PyruntimeError."""
    data = b""
    try:
        while len(data) <= MOST_BYTES and (chunk := posix.read(fd, 1 << 16)):
            data += chunk
    except OSError as error:
        raise PyruntimeError(f"cannot read the state: {os_error(error)}") from None
    if len(data) > MOST_BYTES:
        raise PyruntimeError(f"the state on standard input is larger than {MOST_BYTES >> 20} MiB")
    return data
