"""`events`: the figures in runc's form, the word that memory ran out, and the end."""

import json
import os
import select
import subprocess
import time
from pathlib import Path

import pytest

from pyruntime.cli.events import duration

V1 = not Path("/sys/fs/cgroup/cgroup.controllers").exists()
needs_v1 = pytest.mark.skipif(not V1, reason="this host has no cgroups of version 1")
MIB = 1 << 20
SECTIONS = ["cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt", "network_interfaces"]
# fills memory as fast as it can, behind a line of input
EATER = "read go; x=0123456789abcdef; while :; do x=$x$x; done"


class Events:
    """`events` at work."""

    def __init__(self, runtime, name, *flags):
        command = runtime.command("events", *flags, name)
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.rest = b""

    def next(self, seconds=10):
        """Returns the next event, None at the end."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self.rest:
            ready, _, _ = select.select([self.process.stdout], [], [], deadline - time.monotonic())
            assert ready, "there was no event"
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                assert self.rest == b""
                return None
            self.rest += data
        line, _, self.rest = self.rest.partition(b"\n")
        return json.loads(line)

    def wait(self):
        """Waits for the end; returns the exit status and what was said."""
        return self.process.wait(10), self.process.stderr.read().decode()

    def close(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def follow(runtime):
    started = []

    def make(name, *flags):
        started.append(Events(runtime, name, *flags))
        return started[-1]

    yield make
    for events in started:
        events.close()


@pytest.fixture
def fed(bundle, runtime):
    """Creates containers with a memory limit whose program fills memory once it is told to."""
    fifo = bundle.rootfs / "go"

    def make(script=EATER, **memory):
        os.mkfifo(fifo)
        bundle.linux["resources"]["memory"] = memory
        bundle.shell(f"exec < /go; {script}")
        name, _ = bundle.create()
        runtime("start", name)
        return name, lambda: fifo.write_text("go\n")

    return make


def figures(runtime, name):
    result = runtime("events", "--stats", name)
    assert result.out.count("\n") == 1
    event = json.loads(result.out)
    assert list(event) == ["type", "id", "data"]
    assert (event["type"], event["id"]) == ("stats", name)
    return event["data"]


# ---- once


def test_the_form(running, runtime):
    """runc's sections in runc's order, null for what there is none of."""
    data = figures(runtime, running())
    assert list(data) == SECTIONS
    assert data["network_interfaces"] is None
    assert data["intel_rdt"] == {}


@needs_v1
def test_the_members_of_version_1(bundle, running, runtime):
    """All that clients read is there, and numbers are numbers."""
    bundle.linux["resources"] |= {"memory": {"limit": 64 * MIB}, "pids": {"limit": 99}, "cpu": {"cpus": "0"}}
    data = figures(runtime, running())
    usage = data["cpu"]["usage"]
    assert {"total", "percpu", "percpu_kernel", "percpu_user", "kernel", "user"} == set(usage)
    assert usage["total"] == sum(usage["percpu"]) > 0
    assert len(usage["percpu"]) == len(usage["percpu_user"]) == len(usage["percpu_kernel"]) >= os.cpu_count()
    assert data["cpu"]["throttling"] == {}
    assert data["cpuset"] == {
        "cpus": [0],
        "mems": data["cpuset"]["mems"],
        "cpu_exclusive": 0,
        "mem_hardwall": 0,
        "mem_exclusive": 0,
        "memory_migrate": 0,
        "memory_spread_page": 0,
        "memory_spread_slab": 0,
        "memory_pressure": 0,
        "sched_load_balance": 1,
        "sched_relax_domain_level": -1,
    }
    memory = data["memory"]
    assert (
        {"usage", "swap", "kernel", "kernelTCP", "raw"}
        <= set(memory)
        <= {"cache", "usage", "swap", "kernel", "kernelTCP", "raw"}
    )
    assert memory["usage"]["limit"] == 64 * MIB
    assert 0 < memory["usage"]["usage"] <= memory["usage"]["max"] <= 64 * MIB
    for name in ("usage", "swap", "kernel", "kernelTCP"):
        assert {"limit", "failcnt"} <= set(memory[name]) <= {"limit", "usage", "max", "failcnt"}
    assert memory["raw"]["hierarchical_memory_limit"] == 64 * MIB
    assert data["pids"] == {"current": 1, "limit": 99}
    for entries in data["blkio"].values():
        assert all(set(entry) <= {"major", "minor", "op", "value"} for entry in entries)


@needs_v1
def test_throttling(bundle, runtime):
    bundle.linux["resources"]["cpu"] = {"quota": 5000, "period": 100000}
    bundle.shell("while :; do :; done")
    name, _ = bundle.create()
    runtime("start", name)
    deadline = time.monotonic() + 20
    while not (throttling := figures(runtime, name)["cpu"]["throttling"]).get("throttledTime"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert throttling["periods"] >= throttling["throttledPeriods"] > 0


def test_no_limit_on_processes(running, runtime):
    """It is left out, as by runc: 0 is none."""
    assert figures(runtime, running())["pids"] == {"current": 1}


def test_interfaces(bundle, running, runtime):
    """Those of the container but lo, with what went through them."""
    name = running()
    pid = runtime.state(name)["pid"]
    inside = ["nsenter", f"--net=/proc/{pid}/ns/net"]
    if subprocess.run(
        [*inside, "ip", "link", "add", "one0", "type", "veth", "peer", "name", "two0"], check=False
    ).returncode:
        pytest.skip("this kernel has no veth")
    for link in ("one0", "two0"):
        subprocess.run([*inside, "ip", "link", "set", link, "up"], check=True)
    found = {entry["Name"]: entry for entry in figures(runtime, name)["network_interfaces"]}
    assert set(found) == {"one0", "two0"}
    expected = {f"{way}{what}" for way in ("Rx", "Tx") for what in ("Bytes", "Packets", "Errors", "Dropped")}
    assert set(found["one0"]) == {"Name"} | expected


@pytest.mark.parametrize("what", ["net", "pid"])
def test_a_namespace_of_the_host(bundle, running, runtime, what):
    """The host's interfaces are not the container's."""
    bundle.namespace("network", False)
    bundle.mounts[:] = [mount for mount in bundle.mounts if mount["destination"] != "/sys"]
    assert figures(runtime, running())["network_interfaces"] is None


def test_created_and_paused(bundle, runtime):
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    assert list(figures(runtime, name)) == SECTIONS
    runtime("start", name)
    runtime("pause", name)
    assert list(figures(runtime, name)) == SECTIONS


# ---- on version 2


def test_the_members_of_version_2(created, unified, runtime):
    runtime.prefix = unified.prefix
    container = created()
    container.start()
    data = figures(runtime, container.name)
    container.delete()
    runtime.prefix = []
    assert list(data) == SECTIONS
    assert {"total", "kernel", "user"} >= set(data["cpu"]["usage"]) >= {"kernel", "user"}
    if "memory" in unified.controllers:
        assert data["memory"]["usage"]["usage"] > 0
    if "pids" in unified.controllers:
        assert data["pids"]["current"] == 1


# ---- again and again


def test_interval(running, follow):
    """The first figures come after the first interval."""
    start = time.monotonic()
    events = follow(running(), "--interval", "300ms")
    kinds = [events.next()["type"] for _ in range(3)]
    assert kinds == ["stats"] * 3
    assert 0.6 < time.monotonic() - start < 10


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0s", "duration interval must be greater than 0"),
        ("-1s", "invalid value"),
        ("", "duration interval must be greater than 0"),
        ("5", 'invalid value "5" for flag -interval'),
        ("s", 'invalid value "s" for flag -interval'),
        ("1.2.3s", 'invalid value "1.2.3s" for flag -interval'),
        ("1d", 'invalid value "1d" for flag -interval'),
    ],
)
def test_no_interval(running, runtime, text, message):
    result = runtime("events", f"--interval={text}", running(), check=False)
    assert result.code == 1
    assert message in result.err


@pytest.mark.parametrize("how", ["delete", "ends by itself"])
def test_it_ends_with_the_container(running, runtime, follow, how):
    """When the container is deleted, whose cgroups are then gone; a stopped one can still be asked about."""
    name = running()
    events = follow(name, "--interval", "200ms")
    events.next()
    if how != "delete":
        runtime("kill", name, "KILL")
        runtime.wait_status(name, "stopped")
        assert events.next()["type"] == "stats"
    runtime("delete", "--force", name)
    while events.next() is not None:
        pass
    assert events.wait() == (0, "")


def test_a_reader_who_goes_away(running, runtime):
    """It ends, and says so in a line."""
    name = running()
    command = runtime.command("events", "--interval", "100ms", name)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert json.loads(process.stdout.readline())["type"] == "stats"
        process.stdout.close()
        assert process.wait(10) == 1
        said = process.stderr.read().decode()
    assert said.count("\n") == 1
    assert "broken pipe" in said


@pytest.mark.parametrize("flags", [[], ["--stats"]])
def test_a_stopped_container(running, runtime, flags):
    name = running()
    runtime("kill", name, "KILL")
    runtime.wait_status(name, "stopped")
    result = runtime("events", *flags, name, check=False)
    assert result.code == 1
    assert f"container with id {name} is not running" in result.err


# ---- out of memory


@needs_v1
def test_out_of_memory(fed, follow, runtime):
    """One event when the kernel had to kill somebody, without data, and then the figures go on."""
    name, feed = fed(limit=8 * MIB, swap=8 * MIB)
    events = follow(name, "--interval", "1h")
    wait_until_watching(events.process.pid)
    feed()
    assert events.next(30) == {"type": "oom", "id": name}
    runtime("delete", "--force", name)
    assert events.next() is None
    assert events.wait() == (0, "")


@needs_v1
def test_each_time(fed, follow, runtime):
    """A child that is killed is not the end: its parent may have others."""
    script = f"while read go; do sh -c '{EATER.removeprefix('read go; ')}'; done"
    name, feed = fed(script, limit=8 * MIB, swap=8 * MIB)
    keep = os.open(Path(runtime.root.parent) / "bundle/rootfs/go", os.O_RDWR)
    try:
        events = follow(name, "--interval", "1h")
        wait_until_watching(events.process.pid)
        for _ in range(3):
            feed()
            assert events.next(30)["type"] == "oom"
        assert runtime.state(name)["status"] == "running"
    finally:
        os.close(keep)


@needs_v1
def test_the_end_is_no_lack_of_memory(running, runtime, follow):
    """The kernel wakes whoever watches a cgroup that is removed as well."""
    name = running()
    events = follow(name, "--interval", "1h")
    wait_until_watching(events.process.pid)
    runtime("delete", "--force", name)
    assert events.next() is None
    assert events.wait() == (0, "")


def wait_until_watching(pid):
    """The descriptor of the kernel's counter is there."""
    deadline = time.monotonic() + 10
    while not any("eventfd" in str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    # and so is what it counts, one system call later
    time.sleep(0.2)


def test_durations():
    """As Go writes them."""
    cases = {"5s": 5, "1m30s": 90, "500ms": 0.5, "1.5h": 5400, "100us": 0.0001, "2µs": 2e-6, "7ns": 7e-9}
    assert {text: duration(text) for text in cases} == pytest.approx(cases)
