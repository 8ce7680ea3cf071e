"""What only NVML knows: UUIDs of MIG devices, compute capabilities, brands. And a second opinion on the rest.

NVML is the driver's own library, opened by its path with cffi when there is a question for it. It can take seconds to
start, and has been seen to hang; so it is called in a child with a deadline, which has no environment.
"""

import posix
from _signal import SIGKILL
from time import monotonic

from ...config.dump import dumps
from ...config.load import parse
from ...errors import ConfigError, DriverError, os_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from .driver import Driver
    from .gpus import Gpu

DEADLINE = 5.0  # seconds
END_MILLISECONDS = 500
NAME = "libnvidia-ml.so"
MOST_BYTES = 1 << 20
BUFFER = 96
# without GPUs is no error (nvml.h)
INIT_FLAG_NO_GPUS = 1
NOT_SUPPORTED, NOT_FOUND = 3, 6
# nvmlBrandType_t, as the images' requirements write it
BRANDS = (
    "unknown", "quadro", "tesla", "nvs", "grid", "geforce", "titan", "nvidiavapps", "nvidiavpc", "nvidiavcs",
    "nvidiavws", "nvidiacloudgaming", "quadrortx", "nvidiartx", "nvidia", "geforcertx", "titanrtx",
)  # fmt: skip


def ask(driver: "Driver", deadline: float = DEADLINE) -> None:
    """Asks NVML, and fills in what was not known. Raises DriverError."""
    for library in driver.libraries:
        if library.name.startswith(NAME) and library.bits == 64:
            fill(driver, query(library.source, deadline))
            return
    raise DriverError(f"NVML cannot be asked: there is no {NAME}.{driver.version}")


# ---- the parent


def query(library: str, deadline: float = DEADLINE) -> "dict[str, Any]":
    """Returns all that NVML says, asked in a child. Raises DriverError; `deadline` is in seconds."""
    reading, writing = posix.pipe2(posix.O_CLOEXEC)
    pid = posix.fork()
    if pid == 0:
        _child(library, writing)
    posix.close(writing)
    try:
        data = _read(reading, deadline)
    finally:
        posix.close(reading)
    if data is None:
        _end(pid)
        raise DriverError(
            f"NVML did not answer in {deadline:g} s: keep the GPUs initialised with persistence mode, nvidia-smi -pm 1"
        )
    status = posix.waitstatus_to_exitcode(posix.waitpid(pid, 0)[1])
    if status:
        raise DriverError(f"NVML ({library}) ended with {'signal' if status < 0 else 'status'} {abs(status)}")
    return _answer(data, library)


def _end(pid: int) -> None:
    """Kills the child, and waits for it but shortly: in the driver it does not die before the driver lets it."""
    import select

    pidfd = posix.pidfd_open(pid)
    try:
        posix.kill(pid, SIGKILL)
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        if poll.poll(END_MILLISECONDS):
            posix.waitpid(pid, 0)
    finally:
        posix.close(pidfd)


def _read(fd: int, deadline: float) -> bytes | None:
    """Returns what the child writes until it ends, None if that takes too long."""
    import select

    poll = select.poll()
    poll.register(fd, select.POLLIN)
    end = monotonic() + deadline
    data = b""
    while len(data) <= MOST_BYTES:
        left = end - monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            return None
        chunk = posix.read(fd, 1 << 16)
        if not chunk:
            break
        data += chunk
    return data


def _answer(data: bytes, library: str) -> "dict[str, Any]":
    try:
        answer = parse(data.decode("utf-8", "replace"), "NVML's answer")
    except ConfigError as error:
        raise DriverError(str(error)) from None
    assert isinstance(answer, dict)
    if "problem" in answer:
        raise DriverError(f"NVML ({library}): {answer['problem']}")
    return answer


# ---- the child


def _child(library: str, fd: int) -> "NoReturn":
    """Asks, writes the answer as JSON and ends."""
    status = 1
    try:
        for name in list(posix.environ):
            posix.unsetenv(name)
        null = posix.open("/dev/null", posix.O_RDWR)
        for stream in range(3):  # what the library prints would end up in the output of the command
            posix.dup2(null, stream)
        try:
            text = dumps(_collect(library))
        except (_Failed, OSError, ImportError) as error:
            text = dumps({"problem": os_error(error) if isinstance(error, OSError) and error.errno else str(error)})
        data = text.encode("utf-8", "backslashreplace")
        while data:
            data = data[posix.write(fd, data) :]
        status = 0
    finally:
        posix._exit(status)


class _Failed(Exception):
    """A call of NVML that has failed; the text is NVML's."""


class _Library:
    """The functions of NVML, with results in place of pointers to them."""

    def __init__(self, path: str) -> None:
        from ._nvml import ffi

        self.ffi: Any = ffi
        self.lib: Any = ffi.dlopen(path)

    def call(self, name: str, *arguments: "Any") -> int:
        """Calls a function; returns NVML's error. Raises _Failed if a driver does not have it."""
        try:
            function = getattr(self.lib, name)
        except (self.ffi.error, AttributeError):
            raise _Failed(f"it has no function {name}") from None
        return int(function(*arguments))

    def check(self, name: str, *arguments: "Any") -> None:
        """Calls a function. Raises _Failed."""
        if error := self.call(name, *arguments):
            raise _Failed(f"{name}: {self.ffi.string(self.lib.nvmlErrorString(error)).decode()} ({error})")

    def number(self, name: str, *arguments: "Any", kind: str = "unsigned int *") -> int:
        found = self.ffi.new(kind)
        self.check(name, *arguments, found)
        return int(found[0])

    def text(self, name: str, *arguments: "Any") -> str:
        found = self.ffi.new("char[]", BUFFER)
        self.check(name, *arguments, found, BUFFER)
        return self.ffi.string(found).decode("utf-8", "replace")  # type: ignore[no-any-return]

    def handle(self, name: str, *arguments: "Any") -> "Any":
        found = self.ffi.new("void **")
        self.check(name, *arguments, found)
        return found[0]


def _optional(get: "Callable[[], Any]", default: "Any") -> "Any":
    """Returns what a call gives, a default where this GPU or this driver does not have it."""
    try:
        return get()
    except _Failed:
        return default


def _collect(path: str) -> "dict[str, Any]":
    nvml = _Library(path)
    nvml.check("nvmlInitWithFlags", INIT_FLAG_NO_GPUS)
    cuda = _optional(lambda: nvml.number("nvmlSystemGetCudaDriverVersion_v2", kind="int *"), 0)
    return {
        "driver": nvml.text("nvmlSystemGetDriverVersion"),
        "cuda": f"{cuda // 1000}.{cuda % 1000 // 10}" if cuda else "",
        "gpus": [_gpu(nvml, index) for index in range(nvml.number("nvmlDeviceGetCount_v2"))],
    }


def _gpu(nvml: _Library, index: int) -> "dict[str, Any]":
    device = nvml.handle("nvmlDeviceGetHandleByIndex_v2", index)
    pci = nvml.ffi.new("nvmlPciInfo_t *")
    nvml.check("nvmlDeviceGetPciInfo_v3", device, pci)
    brand = _optional(lambda: nvml.number("nvmlDeviceGetBrand", device, kind="int *"), 0)
    return {
        "index": index,
        "bus": nvml.ffi.string(pci.busId).decode("ascii", "replace").lower(),
        "uuid": nvml.text("nvmlDeviceGetUUID", device),
        "model": _optional(lambda: nvml.text("nvmlDeviceGetName", device), ""),
        "minor": nvml.number("nvmlDeviceGetMinorNumber", device),
        "brand": BRANDS[brand] if 0 <= brand < len(BRANDS) else "unknown",
        "arch": _optional(lambda: _arch(nvml, device), ""),
        "migs": _migs(nvml, device),
    }


def _arch(nvml: _Library, device: "Any") -> str:
    major, minor = nvml.ffi.new("int *"), nvml.ffi.new("int *")
    nvml.check("nvmlDeviceGetCudaComputeCapability", device, major, minor)
    return f"{major[0]}.{minor[0]}"


def _migs(nvml: _Library, device: "Any") -> "list[dict[str, Any]]":
    found = []
    for index in range(_optional(lambda: nvml.number("nvmlDeviceGetMaxMigDeviceCount", device), 0)):
        handle = nvml.ffi.new("void **")
        error = nvml.call("nvmlDeviceGetMigDeviceHandleByIndex", device, index, handle)
        if error in (NOT_FOUND, NOT_SUPPORTED):  # numbers of devices have gaps
            continue
        if error:
            raise _Failed(f"nvmlDeviceGetMigDeviceHandleByIndex: error {error}")
        found.append(
            {
                "uuid": nvml.text("nvmlDeviceGetUUID", handle[0]),
                "gi": nvml.number("nvmlDeviceGetGpuInstanceId", handle[0]),
                "ci": nvml.number("nvmlDeviceGetComputeInstanceId", handle[0]),
            }
        )
    return found


# ---- what becomes of it


def fill(driver: "Driver", answer: "dict[str, Any]") -> None:
    """Fills in what was not known, and notes where NVML says something else than /proc."""
    if answer["driver"] != driver.version:
        driver.notes.append(f"NVML says that the driver is {answer['driver']}, and the libraries are {driver.version}")
    if answer["cuda"]:
        driver.cuda = answer["cuda"]
    known = {_short(entry["bus"]): entry for entry in answer["gpus"]}
    if len(known) != len(driver.gpus):
        driver.notes.append(f"NVML finds {len(known)} GPUs, and /proc/driver/nvidia {len(driver.gpus)}")
    for gpu in driver.gpus:
        # without /proc/driver/nvidia/gpus there are no bus ids, only minors
        entry = known.get(gpu.bus.lower()) or next(
            (entry for entry in answer["gpus"] if not gpu.bus and entry["minor"] == gpu.minor), None
        )
        if entry is None:
            driver.notes.append(f"NVML does not find GPU {gpu.index} ({gpu.bus or gpu.minor})")
            continue
        for name, own in (("index", gpu.index), ("minor", gpu.minor), ("uuid", gpu.uuid)):
            if own != "" and own != entry[name]:
                driver.notes.append(f"GPU {gpu.index}: its {name} is {own}, and {entry[name]} for NVML")
        gpu.uuid = gpu.uuid or entry["uuid"]
        gpu.model = gpu.model or entry["model"]
        gpu.arch, gpu.brand = entry["arch"], entry["brand"]
        _fill_migs(gpu, entry["migs"])


def _fill_migs(gpu: "Gpu", entries: "list[dict[str, Any]]") -> None:
    """NVML's order is that of the indexes in names like 0:1."""
    order = {(entry["gi"], entry["ci"]): position for position, entry in enumerate(entries)}
    for mig in gpu.migs:
        position = order.get((mig.gi, mig.ci))
        if position is not None:
            mig.uuid = entries[position]["uuid"]
            mig.index = position
    gpu.migs.sort(key=lambda mig: mig.index)


def _short(bus: str) -> str:
    """Returns a bus id as /proc writes it: NVML's domain has eight digits."""
    domain, _, rest = bus.partition(":")
    return f"{domain.lstrip('0').rjust(4, '0')}:{rest}"
