"""What engines rely on without ever saying so: forms of a command line, environments, who may wait for whom."""

import ctypes
import json
import os
import re
import shlex
import shutil
import subprocess
import time
from pathlib import Path

import pytest

PR_SET_CHILD_SUBREAPER = 36
# Go's time.RFC3339Nano, which go-runc and cri-o parse with
RFC_3339_NANO = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)"


@pytest.fixture
def subreaper():
    """Orphans of commands come to this process, as to containerd's shim and to conmon."""
    libc = ctypes.CDLL(None)
    assert libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    yield
    assert libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) == 0


# ---- environments and streams


def test_every_command_without_an_environment(bundle, runtime, tmp_path):
    """`env -i`: no PATH, no HOME, and whoever calls has taken care of neither."""
    bundle.process["args"] = ["sleep", "1000"]
    bundle.write()
    (tmp_path / "empty").mkdir()
    name = runtime.new_id()
    for words in (
        ["create", "--bundle", bundle.path, name],
        ["state", name],
        ["start", name],
        ["exec", name, "true"],
        ["ps", name],
        ["ps", "--format", "json", name],
        ["pause", name],
        ["resume", name],
        ["update", "--pids-limit", "50", name],
        ["events", "--stats", name],
        ["list"],
        ["kill", name, "KILL"],
        ["delete", "--force", name],
        ["run", "--detach", "--bundle", bundle.path, name],
        ["delete", "--force", name],
        ["features"],
        ["spec", "--bundle", tmp_path / "empty"],
        ["plan", "--bundle", bundle.path],
        ["--version"],
        ["--help"],
    ):
        for cleared in (["env", "-i"], ["env", "-i", "XDG_RUNTIME_DIR="]):
            if cleared[-1] == "-i" or words[0] in ("state", "exec", "ps", "list", "update", "events", "features"):
                runtime.prefix = cleared
                assert runtime(*words).err == "", words
    runtime.prefix = []


@pytest.mark.parametrize("closed", ["<&-", "<&- 2>&1", ""])
def test_features_without_anything(runtime, closed):
    """Engines read both streams together, before there is a directory for the state, and with none of the variables."""
    command = f"exec env -i {shlex.quote(runtime.path)} features {closed}"
    done = subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True, cwd="/")
    structure = json.loads(done.stdout)
    assert structure["ociVersionMin"] == "1.0.0"
    assert "rro" in structure["mountOptions"]
    assert "user" in structure["linux"]["namespaces"]
    assert structure["linux"]["mountExtensions"]["idmap"]["enabled"] is True


def test_features_of_nobody(runtime):
    """No rights are needed."""
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs", runtime.path, "features"],
        capture_output=True,
        text=True,
        check=False,
    )
    if "ermission denied" in done.stderr and "setpriv" in done.stderr:
        pytest.skip("this build is in a directory that nobody else may enter")
    assert json.loads(done.stdout)["hooks"]
    assert done.stderr == ""


# ---- command lines


@pytest.mark.parametrize("form", ["--root {}", "--root={}", "-root {}", "-root={}"])
@pytest.mark.parametrize(
    "flags", ["--log {} --log-format json", "--log={} --log-format=json", "-log {} -log-format json"]
)
def test_forms_of_global_flags(runtime, tmp_path, form, flags):
    """go-runc, conmon and people each write them in their own way."""
    log = tmp_path / "log.json"
    words = [*form.format(runtime.root).split(), *flags.format(log).split(), "delete", "--force", "nobody"]
    done = subprocess.run([runtime.path, *words], capture_output=True, check=True)
    assert done.stdout == done.stderr == log.read_bytes() == b""


@pytest.mark.parametrize("form", ["--resources=-", "--resources -", "-resources=-", "-resources -", "-r -", "-r=-"])
def test_forms_of_resources(running, runtime, tmp_path, form):
    name = running()
    (tmp_path / "resources.json").write_text('{"pids": {"limit": 66}}')
    with (tmp_path / "resources.json").open() as file:
        runtime("update", *form.split(), name, stdin=file)
    stored = json.loads((runtime.root / name / "config.json").read_text())["linux"]["resources"]
    assert stored["pids"] == {"limit": 66}


@pytest.mark.parametrize("form", ["--format=json", "--format json", "-f json", "-f=json", "-format json"])
@pytest.mark.parametrize("command", ["ps", "list"])
def test_forms_of_format(running, runtime, command, form):
    name = running()
    result = runtime(command, *form.split(), *([name] if command == "ps" else []))
    assert json.loads(result.out)


@pytest.mark.parametrize("command", ["delete", "kill", "pause", "state", "update"])
def test_flags_behind_the_id(running, runtime, command):
    """runc takes them there, and people write them there."""
    name = running()
    flags = {"delete": ["--force"], "kill": ["KILL", "--all"], "update": ["--pids-limit", "77"]}.get(
        command, ["--debug"]
    )
    runtime(command, name, *flags)


@pytest.mark.parametrize("words", [["checkpoint", "--help"], ["checkpoint"], ["restore", "-no-subreaper", "x"]])
def test_commands_that_there_are_not(runtime, words):
    """podman and cri-o take a status of 0 for the ability to checkpoint."""
    result = runtime(*words, check=False)
    assert result.code == 3
    assert f"No help topic for '{words[0]}'" in result.err


def test_restore_has_no_label_for_mounts(runtime):
    """podman looks for these words before it restores into a pod."""
    result = runtime("restore", "--lsm-mount-context", check=False)
    assert result.code != 0
    assert "flag needs an argument" not in result.out + result.err
    assert "requires an argument" not in result.out + result.err


def test_a_flag_without_its_argument(runtime):
    """In the words of Go's flags, by which clients find out what there is."""
    result = runtime("update", "x", "--resources", check=False)
    assert result.code == 1
    assert "flag needs an argument: -resources" in result.err


# ---- who waits for whom, and when things are final


def test_the_caller_waits_for_the_container(bundle, runtime, subreaper):
    """After a create it is the caller's subreaper that has the container as a child."""
    bundle.shell("exit 17")
    name, _ = bundle.create()
    pid = runtime.state(name)["pid"]
    assert os.waitpid(pid, os.WNOHANG) == (0, 0)
    runtime("start", name)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 17
    assert runtime.state(name)["status"] == "stopped"


def test_no_process_of_the_runtime_stays(bundle, runtime, subreaper):
    """Between the caller and the container there is nobody."""
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    runtime("start", name)
    pid = runtime.state(name)["pid"]
    assert int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) == os.getpid()
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    assert [child for child in children if "pyruntime" in Path(f"/proc/{child}/cmdline").read_text()] == []
    runtime("delete", "--force", name)
    os.waitpid(pid, 0)


def test_the_cgroup_is_final_after_create(bundle, runtime):
    """Clients read it then, to watch it for the rest of the container's life."""
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    file = Path(f"/proc/{runtime.state(name)['pid']}/cgroup")
    before = file.read_text()
    assert name in before
    runtime("start", name)
    assert file.read_text() == before


@pytest.mark.parametrize("word", ["9", "KILL", "SIGKILL"])
@pytest.mark.parametrize("flags", [["--all"], ["-a"]])
def test_kill_all_of_a_stopped_container(bundle, runtime, flags, word):
    """containerd's shim and cri-o do it for a container in the host's pid namespace, to end what its program left."""
    bundle.namespace("pid", False)
    bundle.mounts[:] = [mount for mount in bundle.mounts if mount["destination"] != "/proc"]
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    bundle.shell("for i in 1 2 3; do sleep 1000 & done; exit 0")
    name, _ = bundle.create()
    runtime("start", name)
    runtime.wait_status(name, "stopped")
    children = json.loads(runtime("ps", "-f", "json", name).out)
    assert len(children) == 3
    result = runtime("kill", *flags, name, word)
    assert result.out == result.err == ""
    deadline = time.monotonic() + 10
    while runtime("ps", "-f", "json", name).out != "null\n":
        assert time.monotonic() < deadline
    # and once more, with nobody there
    runtime("kill", *flags, name, word)
    runtime("delete", name)


# ---- what is left when all is gone, and what is shown


@pytest.mark.parametrize("status", ["created", "running", "paused", "stopped"])
def test_everything_is_gone(make_bundle, runtime, tmp_path, status):
    """Bundle, root directory, and the directory in which the command is called: it cleans up all the same."""
    bundle = make_bundle("gone")
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    if status != "created":
        runtime("start", name)
    if status == "paused":
        runtime("pause", name)
    if status == "stopped":
        runtime("kill", name, "KILL")
        runtime.wait_status(name, "stopped")
    shutil.rmtree(bundle.path)
    (tmp_path / "here").mkdir()
    script = (
        f"cd {tmp_path}/here && rmdir {tmp_path}/here && exec {shlex.join(runtime.command('delete', '--force', name))}"
    )
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == done.stderr == ""
    assert not (runtime.root / name).exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "{}", '{"pid": "x"}', "\0"])
def test_a_state_that_is_none_can_be_forced_away(runtime, content):
    """However it came to be so; nothing but --force takes it away."""
    name = runtime.new_id()
    (runtime.root / name).mkdir(mode=0o700)
    (runtime.root / name / "state.json").write_text(content)
    for command in ("state", "start", "kill", "delete", "pause", "resume", "ps", "update"):
        result = runtime(command, name, check=False)
        assert result.code == 1
        assert result.err.count("\n") == 1
    assert runtime("exec", name, "true", check=False).code == 255
    assert (runtime.root / name / "state.json").read_text() == content
    runtime("delete", "--force", name)
    assert not (runtime.root / name).exists()


def test_state_as_go_reads_it(bundle, runtime):
    """`created` in the form of time.RFC3339Nano, in `list` as well; a stopped container has pid 0."""
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    for status in ("created", "stopped"):
        if status == "stopped":
            runtime("kill", name, "KILL")
            runtime.wait_status(name, "stopped")
        (entry,) = [entry for entry in json.loads(runtime("list", "-f", "json").out) if entry["id"] == name]
        for shown in (runtime.state(name), entry):
            assert re.fullmatch(RFC_3339_NANO, shown["created"])
            assert shown["status"] == status
            assert (shown["pid"] == 0) == (status == "stopped")
