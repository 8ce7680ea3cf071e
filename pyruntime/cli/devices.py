"""Devices that a config asks for by CDI names, NVIDIA's variables or NVIDIA's hooks: into the config, and the plan."""

from ..edits.inject import inject
from ..errors import ConfigError, PyruntimeError
from ..plan.filesystem import root_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..edits.edits import Edits
    from ..edits.settings import Settings
    from ..plan.facts import Request
    from ..plan.finish import Files, Finish
    from ..run.create import Bundle
    from .main import Context


def add_devices(context: "Context", bundle: "Bundle", request: "Request", devices: list[str]) -> None:
    """Changes a bundle's config so that the container has the devices that it asks for, and the CDI devices that the
    command line names. Raises PyruntimeError."""
    settings = context.settings()
    root = root_path(bundle.config, request.bundle)
    enabled = settings.enable or bool(context.values["gpu"])
    edits = inject(bundle.config, settings, root, enabled=enabled, devices=devices)
    if edits is None:
        return
    try:
        bundle.edited()
    except ConfigError as error:
        raise PyruntimeError(f"what a device needs does not fit the config: {error}") from None
    bundle.warnings += edits.notes
    request.finish = finish(edits, settings, bundle.warnings)


def finish(edits: "Edits", settings: "Settings", warnings: list[str]) -> "Finish | None":
    """Returns what is left of the edits for the plan, None if nothing is. `warnings` gets what only shows later."""
    if not (edits.links or edits.files or edits.cache is not None or edits.proc is not None):
        return None
    from ..plan.finish import NVIDIA, Finish

    needed = Finish("process.env")
    needed.links = [(link.path, link.target) for link in edits.links]
    needed.files = [(file.path, file.content.encode(), file.mode) for file in edits.files]
    if edits.proc is not None:
        needed.proc = edits.proc
        needed.host_proc = f"{settings.host_root.rstrip('/')}{NVIDIA}"
    if edits.cache is not None:
        needed.look = lambda root: _cache(edits, root, warnings)
    return needed


def _cache(edits: "Edits", root: int, warnings: list[str]) -> "Files":
    """Returns the linker's cache, and the directories for those that are made in the container later."""
    import posix

    from ..edits.inject import cache_bytes
    from ..edits.nvidia.rootfs import CACHE

    known = len(edits.notes)
    content = cache_bytes(edits, root, posix.uname().machine)
    warnings += edits.notes[known:]
    return [] if content is None else [(CACHE, content, 0o644)]
