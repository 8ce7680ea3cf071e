"""`ps`: the processes of a container as the host numbers them, as JSON and as ps(1) shows them."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

HEADER = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]


def listed(execution):
    return json.loads(execution.runtime("ps", "-f", "json", execution.name).out)


def table(execution, *options):
    """Returns the header's words, and those of the other lines."""
    header, *lines = execution.runtime("ps", execution.name, *options).out.splitlines()
    return header.split(), [line.split() for line in lines]


def test_json(execution):
    """One line without spaces, as Go writes it: pids in order, of the first process and of those that came by exec."""
    execution = execution()
    pids = sorted([execution.first, *(execution.detached("sleep", "1000") for _ in range(3))])
    result = execution.runtime("ps", "--format", "json", execution.name)
    assert result.out == json.dumps(pids, separators=(",", ":")) + "\n"
    assert result.err == ""


def test_children_are_listed(execution):
    execution = execution()
    parent = execution.detached("sh", "-c", "sleep 1000 & sleep 1000 & wait")
    children = Path(f"/proc/{parent}/task/{parent}/children")
    deadline = time.monotonic() + 10
    while len(children.read_text().split()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert set(listed(execution)) == {execution.first, parent, *map(int, children.read_text().split())}


def test_cgroups_below_are_listed(execution):
    """A container may have made some of its own."""
    execution = execution()
    pid = execution.detached("sleep", "1000")
    state = json.loads((execution.runtime.root / execution.name / "state.json").read_text())
    for directory in map(Path, state["cgroups"]):
        (directory / "deeper/still").mkdir(parents=True)
        for name in ("cpuset.cpus", "cpuset.mems"):
            for folder in (directory / "deeper", directory / "deeper/still"):
                if (folder / name).exists() and not (folder / "cgroup.controllers").exists():
                    (folder / name).write_text((directory / name).read_text())
        (directory / "deeper/still/cgroup.procs").write_text(str(pid))
    assert listed(execution) == sorted([execution.first, pid])
    execution.runtime("delete", "--force", execution.name)


def test_the_table_is_that_of_ps(execution):
    execution = execution()
    pid = execution.detached("sleep", "2000")
    header, lines = table(execution)
    assert header == HEADER
    shown = {int(line[1]): line for line in lines}
    assert set(shown) == {execution.first, pid}
    assert shown[pid][7:] == ["sleep", "2000"]
    # these are lines of the ps of the host
    assert all(line[0] == "root" for line in lines)


@pytest.mark.parametrize(
    ("options", "header"),
    [
        (["-e", "-o", "comm,pid"], ["COMMAND", "PID"]),
        (["-e", "-o", "pid,args"], ["PID", "COMMAND"]),
        (["-ef"], HEADER),
        (["aux"], "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND".split()),
    ],
)
def test_options_are_passed_on(execution, options, header):
    """All that comes behind the id: options that look like ours are those of ps too."""
    execution = execution()
    pid = execution.detached("sleep", "2000")
    shown, lines = table(execution, *options)
    assert shown == header
    at = header.index("PID")
    assert {int(line[at]) for line in lines} == {execution.first, pid}


def test_no_column_for_pids(execution):
    execution = execution()
    result = execution.runtime("ps", execution.name, "-e", "-o", "comm", check=False)
    assert result.code == 1
    assert result.err.count("\n") == 1
    assert "couldn't find PID field in ps output" in result.err


def test_what_ps_says_of_bad_options(execution):
    execution = execution()
    result = execution.runtime("ps", execution.name, "--nonsense", check=False)
    assert result.code == 1
    assert "ps: exit status 1: error: unknown gnu long option" in result.err


def test_without_ps(execution, tmp_path):
    """JSON needs none; and where the caller has no PATH it is found at its usual places."""
    execution = execution()
    (tmp_path / "empty").mkdir()
    result = execution.runtime("ps", execution.name, check=False, env={"PATH": str(tmp_path / "empty")})
    assert result.code == 1
    assert 'exec: "ps": no such file or directory' in result.err
    result = execution.runtime("ps", "-f", "json", execution.name, env={"PATH": str(tmp_path / "empty")})
    assert json.loads(result.out) == [execution.first]
    assert str(execution.first) in execution.runtime("ps", execution.name, env={}).out


def test_every_state(bundle, runtime):
    """Created, running, paused: its processes. Stopped: none, which Go writes as null, and a table without lines."""
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    pid = runtime.state(name)["pid"]
    assert json.loads(runtime("ps", "-f", "json", name).out) == [pid]
    runtime("start", name)
    runtime("pause", name)
    assert json.loads(runtime("ps", "-f", "json", name).out) == [pid]
    runtime("resume", name)
    runtime("kill", name, "KILL")
    runtime.wait_status(name, "stopped")
    assert runtime("ps", "-f", "json", name).out == "null\n"
    assert runtime("ps", name).out.split() == HEADER


def test_what_a_stopped_container_has_left(bundle, runtime):
    """Without a pid namespace its children live on: they are listed, since `kill --all` would reach them."""
    bundle.namespace("pid", False)
    bundle.mounts[:] = [mount for mount in bundle.mounts if mount["destination"] != "/proc"]
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    bundle.shell("sleep 1000 & echo $! > /child")
    name, _ = bundle.create()
    runtime("start", name)
    runtime.wait_status(name, "stopped")
    child = int((bundle.rootfs / "child").read_text())
    assert json.loads(runtime("ps", "-f", "json", name).out) == [child]
    runtime("kill", "--all", name, "KILL")


@pytest.mark.parametrize("command", [["ps"], ["ps", "--format", "json"]])
def test_no_container(runtime, command):
    result = runtime(*command, "nobody", check=False)
    assert result.code == 1
    assert "container does not exist" in result.err


@pytest.mark.parametrize("form", ["", "yaml", "JSON"])
def test_no_format(execution, form):
    execution = execution()
    result = execution.runtime("ps", f"--format={form}", execution.name, check=False)
    assert result.code == 1
    assert "invalid format option" in result.err


def test_a_process_that_ends_meanwhile(execution):
    """Whoever comes and goes: the list has the one who stays."""
    execution = execution()
    pid = execution.detached("sh", "-c", "while :; do true | true; done")
    for _ in range(20):
        assert {execution.first, pid} <= set(listed(execution))
    os.kill(pid, signal.SIGKILL)
