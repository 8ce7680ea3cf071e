"""A container's root directory, into which mounts, links and files are put from outside.

The image may be hostile. Each path is opened by openat2 with RESOLVE_IN_ROOT, so no link leads out of the root; what
is missing is made by the descriptor of its directory; and a mount is attached to a descriptor, so that nobody can put
another file in its place between the look and the act.
"""

import posix
from _stat import S_ISDIR, S_ISLNK, S_ISREG

from ..errors import PyruntimeError, error_text
from . import kernel

EEXIST, ENOENT, EROFS, EBUSY = 17, 2, 30, 16
LOOK = posix.O_PATH
DIRECTORY = posix.O_PATH | posix.O_DIRECTORY
MAKE = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC
SHUT = kernel.RDONLY | kernel.NOSUID | kernel.NODEV | kernel.NOEXEC
NAME_TRIES = 16


class Tree:
    """The root by its descriptor, which stays the caller's. Paths are those of the container, and begin with "/"; what
    is already there as it should be is no error. Methods raise PyruntimeError, with the path in the text."""

    __slots__ = ("root",)

    def __init__(self, root: int) -> None:
        self.root = root

    def mount(self, mount: int, path: str, *, directory: bool = False) -> None:
        """Puts a mount at a path, which is made where it is missing."""
        try:
            target = self._target(path, directory=directory)
            try:
                kernel.attach(mount, target)
            finally:
                posix.close(target)
        except OSError as error:
            raise _failed("mount at", path, error) from None

    def link(self, path: str, target: str) -> None:
        """Makes a link, unless there is something of that name or the file system cannot be written to."""
        try:
            directory, name = self._parent(path)
            try:
                posix.symlink(target, name, dir_fd=directory)
            finally:
                posix.close(directory)
        except OSError as error:
            if error.errno not in (EEXIST, EROFS):
                raise _failed("make the link", path, error) from None

    def write(self, path: str, content: bytes, mode: int) -> None:
        """Puts a file in the place of what has its name; where that cannot be done covers the file that is there."""
        try:
            directory, name = self._parent(path)
            try:
                _replace(directory, name, content, mode)
            finally:
                posix.close(directory)
        except OSError as error:
            if error.errno not in (EROFS, EBUSY):
                raise _failed("write", path, error) from None
            self.cover(path, content, mode)

    def cover(self, path: str, content: bytes, mode: int) -> None:
        """Mounts a file over a regular one; where there is none nothing is done."""
        try:
            target = kernel.open_in(self.root, path, LOOK)
        except OSError as error:
            if error.errno == ENOENT:
                return
            raise _failed("open", path, error) from None
        try:
            if not S_ISREG(posix.fstat(target).st_mode):
                raise PyruntimeError(f"cannot cover {path} in the container: it is not a regular file")
            mount = _file(content, mode)
            try:
                kernel.attach(mount, target)
            finally:
                posix.close(mount)
        except OSError as error:
            raise _failed("cover", path, error) from None
        finally:
            posix.close(target)

    def shut(self, path: str) -> None:
        """Makes the mount at a path read-only."""
        try:
            fd = kernel.open_in(self.root, path, LOOK)
            try:
                kernel.set_attributes(fd, kernel.RDONLY)
            finally:
                posix.close(fd)
        except OSError as error:
            raise _failed("make read-only", path, error) from None

    def _target(self, path: str, *, directory: bool) -> int:
        """Returns a descriptor of a path, made where it is missing. A link that leads nowhere is replaced: what it
        stands for would be made somewhere else."""
        try:
            return kernel.open_in(self.root, path, LOOK)
        except OSError as error:
            if error.errno != ENOENT:
                raise
        parent, name = self._parent(path)
        try:
            if _is_link(parent, name):
                posix.unlink(name, dir_fd=parent)
            if directory:
                posix.mkdir(name, 0o755, dir_fd=parent)
            else:
                posix.close(posix.open(name, MAKE, 0o644, dir_fd=parent))
            return posix.open(name, LOOK | posix.O_NOFOLLOW | posix.O_CLOEXEC, dir_fd=parent)
        finally:
            posix.close(parent)

    def _parent(self, path: str) -> tuple[int, str]:
        """Returns a descriptor of the directory that a path is in, made where it is missing, and the last name."""
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if not parts or ".." in parts:
            raise OSError(ENOENT, posix.strerror(ENOENT))
        fd = kernel.open_in(self.root, "/", DIRECTORY)
        for count in range(1, len(parts)):
            here = "/".join(["", *parts[:count]])
            try:
                try:
                    below = kernel.open_in(self.root, here, DIRECTORY)
                except OSError as error:
                    if error.errno != ENOENT:
                        raise
                    try:
                        posix.mkdir(parts[count - 1], 0o755, dir_fd=fd)
                    except FileExistsError:  # a link that leads nowhere
                        raise error from None
                    below = kernel.open_in(self.root, here, DIRECTORY)
            finally:
                posix.close(fd)
            fd = below
        return fd, parts[-1]


def _is_link(directory: int, name: str) -> bool:
    try:
        return S_ISLNK(posix.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def is_directory(fd: int) -> bool:
    """Whether a descriptor is of a directory."""
    return S_ISDIR(posix.fstat(fd).st_mode)


def _failed(action: str, path: str, error: OSError) -> PyruntimeError:
    return PyruntimeError(f"cannot {action} {path} in the container: {error_text(error.errno or 0)}")


def _fill(directory: int, name: str, content: bytes, mode: int) -> None:
    fd = posix.open(name, MAKE, 0o600, dir_fd=directory)
    try:
        while content:
            content = content[posix.write(fd, content) :]
        posix.fchmod(fd, mode)  # whatever the umask is
    except OSError:
        posix.unlink(name, dir_fd=directory)
        raise
    finally:
        posix.close(fd)


def _replace(directory: int, name: str, content: bytes, mode: int) -> None:
    """Beside what has the name, and then in its place: nobody sees half of it, and no link is followed."""
    for attempt in range(NAME_TRIES):
        temporary = f".pyruntime-{chr(97 + attempt)}"
        try:
            _fill(directory, temporary, content, mode)
        except FileExistsError:
            continue
        try:
            posix.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        except OSError:
            posix.unlink(temporary, dir_fd=directory)
            raise
        return
    raise OSError(EEXIST, posix.strerror(EEXIST))


def _file(content: bytes, mode: int) -> int:
    """Returns a mount of one file: of a file system in memory that has nothing else."""
    memory = kernel.memory()
    try:
        _fill(memory, "file", content, mode)
        mount = kernel.clone("file", memory)
    finally:
        posix.close(memory)
    try:
        kernel.set_attributes(mount, SHUT)
    except OSError:
        posix.close(mount)
        raise
    return mount
