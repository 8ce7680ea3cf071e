"""The command line, held against runc's: exit statuses, what goes to standard output, and the words that clients match.

The expectations are written down, so that they hold without runc; where it is installed, in a version that they were
written for, it has to meet them as well.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

USAGE = [
    # words, exit status, message
    (["bogus"], 3, "No help topic for 'bogus'"),
    (["help", "bogus"], 3, "No help topic for 'bogus'"),
    (["--bogus"], 1, "flag provided but not defined: -bogus"),
    (["-bogus", "list"], 1, "flag provided but not defined: -bogus"),
    (["state", "--bogus", "x"], 1, "flag provided but not defined: -bogus"),
    (["list", "--format"], 1, "flag needs an argument: -format"),
    (["create", "-b"], 1, "flag needs an argument: -b"),
    (["--root"], 1, "flag needs an argument: -root"),
    (["--debug=maybe", "list"], 1, 'invalid boolean value "maybe" for -debug'),
    (["delete", "--force=maybe", "x"], 1, 'invalid boolean value "maybe" for -force'),
    (["create", "--preserve-fds", "x", "a"], 1, 'invalid value "x" for flag -preserve-fds'),
    (["state"], 1, '"state" requires exactly 1 argument(s)'),
    (["state", "a", "b"], 1, '"state" requires exactly 1 argument(s)'),
    (["start"], 1, '"start" requires exactly 1 argument(s)'),
    (["start", "a", "b"], 1, '"start" requires exactly 1 argument(s)'),
    (["create"], 1, '"create" requires exactly 1 argument(s)'),
    (["create", "a", "b"], 1, '"create" requires exactly 1 argument(s)'),
    (["run"], 1, '"run" requires exactly 1 argument(s)'),
    (["delete"], 1, '"delete" requires exactly 1 argument(s)'),
    (["delete", "a", "b"], 1, '"delete" requires exactly 1 argument(s)'),
    (["kill"], 1, '"kill" requires a minimum of 1 argument(s)'),
    (["kill", "a", "b", "c"], 1, '"kill" requires a maximum of 2 argument(s)'),
    (["list", "x"], 1, '"list" requires exactly 0 argument(s)'),
    (["spec", "x"], 1, '"spec" requires exactly 0 argument(s)'),
    # no such container
    (["state", "nobody"], 1, "container does not exist"),
    (["start", "nobody"], 1, "container does not exist"),
    (["kill", "nobody"], 1, "container does not exist"),
    (["kill", "nobody", "NOSUCH"], 1, "container does not exist"),
    (["kill", "--all", "nobody"], 1, "container does not exist"),
    (["delete", "nobody"], 1, "container does not exist"),
    (["delete", "--force", "nobody"], 0, ""),
    (["delete", "-f", "nobody"], 0, ""),
    (["delete", "-force", "nobody"], 0, ""),
    (["delete", "--force=true", "nobody"], 0, ""),
    (["delete", "--force=false", "nobody"], 1, "container does not exist"),
    (["delete", "nobody", "--force"], 0, ""),
    # bad values
    (["list", "--format", "xml"], 1, "invalid format option"),
    (["list", "-f=xml"], 1, "invalid format option"),
    (["--log-format", "bogus", "list"], 1, "invalid log-format: bogus"),
    (["create", "-b", "/missing", "a"], 1, "create failed: chdir /missing: no such file or directory"),
    (["create", "--bundle", "/proc/self", "a"], 1, "create failed: JSON specification file config.json not found"),
    (["run", "-b", "/missing", "a"], 1, "run failed: chdir /missing: no such file or directory"),
]


def runc_1_1():
    path = shutil.which("runc", path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    if path is None:
        return None
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    return path if version.startswith("runc version 1.1.") else None


@pytest.fixture(params=["pyruntime", "runc"])
def command(request, runtime):
    """Runs a command line; returns exit status, output, and the message of standard error."""
    path = runtime.path if request.param == "pyruntime" else runc_1_1()
    if path is None:
        pytest.skip("runc 1.1 is not installed")

    def run(*words, **kwargs):
        argv = [path, "--root", str(runtime.root), *map(str, words)]
        done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, **kwargs)
        match = re.search(r'level=error msg="(.*)"$', done.stderr.strip())
        message = match.group(1).replace('\\"', '"') if match else done.stderr.strip()
        return done.returncode, done.stdout, message

    return run


@pytest.mark.parametrize(("words", "code", "message"), USAGE, ids=[" ".join(words) for words, _, _ in USAGE])
def test_failures(command, words, code, message):
    found, out, err = command(*words)
    assert found == code
    assert message in err if message else err == ""
    misused = "argument" in message or "flag" in message or "boolean" in message
    assert ("Incorrect Usage" in out) == misused
    assert ("USAGE:" in out) == misused, "a misused command shows its help"


@pytest.mark.parametrize("name", ["create", "start", "state", "kill", "delete", "run", "list", "spec"])
def test_help_of_commands(command, name):
    texts = {command(*words)[1] for words in ([name, "--help"], [name, "-h"], ["help", name], [name, "-help"])}
    (text,) = texts
    assert text.startswith("NAME:\n")
    assert f" {name} - " in text
    assert "USAGE:" in text


def test_help(command):
    texts = {command(*words)[:2] for words in ([], ["help"], ["--help"], ["-h"], ["h"])}
    ((code, text),) = texts
    assert code == 0
    for part in ("NAME:", "USAGE:", "COMMANDS:", "GLOBAL OPTIONS:", "--root value", "--log-format value", "delete"):
        assert part in text


def test_help_names_every_flag_and_command(runtime):
    """What is accepted is explained."""
    overview = runtime("--help").out
    for name in re.findall(r"^   (\w+) ", overview.partition("COMMANDS:\n")[2].partition("\n\n")[0], re.MULTILINE):
        text = runtime(name, "--help").out
        assert f"pyruntime {name} - " in text
        if "OPTIONS:" in text:
            for flag in re.findall(r"^   --([\w-]+)", text.partition("OPTIONS:\n")[2], re.MULTILINE):
                unknown = runtime(name, f"--{flag}", "--bogus", "a", "b", "c", check=False).err
                assert f"not defined: -{flag}" not in unknown


@pytest.mark.parametrize("flag", ["--version", "-v", "-version"])
def test_version(runtime, flag):
    """dockerd wants a line with "version" and one that begins with "commit:"; podman shows it all."""
    lines = runtime(flag).out.splitlines()
    assert re.fullmatch(r"pyruntime version \d+\.\d+\.\d+\S*", lines[0])
    assert re.fullmatch(r"commit: \S+", lines[1])
    assert re.fullmatch(r"spec: \d+\.\d+\.\d+\S*", lines[2])


def test_a_life_in_words(command, bundle, runtime, tmp_path, request):
    """The whole sequence, its refusals included, as clients see it."""
    bundle.process["args"] = ["sleep", "1000"]
    bundle.write()
    name = runtime.new_id()
    create = ("create", "--bundle", bundle.path, "--pid-file", tmp_path / "pid", name)
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    path = runtime.path if "pyruntime" in request.node.name else runc_1_1()
    # its output must not be a pipe: the container keeps it
    assert (
        subprocess.run([path, "--root", str(runtime.root), *map(str, create)], check=False, **streams).returncode == 0
    )
    try:
        assert command(*create) == (1, "", command(*create)[2])
        assert command(*create)[2].endswith("create failed: container with given ID already exists")
        code, out, _ = command("state", name)
        state = json.loads(out)
        assert code == 0
        assert list(state) == ["ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "owner"]
        assert out.startswith('{\n  "ociVersion": "')
        assert state["status"] == "created"
        assert (tmp_path / "pid").read_text() == str(state["pid"])
        assert command("kill", name, "0") == (0, "", "")
        assert command("kill", name, "CONT") == (0, "", "")
        assert command("kill", name, "sigcont") == (0, "", "")
        assert command("kill", name, "18") == (0, "", "")
        assert command("kill", name, "NOSUCH") == (1, "", 'unknown signal "NOSUCH"')
        assert command("kill", name, "99") == (1, "", "unable to signal init: invalid argument")
        assert command("start", name) == (0, "", "")
        assert command("start", name) == (1, "", "cannot start an already running container")
        assert json.loads(command("state", name)[1])["status"] == "running"
        refused = f"cannot delete container {name} that is not stopped: running"
        code, out, err = command("delete", name)
        assert (code, out) == (1, "")
        assert refused in err
        assert command("kill", name, "SIGKILL") == (0, "", "")
        deadline = 200
        while json.loads(command("state", name)[1])["status"] != "stopped" and deadline:
            deadline -= 1
        stopped = json.loads(command("state", name)[1])
        assert (stopped["status"], stopped["pid"]) == ("stopped", 0)
        assert command("kill", name, "KILL") == (1, "", "container not running")
        assert command("kill", name) == (1, "", "container not running")
        assert command("kill", "--all", name, "KILL") == (0, "", "")
        assert command("kill", name, "KILL", "-a") == (0, "", "")
        assert command("start", name) == (1, "", "cannot start a container that has stopped")
        assert command("delete", name) == (0, "", "")
        assert command("delete", name) == (1, "", "container does not exist")
        assert command("delete", "--force", name) == (0, "", "")
    finally:
        command("delete", "--force", name)


def test_lists(command, bundle, runtime, request):
    assert command("list") == (0, "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n", "")
    assert command("list", "--format=json") == (0, "null\n", "")
    assert command("list", "-q") == (0, "", "")
    bundle.process["args"] = ["sleep", "1000"]
    bundle.config["annotations"] = {"key": "value"}
    bundle.write()
    path = runtime.path if "pyruntime" in request.node.name else runc_1_1()
    name = runtime.new_id()
    words = [path, "--root", str(runtime.root), "create", "-b", str(bundle.path), name]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        state = json.loads(command("state", name)[1])
        header, line = command("list")[1].splitlines()
        assert header.split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
        assert line.split() == [name, str(state["pid"]), "created", str(bundle.path), state["created"], "root"]
        # a column is as wide as its longest cell and three spaces, at least twelve
        assert header.index("PID") == len(name) + 3
        assert header.index("STATUS") == header.index("PID") + 12
        assert header.index("CREATED") == header.index("BUNDLE") + max(12, len(str(bundle.path)) + 3)
        for words in (["--format", "json"], ["-f", "json"], ["-format=json"]):
            (entry,) = json.loads(command("list", *words)[1])
            assert list(entry) == [
                *("ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "annotations", "owner")
            ]
            assert entry["annotations"] == {"key": "value"}
            assert entry == state | {"owner": "root"}
        assert command("list", "--quiet")[1] == f"{name}\n"
    finally:
        command("delete", "--force", name)


def test_lists_go_on_behind_a_damaged_entry(bundle, runtime):
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    (runtime.root / "aaa").mkdir()
    (runtime.root / "bbb").mkdir()
    (runtime.root / "bbb/state.json").write_text('{"id": ')
    (runtime.root / "ccc").mkdir()
    (runtime.root / "ccc/state.json").write_text("[]")
    (runtime.root / "not a container").mkdir()
    (runtime.root / "file").touch()
    try:
        result = runtime("list", "-f", "json")
        assert [entry["id"] for entry in json.loads(result.out)] == [name]
        first, second = result.err.splitlines()
        assert first.startswith("load container bbb: ")
        assert second.startswith("load container ccc: ")
        assert runtime("list", "-q").out.split() == ["aaa", "bbb", "ccc", name]
    finally:
        for entry in ("aaa", "bbb", "ccc", "not a container"):
            shutil.rmtree(runtime.root / entry)
        (runtime.root / "file").unlink()


# ---- the root, and the environment


def run(runtime, *words, **kwargs):
    kwargs.setdefault("env", {})
    done = subprocess.run(
        [runtime.path, *map(str, words)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
        **kwargs,
    )
    return done.returncode, done.stdout, done.stderr


def test_the_whole_life_without_an_environment(bundle, runtime):
    """podman calls with XDG_RUNTIME_DIR= and nothing else."""
    bundle.process["args"] = ["true"]
    bundle.write()
    for environment in ({}, {"XDG_RUNTIME_DIR": ""}):
        name = runtime.new_id()
        for words in (["create", "-b", bundle.path, name], ["start", name], ["state", name], ["delete", "-f", name]):
            runtime(*words, env=environment)


def test_a_relative_root_is_the_callers(bundle, runtime, tmp_path):
    (tmp_path / "here").mkdir(mode=0o700)
    bundle.process["args"] = ["true"]
    bundle.write()
    code, _, err = run(runtime, "--root", "here", "run", "-b", bundle.path, "--keep", "relative", cwd=tmp_path)
    assert code == 0, err
    assert (tmp_path / "here/relative/state.json").exists()
    assert run(runtime, "--root", "./here/../here", "delete", "relative", cwd=tmp_path)[0] == 0


@pytest.mark.parametrize("words", [["--root", "/"], ["--root=//"], ["--root", "/tmp/.."], ["-root", "."]])
def test_the_root_directory_as_root(runtime, words):
    code, _, err = run(runtime, *words, "list", cwd="/")
    assert code == 1
    assert "Option --root argument should not be set to /" in err


def test_an_explicit_root_that_is_missing(runtime, tmp_path):
    code, _, err = run(runtime, "--root", tmp_path / "missing", "list")
    assert code == 1
    assert f"open {tmp_path}/missing: no such file or directory" in err
    assert run(runtime, "--root", tmp_path / "missing", "delete", "-f", "x")[0] == 0
    assert "container does not exist" in run(runtime, "--root", tmp_path / "missing", "state", "x")[2]


def test_a_root_that_is_no_directory(bundle, runtime, tmp_path):
    (tmp_path / "file").touch()
    bundle.write()
    code, _, err = run(runtime, "--root", tmp_path / "file", "create", "-b", bundle.path, "x")
    assert code == 1
    assert str(tmp_path / "file") in err
    assert "Traceback" not in err


def test_globals_behind_the_command(bundle, runtime, tmp_path):
    """Newer runc takes some of them there."""
    (tmp_path / "other").mkdir(mode=0o700)
    assert run(runtime, "list", "--root", tmp_path / "other")[0] == 0
    assert run(runtime, "state", "--debug", "x", "--root", tmp_path / "other")[0] == 1


@pytest.mark.parametrize(
    "flags",
    [
        ["--rootless", "true"], ["--rootless=false"], ["--rootless", "auto"], ["--criu", "/usr/bin/criu"],
        ["--systemd-cgroup"], ["--systemd-cgroup=false"], ["-debug=false"], ["--log-format", "text"], ["--debug"],
    ],
)  # fmt: skip
def test_flags_that_clients_pass(runtime, flags):
    assert runtime(*flags, "list").err == ""


def test_the_systemd_driver_is_refused(bundle, runtime):
    """It comes later; until then it is an error, and not silently another driver."""
    bundle.write()
    for words in (["--systemd-cgroup", "create"], ["create", "--systemd-cgroup"], ["--systemd-cgroup", "run"]):
        result = runtime(*words, "-b", bundle.path, runtime.new_id(), check=False)
        assert result.code == 1
        assert "--systemd-cgroup is not supported by this version of pyruntime" in result.err
    assert not list(runtime.root.iterdir())


def test_words_that_are_no_text(runtime):
    """argv holds bytes."""
    for words in ([b"\xff"], [b"state", b"\xff"], [b"--\xff"], [b"kill", b"x", b"\xff"], [b"list", b"-f", b"\xff"]):
        argv = [os.fsencode(runtime.path), b"--root", os.fsencode(runtime.root), *words]
        done = subprocess.run(argv, capture_output=True, check=False, env={})
        assert done.returncode in (1, 3)
        assert b"Traceback" not in done.stderr


# ---- programs that cannot be run, in the words that clients make exit statuses of


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("nosuch", 'exec: "nosuch": executable file not found in $PATH'),
        ("/nosuch", 'exec: "/nosuch": stat /nosuch: no such file or directory'),
        ("/etc/passwd/x", 'exec: "/etc/passwd/x": stat /etc/passwd/x: not a directory'),
        ("/etc", 'exec: "/etc": is a directory: permission denied'),
        ("/etc/passwd", 'exec: "/etc/passwd": permission denied'),
        ("./nosuch", 'exec: "./nosuch": stat ./nosuch: no such file or directory'),
    ],
)
@pytest.mark.parametrize("words", [["create"], ["run"]])
def test_programs_that_cannot_be_run(bundle, runtime, words, program, message):
    bundle.process["args"] = [program]
    bundle.write()
    result = runtime(*words, "-b", bundle.path, runtime.new_id(), check=False)
    assert result.code == 1
    assert f"pyruntime {words[0]} failed: unable to start container process: {message}" in result.err


@pytest.mark.parametrize("environment", [[], ["PATH="], ["HOME=/"]])
def test_a_name_without_a_path(bundle, environment):
    """ctr gives no environment: the message still says what was not found."""
    bundle.process["args"] = ["sh"]
    bundle.process["env"] = environment
    bundle.process["cwd"] = "/bin"
    assert 'exec: "sh": executable file not found in $PATH' in bundle.fails()


@pytest.mark.parametrize("signal", ["TERM", "SIGTERM", "term", "SigTerm", "15", "RTMIN+1", "SIGRTMAX", "64", ""])
def test_names_of_signals(bundle, runtime, signal):
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    runtime("kill", name, signal)


@pytest.mark.parametrize(
    "signal", ["NOSUCH", "SIG", "RTMIN-1", "RTMAX+1", "RTMIN+99", "RTMIN+" + "9" * 5000, "1.5", "٣"]
)
def test_names_of_no_signals(bundle, runtime, signal):
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    result = runtime("kill", name, signal, check=False)
    assert result.code == 1
    assert 'unknown signal "' in result.err


def test_spec(runtime, tmp_path):
    runtime("spec", cwd=tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["process"]["args"] == ["sh"]
    result = runtime("spec", "--bundle", tmp_path, check=False)
    assert result.code == 1
    assert "File config.json exists. Remove it first" in result.err
    assert Path(tmp_path / "config.json").read_text().startswith('{\n\t"ociVersion": "')
    missing = runtime("spec", "-b", tmp_path / "missing", check=False)
    assert missing.code == 1
    assert f"{tmp_path}/missing" in missing.err
