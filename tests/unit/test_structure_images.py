"""Images hold what a command needs; an installed pyruntime works without them, or with damaged ones, just the same."""

import importlib.util
import marshal
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from install.images import ALWAYS, build, needed
from pyruntime import image
from pyruntime.cli.help import COMMANDS

ROOT = Path(__file__).resolve().parent.parent.parent
LIBRARIES = sysconfig.get_path("purelib")
# runs a command, then tells which modules came from the image: what import makes has a spec
PROGRAM = """
import posix, sys
sys.path += sys.argv[1].split(":")
from pyruntime.cli.main import main
status = main(sys.argv[2:])
from_image = [name for name, module in sys.modules.items() if name.startswith("pyruntime") and module.__spec__ is None]
print(" ".join(sorted(from_image)), file=sys.stderr)
sys.stdout.flush()
sys.stderr.flush()
posix._exit(status)
"""

LOAD = """
import posix, sys
sys.path.append(sys.argv[1])
import pyruntime.cli.main
from pyruntime import image
image.load(sys.argv[2])
found = {name: module for name, module in sys.modules.items() if name.startswith("pyruntime")}
print(" ".join(sorted(name for name, module in found.items() if module.__spec__ is None)))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A copy of the package, with images."""
    package = tmp_path_factory.mktemp("installed") / "pyruntime"
    shutil.copytree(ROOT / "pyruntime", package, ignore=shutil.ignore_patterns("__pycache__", "_images", "_init"))
    build(package)
    return package


@pytest.fixture
def installed(built, tmp_path):
    """The same, to be damaged."""
    return Path(shutil.copytree(built, tmp_path / "lib" / "pyruntime"))


def run(package, *argv, check=True, libraries=LIBRARIES):
    """Runs a command; returns its output and which modules were in the image."""
    path = f"{package.parent}:{libraries}"
    done = subprocess.run(
        [sys.executable, "-ISB", "-c", PROGRAM, path, *map(str, argv)], capture_output=True, text=True, check=False
    )
    if check:
        assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr.split()


def image_of(package, command):
    return Path(image.path(str(package), command))


def modules_in(path):
    """Returns the entries of an image, those of extension modules left out."""
    return [entry for entry in read(path) if entry[3] is not None]


def read(path):
    data = path.read_bytes()
    assert data.startswith(image.MAGIC)
    return marshal.loads(data[len(image.MAGIC) :])


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_an_image_holds_what_the_list_names(built, command):
    names = [name for name, *_ in modules_in(image_of(built, command))]
    assert sorted(names) == sorted(needed(command))
    assert f"pyruntime.cli.{command}" in names


def test_images_name_the_files_they_are_made_from(built):
    """Tracebacks and pyruntime's own search for its files rely on it; no path of the machine that built them is in."""
    for command in COMMANDS:
        for name, file, is_package, code in modules_in(image_of(built, command)):
            assert (built.parent / file).is_file()
            assert code.co_filename == file
            assert is_package == file.endswith("__init__.py")
            assert file.removesuffix(".py").removesuffix("/__init__").replace("/", ".") == name


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_the_order_in_an_image_leaves_nothing_to_import(built, command):
    """A module that came before what it imports would have Python search for that as a file."""
    loaded = subprocess.run(
        [sys.executable, "-ISB", "-c", LOAD, built.parent, command], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.split() == needed(command)


def test_the_launchers_image_holds_what_all_commands_need(built):
    """The launcher takes the function that puts modules into place from the second entry."""
    entries = read(image_of(built, "main"))
    assert [name for name, *_ in entries][:2] == ["pyruntime", "pyruntime.image"]
    assert sorted(name for name, *_ in entries) == sorted(ALWAYS)


def test_extension_modules_are_named_by_their_file(built):
    """Searching two directories for one takes longer than loading it."""
    spec = importlib.util.find_spec("_json")
    found = [entry for entry in read(image_of(built, "state")) if entry[3] is None]
    assert found == ([("_json", spec.origin, False, None)] if spec.has_location else [])


def test_an_extension_module_that_has_moved_is_imported_as_usual(installed, tmp_path):
    """So it is after an update of the interpreter."""
    path = image_of(installed, "spec")
    entries = [("_json", str(tmp_path / "_json.so"), False, None), *modules_in(path)]
    path.write_bytes(image.MAGIC + marshal.dumps(entries))
    run(installed, "spec", "-b", tmp_path)
    assert (tmp_path / "config.json").is_file()


def test_a_command_takes_all_it_needs_from_its_image(installed, tmp_path):
    _, from_image = run(installed, "spec", "-b", tmp_path)
    assert from_image == needed("spec")
    assert (tmp_path / "config.json").is_file()


def test_no_file_is_needed_beside_the_image(installed, tmp_path):
    for name in ("cli/spec.py", "config/dump.py", "config/__init__.py"):
        (installed / name).unlink()
    run(installed, "spec", "-b", tmp_path)


def damage(path, how):
    data = path.read_bytes()
    match how:
        case "missing":
            path.unlink()
        case "empty":
            path.write_bytes(b"")
        case "another format":
            path.write_bytes(b"PYIMAGE0" + data[8:])
        case "another bytecode":
            path.write_bytes(data[:8] + b"\1\2\3\4" + data[12:])
        case "half written":
            path.write_bytes(data[: len(data) // 2])
        case "nothing behind the header":
            path.write_bytes(image.MAGIC)
        case "another interpreter's":
            path.parent.rename(path.parent.with_name("cpython-399"))
        case "a directory":
            path.unlink()
            path.mkdir()


@pytest.mark.parametrize(
    "how",
    [
        "missing",
        "empty",
        "another format",
        "another bytecode",
        "half written",
        "nothing behind the header",
        "another interpreter's",
        "a directory",
    ],
)
def test_without_a_good_image_modules_are_imported_as_usual(installed, tmp_path, how):
    """A half-written one is what a command sees that runs while pyruntime is being installed."""
    damage(image_of(installed, "spec"), how)
    (tmp_path / "target").mkdir()
    _, from_image = run(installed, "spec", "-b", tmp_path / "target")
    assert from_image == []
    assert (tmp_path / "target/config.json").is_file()


def test_a_command_without_an_image_says_what_it_always_says(installed):
    """The command's name goes into a path: it must not lead out of the directory."""
    for name in ("bogus", "../../../etc/passwd", "/etc/passwd", "x/"):
        _, err = run(installed, name, check=False)
        assert "No help topic for" in " ".join(err), name


def test_modules_from_an_image_find_their_lazy_imports(installed, tmp_path):
    """What fails needs modules that no image has: they come from the package, found through __path__."""
    shutil.copytree(ROOT / "specs", installed / "config/schemas")
    (tmp_path / "config.json").write_text('{"ociVersion": 1, "root": {"path": "r"}}')
    _, err = run(installed, "plan", tmp_path, check=False)
    assert "ociVersion: 1 is not a string" in " ".join(err)


def test_a_missing_library_is_named(installed, tmp_path):
    """A traceback says as much, but not to a user."""
    shutil.copytree(ROOT / "specs", installed / "config/schemas")
    (tmp_path / "config.json").write_text('{"ociVersion": 1, "root": {"path": "r"}}')
    _, err = run(installed, "plan", tmp_path, check=False, libraries=tmp_path)
    message = " ".join(err)
    assert "No module named 'jsonschema': pyruntime is not installed completely" in message
    assert "Traceback" not in message
