"""--log, --log-format, --debug: what clients of runc read when something has failed."""

import datetime as dt
import json
import re
import stat

import pytest

TEXT = re.compile(r'time="(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)" level=(\w+) msg="(.*)"')


def records(path):
    """Reads the log as go-runc does: a stream of JSON objects, each with a time that Go can parse."""
    found = []
    for line in path.read_text().splitlines():
        record = json.loads(line)
        dt.datetime.strptime(record["time"], "%Y-%m-%dT%H:%M:%S%z")
        assert set(record) == {"level", "msg", "time"}
        found.append((record["level"], record["msg"]))
    return found


def test_json(runtime, tmp_path):
    """containerd's shim takes the last record of level error; podman wants there to be no other."""
    log = tmp_path / "log.json"
    result = runtime("--log", log, "--log-format", "json", "state", "nobody", check=False)
    assert result.code == 1
    assert records(log) == [("error", "container does not exist")]
    assert result.err == "container does not exist\n"


def test_text(runtime, tmp_path):
    log = tmp_path / "log"
    result = runtime("--log", log, "state", "nobody", check=False)
    assert result.err == "container does not exist\n"
    (line,) = log.read_text().splitlines()
    assert TEXT.fullmatch(line).groups()[1:] == ("error", "container does not exist")


def test_without_a_file_the_log_is_standard_error(runtime):
    result = runtime("state", "nobody", check=False)
    assert TEXT.fullmatch(result.err.strip()).groups()[1:] == ("error", "container does not exist")
    result = runtime("--log-format", "json", "state", "nobody", check=False)
    record = json.loads(result.err)
    assert (record["level"], record["msg"]) == ("error", "container does not exist")


def test_a_success_leaves_an_empty_file(bundle, runtime, tmp_path):
    """An error of a call that succeeded would be read as the reason of a later failure."""
    log = tmp_path / "log.json"
    bundle.process["args"] = ["sleep", "1000"]
    bundle.write()
    name = runtime.new_id()
    flags = ("--log", log, "--log-format", "json")
    for words in (
        ("create", "-b", bundle.path, name),
        ("start", name),
        ("state", name),
        ("list",),
        ("kill", name, "KILL"),
        ("delete", "--force", name),
        ("delete", "--force", name),
        ("--version",),
        ("--help",),
    ):
        result = runtime(*flags, *words)
        assert result.err == ""
    assert log.read_bytes() == b""
    assert stat.S_IMODE(log.stat().st_mode) == 0o644


def test_the_file_is_appended_to(runtime, tmp_path):
    log = tmp_path / "log.json"
    log.write_text('{"level":"info","msg":"before","time":"2026-01-01T00:00:00Z"}\n')
    for name in ("a", "b"):
        runtime("--log", log, "--log-format", "json", "kill", name, check=False)
    assert records(log) == [("info", "before"), *[("error", "container does not exist")] * 2]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["bogus"], 3, "No help topic for 'bogus'"),
        (["state"], 1, 'pyruntime: "state" requires exactly 1 argument(s)'),
        (["state", "--bogus", "x"], 1, "flag provided but not defined: -bogus"),
        (["create", "-b", "/missing", "x"], 1, "pyruntime create failed: chdir /missing: no such file or directory"),
        (["run", "-b", "/missing", "x"], 1, "pyruntime run failed: chdir /missing: no such file or directory"),
    ],
)
def test_the_file_is_there_whatever_happens(runtime, tmp_path, words, code, message):
    """dockerd reads "no such file or directory" out of the complaint that there is no log, and makes it status 127."""
    log = tmp_path / "log.json"
    result = runtime("--log", log, "--log-format", "json", *words, check=False)
    assert result.code == code
    assert records(log) == [("error", message)]
    assert result.err == f"{message}\n"


def test_a_failed_create_is_one_record(bundle, tmp_path):
    log = tmp_path / "log.json"
    bundle.process["args"] = ['no"such']
    bundle.write()
    name = bundle.runtime.new_id()
    flags = ("--log", log, "--log-format", "json")
    result = bundle.runtime(*flags, "create", "-b", bundle.path, name, check=False)
    ((level, message),) = records(log)
    assert level == "error"
    assert 'exec: "no"such": executable file not found in $PATH' in message.replace('\\"', '"')
    assert result.err == f"{message}\n"


def test_messages_stay_on_one_line(bundle, tmp_path):
    """A config can put anything into a message; neither a log nor a terminal must obey it."""
    log = tmp_path / "log"
    bundle.process["args"] = ["/a\nlevel=error \x1b[31m"]
    bundle.write()
    name = bundle.runtime.new_id()
    result = bundle.runtime("--log", log, "create", "-b", bundle.path, name, check=False)
    assert len(log.read_text().splitlines()) == 1
    assert "\x1b" not in log.read_text() + result.err
    assert len(result.err.splitlines()) == 1
    log.unlink()
    bundle.runtime("--log", log, "--log-format", "json", "create", "-b", bundle.path, name, check=False)
    assert "\n" in records(log)[0][1]


def test_warnings_are_no_errors(bundle, tmp_path):
    log = tmp_path / "log.json"
    bundle.process["capabilities"]["bounding"] += ["CAP_FLY"]
    bundle.write()
    name = bundle.runtime.new_id()
    result = bundle.runtime("--log", log, "--log-format", "json", "create", "-b", bundle.path, name)
    assert [level for level, _ in records(log)] == ["warning"]
    assert result.err == ""


def test_debug_logs_every_op(bundle, tmp_path):
    """What `plan` shows is what is done."""
    log = tmp_path / "log.json"
    bundle.process["args"] = ["true"]
    bundle.write()
    plan = json.loads(bundle.runtime("plan", "--json", bundle.path).out)
    name = bundle.runtime.new_id()
    flags = ("--debug", "--log", log, "--log-format", "json")
    result = bundle.runtime(*flags, "create", "-b", bundle.path, name)
    assert result.err == ""
    lines = [message for level, message in records(log) if level == "debug"]
    assert len(lines) == len(records(log))
    lanes = [line.partition(": ")[0] for line in lines]
    assert set(lanes) == {"host", "init"}
    # all up to the wait for `start`: what comes then has nobody to tell it
    before_start = [op for op in plan["ops"] if op["lane"] == "init"]
    names = [op["op"] for op in before_start]
    assert lanes.count("init") >= names.index("ready")


def test_debug_of_a_failure_ends_with_the_error(bundle, tmp_path):
    log = tmp_path / "log.json"
    bundle.process["args"] = ["/missing"]
    bundle.write()
    name = bundle.runtime.new_id()
    bundle.runtime("--debug", "--log", log, "--log-format", "json", "create", "-b", bundle.path, name, check=False)
    levels = [level for level, _ in records(log)]
    assert levels[-1] == "error"
    assert set(levels[:-1]) == {"debug"}


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_log_that_cannot_be_opened(runtime, tmp_path, form):
    """An error in the form that was asked for, and the command is not carried out."""
    path = tmp_path / "missing/log"
    result = runtime("--log", path, "--log-format", form, "delete", "--force", "x", check=False)
    assert result.code == 1
    message = f"open {path}: no such file or directory"
    if form == "json":
        assert json.loads(result.err)["msg"] == message
    else:
        assert TEXT.fullmatch(result.err.strip()).group(3) == message
    assert f"open {tmp_path}: is a directory" in runtime("--log", tmp_path, "list", check=False).err


@pytest.mark.parametrize("form", ["bogus", "JSON"])
def test_an_unknown_form(runtime, form, tmp_path):
    result = runtime("--log-format", form, "list", check=False)
    assert result.code == 1
    assert f"invalid log-format: {form}" in result.err


def test_a_relative_log_is_the_callers(bundle, tmp_path):
    """It is opened before the change into the bundle."""
    bundle.write()
    bundle.runtime("--log", "here.log", "create", "-b", bundle.path, bundle.runtime.new_id(), cwd=tmp_path)
    assert (tmp_path / "here.log").exists()
    assert not (bundle.path / "here.log").exists()


def test_the_log_does_not_reach_the_container(bundle, tmp_path):
    bundle.process["args"] = ["ls", "-l", "/proc/self/fd"]
    bundle.write()
    result = bundle.runtime("--log", tmp_path / "log", "run", "-b", bundle.path, bundle.runtime.new_id())
    assert str(tmp_path / "log") not in result.out
