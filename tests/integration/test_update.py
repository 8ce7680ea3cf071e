"""`update`: new limits in the files of the cgroups and in the state, or none of them."""

import json
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path("/sys/fs/cgroup")
V1 = not (ROOT / "cgroup.controllers").exists()
needs_v1 = pytest.mark.skipif(not V1, reason="this host has no cgroups of version 1")
MIB = 1 << 20
UNLIMITED = str((1 << 63) - 4096)


class Limits:
    """A container, and the files in its cgroups."""

    def __init__(self, runtime, name):
        self.runtime = runtime
        self.name = name
        state = json.loads((runtime.root / name / "state.json").read_text())
        self.directories = [Path(directory) for directory in state["cgroups"]]

    def path(self, file):
        """Returns the file of that name, in the cgroup of the hierarchy that has it."""
        for directory in self.directories:
            if (directory / file).exists():
                return directory / file
        return pytest.skip(f"this host has no {file}")

    def read(self, file):
        return self.path(file).read_text().strip()

    def all(self):
        """Returns the content of all files that hold a limit."""
        found = {}
        for directory in self.directories:
            for path in directory.iterdir():
                name = path.name
                if name.endswith((".limit_in_bytes", "_us", ".shares", ".cpus", ".mems", ".weight", ".max", ".idle")):
                    found[str(path)] = path.read_text()
        assert len(found) > 10
        return found

    def stored(self):
        """Returns the resources that the state directory keeps."""
        return json.loads((self.runtime.root / self.name / "config.json").read_text())["linux"]["resources"]

    def update(self, *flags, resources=None, **kwargs):
        if resources is not None:
            path = self.runtime.root.parent / "resources.json"
            path.write_text(resources if isinstance(resources, str) else json.dumps(resources))
            flags = ["--resources", path, *flags]
        return self.runtime("update", *flags, self.name, **kwargs)

    def refuses(self, *flags, resources=None):
        """Expects that nothing changes; returns the message."""
        before, stored = self.all(), self.stored()
        result = self.update(*flags, resources=resources, check=False)
        assert result.code == 1
        assert result.out == "" or result.out.startswith("Incorrect Usage.")
        assert result.err.count("\n") == 1, result.err
        assert self.all() == before
        assert self.stored() == stored
        return result.err


@pytest.fixture
def limits(running, runtime, bundle):
    """Starts a container with resources."""

    def start(**resources):
        bundle.linux["resources"] |= resources
        return Limits(runtime, running())

    return start


# flag, value, file of version 1, what is then in there, and in the state
FLAGS = [
    ("--memory", "64M", "memory.limit_in_bytes", 64 * MIB, ("memory", "limit", 64 * MIB)),
    ("--memory", "67108864", "memory.limit_in_bytes", 64 * MIB, ("memory", "limit", 64 * MIB)),
    ("--memory", "1.5g", "memory.limit_in_bytes", 1536 * MIB, ("memory", "limit", 1536 * MIB)),
    ("--memory", "-1", "memory.limit_in_bytes", UNLIMITED, ("memory", "limit", -1)),
    ("--memory-reservation", "32MiB", "memory.soft_limit_in_bytes", 32 * MIB, ("memory", "reservation", 32 * MIB)),
    ("--memory-swap", "-1", "memory.memsw.limit_in_bytes", UNLIMITED, ("memory", "swap", -1)),
    ("--kernel-memory-tcp", "8m", "memory.kmem.tcp.limit_in_bytes", 8 * MIB, ("memory", "kernelTCP", 8 * MIB)),
    ("--cpu-share", "333", "cpu.shares", 333, ("cpu", "shares", 333)),
    ("--cpu-quota", "40000", "cpu.cfs_quota_us", 40000, ("cpu", "quota", 40000)),
    ("--cpu-quota", "-1", "cpu.cfs_quota_us", -1, ("cpu", "quota", -1)),
    ("--cpu-period", "50000", "cpu.cfs_period_us", 50000, ("cpu", "period", 50000)),
    ("--cpu-rt-period", "900000", "cpu.rt_period_us", 900000, ("cpu", "realtimePeriod", 900000)),
    ("--cpu-rt-runtime", "1000", "cpu.rt_runtime_us", 1000, ("cpu", "realtimeRuntime", 1000)),
    ("--cpu-idle", "1", "cpu.idle", 1, ("cpu", "idle", 1)),
    ("--cpuset-cpus", "0", "cpuset.cpus", 0, ("cpu", "cpus", "0")),
    ("--cpuset-mems", "0", "cpuset.mems", 0, ("cpu", "mems", "0")),
    ("--pids-limit", "77", "pids.max", 77, ("pids", "limit", 77)),
    ("--pids-limit", "-1", "pids.max", "max", ("pids", "limit", -1)),
    ("--blkio-weight", "345", "blkio.bfq.weight", 345, ("blockIO", "weight", 345)),
]


@needs_v1
@pytest.mark.parametrize(("flag", "value", "file", "content", "stored"), FLAGS)
def test_flags(limits, flag, value, file, content, stored):
    container = limits()
    container.path(file)
    result = container.update(f"{flag}={value}")
    assert result.out == result.err == ""
    assert container.read(file) == str(content)
    group, member, kept = stored
    assert container.stored()[group][member] == kept


@needs_v1
def test_burst(limits):
    container = limits(cpu={"quota": 40000, "period": 100000})
    container.update("--cpu-burst", "20000")
    assert container.read("cpu.cfs_burst_us") == "20000"
    # the kernel keeps the burst within the quota: both have to change in the right order
    container.update("--cpu-burst", "5000", "--cpu-quota", "10000")
    assert (container.read("cpu.cfs_burst_us"), container.read("cpu.cfs_quota_us")) == ("5000", "10000")


@needs_v1
def test_many_flags_at_once(limits):
    container = limits()
    container.update("--memory", "64M", "--memory-swap", "96M", "--pids-limit", "50", "--cpu-share", "500")
    assert container.read("memory.limit_in_bytes") == str(64 * MIB)
    assert container.read("memory.memsw.limit_in_bytes") == str(96 * MIB)
    assert (container.read("pids.max"), container.read("cpu.shares")) == ("50", "500")


def test_no_flags(limits):
    """It is nothing to do, and no error."""
    container = limits()
    before = container.all()
    assert container.update().err == ""
    assert container.all() == before


def test_kernel_memory_is_ignored(limits):
    """With a warning, once: not again with each update after it."""
    container = limits()
    assert "linux.resources.memory.kernel is not applied" in container.update("--kernel-memory", "5M").err
    assert container.update("--pids-limit", "60").err == ""


# ---- from a file, from standard input


DOCUMENT = {"memory": {"limit": 48 * MIB, "swap": 64 * MIB}, "cpu": {"shares": 300}, "pids": {"limit": 44}}


@needs_v1
@pytest.mark.parametrize("flag", ["--resources={}", "--resources {}", "-r {}", "-resources={}"])
@pytest.mark.parametrize("source", ["file", "-", "/dev/stdin"])
def test_resources(limits, runtime, tmp_path, flag, source):
    """In all forms that clients use."""
    container = limits()
    path = tmp_path / "resources.json"
    path.write_text(json.dumps(DOCUMENT))
    words = flag.format(path if source == "file" else source).split()
    with path.open() as file:
        result = container.update(*words, stdin=file)
    assert result.out == result.err == ""
    assert container.read("memory.limit_in_bytes") == str(48 * MIB)
    assert container.read("memory.memsw.limit_in_bytes") == str(64 * MIB)
    assert (container.read("cpu.shares"), container.read("pids.max")) == ("300", "44")
    assert {name: container.stored()[name] for name in DOCUMENT} == DOCUMENT


@needs_v1
@pytest.mark.parametrize("path", ["-", "/dev/stdin"])
def test_a_pipe(limits, runtime, path):
    """As containerd does it."""
    container = limits()
    command = runtime.command("update", f"--resources={path}", container.name)
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        process.stdin.write(b'{"pids": ')
        process.stdin.flush()
        process.stdin.write(b'{"limit": 43}}')
    assert process.returncode == 0
    assert container.read("pids.max") == "43"


@needs_v1
def test_a_document_as_docker_sends_it(limits):
    """All members that Go knows, null where there is nothing."""
    document = {"devices": None, "memory": {"limit": 40 * MIB, "swap": 40 * MIB}, "cpu": {}, "unified": None}
    container = limits()
    container.update(resources=document)
    assert container.read("memory.limit_in_bytes") == str(40 * MIB)


@needs_v1
def test_with_a_file_the_flags_do_not_count(limits):
    container = limits()
    container.update("--pids-limit", "55", resources={"cpu": {"shares": 555}})
    assert (container.read("cpu.shares"), container.read("pids.max")) == ("555", "max")


@needs_v1
def test_device_rules_stay(limits):
    """Others add their own behind the runtime's back."""
    container = limits()
    before = container.read("devices.list")
    container.update(resources={"devices": [{"allow": True, "access": "rwm"}], "pids": {"limit": 40}})
    assert container.read("devices.list") == before
    assert container.stored()["devices"] == [{"allow": False, "access": "rwm"}]


# ---- one after the other


@needs_v1
def test_what_is_not_named_stays(limits):
    container = limits(memory={"limit": 64 * MIB, "reservation": 32 * MIB}, cpu={"shares": 200, "quota": 30000})
    container.update("--cpu-share", "400")
    assert (container.read("cpu.shares"), container.read("cpu.cfs_quota_us")) == ("400", "30000")
    assert container.read("memory.limit_in_bytes") == str(64 * MIB)
    assert container.stored()["memory"] == {"limit": 64 * MIB, "reservation": 32 * MIB}
    assert container.stored()["cpu"] == {"shares": 400, "quota": 30000}
    container.update("--pids-limit", "66")
    assert container.stored()["cpu"] == {"shares": 400, "quota": 30000}


@needs_v1
@pytest.mark.parametrize(
    ("before", "after"), [((32, 48), (128, 160)), ((128, 160), (32, 48)), ((32, 32), (64, 64)), ((64, 64), (32, 32))]
)
def test_memory_and_swap_in_either_direction(limits, before, after):
    """The kernel keeps memory within memory and swap at every step."""
    container = limits(memory={"limit": before[0] * MIB, "swap": before[1] * MIB})
    container.update("--memory", f"{after[0]}M", "--memory-swap", f"{after[1]}M")
    assert container.read("memory.limit_in_bytes") == str(after[0] * MIB)
    assert container.read("memory.memsw.limit_in_bytes") == str(after[1] * MIB)


@needs_v1
def test_no_limit_on_memory_is_none_on_swap(limits):
    container = limits(memory={"limit": 32 * MIB, "swap": 48 * MIB})
    container.update("--memory", "-1")
    assert container.read("memory.limit_in_bytes") == container.read("memory.memsw.limit_in_bytes") == UNLIMITED


@needs_v1
def test_a_created_and_a_paused_container(bundle, runtime):
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    container = Limits(runtime, name)
    container.update("--pids-limit", "31")
    assert container.read("pids.max") == "31"
    runtime("start", name)
    runtime("pause", name)
    container.update("--pids-limit", "32")
    assert container.read("pids.max") == "32"
    assert runtime.state(name)["status"] == "paused"


def test_a_stopped_container(running, runtime):
    name = running()
    runtime("kill", name, "KILL")
    runtime.wait_status(name, "stopped")
    result = runtime("update", "--pids-limit", "5", name, check=False)
    assert result.code == 1
    assert "container not running" in result.err


# ---- refused, and nothing changed


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--memory", "much"], "invalid value for memory: invalid size: 'much'"),
        (["--memory", "-5M"], "invalid value for memory: invalid size: '-5M'"),
        (["--memory"], "requires exactly 1 argument(s)"),
        (["--cpu-quota", "1.5"], 'invalid value for cpu-quota: parsing "1.5": invalid syntax'),
        (["--cpu-share", "-3"], "linux.resources.cpu.shares"),
        (["--blkio-weight", "70000"], "linux.resources.blockIO.weight"),
        (["--pids-limit", "many"], 'invalid value for pids-limit: parsing "many": invalid syntax'),
        (["--cpu-idle", "x"], "invalid value for cpu-idle"),
        (["--bogus", "1"], "flag provided but not defined: -bogus"),
        (["--resources", "/missing"], "open /missing: no such file or directory"),
        (["--resources", "/tmp"], "/tmp is not a regular file"),
        (["--l3-cache-schema", "L3:0=f"], "linux.intelRdt"),
    ],
)
def test_flags_that_are_refused(limits, flags, message):
    assert message in limits().refuses(*flags)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("", "resources.json, line 1"),
        ("{", "resources.json, line 1"),
        ("[]", "linux.resources"),
        ('{"memory": {"limit": "64M"}}', 'linux.resources.memory.limit: "64M" is not an integer'),
        ('{"memory": []}', "linux.resources.memory"),
        ('{"cpu": {"shares": -1}}', "linux.resources.cpu.shares"),
        ('{"unified": {"../x": "1"}}', 'linux.resources.unified["../x"]'),
        ('{"unified": {"cgroup.procs": "1"}}', 'linux.resources.unified["cgroup.procs"]'),
        ('{"network": {"classID": 5}}', 'the cgroup controller "net_cls" is not available'),
    ],
)
def test_documents_that_are_refused(limits, document, message):
    assert message in limits().refuses(resources=document)


# the first values would be taken: they are taken back
KERNEL = [
    (["--cpuset-cpus", "4000"], "linux.resources.cpu.cpus"),
    (["--cpu-period", "1"], "linux.resources.cpu.period"),
    (["--memory", "4k"], "the limit is below what is in use"),
    (["--memory", "32M", "--memory-swap", "16M"], "linux.resources.memory.swap"),
    (["--blkio-weight", "5000"], "linux.resources.blockIO.weight"),
]


@needs_v1
@pytest.mark.parametrize(("flags", "message"), KERNEL)
def test_what_the_kernel_refuses_changes_nothing(limits, flags, message):
    """Neither the values before the refused one nor those after it, and neither from none nor from some."""
    container = limits()
    container.path("blkio.bfq.weight")
    more = ["--cpu-share", "222", "--pids-limit", "222", "--cpu-quota", "22000", "--memory-reservation", "22M"]
    more += [] if "--memory" in flags else ["--memory", "222M", "--memory-swap", "333M"]
    assert message in container.refuses(*more, *flags)
    container.update(*more)
    other = [word.replace("22", "33") for word in more]
    assert message in container.refuses(*other, *flags)


@needs_v1
@pytest.mark.parametrize("check", [True, False])
def test_check_before_update(limits, bundle, check):
    """memory.checkBeforeUpdate: a limit below what is in use is refused before the kernel would kill for it."""
    container = limits(memory={"limit": 64 * MIB, "swap": 64 * MIB})
    script = "x=0123456789abcdef; while [ ${#x} -lt 8000000 ]; do x=$x$x; done; echo > /full; sleep 1000; true"
    container.runtime("exec", "--detach", container.name, "sh", "-c", script)
    deadline = time.monotonic() + 20
    while not (bundle.rootfs / "full").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    document = {"memory": {"limit": 6 * MIB, "swap": 6 * MIB, "checkBeforeUpdate": check}}
    if check:
        assert "rejecting memory+swap limit 6291456 <= usage " in container.refuses(resources=document)
        document["memory"]["swap"] = 100 * MIB
        assert "rejecting memory limit 6291456 <= usage " in container.refuses(resources=document)
        container.update("--memory", "60M")
    else:
        assert "the limit is below what is in use" in container.refuses(resources=document)
    assert len(json.loads(container.runtime("ps", "-f", "json", container.name).out)) == 3


def test_no_container(runtime):
    result = runtime("update", "--pids-limit", "5", "nobody", check=False)
    assert result.code == 1
    assert "container does not exist" in result.err


# ---- cgroup v2


def test_version_2(created, unified, runtime, request):
    """What there is of controllers; with all of them in the VM."""
    unified.need("memory", "cpu", "pids", "cpuset")
    runtime.prefix = unified.prefix
    request.addfinalizer(runtime.delete_all)
    container = created()
    flags = ["--memory", "64M", "--memory-swap", "96M", "--memory-reservation", "32M", "--pids-limit", "77"]
    flags += ["--cpu-quota", "40000", "--cpu-period", "50000", "--cpu-share", "1024", "--cpuset-cpus", "0"]
    runtime("update", *flags, container.name)
    assert (container.read("memory.max"), container.read("memory.low")) == (str(64 * MIB), str(32 * MIB))
    assert (container.read("pids.max"), container.read("cpu.max")) == ("77", "40000 50000")
    assert container.read("cpuset.cpus") == "0"


def test_version_2_by_name_of_file(created, unified, runtime, request, tmp_path):
    """linux.resources.unified, on any file that the hierarchy has here."""
    runtime.prefix = unified.prefix
    request.addfinalizer(runtime.delete_all)
    container = created()
    path = tmp_path / "resources.json"
    path.write_text(json.dumps({"unified": {"cgroup.max.descendants": "7"}}))
    runtime("update", "--resources", path, container.name)
    assert container.read("cgroup.max.descendants") == "7"
    stored = json.loads((runtime.root / container.name / "config.json").read_text())["linux"]["resources"]
    assert stored["unified"] == {"cgroup.max.descendants": "7"}
    path.write_text(json.dumps({"unified": {"cgroup.max.descendants": "9", "cgroup.max.depth": "x"}}))
    result = runtime("update", "--resources", path, container.name, check=False)
    assert result.code == 1
    assert container.read("cgroup.max.descendants") == "7"
