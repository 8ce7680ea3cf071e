"""Commands and states: what is allowed when, what is said, and what is left."""

import json
import os
import re
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest


def test_every_state_of_a_life(bundle, runtime):
    bundle.process["args"] = ["sleep", "1000"]
    name, created = bundle.create()
    assert created.out == created.err == ""
    state = runtime.state(name)
    assert state["status"] == "created"
    assert state["id"] == name
    assert state["bundle"] == str(bundle.path)
    assert state["rootfs"] == str(bundle.rootfs)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", state["created"])
    assert os.path.exists(f"/proc/{state['pid']}")
    runtime("start", name)
    assert runtime.state(name)["status"] == "running"
    runtime("kill", name, "KILL")
    runtime.wait_status(name, "stopped")
    assert runtime.state(name)["pid"] == 0
    runtime("delete", name)
    gone = runtime("state", name, check=False)
    assert gone.code == 1
    assert "container does not exist" in gone.err


@pytest.mark.parametrize(
    ("command", "status", "code", "text"),
    [
        ("start", "running", 1, "cannot start an already running container"),
        ("start", "stopped", 1, "cannot start a container that has stopped"),
        ("kill", "stopped", 1, "container not running"),
        ("kill --all", "stopped", 0, ""),
        ("delete", "running", 1, "cannot delete container {} that is not stopped: running"),
        # runc deletes it; the specification wants a failure
        ("delete", "created", 1, "cannot delete container {} that is not stopped: created"),
        ("delete --force", "created", 0, ""),
        ("delete --force", "running", 0, ""),
    ],
)
def test_transitions(bundle, runtime, command, status, code, text):
    """The table of runc's transitions, which clients know."""
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    if status != "created":
        runtime("start", name)
    if status == "stopped":
        runtime("kill", name, "KILL")
        runtime.wait_status(name, "stopped")
    result = runtime(*command.split(), name, check=False)
    assert result.code == code, result.err
    assert text.format(name) in result.err


def test_absent_containers(runtime):
    for command in (["state"], ["start"], ["kill"], ["delete"]):
        result = runtime(*command, "nobody", check=False)
        assert result.code == 1
        assert "container does not exist" in result.err
    forced = runtime("delete", "--force", "nobody")
    assert (forced.out, forced.err) == ("", "")


def test_an_id_is_taken_once(bundle, runtime):
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    again = runtime("create", "-b", bundle.path, name, check=False)
    assert again.code == 1
    assert "container with given ID already exists" in again.err
    assert runtime.state(name)["status"] == "created"


def test_two_creates_at_once_make_one_container(bundle, runtime):
    """Exactly one wins, and the loser does not take the winner's directory away."""
    bundle.process["args"] = ["sleep", "1000"]
    bundle.write()
    for _ in range(5):
        name = runtime.new_id()
        creates = [("create", "-b", bundle.path, name)] * 3
        with ThreadPoolExecutor(3) as pool:
            codes = sorted(result.code for result in pool.map(lambda args: runtime(*args, check=False), creates))
        assert codes == [0, 1, 1]
        assert runtime.state(name)["status"] == "created"
        runtime("delete", "--force", name)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\nb", "ä", "a b", "x" * 1025, "../x"])
def test_ids_that_are_none(bundle, runtime, name):
    bundle.write()
    for command in (["create", "-b", bundle.path], ["state"], ["delete"], ["kill"]):
        result = runtime(*command, name, check=False)
        assert result.code == 1
        assert "container id cannot be empty" in result.err or "invalid container ID format" in result.err


def test_pid_file_is_digits_alone(bundle, runtime, tmp_path):
    bundle.process["args"] = ["sleep", "1000"]
    path = tmp_path / "pid"
    name, _ = bundle.create("--pid-file", path)
    assert path.read_text() == str(runtime.state(name)["pid"])
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []


def test_relative_pid_file_is_the_callers(bundle, runtime, tmp_path):
    bundle.process["args"] = ["sleep", "1000"]
    bundle.create("--pid-file", "here.pid", cwd=tmp_path)
    assert (tmp_path / "here.pid").exists()


def test_no_pid_file_after_a_failure(bundle, tmp_path):
    bundle.process["args"] = ["/missing"]
    bundle.fails("--pid-file", tmp_path / "pid")
    assert not (tmp_path / "pid").exists()


def test_the_config_is_the_one_of_the_create(bundle, runtime, tmp_path):
    """runtime.md: updates of config.json after create must not affect the container."""
    bundle.shell("echo first > /result")
    name, _ = bundle.create()
    bundle.shell("echo second > /result")
    bundle.write()
    runtime("start", name)
    runtime.wait_status(name, "stopped")
    assert (bundle.rootfs / "result").read_text() == "first\n"


def test_delete_without_bundle_and_directory(make_bundle, runtime, tmp_path):
    bundle = make_bundle("gone")
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    runtime("start", name)
    subprocess.run(["rm", "-r", str(bundle.path)], check=True)
    runtime("delete", "--force", name)
    assert not (runtime.root / name).exists()


def test_damaged_state_can_be_forced_away(bundle, runtime):
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    pid = runtime.state(name)["pid"]
    (runtime.root / name / "state.json").write_text("{")
    plain = runtime("delete", name, check=False)
    assert plain.code == 1
    assert "damaged" in plain.err
    runtime("delete", "--force", name)
    assert not (runtime.root / name).exists()
    # what the lost state knew of has to be cleaned up by hand
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.2)
    places = " ".join(f"/sys/fs/cgroup/{above}{name}" for above in ("", "*/", "*/*/*/"))
    subprocess.run(f"rmdir {places} 2>/dev/null", shell=True, check=False)


def test_a_state_that_cannot_be_read_is_not_thrown_away(bundle, runtime):
    """It may be readable in a moment, and nobody else knows of the processes and cgroups: not even force forgets it."""
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    path = runtime.root / name / "state.json"
    path.rename(path.parent / "moved")
    os.mkfifo(path)
    for words in (["state"], ["delete"], ["delete", "--force"]):
        result = runtime(*words, name, check=False)
        assert result.code == 1
        assert f"the state of container {name} cannot be read" in result.err
    (path.parent / "moved").rename(path)
    runtime("delete", "--force", name)


def test_a_directory_without_state_goes_away(runtime):
    (runtime.root / "half").mkdir()
    result = runtime("delete", "half", check=False)
    assert result.code == 1
    assert "container does not exist" in result.err
    assert not (runtime.root / "half").exists()


def test_state_never_fails_while_start_runs(bundle, runtime):
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    seen, stop = set(), threading.Event()

    def watch():
        while not stop.is_set():
            seen.add(runtime.state(name)["status"])

    thread = threading.Thread(target=watch)
    thread.start()
    time.sleep(0.05)
    runtime("start", name)
    time.sleep(0.05)
    stop.set()
    thread.join()
    assert seen == {"created", "running"}


def test_a_reused_pid_is_not_the_container(bundle, runtime):
    """Identity is pid, start time and boot: a state that names a living stranger means stopped."""
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    path = runtime.root / name / "state.json"
    state = json.loads(path.read_text())
    time.sleep(0.05)  # start times count in ticks of 10 ms
    stranger = subprocess.Popen(["sleep", "1000"])
    try:
        os.kill(state["pid"], signal.SIGKILL)
        time.sleep(0.1)
        path.write_text(json.dumps(state | {"pid": stranger.pid}))
        assert runtime.state(name)["status"] == "stopped"
        assert "container not running" in runtime("kill", name, "KILL", check=False).err
        runtime("delete", "--force", name)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("word", ["KILL", "SIGKILL", "kill", "9"])
def test_signals_by_name_and_number(bundle, runtime, word):
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    runtime("start", name)
    runtime("kill", name, word)
    runtime.wait_status(name, "stopped")


def test_kill_probes_and_refuses(bundle, runtime):
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    runtime("kill", name, "0")
    assert 'unknown signal "NOSUCH"' in runtime("kill", name, "NOSUCH", check=False).err
    assert "unable to signal init: invalid argument" in runtime("kill", name, "99", check=False).err


def test_term_ends_a_container_that_was_never_started(bundle, runtime):
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    runtime("kill", name)
    runtime.wait_status(name, "stopped")
    assert "cannot start a container that has stopped" in runtime("start", name, check=False).err


def test_kill_reaches_all_without_a_pid_namespace(bundle, runtime):
    """Nobody dies with the first process then; KILL, and --all after it is gone, find them by the cgroup."""
    bundle.namespace("pid", False)
    bundle.mounts[:] = [mount for mount in bundle.mounts if mount["destination"] != "/proc"]
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    bundle.shell("sleep 1000 & echo $! > /child; sleep 1000")
    name, _ = bundle.create()
    runtime("start", name)
    while not (bundle.rootfs / "child").exists() or not (bundle.rootfs / "child").read_text():
        time.sleep(0.01)
    child = int((bundle.rootfs / "child").read_text())
    os.kill(runtime.state(name)["pid"], signal.SIGKILL)
    runtime.wait_status(name, "stopped")
    assert os.path.exists(f"/proc/{child}/exe")
    runtime("kill", "--all", name, "KILL")
    time.sleep(0.1)
    assert not os.path.exists(f"/proc/{child}/exe")


def test_list(bundle, runtime):
    assert runtime("list", "--format", "json").out == "null\n"
    assert runtime("list").out == "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n"
    bundle.process["args"] = ["sleep", "1000"]
    bundle.config["annotations"] = {"a": "b"}
    name, _ = bundle.create()
    (entry,) = json.loads(runtime("list", "-f", "json").out)
    assert entry["id"] == name
    assert entry["owner"] == "root"
    assert entry["annotations"] == {"a": "b"}
    assert runtime("list", "--quiet").out == f"{name}\n"
    header, line = runtime("list").out.splitlines()
    assert line.split() == [name, str(entry["pid"]), "created", str(bundle.path), entry["created"], "root"]
    assert header.index("PID") == line.index(str(entry["pid"]))
    assert "invalid format option" in runtime("list", "-f", "xml", check=False).err


def test_state_directory_that_others_can_write_to(bundle, runtime):
    runtime.root.chmod(0o777)
    _, result = bundle.create(check=False)
    assert result.code == 1
    assert "can be written to by others" in result.err
    runtime.root.chmod(0o700)


def test_a_failed_start_of_a_dead_container_does_not_hang(bundle, runtime):
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    os.kill(runtime.state(name)["pid"], signal.SIGKILL)
    time.sleep(0.1)
    result = runtime("start", name, check=False, timeout=10)
    assert "cannot start a container that has stopped" in result.err


def test_a_cgroup_in_use_is_left_alone(bundle, runtime, tmp_path):
    """A create that is refused for it must not, in undoing what it did, end the processes in there."""
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    other = [runtime.path, "--root", str(tmp_path / "other"), "create", "-b", str(bundle.path), name]
    refused = subprocess.run(other, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "container's cgroup is not empty: 1 process(es) found" in refused.stderr
    assert runtime.state(name)["status"] == "created"
