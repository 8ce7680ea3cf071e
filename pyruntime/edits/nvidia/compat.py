"""CUDA of the image that is newer than the host's driver: whether it is to be used, and which files it is.

Images bring it as /usr/local/cuda/compat. It is put first in the linker's cache and never mounted: so no mount has a
source in the image (CVE-2024-0132, CVE-2025-23359), and nothing of it is executed here.
"""

import posix
from _stat import S_ISREG

from .driver import is_version, number
from .elf import BadElf, notes, read
from .rootfs import Rootfs

DIRECTORY = "/usr/local/cuda/compat"
OWNER = "NVIDIA Corporation"
# they talk to each other in the form of their own version
LIBRARIES = (
    "libcuda.so.", "libcudadebugger.so.", "libnvidia-gpucomp.so.", "libnvidia-nvvm.so.", "libnvidia-pkcs11",
    "libnvidia-ptxjitcompiler.so.", "libnvidia-tileiras.so.",
)  # fmt: skip
MOST_FILES = 64
LONGEST_NOTE = 1 << 16


class Compat:
    """`version` is the driver's that the libraries were made with, `cuda` their CUDA, "" if they do not say.
    `libraries` are (SONAME, path, bits)."""

    __slots__ = ("cuda", "directory", "libraries", "version")

    def __init__(self, directory: str, version: str, cuda: str) -> None:
        self.directory = directory
        self.version = version
        self.cuda = cuda
        self.libraries: list[tuple[str, str, int]] = []


def find(root: Rootfs, host_version: str) -> Compat | None:
    """Returns what is to be used in place of the host's CUDA, None for the host's own."""
    names = sorted(root.entries(DIRECTORY))[: MOST_FILES + 1]
    versions = [name.removeprefix("libcuda.so.") for name in names if name.startswith("libcuda.so.")]
    versions = [version for version in versions if is_version(version)]
    if len(versions) != 1 or len(names) > MOST_FILES or not is_version(host_version):
        return None
    try:
        fd = _open(root, f"{DIRECTORY}/libcuda.so.{versions[0]}")
    except OSError:
        return None
    try:
        note = _note(fd)
    except (BadElf, OSError):
        return None
    finally:
        posix.close(fd)
    if not _is_for(note, versions[0], host_version):
        return None
    found = Compat(DIRECTORY, versions[0], str(note.get("CUDA Version", "")) if note else "")
    _libraries(root, found, names)
    return found


def find_in(path: str, host_version: str) -> Compat | None:
    """Does the same for the root file system in a directory of the host."""
    try:
        fd = posix.open(path, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    except OSError:
        return None
    try:
        return find(Rootfs(fd), host_version)
    finally:
        posix.close(fd)


def _is_for(note: "dict[str, object] | None", version: str, host_version: str) -> bool:
    """Whether libraries of a version are made for a host's driver.

    The newest of them say so in a note, by the majors of drivers; the others are for all that are older.
    """
    major = number(host_version)[0]
    if note is None:
        return number(version)[0] > major
    majors = note.get("Driver")
    if not isinstance(majors, list) or number(version) <= number(host_version):
        return False
    return any(str(each).partition(".")[0] == str(major) for each in majors)


def _note(fd: int) -> "dict[str, object] | None":
    """Returns the note about drivers that the library is for, None if it has none. Raises BadElf, OSError."""
    for owner, _, payload in notes(fd):
        if owner == OWNER and len(payload) <= LONGEST_NOTE:
            from json import loads

            try:
                found = loads(payload.rstrip(b"\0"))
            except (ValueError, RecursionError):
                raise BadElf("a note that is no JSON") from None
            if isinstance(found, dict):
                return found
    return None


def _libraries(root: Rootfs, found: Compat, names: list[str]) -> None:
    for name in names:
        if not name.startswith(LIBRARIES):
            continue
        try:
            fd = _open(root, f"{found.directory}/{name}")
        except OSError:
            continue
        try:
            library = read(fd)
        except (BadElf, OSError):
            continue
        finally:
            posix.close(fd)
        entry = (library.soname, f"{found.directory}/{library.soname}", library.bits)
        # the name that the linker opens has to be there
        if library.soname and entry not in found.libraries and library.soname in names:
            found.libraries.append(entry)


def _open(root: Rootfs, path: str) -> int:
    """Opens a regular file of the image for reading. Raises OSError."""
    look = root.open(path)
    try:
        if not S_ISREG(posix.fstat(look).st_mode):
            raise OSError(22, "not a regular file", path)
        return posix.open(f"/proc/self/fd/{look}", posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
    finally:
        posix.close(look)
