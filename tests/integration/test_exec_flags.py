"""`exec`: every flag, and every member of process.json."""

import array
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from executions import parse_status, status
from terminals import Terminal, read_all

KILL, NET_BIND, SYS_TIME, AUDIT = 1 << 5, 1 << 10, 1 << 25, 1 << 29
CGROUP_2 = Path("/sys/fs/cgroup/cgroup.controllers").exists()


def capabilities(text):
    return {key: int(value, 16) for key, value in parse_status(text).items() if key.startswith("Cap")}


# ---- who and where


@pytest.mark.parametrize(("user", "shown"), [("7", "7 0"), ("7:8", "7 8"), ("0:8", "0 8")])
def test_user(execution, user, shown):
    assert execution()("echo $(id -u) $(id -g)", "--user", user).out.strip() == shown
    assert execution()("echo $(id -u) $(id -g)", "-u", user).out.strip() == shown


def test_a_user_without_group_keeps_that_of_the_bundle(execution, bundle):
    bundle.process["user"] = {"uid": 3, "gid": 4, "additionalGids": [5]}
    execution = execution()
    assert execution("echo $(id -u) $(id -G)", "--user", "7").out == "7 4 5\n"


def test_additional_gids(execution, bundle):
    bundle.process["user"] = {"uid": 0, "gid": 0, "additionalGids": [5]}
    execution = execution()
    assert execution("id -G", "--additional-gids", "6", "-g", "7").out == "0 5 6 7\n"
    assert execution("id -G").out == "0 5\n"


def test_no_group_of_the_caller(execution):
    assert execution()("id -G", preexec_fn=lambda: os.setgroups([99])).out == "0\n"


def test_cwd(execution, bundle):
    bundle.process["cwd"] = "/tmp"
    execution = execution()
    assert execution("pwd").out == "/tmp\n"
    assert execution("pwd", "--cwd", "/var/").out == "/var\n"
    assert execution("pwd", "--cwd=/made/for/it").out == "/made/for/it\n"
    assert (bundle.rootfs / "made/for/it").is_dir()


def test_env(execution, bundle):
    """Added to that of the bundle; the last one of a name counts."""
    bundle.process["env"] = ["PATH=/bin", "A=bundle", "B=bundle"]
    execution = execution()
    flags = ["--env", "A=flag", "-e", "C=a=b,c", "--env=EMPTY="]
    shown = execution("env", *flags, env={"PATH": "/bin", "CALLER": "x"}).out.splitlines()
    shown = [line for line in shown if not line.startswith(("SHLVL=", "PWD="))]
    assert sorted(shown) == ["A=flag", "B=bundle", "C=a=b,c", "EMPTY=", "HOME=/root", "PATH=/bin"]


def test_the_path_is_the_processes(execution):
    """A program is looked for where its own environment says, not where that of the runtime or the bundle does."""
    execution = execution()
    (execution.directory / "bundle/rootfs/only").mkdir()
    program = execution.directory / "bundle/rootfs/only/special"
    program.write_text("#!/bin/sh\necho special\n")
    program.chmod(0o755)
    runtime, name = execution.runtime, execution.name
    assert runtime("exec", "--env", "PATH=/only", name, "special").out == "special\n"
    document = execution.document({"args": ["true"], "env": []})
    failed = runtime("exec", "--process", document, name, check=False)
    assert failed.code == 255
    assert "executable file not found in $PATH" in failed.err


# ---- rights


def test_cap(execution):
    """Added to what the bundle grants."""
    execution = execution()
    before = capabilities(execution("cat /proc/self/status").out)
    found = capabilities(execution("cat /proc/self/status", "--cap", "CAP_SYS_TIME", "-c", "CAP_KILL").out)
    for name in ("CapBnd", "CapEff", "CapPrm"):
        assert before[name] == KILL | NET_BIND | AUDIT
        assert found[name] == before[name] | SYS_TIME
    assert found["CapInh"] == found["CapAmb"] == 0


def test_cap_of_a_user(execution, bundle):
    """Ambient, so that the user has it, where the bundle has inheritable ones."""
    bundle.process["capabilities"]["inheritable"] = ["CAP_SYS_TIME"]
    bundle.process["capabilities"]["bounding"].append("CAP_SYS_TIME")
    flags = ["--cap", "CAP_SYS_TIME", "--user", "1000"]
    found = capabilities(execution()("cat /proc/self/status", *flags).out)
    assert found["CapAmb"] == found["CapEff"] == found["CapPrm"] == SYS_TIME


@pytest.mark.parametrize("name", ["CAP_FLY", "cap_kill", "KILL"])
def test_no_such_cap(execution, name):
    """The program runs without it, as config.md has it for those of a config."""
    result = execution()("cat /proc/self/status", "--cap", name)
    assert f"process.capabilities.bounding: {name} is not a capability, left out" in result.err
    assert capabilities(result.out)["CapBnd"] == KILL | NET_BIND | AUDIT


@pytest.mark.parametrize(
    ("config", "flags", "shown"), [(False, [], "0"), (True, [], "1"), (False, ["--no-new-privs"], "1")]
)
def test_no_new_privs(execution, bundle, config, flags, shown):
    bundle.process["noNewPrivileges"] = config
    assert parse_status(execution()("cat /proc/self/status", *flags).out)["NoNewPrivs"] == shown


def test_no_new_privs_of_a_file(execution, bundle):
    """Absent it is false, whatever the container's first process has."""
    bundle.process["noNewPrivileges"] = True
    execution = execution()
    for members, shown in (({}, "0"), ({"noNewPrivileges": True}, "1")):
        found = parse_status(execution.described({"args": "cat /proc/self/status", **members}).out)
        assert found["NoNewPrivs"] == shown


def test_apparmor(execution):
    """A profile is in force, or there is no process."""
    if Path("/sys/kernel/security/apparmor").exists() or Path("/sys/module/apparmor/parameters/enabled").exists():
        assert "unconfined" in execution()("cat /proc/self/attr/apparmor/current", "--apparmor", "unconfined").out
    else:
        message = execution().fails("true", flags=["--apparmor", "unconfined"])
        assert "process.apparmorProfile: apparmor failed to apply profile: apparmor not enabled" in message


def test_process_label(execution):
    if Path("/sys/fs/selinux/enforce").exists():
        pytest.skip("which labels there are depends on the policy")
    message = execution().fails("true", flags=["--process-label", "a:b:c:d"])
    assert "process.selinuxLabel: selinux label is specified in config, but selinux is disabled" in message


# ---- pid file and descriptors


def test_pid_file(execution, tmp_path):
    """Digits alone, relative to the caller, and there when exec returns, however short the program."""
    execution = execution()
    pid = execution.detached("sleep", "1000")
    assert status(pid)["Name"] == "sleep"
    execution.runtime("exec", "--pid-file", "relative.pid", execution.name, "true", cwd=tmp_path)
    assert (tmp_path / "relative.pid").read_bytes().isdigit()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_detach_is_quick(execution):
    execution = execution()
    start = time.monotonic()
    pid = execution.detached("sleep", "1000")
    assert time.monotonic() - start < 10
    assert execution.pids() == sorted([execution.first, pid])
    os.kill(pid, signal.SIGKILL)


def test_preserve_fds(execution, tmp_path):
    for number in (3, 4, 5):
        (tmp_path / f"file{number}").write_text(f"content {number}\n")
    execution = execution()
    words = ["sh", "-c", "cat <&3; cat <&4; cat <&5 2>/dev/null || echo closed"]
    command = execution.runtime.command("exec", "--preserve-fds", "2", execution.name, *words)
    script = f'exec 3<{tmp_path}/file3 4<{tmp_path}/file4 5<{tmp_path}/file5; exec "$@"'
    done = subprocess.run(["sh", "-c", script, "sh", *command], capture_output=True, text=True, check=True)
    assert done.stdout == "content 3\ncontent 4\nclosed\n"
    message = execution.fails("true", flags=["--preserve-fds", "2"])
    assert "unable to stat preserved-fd 0 (of 2): no such file or directory" in message


def test_pidfd_socket(execution, tmp_path):
    """One descriptor of the process, with the word that tells it from a container's first one."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(tmp_path / "pidfd.sock"))
    listener.listen(1)
    execution = execution()
    pid = execution.detached("sleep", "1000", flags=["--pidfd-socket", tmp_path / "pidfd.sock"])
    connection, _ = listener.accept()
    with connection, listener:
        data, ancillary, _, _ = connection.recvmsg(100, socket.CMSG_SPACE(64))
    assert data == b"setns"
    ((level, kind, content),) = ancillary
    assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
    (pidfd,) = array.array("i", content)
    assert f"Pid:\t{pid}\n" in Path(f"/proc/self/fdinfo/{pidfd}").read_text()
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.close(pidfd)
    missing = tmp_path / "missing.sock"
    assert f"dial unix {missing}: connect: no such file" in execution.fails("true", flags=["--pidfd-socket", missing])


# ---- cgroups below the container's


@pytest.fixture
def folders(execution, runtime):
    """A container with a cgroup `sub` of its own in every hierarchy; returns hierarchy -> directory."""
    execution = execution()
    state = json.loads((runtime.root / execution.name / "state.json").read_text())
    directories = [Path(directory) for directory in state["cgroups"]]
    for directory in directories:
        (directory / "sub").mkdir()
        for name in ("cpuset.cpus", "cpuset.mems"):
            if (directory / name).exists() and directory.parts[3] != "unified":
                (directory / "sub" / name).write_text((directory / name).read_text())
    yield execution, directories
    runtime("delete", "--force", execution.name)


@pytest.mark.skipif(CGROUP_2, reason="this host has no cgroups of version 1")
def test_cgroup(folders):
    """One path for all hierarchies, or paths for some of them."""
    execution, directories = folders

    def places(flags):
        pid = execution.detached("sleep", "1000", flags=flags)
        found = {}
        for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            _, names, path = line.split(":", 2)
            found[names] = path.rpartition("/")[2]
        return found

    everywhere = places(["--cgroup", "/sub"])
    controllers = {directory.parts[4] for directory in directories if directory.parts[3] != "unified"}
    assert {everywhere[name] for name in everywhere if any(part in controllers for part in name.split(","))} <= {"sub"}
    some = places(["--cgroup", "memory:sub", "--cgroup", "pids:/sub/"])
    assert some["memory"] == some["pids"] == "sub"
    assert some["cpuset"] == some["freezer"] == execution.name


@pytest.mark.skipif(CGROUP_2, reason="this host has no cgroups of version 1")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["/.."], "bad sub cgroup path: /.."),
        (["memory:../sub"], "bad sub cgroup path: ../sub"),
        (["missing"], "no such file or directory"),
        (["memory:missing"], "no such file or directory"),
        (["nothing:sub"], "unknown controller nothing"),
        (["sub", "memory:sub"], "invalid --cgroup argument: sub (missing <controller>: prefix)"),
        (["memory:sub", "memory:sub"], 'multiple values for controller "memory"'),
        ([",memory:sub"], "empty <controller> prefix"),
    ],
)
def test_cgroups_that_are_none(folders, words, message):
    execution, _ = folders
    assert message in execution.fails("true", flags=[f"--cgroup={word}" for word in words])


# ---- terminals


@pytest.fixture
def on_terminal(execution):
    """Executes a shell on a terminal of which the test is the other side."""
    opened, started = [], []

    def make(script, *flags, **kwargs):
        if not started:
            started.append(execution())
        command = started[0].runtime.command("exec", *flags, started[0].name, "sh", "-c", script)
        opened.append(Terminal(command, **kwargs))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


@pytest.mark.parametrize("flag", ["--tty", "-t"])
def test_tty(on_terminal, flag):
    run = on_terminal("test -t 0 && test -t 1 && test -t 2 && stty size; tty; exit 4", flag)
    assert run.wait() == 4
    assert run.output == b"33 77\r\n/dev/pts/0\r\n"
    assert run.modes() == run.before


def test_a_conversation(on_terminal):
    run = on_terminal('trap "stty size" WINCH; echo ready; until read line; do :; done; echo got:$line', "-t")
    run.expect("ready\r\n")
    run.resize(50, 120)
    run.process.send_signal(signal.SIGWINCH)
    run.expect("50 120\r\n")
    run.send(b"hello\n")
    run.expect("got:hello")
    assert run.wait() == 0


def test_no_tty(on_terminal):
    """Without the flag there is none, although the bundle's process has one; and the streams are the caller's own."""
    run = on_terminal("tty; test -t 0 && echo still one")
    assert run.wait() == 0
    assert b"/dev/pts/0" not in run.output


def test_terminal_of_a_file(execution):
    """As cri-o has it: process.terminal, and the runtime's own streams are a terminal."""
    execution = execution()
    document = execution.document({"args": "stty size; tty", "terminal": True})
    run = Terminal(execution.runtime.command("exec", "--process", document, execution.name))
    try:
        assert run.wait() == 0
        assert run.output == b"33 77\r\n/dev/pts/0\r\n"
    finally:
        run.close()


@pytest.mark.parametrize("how", ["flags", "file"])
def test_console_socket(execution, console, how):
    """The terminal is sent; nothing of it is bound over the container's /dev/console."""
    execution = execution()
    flags = ["--detach", "--console-socket", console.path]
    if how == "flags":
        execution("tty; test -e /dev/console || echo none", "--tty", *flags)
        shown = b"/dev/pts/0\r\nnone\r\n"
    else:
        size = {"height": 12, "width": 34}
        execution.described({"args": "tty; stty size", "terminal": True, "consoleSize": size}, *flags)
        shown = b"/dev/pts/0\r\n12 34\r\n"
    messages, fds = console.receive()
    assert [data for data, _ in messages] == [b"/dev/pts/ptmx"]
    assert len(fds) == 1
    assert read_all(fds[0]) == shown


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--detach", "--tty"], "cannot allocate tty if runc will detach without setting console socket"),
        (["--console-socket", "x"], "cannot use console socket if runc will not detach or allocate tty"),
        (["--tty", "--console-socket", "x"], "cannot use console socket if runc will not detach or allocate tty"),
        (["--detach", "--console-socket", "x"], "cannot use console socket if runc will not detach or allocate tty"),
        (["--detach", "--tty", "--console-socket", "/x"], "dial unix /x: connect: no such file or directory"),
    ],
)
def test_consoles_that_cannot_be(execution, flags, message):
    assert message in execution().fails("true", flags=flags)
