"""Images: all modules of one command in one file, to be had with one read.

Finding, checking and opening forty modules one by one takes Python longer than all that they do. An installed pyruntime
therefore has a file for each command that holds the compiled modules the command is known to need (install/images.py
writes it, from the lists that the import tests hold commands to), and one named "main" with what every command needs,
which the launcher puts into place. They are a store, not a hook: what is in one is put into sys.modules as if it had
been imported; everything else, or everything where there is no image, is imported as usual.
"""

import marshal
import posix
import sys
from _frozen_importlib_external import MAGIC_NUMBER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType

    # name, file, whether it is a package, code. An extension module has no code; its file is an absolute path, where
    # those of the others are relative to the directory that holds the package.
    Entry = tuple[str, str, bool, CodeType | None]

# what is in the file is bytecode, which no other interpreter than the one that compiled it may be given
MAGIC = b"PYIMAGE1" + MAGIC_NUMBER


def path(package: str, command: str) -> str:
    """Returns where the image of a command is, for this interpreter; `package` is the directory of pyruntime."""
    return f"{package}/_images/{sys.implementation.cache_tag}/{command}"


def _read(file: str) -> "list[Entry]":
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
    place(entries, package.rpartition("/")[0])


def place(entries: "list[Entry]", top: str) -> None:
    """Puts modules into sys.modules; `top` is the directory that holds the package."""
    modules, new = sys.modules, type(sys)
    for name, file, is_package, code in entries:
        if name in modules:
            continue
        if code is None:
            _place_extension(name, file)
            continue
        module = new(name)
        parent, _, leaf = name.rpartition(".")
        module.__file__ = f"{top}/{file}"
        module.__package__ = name if is_package else parent
        if is_package:
            module.__path__ = [f"{top}/{file.rpartition('/')[0]}"]
        modules[name] = module
        exec(code, module.__dict__)  # noqa: S102 (what import does)
        if parent:
            setattr(modules[parent], leaf, module)


def _place_extension(name: str, file: str) -> None:
    """Loads an extension module of the standard library from where it was when pyruntime was installed: import would
    read two directories to find it. If it is no longer there import may look for it."""
    from _frozen_importlib import ModuleSpec
    from _imp import create_dynamic, exec_dynamic

    try:
        module = create_dynamic(ModuleSpec(name, None, origin=file))
    except ImportError:
        return
    exec_dynamic(module)
    sys.modules[name] = module
