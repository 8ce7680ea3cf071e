"""REMEMBER: what is kept of a container between commands, and how it is doing.

A container is a directory below the root (by default /run/pyruntime), with

    state.json      what this module writes: always whole, since it is renamed into place
    config.json     the config as it was at create; later changes of the bundle mean nothing
    notify          a directory, where the caller waits to be told by sd_notify(3) that the program is ready
    start, started  fifos: init waits on the one, and says on the other how it went. That it has the second one open
                    says: created, not yet started

The directory itself is the lock: whoever changes a container holds flock(2) on it. Readers take none; they see the
state before a change or after it. Files are not synced: a container does not outlive the boot that it belongs to, and
the boot's id is part of the state.
"""

import fcntl
import posix
import time
from _stat import S_ISDIR, S_ISVTX

from .config.load import decode, read
from .errors import ConfigError, ContainerError, ContainerExists, NoSuchContainer, PyruntimeError, os_error
from .paths import exists, parent

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
        # without a mount namespace: the root directory, "" otherwise, and how many mounts there were at it before
        hostRoot: str
        hostMounts: int
        # directories of resctrl that were not there before
        rdt: list[str]
        # killing the first process kills them all
        ownPidNamespace: bool
        # it has a session keyring of its own, which processes that are added join
        keyring: bool
        # there is a program to start
        process: bool
        # kinds of hooks that the config has
        hooks: list[str]
        # number, among init's ops, of the first one that is left for `start`
        startOp: int


STATE, CONFIG, START, STARTED, NOTIFY = "state.json", "config.json", "start", "started", "notify"
ID_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+.-")
ID_MAX = 1024
ENOENT, ENXIO, ENODEV, EROFS = 2, 6, 19, 30
LOCK_SECONDS = 10
# without these a state says nothing
NEEDED = frozenset(("pid", "startTime", "bootId", "status", "cgroups", "cgroupsMade", "freezer", "ownPidNamespace"))


def is_id(name: str) -> bool:
    """Whether this can be the id of a container: it becomes part of paths."""
    return bool(name) and not (set(name) - ID_CHARACTERS or name in (".", "..") or len(name) > ID_MAX)


def check_id(container_id: str) -> None:
    """Raises PyruntimeError for what cannot be the id of a container."""
    if not container_id:
        raise PyruntimeError("container id cannot be empty")
    if not is_id(container_id):
        raise PyruntimeError("invalid container ID format")


def boot_id() -> str:
    """Returns the id of this boot of the kernel (random(4))."""
    fd = posix.open("/proc/sys/kernel/random/boot_id", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        return posix.read(fd, 64).decode().strip()
    finally:
        posix.close(fd)


def process_start(pid: int) -> int:
    """Returns when a process started, in ticks since boot; 0 if there is none, or only what is left of it."""
    try:
        fd = posix.open(f"/proc/{pid}/stat", posix.O_RDONLY | posix.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return 0
    try:
        line = posix.read(fd, 4096)
    except ProcessLookupError:
        return 0
    finally:
        posix.close(fd)
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
            posix.close(self._fd)
            self._fd = -1

    def lock(self) -> None:
        """Waits, up to ten seconds, until no other command changes this container. Raises ContainerError, or
        NoSuchContainer when it is gone by then."""
        deadline = time.monotonic() + LOCK_SECONDS
        while not self._try_lock(fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise ContainerError(f"container {self.container_id} is held by another command")
            time.sleep(0.005)
        try:
            there = posix.stat(self.path)
        except FileNotFoundError:
            raise NoSuchContainer from None
        mine = posix.fstat(self._fd)
        if (there.st_ino, there.st_dev) != (mine.st_ino, mine.st_dev):
            raise NoSuchContainer

    def _try_lock(self, kind: int) -> bool:
        try:
            fcntl.flock(self._fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def is_locked(self) -> bool:
        """Whether another command is at work on the container. Those that only look do not see each other."""
        if not self._try_lock(fcntl.LOCK_SH):
            return True
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        return False

    def write(self, name: str, data: bytes) -> None:
        """Writes a file so that nobody ever sees half of it. Raises OSError, with the whole path."""
        temporary = f".{name}.{posix.getpid()}"
        try:
            self._write_new(temporary, data)
            posix.rename(temporary, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        except OSError as error:
            raise OSError(error.errno, error.strerror, f"{self.path}/{name}") from None

    def _write_new(self, name: str, data: bytes) -> None:
        flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_NOFOLLOW | posix.O_CLOEXEC
        fd = posix.open(name, flags, 0o600, dir_fd=self._fd)
        try:
            while data:
                data = data[posix.write(fd, data) :]
        except OSError:
            posix.unlink(name, dir_fd=self._fd)
            raise
        finally:
            posix.close(fd)

    def store(self, state: "State") -> None:
        from .config.dump import dumps

        self.write(STATE, dumps(state).encode())  # type: ignore[arg-type]

    def load(self) -> "State":
        """Reads the state. Raises NoSuchContainer when there is none (yet), ContainerError when it makes no sense, and
        PyruntimeError when it cannot be read, which may be a passing trouble."""
        path = f"{self.path}/{STATE}"
        try:
            data = read(path, "missing")
        except ConfigError as error:
            if error.problem == "missing":
                raise NoSuchContainer from None
            raise PyruntimeError(f"the state of container {self.container_id} cannot be read: {error}") from None
        try:
            state = decode(data, path)
        except ConfigError as error:
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
            posix.mkfifo(name, 0o600, dir_fd=self._fd)

    def open_file(self, name: str, flags: int) -> int:
        return posix.open(name, flags | posix.O_CLOEXEC | posix.O_NOFOLLOW, dir_fd=self._fd)

    def owner(self) -> int:
        """Returns the user id of who has made it."""
        return posix.fstat(self._fd).st_uid

    def exists(self) -> bool:
        """Whether the directory is still there."""
        return exists(self.path)

    def forget(self, name: str) -> None:
        """Removes one file, if it is there and the file system lets go of it: whoever looks for it then finds that
        nobody uses it."""
        try:
            posix.unlink(name, dir_fd=self._fd)
        except OSError as error:
            if error.errno not in (ENOENT, EROFS):
                raise

    def remove(self) -> None:
        """Removes the directory and what is in it."""
        for name in posix.listdir(self._fd):
            if name == NOTIFY:
                self._remove_notify()
            else:
                self.forget(name)
        try:
            posix.rmdir(self.path)
        except FileNotFoundError:
            return

    def make_notify(self) -> None:
        """Makes the directory that the container's sd_notify(3) socket will be in."""
        posix.mkdir(NOTIFY, 0o700, dir_fd=self._fd)
        # whatever the caller's umask is: any user of the container may send
        posix.chmod(NOTIFY, 0o755, dir_fd=self._fd)

    def has_notify(self) -> bool:
        return exists(f"{self.path}/{NOTIFY}")

    def _remove_notify(self) -> None:
        fd = self.open_file(NOTIFY, posix.O_RDONLY | posix.O_DIRECTORY)
        try:
            for name in posix.listdir(fd):
                posix.unlink(name, dir_fd=fd)
        finally:
            posix.close(fd)
        posix.rmdir(NOTIFY, dir_fd=self._fd)

    def look(self) -> "tuple[State, str]":
        """Returns the state and the status, for who has not locked the container. Raises what load() raises."""
        state = self.load()
        if state["status"] == "creating":
            if self.is_locked():
                return state, "creating"
            # whoever was at it has been killed; or has come to the end since, and then there is another state
            state = self.load()
        return state, self.status(state)

    def status(self, state: "State") -> str:
        """Returns the status of runtime.md, or "paused", for who knows that nobody else is at work on the container."""
        if state["status"] == "creating":
            return "stopped"
        if not is_alive(state):
            return "stopped"
        if is_frozen(state["freezer"]):
            return "paused"
        return "created" if self._waits() else "running"

    def _waits(self) -> bool:
        """Whether init still has its end of the fifo that tells how the start went: the kernel closes that when the
        program is executed, also if nobody is there to take notice."""
        try:
            posix.close(self.open_file(STARTED, posix.O_WRONLY | posix.O_NONBLOCK))
        except OSError as error:
            if error.errno not in (ENOENT, ENXIO):
                raise
            return False
        return True


def is_frozen(file: str) -> bool:
    """Whether a cgroup is frozen: freezer.state of v1 says so in a word, cgroup.events of v2 in a line."""
    if not file:
        return False
    try:
        fd = posix.open(file, posix.O_RDONLY | posix.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        content = posix.read(fd, 256)
    except OSError as error:
        if error.errno != ENODEV:  # the cgroup went away between the two calls
            raise
        return False
    finally:
        posix.close(fd)
    return content.startswith(b"FROZEN") or b"frozen 1" in content


def make_directories(path: str) -> None:
    """Makes a directory for us alone, and those above it as far as they are missing. Raises OSError."""
    try:
        posix.mkdir(path, 0o700)
    except FileNotFoundError:
        make_directories(parent(path))
        posix.mkdir(path, 0o700)
    except FileExistsError:
        return


def _open_root(root: str) -> None:
    """Makes the root if it is missing, and refuses one that others could write to."""
    try:
        status = posix.stat(root)
    except FileNotFoundError:
        make_directories(root)
        status = posix.stat(root)
    if not S_ISDIR(status.st_mode):
        raise PyruntimeError(f"{root} is not a directory")
    if status.st_uid not in (0, posix.geteuid()) or (status.st_mode & 0o022 and not status.st_mode & S_ISVTX):
        raise PyruntimeError(f"the state directory {root} can be written to by others")


def create(root: str, container_id: str) -> Container:
    """Takes an id: makes its directory and locks it. Raises ContainerExists, PyruntimeError, OSError."""
    check_id(container_id)
    path = f"{root}/{container_id}"
    while True:
        try:
            _open_root(root)
            posix.mkdir(path, 0o700)
        except FileExistsError:
            raise ContainerExists from None
        except OSError as error:
            raise PyruntimeError(f"mkdir {os_error(error)}") from None
        try:
            container = find(root, container_id)
            container.lock()
        except NoSuchContainer:
            continue  # a `delete` was faster, and took it for what a create leaves that was killed
        except (OSError, PyruntimeError):
            posix.rmdir(path)
            raise
        return container


def find(root: str, container_id: str) -> Container:
    """Returns an existing container, unlocked. Raises NoSuchContainer."""
    check_id(container_id)
    path = f"{root}/{container_id}"
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise NoSuchContainer from None
    except OSError as error:
        raise PyruntimeError(f"open {os_error(error)}") from None
    return Container(path, container_id, fd)
