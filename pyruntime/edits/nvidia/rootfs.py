"""What the root file system of a container is like: where its linker looks for libraries, and for which machine it is.

The tree may be hostile, and may change while it is read. A path in it is walked part by part by descriptors; ".." goes
back to the descriptor before, and a link is text that is walked from where the container would walk it. So nothing
outside is ever opened, and nothing is opened for reading that is no regular file.
"""

import posix
from _stat import S_ISDIR, S_ISLNK, S_ISREG

from ...errors import DriverError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .compat import Compat

MOST_LINKS = 40
ELOOP, ENOTDIR = 40, 20
LOOK = posix.O_PATH | posix.O_NOFOLLOW | posix.O_CLOEXEC

TRIPLETS = {"x86_64": "x86_64-linux-gnu", "aarch64": "aarch64-linux-gnu"}
# of glibc and of musl: what is there says for which machine the image is made
LOADERS = {
    "x86_64": ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-musl-x86_64.so.1"),
    "aarch64": ("/lib/ld-linux-aarch64.so.1", "/lib/ld-musl-aarch64.so.1"),
}
CACHE = "/etc/ld.so.cache"


class Rootfs:
    """A root that is looked at through its descriptor, which stays the caller's."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def open(self, path: str) -> int:
        """Returns an O_PATH descriptor of what a path leads to. Raises OSError."""
        todo = path.split("/")[::-1]
        way = [posix.open(".", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC, dir_fd=self.fd)]
        links = 0
        try:
            while todo:
                part = todo.pop()
                if part in ("", "."):
                    continue
                if part == "..":
                    if len(way) > 1:
                        posix.close(way.pop())
                    continue
                fd = posix.open(part, LOOK, dir_fd=way[-1])
                if not S_ISLNK(posix.fstat(fd).st_mode):
                    way.append(fd)
                    continue
                try:
                    target = posix.readlink("", dir_fd=fd)
                finally:
                    posix.close(fd)
                links += 1
                if links > MOST_LINKS:
                    raise OSError(ELOOP, "too many levels of symbolic links", path)
                if target[:1] == "/":
                    while len(way) > 1:
                        posix.close(way.pop())
                todo += target.split("/")[::-1]
            return way.pop()
        finally:
            for fd in way:
                posix.close(fd)

    def mode(self, path: str) -> int:
        """Returns the mode of what a path leads to, 0 if to nothing."""
        try:
            fd = self.open(path)
        except OSError:
            return 0
        try:
            return posix.fstat(fd).st_mode
        finally:
            posix.close(fd)

    def is_directory(self, path: str) -> bool:
        return S_ISDIR(self.mode(path))

    def read(self, path: str, most: int) -> bytes | None:
        """Returns a regular file of at most `most` bytes, None if it is not one, or larger."""
        try:
            fd = self.open(path)
        except OSError:
            return None
        try:
            status = posix.fstat(fd)
            if not S_ISREG(status.st_mode) or status.st_size > most:
                return None
            return self._content(fd, status.st_size, most)
        except OSError:
            return None
        finally:
            posix.close(fd)

    def _content(self, fd: int, size: int, most: int) -> bytes | None:
        """Opens what the descriptor is of: no path is walked again."""
        flags = posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK | posix.O_NOCTTY
        content = posix.open(f"/proc/self/fd/{fd}", flags)
        try:
            data = posix.read(content, size + 1)
            while len(data) <= most and (chunk := posix.read(content, 1 << 20)):
                data += chunk
        finally:
            posix.close(content)
        return data if len(data) <= most else None

    def entries(self, path: str) -> list[str]:
        """Returns the names in a directory, none if it is not one."""
        try:
            fd = self.open(path)
        except OSError:
            return []
        try:
            content = posix.open(".", posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC, dir_fd=fd)
        except OSError:
            return []
        finally:
            posix.close(fd)
        try:
            return posix.listdir(content)
        finally:
            posix.close(content)


class Image:
    """What select() has to know of a container: its library directories, 64 and 32 bits, whether its root is read-only,
    whether it uses a cache of libraries (musl does not), and a CUDA of its own that is to be used."""

    __slots__ = ("cached", "compat", "directories", "readonly")

    def __init__(self, directory: str, directory_32: str, *, readonly: bool = False, cached: bool = True) -> None:
        self.directories = {64: directory, 32: directory_32}
        self.readonly = readonly
        self.cached = cached
        self.compat: Compat | None = None


def look(path: str, machine: str, *, readonly: bool = False, version: str = "") -> Image:
    """Looks at the root file system in a directory; `version` is that of the host's driver, "" for no other CUDA.

    Raises DriverError if it is made for another machine.
    """
    try:
        fd = posix.open(path, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    except OSError as error:
        raise DriverError(f"cannot look at the root file system: {path}: {error.strerror}") from None
    try:
        root = Rootfs(fd)
        found = {name for name, loaders in LOADERS.items() if any(root.mode(loader) for loader in loaders)}
        if found and machine not in found:
            raise DriverError(f"the image is for {min(found)}, the driver's libraries for {machine}")
        triplet = TRIPLETS.get(machine, f"{machine}-linux-gnu")
        glibc, musl = LOADERS.get(machine, ("", ""))
        is_musl = bool(musl) and bool(root.mode(musl)) and not root.mode(glibc)
        directory, directory_32 = _directories(root, triplet, is_musl=is_musl)
        image = Image(directory, directory_32, readonly=readonly, cached=not is_musl)
        if version and not is_musl:
            from .compat import find

            image.compat = find(root, version)
        return image
    finally:
        posix.close(fd)


def _directories(root: Rootfs, triplet: str, *, is_musl: bool) -> tuple[str, str]:
    """Returns the directories that the linker of the image looks into by itself, so that no cache is needed."""
    multiarch, multiarch_32 = f"/usr/lib/{triplet}", "/usr/lib/i386-linux-gnu"
    if root.is_directory(multiarch):
        return multiarch, multiarch_32
    if is_musl:
        return "/usr/lib", "/usr/lib32"
    if root.is_directory("/usr/lib64"):
        return "/usr/lib64", "/usr/lib"
    if root.mode("/etc/debian_version"):
        return multiarch, multiarch_32
    return "/usr/lib64", "/usr/lib"
