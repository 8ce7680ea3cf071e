"""Dependencies point one way: cli, hooks -> run, plan, state, edits, config -> errors, paths.

Imports are read from the source, those inside functions and those for the type checker included.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "pyruntime"
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}

# what a layer may import of ours, besides itself; "pyruntime" stands for the constants in pyruntime/__init__.py
LAYERS = {
    "pyruntime": set(),
    "errors": set(),
    "paths": set(),
    "_build": set(),
    "image": set(),
    "config": {"pyruntime", "errors"},
    "plan": {"pyruntime", "errors", "paths", "config"},
    "edits": {"pyruntime", "errors", "paths", "config"},
    "state": {"pyruntime", "errors", "paths", "config"},
    "run": {"pyruntime", "errors", "paths", "_build", "config", "plan", "state"},
    "clients": {"errors", "config"},
    "cli": {"pyruntime", "errors", "paths", "_build", "image", "config", "edits", "plan", "state", "run", "clients"},
    # programs of their own, which share with the commands what lies below those
    "hooks": {"pyruntime", "errors", "paths", "config", "edits", "plan", "run"},
    "__main__": {"cli"},
}
# the compiler of plans reads no file, asks the kernel nothing and looks at no clock
PLAN_MAY_IMPORT = {"_struct", "math", "typing", "collections.abc"}
# of the layers below it, the compiler may have what is as pure as itself
PLAN_MAY_USE = {
    "pyruntime",
    "pyruntime.errors",
    "pyruntime.paths.clean",
    "pyruntime.config.check",
    "pyruntime.config.dump",
    "pyruntime.config.kernel",
    "pyruntime.config.model",
    "pyruntime.config.names",
}
# and what these need must be just as pure, or not be needed by what the compiler takes from them
PURE = {"config.check", "config.dump", "config.kernel", "config.model", "config.names"}
PURE_MAY_IMPORT = {"typing", "collections.abc", "_json", "json.encoder"}
TOO_LONG = 400


def imports(path, *, of_ours, at_import=False):
    """Returns what a module imports: names like pyruntime.paths.clean, or those of others."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    is_package = path.name == "__init__.py"
    base = parts[:-1] if is_package else parts
    found = set()
    nodes = list(ast.walk(ast.parse(path.read_text())))
    if at_import:
        nodes = list(ast.parse(path.read_text()).body)
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.level:
            start = [*base[: len(base) - node.level + is_package], *(node.module.split(".") if node.module else ())]
            if of_ours:
                found |= {".".join([*start, alias.name]) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not of_ours:
            found.add(node.module)
        elif isinstance(node, ast.Import) and not of_ours:
            found |= {alias.name for alias in node.names}
    return found


def module_of(name):
    """Returns the module that an imported name is, or comes from."""
    while name not in MODULES:
        name = name.rpartition(".")[0]
    return name


def layer(module):
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "pyruntime"


@pytest.mark.parametrize("name", MODULES)
def test_imports_only_what_lies_below_its_layer(name):
    own = layer(name)
    for imported in imports(MODULES[name], of_ours=True):
        other = layer(module_of(imported))
        assert other == own or other in LAYERS[own], f"{name} imports {imported}"


def test_every_layer_is_known():
    """A new module at the top needs a decision about what it may import."""
    assert {layer(name) for name in MODULES} <= LAYERS.keys()


@pytest.mark.parametrize("name", [name for name in MODULES if layer(name) == "plan"])
def test_the_compiler_touches_nothing(name):
    """The plan is a function of config and facts; that is what lets `plan` run for anyone, and tests compare plans."""
    assert imports(MODULES[name], of_ours=False) <= PLAN_MAY_IMPORT
    for imported in imports(MODULES[name], of_ours=True):
        if layer(imported) != "plan":
            assert imported in PLAN_MAY_USE or module_of(imported) in PLAN_MAY_USE - {"pyruntime"}, imported
            assert module_of(imported) != "pyruntime.paths" or imported == "pyruntime.paths.clean"


@pytest.mark.parametrize("name", sorted(PURE))
def test_what_the_compiler_takes_from_config_touches_nothing(name):
    assert imports(MODULES[f"pyruntime.{name}"], of_ours=False) <= PURE_MAY_IMPORT


def test_the_compiler_calls_nothing_that_opens_files():
    """open() and the like need no import."""
    for name, path in MODULES.items():
        if layer(name) == "plan" or name.removeprefix("pyruntime.") in PURE:
            calls = {
                node.func.id
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            }
            assert not calls & {"open", "exec", "eval", "input", "print", "__import__", "compile"}, name


def test_no_cycles_while_importing():
    """A module that is imported before it is complete works until somebody changes the order."""
    graph = {}
    for name, path in MODULES.items():
        found = {module_of(other) for other in imports(path, of_ours=True, at_import=True)}
        # `from . import x` names the package, which Python has begun to import by then
        graph[name] = {other for other in found if other != name and not name.startswith(f"{other}.")}
    done, under_way = set(), []

    def visit(name):
        assert name not in under_way, " -> ".join([*under_way, name])
        if name in done:
            return
        under_way.append(name)
        for other in sorted(graph[name]):
            visit(other)
        under_way.pop()
        done.add(name)

    for name in graph:
        visit(name)


def test_types_of_configs_are_never_imported_at_run_time():
    """config/model.py imports typing, which costs more than a whole `state`."""
    for name, path in MODULES.items():
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                node.body = [ast.Pass()]
        source = ast.unparse(tree)
        assert "import typing" not in source, name
        if name != "pyruntime.config.model":
            assert "from typing" not in source, name
            assert ".model import" not in source, name


@pytest.mark.parametrize(
    "path",
    [path for path in (*PACKAGE.rglob("*.py"), *(ROOT / "init").iterdir()) if path.name != "verdict.py"],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_files_can_be_read_in_one_go(path):
    assert len(path.read_text().splitlines()) <= TOO_LONG
