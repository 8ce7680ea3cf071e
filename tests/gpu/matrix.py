"""Containers on a machine that has an NVIDIA GPU: python3 tests/gpu/matrix.py [RUNTIME]

The root of the containers is this machine's own, in an overlay without the driver's files and without the linker's
cache. So nothing is fetched, and what works there works through what pyruntime has put in. Needs root and an
interpreter of the distribution; PyTorch is tried where TORCH, or /opt/torch/.venv/bin/python, has
it. Prints a line for each test, and fails if one did.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent.parent
PYTHON = "/usr/bin/python3"
TORCH = os.environ.get("TORCH", "/opt/torch/.venv/bin/python")
ADD = [PYTHON, "/test-gpu/vector_add.py"]
NODES = ["sh", "-c", "ls -d /dev/nvidia[0-9]* 2>/dev/null; true"]
# what is empty is where an earlier container had its mounts
FILES = ["sh", "-c", "find /usr -xdev -size +0c '(' -name libcuda.so.1 -o -name nvidia-smi ')' 2>/dev/null; true"]
OTHER_NODES = ["sh", "-c", "for n in /dev/nvidia0 /dev/kmsg; do rm -f $n; done; mknod /dev/kmsg c 1 11; cat </dev/kmsg"]
LEARN = """
import torch
torch.manual_seed(0)
a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
assert torch.cuda.is_available()
assert torch.allclose((a.cuda() @ b.cuda()).cpu(), a @ b, atol=0.5)
print("PyTorch", torch.__version__, torch.cuda.get_device_name(0))
"""
ROUNDS = 20


def call(*words):
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=300, check=False)


class Machine:
    """What there is, and a root for containers in `work`."""

    def __init__(self, runtime, work, found):
        self.runtime, self.work, self.gpus = runtime, work, found["gpus"]
        self.version, self.cuda = found["driver"]["libraries"], found["driver"]["cuda"]
        self.root = work / "root"
        for name in ("root", "upper", "work", "bundle", "state", "cdi"):
            (work / name).mkdir()
        options = f"lowerdir=/,upperdir={work}/upper,workdir={work}/work"
        subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", self.root], check=True)
        self._hide(found)
        (self.root / "test-gpu").mkdir()
        shutil.copy(Path(__file__).parent / "vector_add.py", self.root / "test-gpu")
        settings = f'[nvidia]\nenable = true\n[cdi]\nspec_dirs = ["{work}/cdi"]\n'
        (work / "settings.toml").write_text(settings)
        subprocess.run([runtime, "spec", "--bundle", work / "bundle"], check=True)
        self.config = json.loads((work / "bundle/config.json").read_text())
        self.number = 0

    def _hide(self, found):
        """Removes the driver's files from the overlay; the machine's own stay."""
        (self.root / "etc/ld.so.cache").unlink(missing_ok=True)
        for directory in found["driver"]["directories"]:
            for path in (self.root / directory["path"].lstrip("/")).glob("lib*.so*"):
                if os.path.realpath(path).endswith(self.version):
                    path.unlink()
        for file in found["files"]:
            path = self.root / file["source"].lstrip("/")
            if file["kind"] == "binary" and os.path.lexists(path):
                path.unlink()

    def command(self, *words):
        return [self.runtime, "--config", self.work / "settings.toml", "--root", self.work / "state", *words]

    def name(self):
        self.number += 1
        return f"test-gpu-{os.getpid()}-{self.number}"

    def write(self, words, env, readonly=False, **members):
        config = json.loads(json.dumps(self.config)) | members
        config["root"] = {"path": str(self.root), "readonly": readonly}
        config["process"] |= {"terminal": False, "args": words}
        config["process"]["env"] += ["HOME=/root", "TRITON_CACHE_DIR=/tmp", *(f"{k}={v}" for k, v in env.items())]
        if os.path.ismount("/opt"):
            mount = {"destination": "/opt", "type": "bind", "source": "/opt", "options": ["rbind", "ro"]}
            config["mounts"].append(mount)
        (self.work / "bundle/config.json").write_text(json.dumps(config))

    def run(self, words, devices="", capabilities="", **kwargs):
        """Runs a container to its end; returns what came out of it."""
        env = {"NVIDIA_VISIBLE_DEVICES": devices, "NVIDIA_DRIVER_CAPABILITIES": capabilities}
        self.write(words, {name: value for name, value in env.items() if value}, **kwargs)
        return call(*self.command("run", "--bundle", self.work / "bundle", self.name()))

    def create_seconds(self, devices):
        """Returns how long a create takes, the median of many."""
        self.write(["sleep", "1000"], {"NVIDIA_VISIBLE_DEVICES": devices})
        seconds = []
        for _ in range(ROUNDS):
            name, start = self.name(), time.perf_counter()
            # its init keeps what it is given as standard streams
            command = list(map(str, self.command("create", "--bundle", self.work / "bundle", name)))
            subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
            seconds.append(time.perf_counter() - start)
            call(*self.command("delete", "--force", name))
        return median(seconds)


def good(result):
    assert result.returncode == 0, (result.stderr.splitlines() or ["no message"])[-1]
    return result.stdout.strip()


def no_request(machine):
    assert good(machine.run(NODES)) == ""
    assert good(machine.run(FILES)) == ""
    assert machine.run(ADD).returncode != 0


def all_gpus(machine):
    """NVIDIA's own program sees those that were found without it."""
    seen = re.findall(r"UUID: (GPU-[0-9a-f-]+)", good(machine.run(["nvidia-smi", "-L"], "all")))
    assert seen == [gpu["uuid"] for gpu in machine.gpus], seen
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    assert set(good(machine.run(query, "all")).splitlines()) == {machine.version}


def each_name(machine):
    for gpu in machine.gpus:
        for name in (str(gpu["index"]), gpu["uuid"], gpu["bus"]):
            assert good(machine.run(NODES, name)) == gpu["device"], name


def no_gpu(machine):
    assert good(machine.run(NODES, "none")) == ""
    assert good(machine.run(NODES, "void")) == ""
    result = machine.run(NODES, "77")
    assert result.returncode != 0
    assert re.search(r'no GPU \\?"77', result.stderr), result.stderr


def utility_alone(machine):
    good(machine.run(["nvidia-smi"], "all", "utility"))
    assert "libcuda" not in good(machine.run(FILES, "all", "utility"))


def compute_alone(machine):
    good(machine.run(ADD, "all", "compute"))
    assert "nvidia-smi" not in good(machine.run(FILES, "all", "compute"))


def vector_add(machine):
    lines = good(machine.run(ADD, "all")).splitlines()
    assert len(lines) == 1 + len(machine.gpus), lines
    assert lines[0] == f"CUDA {machine.cuda}", f"the driver says {lines[0]}, pyruntime {machine.cuda}"
    return "; ".join(lines)


def read_only_root(machine):
    good(machine.run(ADD, "all", readonly=True))


def other_devices(machine):
    assert "Operation not permitted" in machine.run(OTHER_NODES, "all").stderr


def docker_hook(machine):
    """As dockerd's --gpus has it."""
    hook = {"path": "/nowhere/nvidia-container-runtime-hook", "args": ["hook", "prestart"]}
    good(machine.run(ADD, "all", hooks={"prestart": [hook]}))


def cdi_device(machine):
    path = machine.work / "cdi/nvidia.json"
    good(call(machine.runtime, "cdi", "generate", "--output", path))
    for device in ("0", machine.gpus[0]["uuid"], "all"):
        good(machine.run(ADD, annotations={"cdi.k8s.io/test": f"nvidia.com/gpu={device}"}))
    path.unlink()


def torch(machine):
    if not shutil.which(TORCH) or call(TORCH, "-c", "import torch").returncode != 0:
        return f"left out: {TORCH} has no PyTorch here"
    return good(machine.run([TORCH, "-c", LEARN], "all"))


def create(machine):
    without, given = machine.create_seconds("void") * 1000, machine.create_seconds("all") * 1000
    return f"{given:.1f} ms with all GPUs, {without:.1f} ms without"


TESTS = (
    no_request, all_gpus, each_name, no_gpu, utility_alone, compute_alone, vector_add, read_only_root, other_devices,
    docker_hook, cdi_device, torch, create,
)  # fmt: skip


def main():
    runtime = str(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/root/sbin/pyruntime").resolve())
    found = json.loads(good(call(runtime, "gpu", "--json")))
    if not found["gpus"]:
        raise SystemExit(f"test-gpu: no GPU here: {found['driver']['problem'] or 'the driver has none'}")
    if os.geteuid() != 0:
        raise SystemExit("test-gpu: making containers needs root")
    if os.environ.get("TEST_GPU_INSIDE") != "yes":  # mounts are made in a mount namespace that ends with the tests
        environment = {**os.environ, "TEST_GPU_INSIDE": "yes"}
        inside = ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv]
        raise SystemExit(subprocess.run(inside, env=environment, check=False).returncode)
    work = Path(tempfile.mkdtemp(prefix="test-gpu-"))
    try:
        # an overlay's own directories may not be on one
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", work], check=True)
        failed = run_all(Machine(runtime, work, found))
    finally:
        subprocess.run(["umount", "--recursive", work], check=False)
        work.rmdir()
    raise SystemExit(failed and f"test-gpu: {failed} of {len(TESTS)} failed")


def run_all(machine):
    names = ", ".join(gpu["model"] for gpu in machine.gpus)
    print(f"{names}; driver {machine.version}; {re.sub(chr(10), '; ', good(call(machine.runtime, '--version')))}")
    failed = 0
    for test in TESTS:
        start = time.monotonic()
        try:
            said = test(machine) or ""
            mark = "ok"
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            said, mark = str(error), "FAILED"
            failed += 1
        title = test.__name__.replace("_", " ")
        print(f"{mark:7} {title:16} {time.monotonic() - start:6.1f} s  {said}", flush=True)
    return failed


if __name__ == "__main__":
    main()
