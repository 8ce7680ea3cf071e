"""Images: all modules of one command in one file, to be had with one read.

Finding, checking and opening forty modules one by one takes Python longer than all that they do. An installed pyruntime
therefore has a file for each command that holds the compiled modules the command is known to need (install/images.py
writes it, from the lists that the import tests hold commands to). It is a store, not a hook: what is in it is put into
sys.modules as if it had been imported; everything else, or everything where there is no image, is imported as usual.
"""

import marshal
import posix
import sys
from _frozen_importlib_external import MAGIC_NUMBER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType

# what is in the file is bytecode, which no other interpreter than the one that compiled it may be given
MAGIC = b"PYIMAGE1" + MAGIC_NUMBER


def path(package: str, command: str) -> str:
    """Returns where the image of a command is, for this interpreter; `package` is the directory of pyruntime."""
    return f"{package}/_images/{sys.implementation.cache_tag}/{command}"


def _read(file: str) -> "list[tuple[str, str, bool, CodeType]]":
    fd = posix.open(file, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        data = posix.read(fd, posix.fstat(fd).st_size)
    finally:
        posix.close(fd)
    if data[: len(MAGIC)] != MAGIC:
        return []
    return marshal.loads(memoryview(data)[len(MAGIC) :])  # type: ignore[no-any-return]


def load(command: str) -> None:
    """Puts the modules of a command's image into place, if there is a whole one for this interpreter."""
    package = __file__.rpartition("/")[0]
    try:
        entries = _read(path(package, command))
    except (OSError, EOFError, ValueError, TypeError):  # none, or only half of one yet: it is being installed
        return
    top = package.rpartition("/")[0]
    modules, new = sys.modules, type(sys)
    for name, file, is_package, code in entries:
        if name in modules:
            continue
        module = new(name)
        parent, _, leaf = name.rpartition(".")
        module.__file__ = f"{top}/{file}"
        module.__package__ = name if is_package else parent
        if is_package:
            module.__path__ = [f"{top}/{file.rpartition('/')[0]}"]
        modules[name] = module
        exec(code, module.__dict__)  # noqa: S102 (what import does)
        setattr(modules[parent], leaf, module)
