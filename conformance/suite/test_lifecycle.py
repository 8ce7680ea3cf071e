"""The operations and the order of a container's life (runtime.md, Lifecycle, Operations)."""

import os
import signal
from pathlib import Path

import pytest
from containers import Refused, cgroups, not_applicable, requirement, wait_for

SLEEP = "sleep 1000"


def refuses(runtime, *words):
    """Checks that a command fails, and says why."""
    done = runtime(*words, check=False)
    assert done.code, f"{' '.join(map(str, words))} did not fail"
    assert done.code > 0, f"{words[0]} ended by signal {-done.code}"
    assert done.err.strip() or done.out.strip(), "it failed without a word"


@requirement(
    "runtime.scope", "runtime.operations", "runtime.create.creates", "runtime.lifecycle.environment",
    "runtime.lifecycle.program", "runtime.start.program",
)  # fmt: skip
def test_a_life(bundle, runtime):
    """create, state, start, kill and delete, one after the other, on one container."""
    container = bundle.create("echo started > /result; sleep 1000")
    assert container.status == "created"
    assert not (bundle.rootfs / "result").exists()
    container.start()
    wait_for((bundle.rootfs / "result").exists, "the program has run")
    assert container.status == "running"
    container.kill("KILL")
    assert container.wait() == 128 + signal.SIGKILL
    assert container.status == "stopped"
    container.delete()
    assert not runtime.exists(container.name)


# ---- create


@requirement("runtime.create.needs-arguments")
def test_create_without_an_id(bundle, runtime):
    bundle.write()
    refuses(runtime, "create", "--bundle", bundle.path)


@requirement("runtime.create.needs-arguments")
def test_create_without_a_bundle(runtime, tmp_path):
    """Neither named nor, as the usual command line has it, the current directory."""
    (tmp_path / "empty").mkdir()
    name = runtime.new_name()
    done = runtime("create", name, check=False, cwd=tmp_path / "empty")
    assert done.code
    assert not runtime.exists(name)


@requirement("runtime.create.bad-id", "runtime.state.id.unique")
def test_an_id_that_is_taken(bundle, runtime):
    """The container that has it does not notice."""
    container = bundle.create(SLEEP)
    with pytest.raises(Refused):
        bundle.create(SLEEP, name=container.name)
    assert container.status == "created"
    assert container.state["pid"] == container.pid
    container.start()
    container.stop()


@requirement("runtime.create.bad-id")
@pytest.mark.parametrize("name", ["", "a/b", "../x", ".."])
def test_an_id_that_cannot_be_one(bundle, runtime, name):
    """It would lead out of the directory of states."""
    bundle.write()
    before = sorted(runtime.state_root.rglob("*"))
    refuses(runtime, "create", "--bundle", bundle.path, name)
    assert sorted(runtime.state_root.rglob("*")) == before


@requirement("runtime.lifecycle.program-waits", "runtime.create.args-wait")
def test_the_program_waits_for_start(bundle):
    container = bundle.create("echo > /result")
    assert Path(f"/proc/{container.pid}/comm").exists(), "no process waits"
    assert not (bundle.rootfs / "result").exists()
    assert container.status == "created"
    container.start()
    container.wait()
    assert (bundle.rootfs / "result").exists()


@requirement("runtime.lifecycle.config-is-read-once")
def test_a_config_that_is_changed_after_create(bundle):
    container = bundle.create("echo first > /result")
    bundle.process["args"] = ["sh", "-c", "echo second > /result"]
    bundle.config["hostname"] = "second"
    bundle.write()
    container.start()
    container.wait()
    assert (bundle.rootfs / "result").read_text() == "first\n"


@requirement("runtime.lifecycle.environment.error", "runtime.create.cannot-apply", "runtime.errors.no-effect")
@pytest.mark.parametrize(
    "change",
    ["mount of an unknown file system", "mount of a missing source", "missing namespace", "invalid limit", "hook"],
)
def test_a_create_that_fails_leaves_nothing(bundle, runtime, change):
    """Neither a container nor a process, a cgroup or a mount."""
    match change:
        case "mount of an unknown file system":
            bundle.mount("/mnt", "nosuchfs", "none")
        case "mount of a missing source":
            bundle.mount("/mnt", "bind", "/nowhere/at/all", ["bind"])
        case "missing namespace":
            bundle.namespace("network", "/nowhere/at/all")
        case "invalid limit":
            bundle.resources["cpu"] = {"cpus": "4000"}
        case "hook":
            bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/false"}]}
    bundle.process["args"] = ["sleep", "1000"]
    mounts = Path("/proc/self/mountinfo").read_text()
    children = set(Path("/proc/self/task").glob("*/children"))
    before = [path.read_text() for path in children]
    bundle.is_refused()
    name = runtime.names[-1]
    assert not cgroups(name), "a cgroup is left"
    assert Path("/proc/self/mountinfo").read_text() == mounts, "a mount is left"
    wait_for(lambda: [path.read_text() for path in children] == before or _only_zombies(), "no process is left")


def _only_zombies():
    for path in Path("/proc/self/task").glob("*/children"):
        for pid in path.read_text().split():
            try:
                state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
            except OSError:
                continue
            if state not in "ZX":
                return False
    return True


@requirement("runtime.create.applies")
def test_properties_are_applied_before_start(bundle):
    """All but process: the waiting container has its namespaces, names, cgroup, limits and mounts."""
    bundle.config["hostname"] = "waits"
    bundle.resources["pids"] = {"limit": 77}
    bundle.mount("/mnt", "tmpfs", "tmpfs", ["size=4k"])
    container = bundle.create(SLEEP)
    for kind in ("pid", "net", "ipc", "uts", "mnt"):
        assert container.namespace(kind) != os.readlink(f"/proc/self/ns/{kind}"), kind
    assert cgroups(container.name)
    limits = [path.read_text().strip() for place in cgroups(container.name) for path in place.glob("pids.max")]
    assert limits == ["77"]
    assert " /mnt " in container.proc("mountinfo")


# ---- start


@requirement("runtime.start.needs-id")
def test_start_without_an_id(runtime):
    refuses(runtime, "start")


@requirement("runtime.start.not-created")
def test_start_of_a_container_that_does_not_exist(runtime):
    refuses(runtime, "start", "conformance-nobody")


@requirement("runtime.start.not-created")
def test_start_of_a_running_container(bundle, runtime):
    container = bundle.create("echo x >> /count; sleep 1000")
    container.start()
    wait_for((bundle.rootfs / "count").exists, "the program has run")
    refuses(runtime, "start", container.name)
    assert container.status == "running"
    assert (bundle.rootfs / "count").read_text() == "x\n"
    container.stop()


@requirement("runtime.start.not-created")
def test_start_of_a_stopped_container(bundle, runtime):
    container = bundle.create("echo x >> /count")
    container.start()
    container.wait()
    refuses(runtime, "start", container.name)
    assert container.status == "stopped"
    assert (bundle.rootfs / "count").read_text() == "x\n"


@requirement("runtime.start.needs-process", "config.process.required")
def test_start_without_process(bundle, runtime):
    """create may do with it; start cannot."""
    del bundle.config["process"]
    try:
        container = bundle.create()
    except Refused as error:
        assert "process" in str(error).lower(), error
        return
    refuses(runtime, "start", container.name)


@requirement("runtime.start.program", "config.process.args")
def test_the_status_of_the_program(bundle):
    assert bundle.run("exit 7").code == 7


# ---- kill


@requirement("runtime.kill.needs-id")
def test_kill_without_an_id(runtime):
    refuses(runtime, "kill")


@requirement("runtime.kill.not-alive")
def test_kill_of_a_container_that_does_not_exist(runtime):
    refuses(runtime, "kill", "conformance-nobody", "TERM")


@requirement("runtime.kill.not-alive")
def test_kill_of_a_stopped_container(bundle, runtime):
    container = bundle.create("true")
    container.start()
    container.wait()
    refuses(runtime, "kill", container.name, "TERM")
    assert container.status == "stopped"


@requirement("runtime.kill.signal")
def test_kill_of_a_created_container(bundle):
    container = bundle.create(SLEEP)
    container.kill("KILL")
    assert container.wait() == 128 + signal.SIGKILL
    assert container.status == "stopped"


@requirement("runtime.kill.signal")
@pytest.mark.parametrize("word", ["SIGUSR1", "USR1", "10", "TERM", "15", "HUP"])
def test_the_signal_that_is_sent(bundle, word):
    """By name, with or without SIG, and by number."""
    traps = "; ".join(f"trap 'echo {name} >> /seen; exit 0' {name}" for name in ("USR1", "TERM", "HUP"))
    container = bundle.create(f"{traps}; echo > /ready; while :; do sleep 0.02; done")
    container.start()
    wait_for((bundle.rootfs / "ready").exists, "the program is ready")
    container.kill(word)
    container.wait()
    expected = {"SIGUSR1": "USR1", "10": "USR1", "15": "TERM"}.get(word, word)
    assert (bundle.rootfs / "seen").read_text() == f"{expected}\n"


@requirement("runtime.kill.signal", "config.values.invalid")
def test_a_signal_that_is_none(bundle, runtime):
    container = bundle.create(SLEEP)
    container.start()
    refuses(runtime, "kill", container.name, "NOSUCH")
    assert container.status == "running"
    container.stop()


# ---- delete


@requirement("runtime.delete.needs-id")
def test_delete_without_an_id(runtime):
    refuses(runtime, "delete")


@requirement("runtime.delete.not-stopped")
def test_delete_of_a_container_that_does_not_exist(runtime):
    refuses(runtime, "delete", "conformance-nobody")


@requirement("runtime.delete.not-stopped")
def test_delete_of_a_created_container(bundle, runtime):
    container = bundle.create(SLEEP)
    refuses(runtime, "delete", container.name)
    assert container.status == "created"
    container.start()
    container.stop()


@requirement("runtime.delete.not-stopped")
def test_delete_of_a_running_container(bundle, runtime):
    container = bundle.create(SLEEP)
    container.start()
    refuses(runtime, "delete", container.name)
    assert container.status == "running"
    container.stop()


@requirement("runtime.delete.resources", "runtime.lifecycle.destroyed")
def test_delete_removes_what_create_has_made(bundle, runtime):
    """The state, the cgroups in all hierarchies, and mounts."""
    mounts = Path("/proc/self/mountinfo").read_text()
    container = bundle.create("true")
    assert cgroups(container.name)
    container.start()
    container.wait()
    container.delete()
    assert not runtime.exists(container.name)
    assert not cgroups(container.name), "a cgroup is left"
    assert not list(runtime.state_root.rglob(f"*{container.name}*")), "a state is left"
    assert Path("/proc/self/mountinfo").read_text() == mounts


@requirement("runtime.delete.others-resources")
def test_delete_leaves_what_others_have_made(bundle, runtime):
    """A cgroup that was there before, what is mounted and written in the bundle, and a namespace that was joined."""
    container = bundle.create(SLEEP)
    container.start()
    guest = bundle.create("echo > /written", name=runtime.new_name(), flags=())
    try:
        # the guest has a cgroup of its own below the other's
        assert container.status == "running"
        guest.start()
        guest.wait()
        guest.delete()
        assert container.status == "running"
        assert cgroups(container.name)
        assert (bundle.rootfs / "written").exists()
    finally:
        container.stop()


@requirement("runtime.delete.others-resources")
def test_delete_leaves_a_cgroup_that_was_there(bundle, runtime):
    place = next((path for path in map(Path, ("/sys/fs/cgroup/pids", "/sys/fs/cgroup")) if path.exists()), None)
    if place is None:
        not_applicable("there are no cgroups here")
    name = runtime.new_name()
    (place / name).mkdir()
    bundle.linux["cgroupsPath"] = f"/{name}"
    bundle.run("true")
    assert (place / name).exists(), "a cgroup that the container did not make is gone"


@requirement("runtime.delete.id-is-free")
def test_an_id_can_be_used_again(bundle):
    first = bundle.create("true")
    first.start()
    first.wait()
    first.delete()
    second = bundle.create("true", name=first.name)
    assert second.status == "created"
    second.start()
    second.wait()


@requirement("runtime.warnings.no-effect")
def test_a_warning_changes_nothing(bundle):
    """A capability that does not exist is warned of, and the container is made as if it were not there."""
    bundle.process["capabilities"]["bounding"] = ["CAP_KILL", "CAP_OF_TOMORROW"]
    assert bundle.out("grep CapBnd /proc/self/status").split()[1] == f"{1 << 5:016x}"
