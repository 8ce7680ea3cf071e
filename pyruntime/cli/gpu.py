"""`gpu`."""

from ..edits.nvidia.driver import discover
from .flags import Flag, arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..edits.nvidia.driver import Driver
    from ..edits.nvidia.rootfs import Image
    from ..edits.settings import Settings
    from .flags import Values
    from .main import Context

ARGUMENTS = ""
DESCRIPTION = """
Shows the NVIDIA GPUs of this host and the driver's files, where they were
found, what is missing and why. With --explain: what a container would get, for
the bundle in a directory, or for variables, as in
--explain NVIDIA_VISIBLE_DEVICES=0 --explain NVIDIA_DRIVER_CAPABILITIES=all.
Nothing is changed, and no rights are needed.
"""
FLAGS = (
    Flag("json", False, "print JSON"),
    Flag("explain", [], "what a bundle, or a variable NAME=VALUE, would inject; may be repeated for variables"),
    Flag("no-nvml", False, "do not ask NVML, which may take seconds"),
    Flag("driver-root", "", "directory that holds the driver's files (default: the usual places)"),
    Flag("host-root", "", "directory below which /proc, /sys and /dev are looked for"),
)


def run(context: "Context", values: "Values", rest: list[str]) -> int:
    """Prints what was found, or what would be injected."""
    from ..config.dump import pretty
    from ..edits.nvidia import report

    arguments("gpu", rest, 0, 0)
    settings = context.settings()
    driver = find_driver(values, settings)
    asked: list[str] = values["explain"]  # type: ignore[assignment]
    if asked:
        found = _explain(asked, driver, settings)
        print(pretty(found) if values["json"] else report.explained(found))
    else:
        found = report.describe(driver, "not asked" if values["no-nvml"] else _ask(driver))
        print(pretty(found) if values["json"] else report.table(found))
    return 0


def _ask(driver: "Driver") -> str:
    """Asks NVML; returns what went wrong."""
    from ..errors import DriverError

    if not driver.module or not driver.version:
        return "not asked"
    from ..edits.nvidia.nvml import ask

    try:
        ask(driver)
    except DriverError as error:
        return str(error)
    return ""


def find_driver(values: "Values", settings: "Settings") -> "Driver":
    """Returns what is there, below the roots of the command line, else of the settings."""
    host_root = str(values["host-root"]) or settings.host_root
    driver_root = str(values["driver-root"]) or settings.driver_root
    return discover(host_root, driver_root)


def _explain(asked: list[str], driver: "Driver", settings: "Settings") -> "dict[str, Any]":
    from ..edits import inject
    from ..edits.nvidia import nvml, report
    from ..edits.nvidia.request import Request
    from ..edits.nvidia.rootfs import look

    variables = [text for text in asked if text.startswith(("NVIDIA_", "CUDA_")) and "=" in text]
    image: Image | None = None
    root, readonly = "", False
    if len(variables) == len(asked):
        config: Any = {"process": {"env": variables}}
    else:
        config, root = _bundle(asked)
        readonly = config["root"].get("readonly", False)
        image = look(root, driver.machine, readonly=readonly, version=driver.version)
    wanted = inject.find(config, settings, enabled=True)
    edits = inject.gather(wanted, settings, driver, image, nvml.ask, root, readonly=readonly)
    shown = wanted.request
    if shown is None:
        shown = Request("CDI" if wanted.devices else "nothing is requested", tuple(wanted.devices), ())
    elif not settings.enable:
        edits.notes.append("not injected before an administrator enables it: enable = true under [nvidia]")
    return report.explain(shown, edits)


def _bundle(asked: list[str]) -> "tuple[Any, str]":
    """Returns the config in a bundle's directory, and where its root file system is."""
    from ..errors import UsageError
    from ..plan.filesystem import root_path
    from ..run.create import Bundle, enter_bundle

    if len(asked) != 1:
        raise UsageError("--explain takes one bundle, or variables NVIDIA_...=VALUE")
    path = enter_bundle(asked[0])
    config = Bundle(path).config
    return config, root_path(config, path)
