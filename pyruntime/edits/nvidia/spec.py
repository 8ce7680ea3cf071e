"""A CDI file for the GPUs of this host.

Numbers of devices are left to whoever uses the file: some are handed out anew at every boot. Libraries stay at the
paths that the host has them at, since the container is not known. What the format has had only for a short time is
not used where it can be helped: engines refuse a file of a version that they do not know.
"""

from ...errors import DriverError
from ..cdi import check_kind, minimum_version
from ..edits import Edits
from ..form import to_json
from .files import BINARY_DIRECTORIES, CLASSES
from .hooks import to_hooks
from .select import add_driver, add_gpu, add_proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .driver import Driver

HOOK = "nvidia-cdi-hook"
# a second layer that knows the variable has nothing left to do
DONE = "NVIDIA_VISIBLE_DEVICES=void"
STRATEGIES = ("index", "uuid")
# 32-bit programs are rare, and their libraries double the number of mounts
DEFAULT_CLASSES = tuple(name for name in CLASSES if name != "compat32")


def find_hook(driver: "Driver") -> str:
    """Returns the path of the program for hooks, "" if it is not installed."""
    for directory in BINARY_DIRECTORIES:
        if driver.root.find(f"{directory}/{HOOK}"):
            return f"{directory}/{HOOK}"
    return ""


def generate(
    driver: "Driver",
    kind: str = "nvidia.com/gpu",
    hook: str = "",
    classes: "Sequence[str]" = DEFAULT_CLASSES,
    strategies: "Sequence[str]" = STRATEGIES,
) -> "tuple[dict[str, Any], list[str]]":
    """Returns the document, and sentences about what it leaves out.

    `hook` is the program that makes links and the linker's cache, "" for none: then links are mounts. Raises
    DriverError, CdiError.
    """
    check_kind(kind)
    driver.check("cdi generate")
    if not driver.gpus:
        raise DriverError("the driver has no GPU")
    wanted = frozenset(classes)
    common = Edits()
    add_driver(common, driver, wanted)
    add_proc(common, driver, ())
    common.env.append(DONE)
    notes = [*driver.notes, *common.notes]
    devices = []
    everything = Edits()
    for gpu in driver.gpus:
        for mig in (None, *gpu.migs):
            edits = Edits()
            add_gpu(edits, driver, gpu, mig, wanted)
            if mig is None or not gpu.migs:
                notes += edits.notes
            everything.add(edits)
            index = str(gpu.index) if mig is None else f"{gpu.index}:{mig.index}"
            names = {"index": index, "uuid": gpu.uuid if mig is None else mig.uuid}
            found = _entry(edits, hook, notes)
            devices += [{"name": names[way], "containerEdits": found} for way in strategies if names[way]]
    devices.append({"name": "all", "containerEdits": _entry(_once(everything), hook, notes)})
    document: dict[str, Any] = {
        "cdiVersion": "",
        "kind": kind,
        "devices": devices,
        "containerEdits": _entry(common, hook, notes),
    }
    document["cdiVersion"] = minimum_version(document)
    return document, list(dict.fromkeys(notes))


def _once(edits: Edits) -> Edits:
    """Leaves one of each node and link: MIG devices share those of their GPU."""
    edits.devices = list({device.path: device for device in edits.devices}.values())
    edits.links = list({link.path: link for link in edits.links}.values())
    edits.gids = list(dict.fromkeys(edits.gids))
    return edits


def _entry(edits: Edits, hook: str, notes: list[str]) -> "dict[str, Any]":
    if hook:
        edits.hooks += to_hooks(edits, hook)
    else:
        edits.mount_links()
        notes += [f"the link {link.path} is left out: there is no program to make it (--hook)" for link in edits.links]
    for device in edits.devices:
        device.type, device.major, device.minor, device.mode = "", -1, -1, -1
        device.uid, device.gid = -1, -1
    return to_json(edits)
