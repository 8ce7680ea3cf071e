"""The GPUs of a machine and their MIG devices, from what the kernel module shows in /proc and the PCI bus in /sys."""

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .root import Root

GPUS = "/proc/driver/nvidia/gpus"
CAPABILITIES = "/proc/driver/nvidia/capabilities"
MINORS = "/proc/driver/nvidia-caps/mig-minors"


class Mig:
    """A MIG device: a compute instance in a GPU instance. Its nodes are /dev/nvidia-caps/nvidia-capN, with N the minors
    of the two. `index` counts those of the GPU; `uuid` is "" until NVML has been asked."""

    __slots__ = ("ci", "ci_minor", "gi", "gi_minor", "index", "uuid")

    def __init__(self, gi: int, ci: int, gi_minor: int, ci_minor: int) -> None:
        self.gi = gi
        self.ci = ci
        self.gi_minor = gi_minor
        self.ci_minor = ci_minor
        self.index = 0
        self.uuid = ""


class Gpu:
    """One GPU. `index` is NVML's, which counts by bus id; `minor` is the number of /dev/nvidiaN, and another one.

    `uuid` is "" where it is not known: the driver has none before the GPU is first used. `drm` are names in /dev/dri.
    `arch` (the compute capability) and `brand` are "" until NVML has been asked.
    """

    __slots__ = ("arch", "brand", "bus", "drm", "index", "migs", "minor", "model", "uuid")

    def __init__(self, index: int, minor: int, uuid: str, bus: str, model: str = "") -> None:
        self.index = index
        self.minor = minor
        self.uuid = uuid
        self.bus = bus
        self.model = model
        self.arch = self.brand = ""
        self.drm: list[str] = []
        self.migs: list[Mig] = []


def find(host: "Root") -> "tuple[list[Gpu], list[str]]":
    """Returns the GPUs in NVML's order, and sentences about what is odd."""
    gpus: list[Gpu] = []
    notes: list[str] = []
    # DDDD:BB:DD.F in hexadecimal of fixed width: the order of the text is that of the bus
    for bus in sorted(host.entries(host.find(GPUS) or GPUS)):
        fields = _fields(host.read(f"{GPUS}/{bus}/information"))
        minor = fields.get("Device Minor", "")
        if fields.get("GPU Excluded", "No") == "Yes":
            notes.append(f"GPU {bus} is excluded by the driver")
            continue
        if not _is_number(minor):
            notes.append(f"GPU {bus} is left out: {GPUS}/{bus}/information has no Device Minor")
            continue
        uuid = fields.get("GPU UUID", "")
        if "?" in uuid:
            notes.append(f"GPU {bus} has no UUID before it is first used: nvidia-smi -pm 1 keeps it initialised")
            uuid = ""
        gpu = Gpu(len(gpus), int(minor), uuid, bus, fields.get("Model", ""))
        gpu.drm = sorted(
            name
            for name in host.entries(host.find(f"/sys/bus/pci/devices/{bus}/drm") or "/sys/bus/pci/none")
            if name.startswith(("card", "renderD"))
        )
        gpus.append(gpu)
    if not gpus and not notes:
        gpus = _by_nodes(host)
        if gpus:
            notes.append(f"{GPUS} is missing: the GPUs are counted by their device nodes, and have no UUIDs")
    _find_migs(host, gpus)
    return gpus, notes


def _by_nodes(host: "Root") -> list[Gpu]:
    """Returns GPUs by their nodes, as there are in sandboxes that show no /proc/driver."""
    minors = sorted(
        int(name[6:]) for name in host.entries("/dev") if name.startswith("nvidia") and _is_number(name[6:])
    )
    return [Gpu(index, minor, "", "") for index, minor in enumerate(minors)]


def _fields(text: str) -> dict[str, str]:
    """Returns the lines of "Key:   value"."""
    found = {}
    for line in text.split("\n"):
        key, colon, value = line.partition(":")
        if colon:
            found[key.strip()] = value.strip()
    return found


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _numbered(names: list[str], prefix: str) -> list[int]:
    return sorted(int(name[2:]) for name in names if name[:2] == prefix and _is_number(name[2:]))


def _find_migs(host: "Root", gpus: list[Gpu]) -> None:
    """Adds the MIG devices. The numbers in the paths are those of device minors, not of GPUs."""
    if not host.entries(CAPABILITIES):
        return
    minors = mig_minors(host)
    for gpu in gpus:
        top = f"gpu{gpu.minor}"
        for gi in _numbered(host.entries(f"{CAPABILITIES}/{top}/mig"), "gi"):
            for ci in _numbered(host.entries(f"{CAPABILITIES}/{top}/mig/gi{gi}"), "ci"):
                gi_minor = _minor(host, minors, f"{top}/gi{gi}/access", f"{top}/mig/gi{gi}/access")
                ci_minor = _minor(host, minors, f"{top}/gi{gi}/ci{ci}/access", f"{top}/mig/gi{gi}/ci{ci}/access")
                if gi_minor < 0 or ci_minor < 0:
                    continue
                mig = Mig(gi, ci, gi_minor, ci_minor)
                mig.index = len(gpu.migs)
                gpu.migs.append(mig)


def mig_minors(host: "Root") -> dict[str, int]:
    """Returns the minors of all capabilities that there could be, by name: "gpu0/gi1/access"."""
    found = {}
    for line in host.read(MINORS).split("\n"):
        name, _, minor = line.partition(" ")
        if _is_number(minor.strip()):
            found[name] = int(minor)
    return found


def _minor(host: "Root", minors: dict[str, int], name: str, path: str) -> int:
    """Returns the minor that the capability's own file has, else that of the list; -1 if neither."""
    text = _fields(host.read(f"{CAPABILITIES}/{path}")).get("DeviceFileMinor", "")
    return int(text) if _is_number(text) else minors.get(name, -1)


def by_path(host: "Root", gpu: Gpu) -> list[tuple[str, str]]:
    """Returns the links in /dev/dri/by-path that lead to a GPU's nodes: (path, target)."""
    links = []
    for name in gpu.drm:
        path = f"/dev/dri/by-path/pci-{gpu.bus}-{'card' if name.startswith('card') else 'render'}"
        try:
            posix.lstat(host.at(path))
        except OSError:
            continue
        links.append((path, f"../{name}"))
    return links
