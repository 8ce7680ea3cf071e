"""Writes the images of an installed pyruntime: see pyruntime/image.py.

    python install/images.py PACKAGE_DIRECTORY

To be run by the interpreter that will read them. Which modules a command needs is in tests/budget/imports/, where a
test compares the lists with what really is imported.
"""

import ast
import marshal
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LISTS = ROOT / "tests" / "budget" / "imports"
# main.py has been imported when the image of a command is loaded, and everything that it needs. The launcher takes
# these from an image too: the first two as they stand here, to have the function that puts the others into place.
ALWAYS = (
    "pyruntime",
    "pyruntime.image",
    "pyruntime.errors",
    "pyruntime.paths",
    "pyruntime.cli",
    "pyruntime.cli.flags",
    "pyruntime.cli.main",
)
# what needs a package that may be missing says so when it is imported, and not before
NEVER = ("pyruntime.run._libseccomp", "pyruntime.edits.nvidia._nvml", "pyruntime.hooks._libc")
# modules of the standard library that may be files of their own, depending on how the interpreter was built
EXTENSIONS = ("_json",)

sys.path.insert(0, str(ROOT))

from pyruntime.image import MAGIC, path  # noqa: E402

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.image import Entry


def needed(command: str) -> list[str]:
    """Returns the modules of ours in a command's list, without those that are there before it."""
    return [name for name in listed(command) if name.startswith("pyruntime") and name not in (*ALWAYS, *NEVER)]


def listed(command: str) -> list[str]:
    """Returns all modules in a command's list."""
    return (LISTS / f"{command}.txt").read_text().split()


def extensions(command: str) -> "list[Entry]":
    """Returns entries for what a command needs of the standard library that is not part of the interpreter."""
    entries: list[Entry] = []
    for name in EXTENSIONS:
        spec = find_spec(name)
        if name in listed(command) and spec is not None and spec.has_location and spec.origin:
            entries.append((name, spec.origin, False, None))
    return entries


def source(top: Path, name: str) -> Path:
    """Returns the file of a module."""
    base = top / name.replace(".", "/")
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


def imports(tree: ast.Module, name: str, is_package: bool) -> set[str]:
    """Returns what a module imports from its own package while it is being imported itself."""
    found = set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.level:
            parts = name.split(".")
            base = parts[: len(parts) - node.level + is_package] + (node.module.split(".") if node.module else [])
            found.add(".".join(base))
            found |= {".".join([*base, alias.name]) for alias in node.names}
    return found


def in_order(names: list[str], dependencies: dict[str, set[str]]) -> list[str]:
    """Returns the names so that each comes behind what it imports."""
    ordered: list[str] = []

    def place(name: str) -> None:
        if name in ordered or name not in dependencies:
            return
        if "." in name:
            place(name.rpartition(".")[0])
        for other in sorted(dependencies[name]):
            if other != name:
                place(other)
        ordered.append(name)

    for name in names:
        place(name)
    return ordered


def compiled(names: list[str], top: Path) -> "list[Entry]":
    """Returns an entry for each module, in an order in which none misses another."""
    files = {name: source(top, name) for name in names}
    trees = {name: ast.parse(files[name].read_text()) for name in names}
    dependencies = {name: imports(trees[name], name, files[name].stem == "__init__") for name in names}
    entries: list[Entry] = []
    for name in in_order(names, dependencies):
        file = str(files[name].relative_to(top))
        # without docstrings and columns: nobody reads them here, and a file half the size is read twice as fast
        code = compile(files[name].read_text(), file, "exec", dont_inherit=True, optimize=2)
        entries.append((name, file, files[name].stem == "__init__", code))
    return entries


def build(package: Path) -> None:
    """Writes an image for every command that has a list, and the one for all of them."""
    images = {"main": compiled(list(ALWAYS), package.parent)}
    for listing in sorted(LISTS.glob("*.txt")):
        command = listing.stem
        images[command] = extensions(command) + compiled(needed(command), package.parent)
    for name, entries in images.items():
        target = Path(path(str(package), name))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(MAGIC + marshal.dumps(entries))


if __name__ == "__main__":
    build(Path(sys.argv[1]).resolve())
