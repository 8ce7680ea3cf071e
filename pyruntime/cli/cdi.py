"""`cdi generate` and `cdi list`."""

from ..config.dump import pretty
from ..errors import UsageError
from .flags import Flag, arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.model import Json
    from .flags import Values
    from .main import Context

ARGUMENTS = "generate|list"
DESCRIPTION = """
generate prints a file of the Container Device Interface for the NVIDIA GPUs of
this host, which any engine can use. list prints the devices that such files
describe, of all vendors, and where.
"""
FLAGS = (
    Flag("output", "", "generate: file to write, in place of standard output", "o"),
    Flag("kind", "nvidia.com/gpu", "generate: vendor and class of the devices"),
    Flag("names", "index,uuid", "generate: how GPUs are named: index, uuid or both"),
    Flag("capabilities", "all", "generate: parts of the driver, as in NVIDIA_DRIVER_CAPABILITIES"),
    Flag("hook", "", "generate: path of nvidia-cdi-hook, or none (default: where it is, if it is)"),
    Flag("driver-root", "", "generate: directory that holds the driver's files (default: the usual places)"),
    Flag("host-root", "", "generate: directory below which /proc, /sys and /dev are looked for"),
    Flag("spec-dir", [], "list: directory to read, may be repeated (default: /etc/cdi and /var/run/cdi)"),
    Flag("json", False, "list: print JSON"),
)


def run(context: "Context", values: "Values", rest: list[str]) -> int:
    """Does one of the two."""
    arguments("cdi", rest, 1, 1)
    if rest[0] == "generate":
        return _generate(context, values)
    if rest[0] == "list":
        return _list(context, values)
    raise UsageError(f'"cdi" takes generate or list, not "{rest[0]}"')


def _generate(context: "Context", values: "Values") -> int:
    from ..edits.nvidia import spec
    from ..edits.nvidia.files import CLASSES
    from .gpu import find_driver

    driver = find_driver(values, context.settings())
    hook = {"": spec.find_hook(driver), "none": ""}.get(str(values["hook"]), str(values["hook"]))
    if hook and hook[0] != "/":
        raise UsageError("--hook takes an absolute path, or none")
    names = _words(values, "names", spec.STRATEGIES)
    classes = _words(values, "capabilities", (*CLASSES, "all"))
    wanted = spec.DEFAULT_CLASSES if "all" in classes else tuple(classes)
    document, notes = spec.generate(driver, str(values["kind"]), hook, wanted, names)
    text = pretty(document) + "\n"
    if values["output"]:
        _write(str(values["output"]), text)
    else:
        print(text, end="")
    for note in notes:
        context.log().warning(note)
    return 0


def _words(values: "Values", name: str, known: tuple[str, ...]) -> list[str]:
    words = str(values[name]).split(",")
    for word in words:
        if word not in known:
            raise UsageError(f'--{name}: "{word}" is not one of {", ".join(known)}')
    return words


def _write(path: str, text: str) -> None:
    """Puts a file into place whole: engines look at the directory at any time."""
    import posix

    directory, slash, name = path.rpartition("/")
    temporary = f"{directory}{slash}.{name}.{posix.getpid()}"
    fd = posix.open(
        temporary, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC | posix.O_NOFOLLOW, 0o644
    )
    try:
        with open(fd, "w", encoding="utf-8") as file:
            file.write(text)
            posix.fchmod(fd, 0o644)
        posix.rename(temporary, path)
    except BaseException:
        posix.unlink(temporary)
        raise


def _list(context: "Context", values: "Values") -> int:
    from ..edits.cdi import load

    given: list[str] = values["spec-dir"]  # type: ignore[assignment]
    registry = load(given or context.settings().spec_dirs)
    rows = sorted((name, spec.path) for name, spec in registry.devices.items())
    problems: list[Json] = [f"{path}: {problem}" for path, problem in registry.problems.items()]
    for name, paths in registry.conflicts.items():
        problems.append(f"{name} is described twice: by {' and by '.join(paths)}")
    if values["json"]:
        devices: list[Json] = [{"name": name, "file": path} for name, path in rows]
        print(pretty({"devices": devices, "problems": problems}))
        return 0
    for name, path in rows:
        print(f"{name}  {path}")
    for problem in problems:
        context.log().warning(str(problem))
    return 0
