"""Writes the images of an installed pyruntime: see pyruntime/image.py.

    python install/images.py PACKAGE_DIRECTORY

To be run by the interpreter that will read them. Which modules a command needs is in tests/budget/imports/, where a
test compares the lists with what really is imported.
"""

import ast
import marshal
import sys
from pathlib import Path
from types import CodeType

ROOT = Path(__file__).resolve().parent.parent
LISTS = ROOT / "tests" / "budget" / "imports"
# main.py has been imported when an image is loaded, and everything that it needs
ALWAYS = (
    "pyruntime",
    "pyruntime.errors",
    "pyruntime.paths",
    "pyruntime.cli",
    "pyruntime.cli.flags",
    "pyruntime.cli.main",
)

sys.path.insert(0, str(ROOT))

from pyruntime.image import MAGIC, path  # noqa: E402


def needed(command: str) -> list[str]:
    """Returns the modules of ours in a command's list, without those that are there before it."""
    names = (LISTS / f"{command}.txt").read_text().split()
    return [name for name in names if name.startswith("pyruntime") and name not in (*ALWAYS, "pyruntime.image")]


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


def build(package: Path) -> None:
    """Writes an image for every command that has a list."""
    top = package.parent
    for listing in sorted(LISTS.glob("*.txt")):
        command = listing.stem
        names = needed(command)
        trees = {name: ast.parse(source(top, name).read_text()) for name in names}
        files = {name: source(top, name) for name in names}
        dependencies = {name: imports(trees[name], name, files[name].stem == "__init__") for name in names}
        entries: list[tuple[str, str, bool, CodeType]] = []
        for name in in_order(names, dependencies):
            file = files[name].relative_to(top)
            # without docstrings and columns: nobody reads them here, and a file half the size is read twice as fast
            code = compile(files[name].read_text(), str(file), "exec", dont_inherit=True, optimize=2)
            entries.append((name, str(file), files[name].stem == "__init__", code))
        target = Path(path(str(package), command))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(MAGIC + marshal.dumps(entries))


if __name__ == "__main__":
    build(Path(sys.argv[1]).resolve())
