"""From a request and what there is to edits: which files, nodes and names a container gets. Reads nothing but nodes.

Libraries are mounted at two names, that of the file and the one that the linker asks for, in a directory that the
linker of the image looks into by itself: so they are found with no cache and no ldconfig.
"""

from ...errors import DriverError
from ..edits import Cache, Device, Edits, File, Link, Mount
from . import nodes
from .files import CONTROL_NODES, LINKS, X_MODULES
from .gpus import by_path
from .request import ALL, DISABLE_REQUIRE, NONE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .driver import Driver, Library
    from .gpus import Gpu, Mig
    from .nodes import Node
    from .request import Request
    from .require import Lookup
    from .rootfs import Image

    Chosen = tuple[Gpu, Mig | None]
    # fills in what only NVML knows: UUIDs
    Ask = Callable[[Driver], None]

FILE_OPTIONS = ("ro", "nosuid", "nodev", "rbind", "rprivate")
SOCKET_OPTIONS = ("ro", "nosuid", "nodev", "noexec", "rbind", "rprivate")
# a container has no reason to make such a node: it has it
ACCESS = "rw"
PARAMS = "/proc/driver/nvidia/params"
# the driver's own files, which name no GPU
OPEN_FILES = ("params", "registry", "version")
PROFILE = "/etc/nvidia/nvidia-application-profiles-rc.d/10-container.conf"
DRAWS = frozenset(("graphics", "display"))


def select(request: "Request", driver: "Driver", image: "Image | None" = None, ask: "Ask | None" = None) -> Edits:
    """Returns the edits for a container; without an image for any, with libraries where the host has them.

    Raises DriverError when there is no driver, no such GPU, or one that does not meet the requirements.
    """
    driver.check(request.source)
    edits = Edits()
    edits.notes += request.notes
    chosen = choose(driver, request.devices, ask)
    if request.requirements:
        check_requirements(request, driver, chosen, image, ask)
    add_driver(edits, driver, request.classes, image)
    for gpu, mig in chosen:
        add_gpu(edits, driver, gpu, mig, request.classes)
    add_proc(edits, driver, chosen)
    if request.classes & DRAWS and 0 < len({gpu.minor for gpu, _ in chosen}) < len(driver.gpus):
        edits.files.append(File(PROFILE, profile([gpu.minor for gpu, _ in chosen])))
    return edits


# ---- which GPUs


def choose(driver: "Driver", names: "Sequence[str]", ask: "Ask | None" = None) -> "list[Chosen]":
    """Returns the GPUs and MIG devices of that names, in the order of the bus. Raises DriverError."""
    if tuple(names) == (NONE,):
        return []
    if tuple(names) == (ALL,):
        return [pair for gpu in driver.gpus for pair in ((gpu, None), *((gpu, mig) for mig in gpu.migs))]
    found = [_find(driver, name, ask) for name in names]
    return sorted(set(found), key=lambda pair: (pair[0].index, -1 if pair[1] is None else pair[1].index))


def _find(driver: "Driver", name: str, ask: "Ask | None") -> "Chosen":
    if (pair := _by_name(driver, name)) is not None:
        return pair
    if ask is not None and name.startswith(("GPU-", "MIG-")) and _lacks_uuids(driver):
        ask(driver)
        if (pair := _by_name(driver, name)) is not None:
            return pair
    known = [f"{gpu.index} ({gpu.uuid or gpu.bus})" for gpu in driver.gpus]
    known += [f"{gpu.index}:{mig.index}" for gpu in driver.gpus for mig in gpu.migs]
    raise DriverError(f'no GPU "{name[:80]}": this machine has {", ".join(known) or "none"}')


def _lacks_uuids(driver: "Driver") -> bool:
    return any(not gpu.uuid or any(not mig.uuid for mig in gpu.migs) for gpu in driver.gpus)


def _by_name(driver: "Driver", name: str) -> "Chosen | None":
    gpu_name, colon, mig_name = name.partition(":")
    for gpu in driver.gpus:
        if name in (str(gpu.index), gpu.uuid) or _is_bus(name, gpu.bus):
            return gpu, None
        for mig in gpu.migs:
            if colon and gpu_name == str(gpu.index) and mig_name == str(mig.index):
                return gpu, mig
            # drivers before 470 named them by the GPU's UUID and the two instances
            if name == mig.uuid or (gpu.uuid and name == f"MIG-{gpu.uuid}/{mig.gi}/{mig.ci}"):
                return gpu, mig
    return None


def _is_bus(name: str, bus: str) -> bool:
    """Whether it is a bus id, as /proc writes it (0000:07:00.0) or as nvidia-smi does (00000000:07:00.0)."""
    domain, colon, rest = name.lower().partition(":")
    return bool(colon and bus) and domain.lstrip("0").rjust(4, "0") + ":" + rest == bus.lower()


# ---- whether they will do


def check_requirements(
    request: "Request", driver: "Driver", chosen: "Sequence[Chosen]", image: "Image | None", ask: "Ask | None"
) -> None:
    """Holds the requirements of the image against each GPU, or the driver alone where there is none.

    Raises DriverError.
    """
    from .require import check

    gpus: list[Gpu | None] = [*{gpu.index: gpu for gpu, _ in chosen}.values()] or [None]
    check(request.requirements, [_lookup(driver, gpu, image, ask) for gpu in gpus], DISABLE_REQUIRE)


def _lookup(driver: "Driver", gpu: "Gpu | None", image: "Image | None", ask: "Ask | None") -> "Lookup":
    def value(name: str) -> str | None:
        if name == "driver":
            return driver.version
        if name == "cuda":
            if image is not None and image.compat is not None:
                return image.compat.cuda or None
            return driver.cuda or _asked(name, lambda: driver.cuda)
        if gpu is None:
            return None
        return getattr(gpu, name) or _asked(name, lambda: str(getattr(gpu, name)))

    def _asked(name: str, get: "Callable[[], str]") -> str:
        try:
            if ask is not None:
                ask(driver)
        except DriverError as error:
            raise DriverError(f"the image has requirements about {name}, which only NVML knows: {error}") from None
        if not get():
            raise DriverError(f"the image has requirements about {name}, which is not known of this GPU")
        return get()

    return value


# ---- what belongs to no GPU


def add_driver(edits: Edits, driver: "Driver", classes: "frozenset[str]", image: "Image | None" = None) -> None:
    """Adds libraries, other files and control nodes. Raises DriverError if one is missing that CUDA needs."""
    _add_control(edits, driver, classes)
    edits.cache = Cache()
    if image is None:
        edits.cache.compat = driver.version
    elif image.compat is not None and "compute" in classes:
        edits.cache.libraries += image.compat.libraries
        edits.cache.directories.append(image.compat.directory)
        edits.notes.append(
            f"CUDA is the image's own, made for driver {image.compat.version} ({image.compat.directory})"
        )
    for library in driver.libraries:
        if classes.intersection(library.classes) and (library.bits == 64 or "compat32" in classes):
            place = library_directory(library, image)
            _add_library(edits, edits.cache, library, place)
            if library.bits == 64:
                _add_links(edits, driver, library, place, classes)
    for file in driver.files:
        if classes.intersection(file.classes):
            options = SOCKET_OPTIONS if file.kind == "socket" else FILE_OPTIONS
            edits.mounts.append(Mount(file.source, file.path, options))
    if image is not None and image.readonly:
        edits.mount_links()
    if image is not None and not image.cached:
        edits.cache = None


def _add_control(edits: Edits, driver: "Driver", classes: "frozenset[str]") -> None:
    for node, wanted in driver.control:
        if not wanted or classes.intersection(wanted):
            _add_node(edits, node)
    for path, _, _, wanted_text in CONTROL_NODES:
        why = driver.missing.get(path, "")
        if not why or (wanted_text and not classes.intersection(wanted_text.split())):
            continue
        if path in ("/dev/nvidiactl", "/dev/nvidia-uvm"):
            reason = "compute was requested, but " if wanted_text else ""
            raise DriverError(f"{reason}{path} cannot be used: {why}")
        edits.notes.append(f"{path} is left out: {why}")


def _add_library(edits: Edits, cache: Cache, library: "Library", place: str) -> None:
    for name in dict.fromkeys((library.name, library.soname)):
        edits.mounts.append(Mount(library.source, f"{place}/{name}", FILE_OPTIONS))
    if library.directory in X_MODULES.values():
        return  # the X server opens them by their paths
    cache.libraries.append((library.soname, f"{place}/{library.soname}", library.bits))
    if place not in cache.directories:
        cache.directories.append(place)


def library_directory(library: "Library", image: "Image | None") -> str:
    """Returns where the container has a library; without an image where the host has it."""
    if image is None:
        return library.path.rpartition("/")[0]
    place = image.directories[library.bits]
    return f"{place}/{library.directory}" if library.directory else place


def _add_links(edits: Edits, driver: "Driver", library: "Library", place: str, classes: "frozenset[str]") -> None:
    names = [(link, target) for link, soname, target, of in LINKS if soname == library.soname and of in classes]
    names += [(link, library.soname) for link, soname in driver.links if soname == library.soname]
    for link, target in dict(names).items():
        edits.links.append(Link(f"{place}/{link}", target, library.source))


def _add_node(edits: Edits, node: "Node") -> None:
    if any(device.path == node.path for device in edits.devices):
        return
    edits.devices.append(
        Device(node.path, node.source, "c", node.major, node.minor, node.mode, ACCESS, uid=0, gid=node.gid)
    )
    # 0666 is the driver's default; where it is less the group is what lets a user in
    if node.gid and node.mode & 0o006 != 0o006 and node.gid not in edits.gids:
        edits.gids.append(node.gid)


# ---- what belongs to a GPU


def add_gpu(edits: Edits, driver: "Driver", gpu: "Gpu", mig: "Mig | None", classes: "frozenset[str]") -> None:
    """Adds the nodes of a GPU, or of one MIG device of it. Raises DriverError."""
    _add_node(edits, nodes.gpu_node(driver.host, driver.majors, gpu.minor))
    if mig is not None:
        for minor in (mig.gi_minor, mig.ci_minor):
            _add_node(edits, nodes.caps_node(driver.host, driver.majors, minor))
    elif gpu.migs and not any(driver.majors.get("nvidia-caps") == device.major for device in edits.devices):
        edits.notes.append(
            f"GPU {gpu.index} is divided into MIG devices ({gpu.index}:0 to {gpu.index}:{len(gpu.migs) - 1}): "
            f"CUDA can use those, and not the GPU itself"
        )
    if not classes & DRAWS:
        return
    for name in gpu.drm:
        try:
            _add_node(edits, nodes.drm_node(driver.host, name))
        except DriverError as error:
            edits.notes.append(f"{error}: GPU {gpu.index} cannot draw without it")
    present = {device.path for device in edits.devices}
    for path, target in by_path(driver.host, gpu):
        if f"/dev/dri/{target.removeprefix('../')}" in present:
            edits.links.append(Link(path, target))


def add_proc(edits: Edits, driver: "Driver", chosen: "Sequence[Chosen]") -> None:
    """Adds what is left of /proc/driver/nvidia: nothing that tells of other GPUs."""
    edits.proc = [*OPEN_FILES]
    for gpu, mig in chosen:
        capabilities = f"capabilities/gpu{gpu.minor}/mig"
        names = [f"gpus/{gpu.bus}"] if gpu.bus else []
        if mig is not None:
            names += [f"{capabilities}/gi{mig.gi}/access", f"{capabilities}/gi{mig.gi}/ci{mig.ci}/access"]
        edits.proc += [name for name in names if name not in edits.proc]
    text = driver.host.read(PARAMS)
    if text:
        edits.files.append(File(PARAMS, params(text), 0o444, over=True))


def params(text: str) -> str:
    """Returns the parameters of the module with the one changed that has NVML make nodes and change their modes."""
    lines = text.split("\n")
    return "\n".join("ModifyDeviceFiles: 0" if line.startswith("ModifyDeviceFiles:") else line for line in lines)


def profile(minors: list[int]) -> str:
    """Returns an application profile that keeps EGL and Vulkan from GPUs whose nodes are not there."""
    mask = 0
    for minor in minors:
        mask |= 1 << minor
    settings = f'["EGLVisibleDGPUDevices", {mask}]'
    return (
        f'{{"profiles": [{{"name": "_container_", "settings": {settings}}}],'
        ' "rules": [{"pattern": [], "profile": "_container_"}]}\n'
    )
