"""Makes a host that has an NVIDIA driver, as files below a directory: libraries, /proc, /sys, /dev.

No compiler is involved, and no GPU. Libraries are ELF files that the linker takes (tests/fakes/elf.py). Device nodes
are real ones, with the driver's numbers, where root makes them; for others they are empty files.
"""

import os
import platform
import socket
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_IFCHR

from pyruntime.edits.nvidia.files import OWN_VERSION
from tests.fakes.elf import AARCH64, I386, X86_64, library

VERSION = "580.159.04"
MACHINE = platform.machine()
NUMBER = {"x86_64": X86_64, "aarch64": AARCH64}
MAJORS = {"nvidia": 195, "nvidiactl": 195, "nvidia-modeset": 195, "nvidia-uvm": 511, "nvidia-caps": 236}
REAL_NODES = os.geteuid() == 0

# what a driver of today has: (stem, SONAME)
LIBRARIES = [
    ("libcuda", "libcuda.so.1"),
    ("libcudadebugger", "libcudadebugger.so.1"),
    ("libnvcuvid", "libnvcuvid.so.1"),
    ("libnvidia-allocator", "libnvidia-allocator.so.1"),
    ("libnvidia-cfg", "libnvidia-cfg.so.1"),
    ("libnvidia-eglcore", "libnvidia-eglcore.so.VERSION"),
    ("libnvidia-encode", "libnvidia-encode.so.1"),
    ("libnvidia-fbc", "libnvidia-fbc.so.1"),
    ("libnvidia-glcore", "libnvidia-glcore.so.VERSION"),
    ("libnvidia-glsi", "libnvidia-glsi.so.VERSION"),
    ("libnvidia-glvkspirv", "libnvidia-glvkspirv.so.VERSION"),
    ("libnvidia-gpucomp", "libnvidia-gpucomp.so.VERSION"),
    ("libnvidia-ml", "libnvidia-ml.so.1"),
    ("libnvidia-ngx", "libnvidia-ngx.so.1"),
    ("libnvidia-nvvm", "libnvidia-nvvm.so.4"),
    ("libnvidia-opencl", "libnvidia-opencl.so.1"),
    ("libnvidia-opticalflow", "libnvidia-opticalflow.so.1"),
    ("libnvidia-pkcs11-openssl3", "libnvidia-pkcs11-openssl3.so.VERSION"),
    ("libnvidia-ptxjitcompiler", "libnvidia-ptxjitcompiler.so.1"),
    ("libnvidia-rtcore", "libnvidia-rtcore.so.VERSION"),
    ("libnvidia-tls", "libnvidia-tls.so.VERSION"),
    ("libnvoptix", "libnvoptix.so.1"),
    ("libEGL_nvidia", "libEGL_nvidia.so.0"),
    ("libGLESv1_CM_nvidia", "libGLESv1_CM_nvidia.so.1"),
    ("libGLESv2_nvidia", "libGLESv2_nvidia.so.2"),
    ("libGLX_nvidia", "libGLX_nvidia.so.0"),
    ("libnvidia-egl-gbm", "libnvidia-egl-gbm.so.1"),
    ("vdpau/libvdpau_nvidia", "libvdpau_nvidia.so.1"),
]
OWN = {"libnvidia-egl-gbm": "1.1.2"}
CONFIGURATION = [
    "usr/share/glvnd/egl_vendor.d/10_nvidia.json",
    "usr/share/vulkan/icd.d/nvidia_icd.json",
    "etc/OpenCL/vendors/nvidia.icd",
]
PARAMS = """ResmanDebugLevel: 4294967295
ModifyDeviceFiles: 1
DeviceFileUID: 0
DeviceFileGID: 0
DeviceFileMode: 438
"""
NVRM = (
    "NVRM version: NVIDIA UNIX Open Kernel Module for {machine}  {version}  Release Build  (builder@host)\n"
    "GCC version:  gcc version 12.2.0 (Debian 12.2.0-14+deb12u1)\n"
)


@dataclass
class FakeGpu:
    minor: int
    bus: str
    uuid: str
    model: str = "NVIDIA H100 80GB HBM3"
    excluded: bool = False
    card: int = -1
    # (gpu instance, compute instance)
    migs: list[tuple[int, int]] = field(default_factory=list)


# minor and index differ on purpose
TWO_GPUS = [
    FakeGpu(1, "0000:07:00.0", "GPU-edfee158-11c1-52b8-0517-92f30e7fac88", card=0),
    FakeGpu(0, "0000:0f:00.0", "GPU-b1028956-cfa2-0990-bf4a-5da9abb51763", card=1),
]


@dataclass
class FakeHost:
    """`libraries` and `programs` are directories; `module` the version that is loaded, None as the libraries'."""

    root: Path
    version: str = VERSION
    module: str | None = None
    libraries: str = f"usr/lib/{MACHINE}-linux-gnu"
    programs: str = "usr/bin"
    machine: str = MACHINE
    gpus: list[FakeGpu] = field(default_factory=lambda: list(TWO_GPUS))
    majors: dict[str, int] = field(default_factory=lambda: dict(MAJORS))
    links: bool = True

    def make(self) -> "FakeHost":
        self.add_libraries(self.version, self.libraries)
        for name in ("nvidia-smi", "nvidia-debugdump", "nvidia-cuda-mps-control", "nvidia-persistenced"):
            self.write(f"{self.programs}/{name}", "#!/bin/sh\n").chmod(0o755)
        for name in CONFIGURATION:
            self.write(name, "{}\n")
        for name in ("gsp_ga10x.bin", "gsp_tu10x.bin"):
            self.write(f"lib/firmware/nvidia/{self.version}/{name}", "firmware")
        self.add_module(self.version if self.module is None else self.module)
        return self

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def link(self, name: str, target: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)

    def add_libraries(self, version: str, directory: str, machine: int | None = None) -> None:
        for stem, form in LIBRARIES:
            self.add_library(directory, stem, version, form, machine)

    def add_library(self, directory: str, stem: str, version: str, form: str, machine: int | None = None) -> None:
        name = stem.rpartition("/")[2]
        own = OWN[name] if name in OWN_VERSION else version
        soname = form.replace("VERSION", version)
        self.write(f"{directory}/{stem}.so.{own}", library(soname, machine or NUMBER[self.machine]))
        place = f"{directory}/{stem}".rpartition("/")[0]
        if self.links and soname != f"{name}.so.{own}" and not (self.root / place / soname).is_symlink():
            self.link(f"{place}/{soname}", f"{name}.so.{own}")

    def add_32_bit(self, directory: str = "usr/lib/i386-linux-gnu") -> None:
        self.add_libraries(self.version, directory, I386)

    def add_module(self, version: str) -> None:
        """`version` "": the module is not loaded."""
        lines = [f"{number:3} {name}" for name, number in self.majors.items()]
        self.write("proc/devices", "\n".join(["Character devices:", "  1 mem", *lines, "", "Block devices:", "  8 sd"]))
        if not version:
            return
        self.write("sys/module/nvidia/version", f"{version}\n")
        self.write("proc/driver/nvidia/version", NVRM.format(machine=self.machine, version=version))
        self.write("proc/driver/nvidia/params", PARAMS)
        self.write("proc/driver/nvidia/registry", 'Binary: ""\n')
        self.node("nvidiactl", 195, 255)
        self.node("nvidia-modeset", 195, 254)
        if "nvidia-uvm" in self.majors:
            self.node("nvidia-uvm", self.majors["nvidia-uvm"], 0)
            self.node("nvidia-uvm-tools", self.majors["nvidia-uvm"], 1)
        for gpu in self.gpus:
            self.add_gpu(gpu)

    def add_gpu(self, gpu: FakeGpu) -> None:
        self.write(
            f"proc/driver/nvidia/gpus/{gpu.bus}/information",
            f"Model: \t\t {gpu.model}\nIRQ:   \t\t 45\nGPU UUID: \t {gpu.uuid}\nBus Location: \t {gpu.bus}\n"
            f"Device Minor: \t {gpu.minor}\nGPU Excluded:\t {'Yes' if gpu.excluded else 'No'}\n",
        )
        self.node(f"nvidia{gpu.minor}", 195, gpu.minor)
        if gpu.card >= 0:
            for kind, name, minor in (
                ("card", f"card{gpu.card}", gpu.card),
                ("render", f"renderD{128 + gpu.card}", 128 + gpu.card),
            ):
                self.node(f"dri/{name}", 226, minor, 0o660)
                self.link(f"dev/dri/by-path/pci-{gpu.bus}-{kind}", f"../{name}")
                self.write(f"sys/bus/pci/devices/{gpu.bus}/drm/{name}/dev", f"226:{minor}\n")
        if gpu.migs:
            self.add_migs(gpu)

    def add_migs(self, gpu: FakeGpu) -> None:
        """Capabilities 1 and 2 are MIG's own; those of instances follow in the order of the list."""
        lines, minor = ["config 1", "monitor 2"], 2
        top = f"proc/driver/nvidia/capabilities/gpu{gpu.minor}/mig"
        seen = set()
        for gi, ci in gpu.migs:
            for name in (f"gi{gi}", f"gi{gi}/ci{ci}"):
                if name in seen:
                    continue
                seen.add(name)
                minor += 1
                lines.append(f"gpu{gpu.minor}/{name}/access {minor}")
                self.write(f"{top}/{name}/access", f"DeviceFileMinor: {minor}\nDeviceFileMode: 292\n")
                self.node(f"nvidia-caps/nvidia-cap{minor}", self.majors["nvidia-caps"], minor, 0o444)
        self.write("proc/driver/nvidia-caps/mig-minors", "\n".join(lines) + "\n")

    def node(self, name: str, major: int, minor: int, mode: int = 0o666) -> None:
        path = self.root / "dev" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        if REAL_NODES:
            os.mknod(path, S_IFCHR | mode, os.makedev(major, minor))
        else:
            path.touch()
        path.chmod(mode)

    def socket(self, name: str = "run/nvidia-persistenced/socket") -> None:
        """Paths of sockets are short, so it is bound from its own directory."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        before = os.getcwd()
        os.chdir(path.parent)
        try:
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(path.name)
        finally:
            os.chdir(before)
