"""`pause` and `resume`: what a paused container does not do, what can be done to it, and what is refused."""

import json
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

V1 = not Path("/sys/fs/cgroup/cgroup.controllers").exists()
needs_v1 = pytest.mark.skipif(not V1, reason="this host has no cgroups of version 1")


class Counter:
    """A container whose program counts as fast as it can, in a file."""

    def __init__(self, bundle):
        bundle.shell("i=0; while :; do i=$((i+1)); echo $i > /count; done")
        self.runtime = bundle.runtime
        self.file = bundle.rootfs / "count"
        self.name, _ = bundle.create()
        self.runtime("start", self.name)
        self.wait()

    def wait(self):
        """Waits until it has counted on."""
        before, deadline = self.content(), time.monotonic() + 20
        while self.content() in ("", before):
            assert time.monotonic() < deadline, "it does not count"
            time.sleep(0.01)

    def content(self):
        return self.file.read_text() if self.file.exists() else ""

    def stands_still(self):
        before = self.content()
        time.sleep(0.3)
        return self.content() == before

    def __call__(self, command, **kwargs):
        return self.runtime(*command.split(), self.name, **kwargs)

    @property
    def status(self):
        return self.runtime.state(self.name)["status"]


@pytest.fixture
def counter(bundle):
    return Counter(bundle)


def test_a_paused_container_stands_still(counter):
    for _ in range(3):
        result = counter("pause")
        assert result.out == result.err == ""
        assert counter.status == "paused"
        assert counter.stands_still()
        result = counter("resume")
        assert result.out == result.err == ""
        assert counter.status == "running"
        counter.wait()


def test_what_came_by_exec_is_paused_too(counter, bundle):
    script = "i=0; while :; do i=$((i+1)); echo $i > /other; done"
    counter.runtime("exec", "--detach", counter.name, "sh", "-c", script)
    other = bundle.rootfs / "other"
    while not other.exists():
        time.sleep(0.01)
    counter("pause")
    before = other.read_text()
    assert counter.stands_still()
    assert other.read_text() == before
    counter("resume")


def test_a_cgroup_below_is_paused_too(counter):
    """A container may have made some of its own."""
    state = json.loads((counter.runtime.root / counter.name / "state.json").read_text())
    directory = Path(state["freezer"]).parent / "below"
    directory.mkdir()
    (directory / "cgroup.procs").write_text(str(counter.runtime.state(counter.name)["pid"]))
    counter("pause")
    assert counter.stands_still()
    counter("resume")
    counter.wait()


def test_one_that_forks_without_end(bundle, runtime):
    """The freezer of version 1 may find a process that is just being born."""
    bundle.shell("while :; do true & true | true; wait; done")
    name, _ = bundle.create()
    runtime("start", name)
    for _ in range(10):
        runtime("pause", name)
        pids = runtime("ps", "-f", "json", name).out
        time.sleep(0.05)
        assert runtime("ps", "-f", "json", name).out == pids
        runtime("resume", name)


@pytest.mark.parametrize(
    ("steps", "command", "message"),
    [
        ("pause", "pause", "container not running"),
        ("", "resume", "container not paused"),
        ("pause resume", "resume", "container not paused"),
        ("kill", "pause", "container not running"),
        ("kill", "resume", "container not paused"),
        ("pause", "start", "cannot start a container in the paused state"),
        ("pause", "delete", "that is not stopped: paused"),
    ],
)
def test_what_is_refused(counter, steps, command, message):
    """In the words of runc."""
    if steps == "kill":
        counter.runtime("kill", counter.name, "KILL")
        counter.runtime.wait_status(counter.name, "stopped")
    else:
        for step in steps.split():
            counter(step)
    status = counter.status
    result = counter(command, check=False)
    assert result.code == 1
    assert message in result.err
    assert result.err.count("\n") == 1
    assert counter.status == status


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_no_container(runtime, command):
    result = runtime(command, "nobody", check=False)
    assert result.code == 1
    assert "container does not exist" in result.err


def test_paused_before_the_start(bundle, runtime):
    """It is "paused" and cannot be started; resumed it is "created", and can."""
    bundle.shell("echo here > /result")
    name, _ = bundle.create()
    runtime("pause", name)
    assert runtime.state(name)["status"] == "paused"
    result = runtime("start", name, check=False, timeout=20)
    assert result.code == 1
    assert result.err.count("\n") == 1
    assert runtime.state(name)["status"] == "paused"
    assert not (bundle.rootfs / "result").exists()
    runtime("resume", name)
    assert runtime.state(name)["status"] == "created"
    runtime("start", name)
    runtime.wait_status(name, "stopped")
    assert (bundle.rootfs / "result").read_text() == "here\n"


# ---- its end


@pytest.mark.parametrize("flags", [[], ["--all"]])
def test_it_can_be_killed(counter, flags):
    """What is frozen on version 1 would not die: SIGKILL thaws it."""
    counter("pause")
    counter.runtime("kill", *flags, counter.name, "KILL")
    counter.runtime.wait_status(counter.name, "stopped")
    counter("delete")


def test_another_signal_waits_for_the_resume(bundle, runtime):
    bundle.shell('trap "echo got it > /result; exit" TERM; echo > /ready; while :; do sleep 0.02; done')
    name, _ = bundle.create()
    runtime("start", name)
    while not (bundle.rootfs / "ready").exists():
        time.sleep(0.01)
    runtime("pause", name)
    runtime("kill", name, "TERM")
    time.sleep(0.2)
    assert not (bundle.rootfs / "result").exists()
    assert runtime.state(name)["status"] == "paused"
    runtime("resume", name)
    runtime.wait_status(name, "stopped")
    assert (bundle.rootfs / "result").read_text() == "got it\n"


def test_it_can_be_forced_away(counter):
    counter("pause")
    start = time.monotonic()
    result = counter("delete --force")
    assert result.out == result.err == ""
    assert time.monotonic() - start < 10
    assert not (counter.runtime.root / counter.name).exists()


def test_it_can_be_forced_away_when_its_pid_namespace_is_the_hosts(bundle, runtime):
    bundle.namespace("pid", False)
    bundle.mounts[:] = [mount for mount in bundle.mounts if mount["destination"] != "/proc"]
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    bundle.shell("sleep 1000 & sleep 1000 & echo > /ready; wait")
    name, _ = bundle.create()
    runtime("start", name)
    while not (bundle.rootfs / "ready").exists():
        time.sleep(0.01)
    runtime("pause", name)
    runtime("delete", "--force", name)


def test_run_in_the_foreground(bundle, runtime):
    """Whoever waits for the container goes on waiting."""
    bundle.shell("echo ready; sleep 0.3; exit 6")
    bundle.write()
    name = runtime.new_id()
    command = runtime.command("run", "--bundle", bundle.path, name)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        assert process.stdout.read(5) == b"ready"
        deadline = time.monotonic() + 10
        while runtime.state(name)["status"] != "running":
            assert time.monotonic() < deadline
        runtime("pause", name)
        time.sleep(0.6)
        assert process.poll() is None
        runtime("resume", name)
        assert process.wait(10) == 6


# ---- callers


def test_without_an_environment(counter):
    """podman calls it with XDG_RUNTIME_DIR alone, and that empty; others with nothing at all."""
    for environment in ({"XDG_RUNTIME_DIR": ""}, {}):
        counter("pause", env=environment)
        assert counter.stands_still()
        counter("resume", env=environment)


def test_many_at_once(counter):
    """Each says yes or no in one line, and in the end the container can go on."""
    words = ["pause", "resume"] * 8
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda word: counter(word, check=False), words))
    for result in results:
        assert (result.code, result.err.count("\n")) in ((0, 0), (1, 1)), result.err
        assert result.code == 0 or "container not " in result.err
    assert sum(result.code == 0 for result in results) >= 1
    if counter.status == "paused":
        counter("resume")
    counter.wait()


@needs_v1
def test_a_cgroup_above_that_is_frozen(bundle, runtime):
    """The container stays frozen with it, and that is said, not waited for without end."""
    above = Path("/sys/fs/cgroup/freezer") / f"test-above-{os.getpid()}"
    above.mkdir()
    try:
        bundle.linux["cgroupsPath"] = f"/{above.name}/inner"
        counter = Counter(bundle)
        counter("pause")
        (above / "freezer.state").write_text("FROZEN")
        result = counter("resume", check=False)
        assert result.code == 1
        assert "unable to thaw the container: a cgroup above its own is frozen" in result.err
        assert counter.status == "paused"
        (above / "freezer.state").write_text("THAWED")
        counter.wait()
        counter("delete --force")
    finally:
        (above / "freezer.state").write_text("THAWED")
        runtime.delete_all()
        above.rmdir()


def test_version_2(bundle, unified, runtime, request):
    runtime.prefix = unified.prefix
    request.addfinalizer(runtime.delete_all)
    counter = Counter(bundle)
    events = unified.path(unified.of(runtime.state(counter.name)["pid"])) / "cgroup.events"
    counter("pause")
    assert counter.status == "paused"
    assert "frozen 1" in events.read_text()
    assert counter.stands_still()
    assert "container not running" in counter("pause", check=False).err
    counter("resume")
    assert "frozen 0" in events.read_text()
    counter.wait()
    counter("pause")
    runtime("kill", counter.name, "KILL")
    runtime.wait_status(counter.name, "stopped")
