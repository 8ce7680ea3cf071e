"""REMEMBER: what is kept of a container between commands, and how it is doing.

A container is a directory below the root (by default /run/pyruntime), with

    state.json      what this module writes: always whole, since it is renamed into place
    config.json     the config as it was at create; later changes of the bundle mean nothing
    start, started  fifos: init waits on the one, and says on the other how it went. They go with `start`, so that
                    they are there says: created, not yet started

The directory itself is the lock: whoever changes a container holds flock(2) on it. Readers take none; they see the
state before a change or after it. Files are not synced: a container does not outlive the boot that it belongs to, and
the boot's id is part of the state.
"""

import errno
import fcntl
import os
import stat

from .config.dump import dumps
from .config.load import decode, read
from .errors import ConfigError, ContainerError, ContainerExists, NoSuchContainer, PyruntimeError, os_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypedDict

    from .config.model import Config

    class State(TypedDict):
        """The content of state.json. Paths are absolute."""

        ociVersion: str
        id: str
        # of the container's first process as the host sees it; 0 before there is one
        pid: int
        # field 22 of /proc/<pid>/stat, in ticks since boot: tells a pid that is used again from this one
        startTime: int
        bootId: str
        # "creating" until the create is complete; what it is now is for status() to find out
        status: str
        bundle: str
        rootfs: str
        # RFC 3339
        created: str
        annotations: dict[str, str]
        # directories of its cgroups, and those to remove in the end: of these and of the ones above them, what was
        # not there before
        cgroups: list[str]
        cgroupsMade: list[str]
        # file that says whether the container is frozen, "" for none
        freezer: str
        # killing the first process kills them all
        ownPidNamespace: bool
        # there is a program to start
        process: bool
        # kinds of hooks that the config has
        hooks: list[str]
        # number, among init's ops, of the first one that is left for `start`
        startOp: int


STATE, CONFIG, START, STARTED = "state.json", "config.json", "start", "started"
ID_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+.-")
ID_MAX = 1024
LOCK_SECONDS = 10
# without these a state says nothing
NEEDED = frozenset(("pid", "startTime", "bootId", "status", "cgroups", "cgroupsMade", "freezer", "ownPidNamespace"))


def check_id(container_id: str) -> None:
    """Raises PyruntimeError for what cannot be the id of a container: it becomes part of paths."""
    if not container_id:
        raise PyruntimeError("container id cannot be empty")
    if set(container_id) - ID_CHARACTERS or container_id in (".", "..") or len(container_id) > ID_MAX:
        raise PyruntimeError("invalid container ID format")


def boot_id() -> str:
    """Returns the id of this boot of the kernel (random(4))."""
    fd = os.open("/proc/sys/kernel/random/boot_id", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 64).decode().strip()
    finally:
        os.close(fd)


def process_start(pid: int) -> int:
    """Returns when a process started, in ticks since boot; 0 if there is none, or only what is left of it."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return 0
    try:
        line = os.read(fd, 4096)
    except ProcessLookupError:
        return 0
    finally:
        os.close(fd)
    # the name, in parentheses, may hold anything
    fields = line[line.rindex(b")") + 2 :].split()
    return 0 if fields[0] in (b"Z", b"X", b"x") else int(fields[19])


def is_alive(state: "State") -> bool:
    """Whether the container's first process runs: that pid, started then, in this boot."""
    if not state["pid"] or process_start(state["pid"]) != state["startTime"]:
        return False
    return state["bootId"] == boot_id()


class Container:
    """The directory of one container.

    Descriptor and lock belong to this object; close() gives both up.
    """

    __slots__ = ("_fd", "container_id", "path")

    def __init__(self, path: str, container_id: str, fd: int) -> None:
        self.path = path
        self.container_id = container_id
        self._fd = fd

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def lock(self) -> None:
        """Waits, up to ten seconds, until no other command changes this container. Raises ContainerError, or
        NoSuchContainer when it is gone by then."""
        import time

        deadline = time.monotonic() + LOCK_SECONDS
        while not self._try_lock():
            if time.monotonic() > deadline:
                raise ContainerError(f"container {self.container_id} is held by another command")
            time.sleep(0.005)
        try:
            there = os.stat(self.path)
        except FileNotFoundError:
            raise NoSuchContainer from None
        mine = os.fstat(self._fd)
        if (there.st_ino, there.st_dev) != (mine.st_ino, mine.st_dev):
            raise NoSuchContainer

    def _try_lock(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def is_locked(self) -> bool:
        """Whether another command is at work on the container."""
        if not self._try_lock():
            return True
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        return False

    def write(self, name: str, data: bytes) -> None:
        """Writes a file so that nobody ever sees half of it."""
        temporary = f".{name}.{os.getpid()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(temporary, flags, 0o600, dir_fd=self._fd)
        try:
            while data:
                data = data[os.write(fd, data) :]
        except OSError:
            os.unlink(temporary, dir_fd=self._fd)
            raise
        finally:
            os.close(fd)
        os.rename(temporary, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def store(self, state: "State") -> None:
        self.write(STATE, dumps(state).encode())  # type: ignore[arg-type]

    def load(self) -> "State":
        """Reads the state. Raises NoSuchContainer when there is none (yet), ContainerError when it cannot be read."""
        path = f"{self.path}/{STATE}"
        try:
            state = decode(read(path, "missing"), path)
        except ConfigError as error:
            if error.problem == "missing":
                raise NoSuchContainer from None
            raise ContainerError(f"the state of container {self.container_id} is damaged: {error}") from None
        if not isinstance(state, dict) or not state.keys() >= NEEDED:
            raise ContainerError(f"the state of container {self.container_id} is damaged: {path}")
        return state  # type: ignore[return-value]

    def config(self) -> "Config":
        """Reads the config that the container was created with."""
        path = f"{self.path}/{CONFIG}"
        return decode(read(path, f"{path} is missing"), path)  # type: ignore[return-value]

    def make_fifos(self) -> None:
        for name in (START, STARTED):
            os.mkfifo(name, 0o600, dir_fd=self._fd)

    def open_file(self, name: str, flags: int) -> int:
        return os.open(name, flags | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=self._fd)

    def exists(self) -> bool:
        """Whether the directory is still there."""
        return os.path.isdir(self.path)

    def has(self, name: str) -> bool:
        try:
            os.stat(name, dir_fd=self._fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def forget(self, name: str) -> None:
        """Removes one file, if it is there."""
        try:
            os.unlink(name, dir_fd=self._fd)
        except FileNotFoundError:
            return

    def remove(self) -> None:
        """Removes the directory and what is in it; there are no directories in it, and none is looked into."""
        for name in os.listdir(self._fd):
            self.forget(name)
        try:
            os.rmdir(self.path)
        except FileNotFoundError:
            return

    def status(self, state: "State") -> str:
        """Returns the status of runtime.md, or "paused"."""
        if state["status"] == "creating":
            return "creating" if self.is_locked() else "stopped"
        if not is_alive(state):
            return "stopped"
        if is_frozen(state["freezer"]):
            return "paused"
        return "created" if self.has(START) else "running"


def is_frozen(file: str) -> bool:
    """Whether a cgroup is frozen: freezer.state of v1 says so in a word, cgroup.events of v2 in a line."""
    if not file:
        return False
    try:
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        content = os.read(fd, 256)
    except OSError as error:
        if error.errno != errno.ENODEV:  # the cgroup went away between the two calls
            raise
        return False
    finally:
        os.close(fd)
    return content.startswith(b"FROZEN") or b"frozen 1" in content


def _open_root(root: str) -> None:
    """Makes the root if it is missing, and refuses one that others could write to."""
    try:
        status = os.stat(root)
    except FileNotFoundError:
        os.makedirs(root, 0o700, exist_ok=True)
        status = os.stat(root)
    if not stat.S_ISDIR(status.st_mode):
        raise PyruntimeError(f"{root} is not a directory")
    if status.st_uid not in (0, os.geteuid()) or (status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX):
        raise PyruntimeError(f"the state directory {root} can be written to by others")


def create(root: str, container_id: str) -> Container:
    """Takes an id: makes its directory and locks it. Raises ContainerExists, PyruntimeError."""
    check_id(container_id)
    path = f"{root}/{container_id}"
    try:
        _open_root(root)
        os.mkdir(path, 0o700)
    except FileExistsError:
        raise ContainerExists from None
    except OSError as error:
        raise PyruntimeError(f"mkdir {os_error(error)}") from None
    container = find(root, container_id)
    container.lock()
    return container


def find(root: str, container_id: str) -> Container:
    """Returns an existing container, unlocked. Raises NoSuchContainer."""
    check_id(container_id)
    path = f"{root}/{container_id}"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise NoSuchContainer from None
    except OSError as error:
        raise PyruntimeError(f"open {os_error(error)}") from None
    return Container(path, container_id, fd)
