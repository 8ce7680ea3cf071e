"""`exec --process FILE`: what the file says, what the container's config says where it does not, and bad files."""

import contextlib
import json
import os
import stat
import subprocess
import time
from pathlib import Path

import pytest
from executions import parse_status, status

FIRST = {
    "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}],
    "oomScoreAdj": 300,
    "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 6},
    "scheduler": {"policy": "SCHED_BATCH", "nice": 4},
}
SHOW = "ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj; ionice -p $$; cut -d' ' -f19 /proc/self/stat"


def masks(text):
    return {key: int(value, 16) for key, value in parse_status(text).items() if key.startswith("Cap")}


def test_what_the_file_does_not_say_is_as_in_the_config(execution, bundle):
    """Capabilities, limits, priorities: a program that says nothing of them is confined as the first one is."""
    bundle.process.update(FIRST)
    execution = execution()
    shown = execution.described({"args": SHOW})
    assert shown.out.split("\n") == ["100", "200", "300", "best-effort: prio 6", "4", ""]
    found = masks(execution.described({"args": "cat /proc/self/status"}).out)
    expected = masks(Path(f"/proc/{execution.first}/status").read_text())
    assert found == expected


def test_what_the_file_says_counts(execution, bundle):
    bundle.process.update(FIRST)
    execution = execution()
    process = {
        "args": SHOW,
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 50, "hard": 300}],
        "oomScoreAdj": 0,
        "ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 0},
        "scheduler": {"policy": "SCHED_OTHER", "nice": 7},
    }
    assert execution.described(process).out.split("\n") == ["50", "300", "0", "idle", "7", ""]
    assert execution.described({"args": "ulimit -n", "rlimits": []}).out.strip() != "100"


@pytest.mark.parametrize("sets", [{}, {"bounding": ["CAP_KILL", "CAP_CHOWN"], "permitted": ["CAP_KILL"]}])
def test_capabilities(execution, sets):
    """An object that names few gives few."""
    found = masks(execution().described({"args": ["cat", "/proc/self/status"], "capabilities": sets}).out)
    assert found["CapBnd"] == (1 << 5 | 1 if sets else 0)
    # root of an execve has all that the bounding set has
    assert found["CapPrm"] == found["CapEff"] == found["CapBnd"]


def test_user_and_umask(execution, bundle):
    bundle.process["user"] = {"uid": 5, "gid": 6, "additionalGids": [7], "umask": 0o077}
    execution = execution()
    shown = "id -u; id -G; umask"
    assert execution.described({"args": shown}).out == "0\n0\n0022\n"
    user = {"uid": 1000, "gid": 8, "additionalGids": [9, 10], "umask": 0o027}
    assert execution.described({"args": shown, "user": user}).out == "1000\n8 9 10\n0027\n"


def test_the_environment_is_the_files_alone(execution, bundle):
    bundle.process["env"].append("BUNDLE=1")
    process = {"args": ["env"], "env": ["PATH=/bin", "A=1", "A=2", "EMPTY=", "ÄÖ=ü"]}
    shown = execution().described(process, env={"PATH": "/bin", "CALLER": "1"}).out
    assert shown.splitlines() == ["PATH=/bin", "A=2", "EMPTY=", "ÄÖ=ü", "HOME=/root"]


@pytest.mark.parametrize(("uid", "home"), [(0, "/root"), (1000, "/home"), (4242, "/")])
def test_home_is_that_of_the_containers_passwd(execution, uid, home):
    assert execution().described({"args": "echo $HOME", "user": {"uid": uid, "gid": 0}}).out == f"{home}\n"


def test_cwd_is_made(execution, bundle):
    assert execution().described({"args": "pwd", "cwd": "/new/one"}).out == "/new/one\n"
    assert stat.S_IMODE((bundle.rootfs / "new/one").stat().st_mode) == 0o755


@pytest.mark.skipif(os.cpu_count() < 2, reason="one processor is no choice")
@pytest.mark.parametrize(
    ("first", "affinity", "shown"),
    [
        (None, None, "0-1"),
        (None, {"final": "1"}, "1"),
        (None, {"initial": "0", "final": "1"}, "1"),
        ({"final": "0"}, None, "0"),
        ({"final": "0"}, {"final": "1"}, "1"),
    ],
)
def test_affinity(execution, bundle, first, affinity, shown):
    """process.execCPUAffinity, of the file or else of the config."""
    if first:
        bundle.process["execCPUAffinity"] = first
    process = {"args": "cat /proc/self/status"} | ({"execCPUAffinity": affinity} if affinity else {})
    found = parse_status(execution().described(process).out)["Cpus_allowed_list"]
    assert found == shown or (shown == "0-1" and found == f"0-{os.cpu_count() - 1}")


def test_other_flags_do_not_count(execution):
    """With --process what they would change is left as the file says, and further words are ignored, as by runc."""
    execution = execution()
    flags = ["--user", "7", "--cwd", "/tmp", "--env", "A=flag", "--cap", "CAP_SYS_TIME", "--no-new-privs"]
    document = execution.document({"args": "id -u; pwd; echo ${A:-none}; grep -c NoNewPrivs:.0 /proc/self/status"})
    result = execution.runtime("exec", "--process", document, *flags, execution.name, "false")
    assert result.out == "0\n/\nnone\n1\n"


def test_members_of_tomorrow(execution):
    assert execution().described({"args": "echo here", "tomorrow": {"a": [1]}}).out == "here\n"


def test_the_file_can_go_at_once(execution, bundle):
    """Clients delete it when the command returns."""
    execution = execution()
    document = execution.document({"args": "sleep 0.3; echo here > /result"})
    execution.runtime("exec", "-p", document, "-d", execution.name)
    document.unlink()
    deadline = time.monotonic() + 10
    while not (bundle.rootfs / "result").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_pipe(execution):
    """It can be read but once, and what comes may come late."""
    execution = execution()
    document = execution.document({"args": "echo here"})
    command = execution.runtime.command("exec", "-p", "/dev/stdin", execution.name)
    shell = ["sh", "-c", f'(sleep 0.3; cat {document}) | "$@"', "sh", *command]
    assert subprocess.run(shell, capture_output=True, text=True, check=True).stdout == "here\n"


BAD = [
    ("", "process.json"),
    ("{", "process.json"),
    ("[]", "process"),
    ("null", "process"),
    ('{"cwd": "/"}', "process.args"),
    ('{"cwd": "/", "args": []}', "process.args"),
    ('{"cwd": "/", "args": "sh"}', "process.args"),
    ('{"cwd": "/", "args": [1]}', "process.args[0]"),
    ('{"args": ["true"]}', "cwd"),
    ('{"cwd": "tmp", "args": ["true"]}', "process.cwd"),
    ('{"cwd": "/", "args": ["true"], "env": ["A"]}', "process.env[0]"),
    ('{"cwd": "/", "args": ["true"], "user": {"uid": -1}}', "process.user.uid"),
    ('{"cwd": "/", "args": ["true"], "user": {"uid": 4294967295, "gid": 0}}', "process.user.uid"),
    ('{"cwd": "/", "args": ["true"], "rlimits": [{"type": "RLIMIT_X", "soft": 1, "hard": 1}]}', "process.rlimits[0]"),
    ('{"cwd": "/", "args": ["true"], "terminal": "yes"}', "process.terminal"),
    ('{"cwd": "/", "args": ["true"], "oomScoreAdj": 5000}', "process.oomScoreAdj"),
]


@pytest.mark.parametrize(("text", "named"), BAD)
def test_bad_files(execution, tmp_path, text, named):
    """One line that says what is wrong with which member."""
    path = tmp_path / "bad.json"
    path.write_text(text)
    assert named in execution().fails(flags=["--process", path])


def test_the_line_is_named(execution, tmp_path):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps({"cwd": "/", "args": ["true"], "user": {"uid": "root", "gid": 0}}, indent=1))
    message = execution().fails(flags=["--process", path])
    assert 'process.user.uid: "root" is not an integer (process.json, line 7)' in message


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/missing", "open /missing: no such file or directory"),
        ("/dev/null/x", "open /dev/null/x: not a directory"),
        ("/tmp", "/tmp is not a regular file"),
        ("/dev/zero", "/dev/zero is not a regular file"),
    ],
)
def test_files_that_cannot_be_read(execution, path, message):
    assert message in execution().fails(flags=["--process", path])


def test_more_than_there_can_be(execution):
    execution = execution()
    command = execution.runtime.command("exec", "--process", "/dev/stdin", execution.name)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(b" " * (17 << 20))
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        assert b"exec failed: /dev/stdin is larger than 16 MiB" in process.stderr.read()
    assert process.returncode == 255


def test_the_status_shows_the_description(execution):
    """What the host sees of a process that a file describes."""
    execution = execution()
    document = execution.document({"args": ["sleep", "1000"], "user": {"uid": 1000, "gid": 1000}, "oomScoreAdj": 77})
    pid = execution.detached(flags=["--process", document])
    assert status(pid)["Uid"].split() == ["1000"] * 4
    assert Path(f"/proc/{pid}/oom_score_adj").read_text() == "77\n"
    assert Path(f"/proc/{pid}/limits").read_text() == Path(f"/proc/{execution.first}/limits").read_text()
