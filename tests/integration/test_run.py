"""`run` in the foreground, terminals, console sockets, pid files and descriptors: seen from both sides."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import termios
import threading
import time
from pathlib import Path

import pytest
from terminals import ConsoleSocket, Terminal, read_all

TRAPS = """
for s in TERM INT USR1 USR2 HUP QUIT CONT; do trap "echo got $s" $s; done
echo ready; while :; do sleep 0.05; done
"""


class Foreground:
    """A `run` of which the standard streams are pipes."""

    def __init__(self, bundle, *flags, **kwargs):
        bundle.write()
        self.name = bundle.runtime.new_id()
        self.output = b""
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        kwargs.setdefault("stderr", subprocess.STDOUT)
        command = bundle.runtime.command("run", "--bundle", bundle.path, *flags, self.name)
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, **kwargs)

    def expect(self, text, seconds=10):
        """Reads until the text has come."""
        deadline = time.monotonic() + seconds
        fd = self.process.stdout.fileno()
        while text.encode() not in self.output:
            ready, _, _ = select.select([fd], [], [], deadline - time.monotonic())
            data = os.read(fd, 65536) if ready else b""
            if not data:
                pytest.fail(f"{text!r} did not come: {self.output!r}")
            self.output += data

    def wait(self, seconds=20):
        rest, _ = self.process.communicate(timeout=seconds)
        self.output += rest or b""
        return self.process.returncode


@pytest.fixture
def terminal(bundle):
    """Runs the bundle on a terminal."""
    opened = []

    def make(*flags, **kwargs):
        bundle.process["terminal"] = True
        bundle.write()
        name = bundle.runtime.new_id()
        opened.append(Terminal(bundle.runtime.command("run", "--bundle", bundle.path, *flags, name), **kwargs))
        opened[-1].name = name
        return opened[-1]

    yield make
    for one in opened:
        one.close()


# ---- status and signals


@pytest.mark.parametrize("code", [0, 1, 7, 126, 127, 255])
def test_the_status_is_the_programs(bundle, code):
    assert bundle.run(f"exit {code}", check=False).code == code


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1, signal.SIGSEGV])
def test_128_and_the_signal(bundle, runtime, number):
    """An outsider's signal would not end pid 1 of a pid namespace, but for KILL; so the program shares the host's."""
    bundle.namespace("pid", False)
    bundle.mounts[:] = [mount for mount in bundle.mounts if mount["destination"] != "/proc"]
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    assert bundle.run(f"kill -{int(number)} $$", check=False).code == 128 + number


def test_the_container_is_gone_afterwards(bundle, runtime):
    bundle.run("true")
    assert list(runtime.root.iterdir()) == []


def test_keep(bundle, runtime):
    result = bundle.run("exit 3", "--keep", check=False)
    assert result.code == 3
    (name,) = runtime.ids
    assert runtime.state(name)["status"] == "stopped"
    runtime("delete", name)


def test_detach(bundle, runtime):
    bundle.process["args"] = ["sleep", "1000"]
    result = bundle.run(None, "--detach")
    assert result.out == result.err == ""
    (name,) = runtime.ids
    assert runtime.state(name)["status"] == "running"


@pytest.mark.parametrize("name", ["TERM", "INT", "USR1", "USR2", "HUP", "QUIT", "CONT"])
def test_signals_are_forwarded(bundle, name):
    bundle.shell(TRAPS)
    run = Foreground(bundle)
    run.expect("ready")
    run.process.send_signal(getattr(signal, f"SIG{name}"))
    run.expect(f"got {name}")
    bundle.runtime("kill", run.name, "KILL")
    assert run.wait() == 137


def test_real_time_signals_are_forwarded(bundle):
    bundle.shell('trap "echo got it" 40; echo ready; while :; do sleep 0.05; done')
    run = Foreground(bundle)
    run.expect("ready")
    run.process.send_signal(40)
    run.expect("got it")
    bundle.runtime("kill", run.name, "KILL")
    run.wait()


def test_a_signal_that_ends_the_program_ends_the_run(bundle, runtime):
    bundle.shell('trap "exit 5" TERM; echo ready; while :; do sleep 0.05; done')
    run = Foreground(bundle)
    run.expect("ready")
    run.process.terminate()
    assert run.wait() == 5
    assert list(runtime.root.iterdir()) == []


def test_signals_before_the_start_wait_for_it(bundle, tmp_path):
    """A hook holds the create up; what is sent meanwhile must neither end us nor be lost."""
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\n: > {tmp_path}/in-hook\nsleep 0.5\n")
    hook.chmod(0o755)
    bundle.config["hooks"] = {"createRuntime": [{"path": str(hook), "env": ["PATH=/bin:/usr/bin"]}]}
    # signals are passed on when start has ended: by then the shell has set its trap
    poststart = tmp_path / "poststart"
    poststart.write_text("#!/bin/sh\nsleep 0.5\n")
    poststart.chmod(0o755)
    bundle.config["hooks"]["poststart"] = [{"path": str(poststart), "env": ["PATH=/bin:/usr/bin"]}]
    bundle.shell('trap "echo got USR1; exit 9" USR1; while :; do sleep 0.05; done')
    run = Foreground(bundle)
    while not (tmp_path / "in-hook").exists():
        time.sleep(0.01)
    run.process.send_signal(signal.SIGUSR1)
    assert run.wait() == 9
    assert b"got USR1" in run.output


def test_killing_run_leaves_the_container(bundle, runtime):
    """As under runc: a client that loses its runtime finds the container where it was."""
    bundle.process["args"] = ["sleep", "1000"]
    run = Foreground(bundle)
    deadline = time.monotonic() + 10
    while runtime("state", run.name, check=False).code or runtime.state(run.name)["status"] != "running":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    run.process.kill()
    run.process.wait()
    assert runtime.state(run.name)["status"] == "running"
    runtime("delete", "--force", run.name)
    run.process.stdout.close()


def test_orphans_are_reaped_while_it_runs(bundle, runtime):
    """Without a pid namespace what the container leaves behind comes to us; it must not pile up as zombies."""
    bundle.namespace("pid", False)
    bundle.mounts[:] = [mount for mount in bundle.mounts if mount["destination"] != "/proc"]
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    bundle.shell("for i in 1 2 3; do sh -c 'sleep 0.2 & echo child $!'; done; sleep 1; echo ready; sleep 1000")
    run = Foreground(bundle)
    run.expect("ready")
    children = [int(word) for word in run.output.split() if word.isdigit()]
    assert len(children) == 3
    assert [pid for pid in children if Path(f"/proc/{pid}").exists()] == []
    runtime("kill", "--all", run.name, "KILL")
    assert run.wait() == 137


@pytest.mark.parametrize("flags", [(), ("--no-subreaper",)])
def test_subreaper(bundle, runtime, flags):
    """Orphans come to `run`, or with --no-subreaper to whoever is next above it."""
    bundle.namespace("pid", False)
    bundle.mounts[:] = [mount for mount in bundle.mounts if mount["destination"] != "/proc"]
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    bundle.shell("sh -c 'sleep 1000 & echo $!'; echo ready; sleep 1000")
    run = Foreground(bundle, *flags)
    run.expect("ready")
    child = int(run.output.split()[0])
    parent = int(Path(f"/proc/{child}/stat").read_text().rpartition(") ")[2].split()[1])
    assert (parent == run.process.pid) == (not flags)
    runtime("kill", "--all", run.name, "KILL")
    run.wait()


# ---- standard streams without a terminal


def test_streams_are_passed_through(bundle):
    bundle.shell("cat; echo err >&2")
    bundle.write()
    command = bundle.runtime.command("run", "-b", bundle.path, bundle.runtime.new_id())
    done = subprocess.run(command, input=b"in\0put", capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"in\0put", b"err\n")


def test_much_through_pipes(bundle):
    bundle.process["args"] = ["cat"]
    bundle.write()
    command = bundle.runtime.command("run", "-b", bundle.path, bundle.runtime.new_id())
    data = os.urandom(5_000_000)
    assert subprocess.run(command, input=data, capture_output=True, check=True).stdout == data


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(bundle, closed):
    """They are /dev/null inside, and never some file of ours that happened to get the number."""
    bundle.shell("for i in 0 1 2; do readlink /proc/self/fd/$i; done > /result; ls -l /proc/self/fd > /all")
    bundle.write()
    command = bundle.runtime.command("run", "-b", bundle.path, bundle.runtime.new_id())
    subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", *command], capture_output=True, check=True)
    lines = (bundle.rootfs / "result").read_text().splitlines()
    # standard output is the file; where the others were closed they are the container's /dev/null
    assert lines[1] == "/result"
    for number, mark in ((0, "<&-"), (2, "2>&-")):
        if mark in closed:
            assert lines[number] == "/dev/null"
    names = [line.split()[-3] for line in (bundle.rootfs / "all").read_text().splitlines() if "->" in line]
    assert names == ["0", "1", "2"]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    "words", [("state",), ("list",), ("kill",), ("start", "x"), ("--help",), ("--version",), ("bogus",)]
)
def test_commands_with_closed_streams(bundle, runtime, words, closed):
    """No traceback, no file of ours on a standard stream."""
    command = runtime.command(*words)
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *command], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 1, 3)


def test_output_that_cannot_be_written(bundle, runtime):
    name, _ = bundle.create()
    with open("/dev/full", "wb") as full:
        result = runtime("state", name, check=False, stdout=full)
    assert result.code == 1
    assert "write /dev/stdout: no space left on device" in result.err
    assert "Traceback" not in result.err


def test_a_broken_pipe_inside_ends_the_writer(bundle):
    """SIGPIPE is not ignored in a container, whatever Python and our caller do."""
    assert bundle.run("yes | head -n 1; echo ${PIPESTATUS:-done}").out == "y\ndone\n"


# ---- pid file and descriptors


def test_pid_file_of_run(bundle, runtime, tmp_path):
    """Written while the container runs, digits alone, relative to the caller."""
    bundle.process["args"] = ["sleep", "1000"]
    bundle.write()
    name = runtime.new_id()
    runtime("run", "-d", "-b", bundle.path, "--pid-file", "a.pid", name, cwd=tmp_path)
    assert (tmp_path / "a.pid").read_bytes() == str(runtime.state(name)["pid"]).encode()


def test_pid_file_is_replaced_atomically(bundle, runtime, tmp_path):
    """Whoever reads it sees the old one or the new one, and a link is replaced, not followed."""
    target = tmp_path / "target"
    target.write_text("precious")
    path = tmp_path / "pid"
    path.symlink_to(target)
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create("--pid-file", path)
    assert target.read_text() == "precious"
    assert not path.is_symlink()
    assert path.read_text() == str(runtime.state(name)["pid"])
    assert sorted(entry.name for entry in tmp_path.iterdir() if "pid" in entry.name) == ["pid"]


def test_a_pid_file_that_is_gone_already(bundle, runtime, tmp_path):
    """Somebody else has taken it away: the reason for the failure is still the one that is told, and all is undone."""
    script = f"rm {tmp_path}/pid; exit 3"
    bundle.config["hooks"] = {"poststart": [{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin"]}]}
    result = bundle.run("true", "--pid-file", tmp_path / "pid", check=False)
    assert result.code == 1
    assert "error running poststart hook #0: exit status 3" in result.err
    assert list(runtime.root.iterdir()) == []


def test_pid_file_that_cannot_be_written(bundle, tmp_path):
    message = bundle.fails("--pid-file", tmp_path / "missing/pid")
    assert f"{tmp_path}/missing/pid" in message
    assert "no such file or directory" in message


def test_pid_file_follows_umask(bundle, tmp_path):
    bundle.create("--pid-file", tmp_path / "pid", preexec_fn=lambda: os.umask(0o077))
    assert (tmp_path / "pid").stat().st_mode & 0o777 == 0o600


def run_with_descriptors(bundle, prepare, *flags):
    bundle.write()
    command = bundle.runtime.command("run", "-b", bundle.path, *flags, bundle.runtime.new_id())
    return subprocess.run(
        ["sh", "-c", f'{prepare}; exec "$@"', "sh", *command], capture_output=True, text=True, check=False
    )


def test_listen_fds_of_somebody_else(bundle, tmp_path):
    """sd_listen_fds(3): they are for the process that LISTEN_PID names, and for nobody else."""
    bundle.shell("ls -l /proc/self/fd | grep -c /secret; echo ${LISTEN_FDS:-none}")
    (tmp_path / "secret").touch()
    for environment in (
        "LISTEN_FDS=1 LISTEN_PID=1",
        "LISTEN_FDS=1",
        "LISTEN_FDS=-1 LISTEN_PID=$$",
        "LISTEN_FDS= LISTEN_PID=$$",
    ):
        done = run_with_descriptors(bundle, f"exec 3<{tmp_path}/secret; export {environment}")
        assert done.stdout == "0\nnone\n", done.stderr


def test_descriptors_behind_the_preserved_ones_are_closed(bundle, tmp_path):
    (tmp_path / "secret").touch()
    bundle.shell("ls -l /proc/self/fd | grep secret | sed 's/ ->.*//; s/.* //'")
    done = run_with_descriptors(
        bundle, f"exec 3<{tmp_path}/secret 4<{tmp_path}/secret 6<{tmp_path}/secret", "--preserve-fds=1"
    )
    assert done.stdout == "3\n"


@pytest.mark.parametrize("count", ["-1", "x", "", "1.5", "99999999999"])
def test_preserve_fds_that_is_no_number(bundle, count):
    _, result = bundle.create(f"--preserve-fds={count}", check=False)
    assert result.code == 1
    assert f'invalid value "{count}" for flag -preserve-fds' in result.err


def test_preserve_more_than_there_can_be(bundle):
    _, result = bundle.create("--preserve-fds=4000000", check=False)
    assert "unable to stat preserved-fd 0 (of 4000000): no such file or directory" in result.err


# ---- a terminal in the foreground


def test_a_terminal_inside(bundle, terminal):
    bundle.shell(
        "tty; test -t 0 && test -t 1 && test -t 2 && echo all; ls -l /dev/console; cut -d' ' -f7 /proc/self/stat"
    )
    run = terminal()
    assert run.wait() == 0
    lines = run.output.decode().split("\r\n")
    assert lines[0] == "/dev/pts/0"
    assert lines[1] == "all"
    assert lines[2].startswith("c")
    assert int(lines[3]) == os.makedev(136, 0)  # the controlling terminal


def test_echo_and_a_conversation(bundle, terminal):
    bundle.shell("read line; echo got:$line; exit 4")
    run = terminal()
    run.send(b"hello\n")
    run.expect("hello")
    run.expect("got:hello")
    assert run.wait() == 4


def test_size_at_the_start(bundle, terminal):
    """Set before the program runs: its first look finds it."""
    bundle.process["args"] = ["stty", "size"]
    run = terminal(size=(31, 97))
    assert run.wait() == 0
    assert run.output == b"31 97\r\n"


def test_size_of_the_config(bundle, terminal):
    """process.consoleSize counts where the caller's terminal has no size."""
    bundle.process["consoleSize"] = {"height": 44, "width": 55}
    bundle.process["args"] = ["stty", "size"]
    run = terminal(size=(0, 0))
    assert run.wait() == 0
    assert run.output == b"44 55\r\n"


def test_resizes_are_passed_on(bundle, terminal):
    bundle.shell('trap "stty size" WINCH; echo ready; while :; do sleep 0.05; done')
    run = terminal()
    run.expect("ready\r\n")
    run.resize(50, 120)
    run.process.send_signal(signal.SIGWINCH)
    run.expect("50 120\r\n")
    bundle.runtime("kill", run.name, "KILL")
    assert run.wait() == 137


def test_control_c_goes_to_the_container(bundle, terminal):
    bundle.shell('trap "echo interrupted; exit 8" INT; echo ready; while :; do sleep 0.05; done')
    run = terminal()
    run.expect("ready")
    run.send(b"\x03")
    run.expect("interrupted")
    assert run.wait() == 8


def test_control_z_does_not_stop_the_runtime(bundle, terminal):
    bundle.shell("stty -isig; echo ready; head -c 1 | od -An -tx1")
    run = terminal()
    run.expect("ready")
    run.send(b"\x1a\x04")
    run.expect("1a")
    assert run.wait() == 0


def test_raw_mode_and_back(bundle, terminal):
    bundle.shell("echo ready; read line")
    run = terminal()
    run.expect("ready")
    raw = run.modes()
    assert not raw[3] & (termios.ECHO | termios.ICANON | termios.ISIG)
    run.send(b"\n")
    run.wait()
    assert run.modes() == run.before


def test_back_from_raw_mode_after_a_signal(bundle, terminal):
    bundle.shell('trap "exit 3" TERM; echo ready; while :; do sleep 0.05; done')
    run = terminal()
    run.expect("ready")
    run.process.terminate()
    assert run.wait() == 3
    assert run.modes() == run.before


def test_back_from_raw_mode_after_a_failure(bundle, runtime, terminal):
    bundle.process["args"] = ["/missing"]
    run = terminal()
    assert run.wait() == 1
    assert b"stat /missing: no such file or directory" in run.output
    assert run.modes() == run.before


def test_back_from_raw_mode_after_a_failed_start(bundle, runtime, terminal):
    bundle.config["hooks"] = {"startContainer": [{"path": "/bin/false"}]}
    run = terminal()
    assert run.wait() == 1
    assert b"error running startContainer hook #0" in run.output
    assert run.modes() == run.before
    assert not list(runtime.root.iterdir())


def test_ten_megabytes_are_not_lost(bundle, terminal):
    bundle.shell("stty -opost; yes 0123456789abcde | head -c 10000000; echo; echo the end")
    run = terminal()
    assert run.wait(60) == 0
    assert run.output.endswith(b"the end\n")
    assert len(run.output) == 10_000_000 + len("\nthe end\n")


def test_the_last_words_are_not_lost(bundle, terminal):
    """What was written right before the end is still in the kernel then."""
    bundle.shell("i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); done")
    for _ in range(5):
        run = terminal()
        assert run.wait() == 0
        assert run.output.endswith(b"line 299\r\n")


def test_much_input_to_who_does_not_read(bundle, terminal):
    """Input that nobody takes must not keep us from output and signals."""
    bundle.shell("""
        stty raw -echo; trap "exit 6" TERM; echo ready
        i=0; while [ $i -lt 20 ]; do sleep 0.05; echo tick; i=$((i+1)); done
        echo over; while :; do sleep 0.05; done
    """)
    run = terminal()
    run.expect("ready")
    os.set_blocking(run.master, False)
    with contextlib.suppress(BlockingIOError):
        for _ in range(200):
            os.write(run.master, b"x" * 4096)
    os.set_blocking(run.master, True)
    run.expect("over")
    run.process.terminate()
    assert run.wait() == 6


def test_output_that_nobody_reads_any_more(bundle, terminal):
    """The container goes on; it is not for us to end it because a pager has ended."""
    read_end, write_end = os.pipe()
    bundle.shell("echo first; sleep 0.3; yes | head -c 200000; echo done > /result; exit 5")
    run = terminal(stdout=write_end)
    os.close(write_end)
    assert os.read(read_end, 100) == b"first\r\n"
    os.close(read_end)
    assert run.wait() == 5
    assert (bundle.rootfs / "result").read_text() == "done\n"


def test_a_stalled_reader_does_not_hold_signals_up(bundle, terminal):
    read_end, write_end = os.pipe()
    bundle.shell('trap "echo stopped > /result; exit 5" TERM; yes & while :; do sleep 0.05; done')
    run = terminal(stdout=write_end)
    os.close(write_end)
    select.select([read_end], [], [], 10)
    time.sleep(0.3)
    run.process.terminate()
    deadline = time.monotonic() + 10
    while not (bundle.rootfs / "result").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    with os.fdopen(read_end, "rb") as rest:
        rest.read()
    assert run.wait() == 5


@pytest.mark.parametrize("data", [b"", b"one\n", b"one\ntwo"])
def test_the_end_of_a_file_is_passed_on(bundle, terminal, data):
    read_end, write_end = os.pipe()
    os.write(write_end, data)
    os.close(write_end)
    bundle.shell("stty -echo; cat; echo over")
    run = terminal(stdin=read_end)
    os.close(read_end)
    assert run.wait() == 0
    text = run.output.decode().replace("\r\n", "\n").replace("^D", "").replace("\b", "")
    assert text.endswith(data.decode() + "over\n")


def test_no_terminal_to_be_had(bundle, runtime):
    bundle.process["terminal"] = True
    result = bundle.run("true", check=False, start_new_session=True)
    assert result.code == 1
    assert "open /dev/tty: no such device or address" in result.err
    assert not list(runtime.root.iterdir())


def test_the_terminal_is_owned_by_the_user(bundle, terminal):
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    bundle.shell("stat -c %u:%a $(tty); echo writable > $(tty)")
    run = terminal()
    assert run.wait() == 0
    assert run.output.decode().split() == ["1000:620", "writable"]


def test_the_runtimes_terminal_is_not_inside(bundle, terminal):
    """The container has its own terminal on all streams, and nothing else."""
    bundle.process["args"] = ["ls", "-l", "/proc/self/fd"]
    run = terminal()
    assert run.wait() == 0
    links = [line.split()[-3:] for line in run.output.decode().splitlines() if "->" in line]
    assert [link[0] for link in links] == ["0", "1", "2"]
    assert {link[2] for link in links} == {"/dev/pts/0"}


# ---- console sockets


@pytest.mark.parametrize("command", ["create", "run"])
def test_one_message_with_the_master(bundle, runtime, console, command):
    """create must have ended before anybody accepts: containerd accepts only then."""
    bundle.process["terminal"] = True
    bundle.process["consoleSize"] = {"height": 12, "width": 34}
    bundle.shell("stty size; tty; echo bye")
    bundle.write()
    name = runtime.new_id()
    flags = ["--detach"] if command == "run" else []
    runtime(command, *flags, "-b", bundle.path, "--console-socket", console.path, name)
    messages, fds = console.receive()
    assert len(fds) == 1
    assert [(data, kinds) for data, kinds in messages] == [
        (b"/dev/pts/ptmx", [(socket.SOL_SOCKET, socket.SCM_RIGHTS, 4)])
    ]
    if command == "create":
        runtime("start", name)
    assert read_all(fds[0]) == b"12 34\r\n/dev/pts/0\r\nbye\r\n"
    runtime.wait_status(name, "stopped")


def test_a_relative_console_socket_is_the_bundles(bundle, runtime):
    """runc has changed into the bundle by then, and buildah relies on what that means for long paths."""
    bundle.process["terminal"] = True
    sock = ConsoleSocket(bundle.path / "c.sock")
    try:
        bundle.create("--console-socket", "c.sock")
        _, fds = sock.receive()
        assert len(fds) == 1
    finally:
        sock.close()


def test_no_standard_stream_of_the_runtime_is_kept(bundle, runtime, console):
    """With a terminal a client reads our output to its end: nothing in the container may hold it open."""
    bundle.process["terminal"] = True
    bundle.process["args"] = ["sleep", "1000"]
    bundle.write()
    name = runtime.new_id()
    command = runtime.command("create", "-b", bundle.path, "--console-socket", console.path, name)
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=10, check=True)
    assert done.stdout == done.stderr == b""
    pid = runtime.state(name)["pid"]
    assert {os.readlink(f"/proc/{pid}/fd/{number}") for number in (0, 1, 2)} == {"/dev/pts/0"}
    console.receive()


def test_no_listener(bundle, tmp_path):
    bundle.process["terminal"] = True
    path = tmp_path / "nobody.sock"
    assert f"dial unix {path}: connect: no such file or directory" in bundle.fails("--console-socket", path)
    path.touch()
    assert f"dial unix {path}: connect: connection refused" in bundle.fails("--console-socket", path)


def test_a_path_too_long_for_a_socket(bundle, tmp_path):
    bundle.process["terminal"] = True
    path = tmp_path / ("x" * 200)
    message = bundle.fails("--console-socket", path)
    assert f"dial unix {path}: " in message
    assert "Traceback" not in message


def test_a_listener_that_goes_away(bundle, runtime, console):
    """Its end is an error, not a signal that kills us."""
    bundle.process["terminal"] = True
    thread = threading.Thread(target=lambda: console.listener.accept()[0].close())
    thread.start()
    name, result = bundle.create("--console-socket", console.path, check=False)
    thread.join()
    assert result.code in (0, 1)
    if result.code:
        assert "broken pipe" in result.err or "connection reset" in result.err
        assert not (runtime.root / name).exists()


@pytest.mark.parametrize("command", [["create"], ["run", "--detach"]])
def test_a_terminal_needs_a_socket_when_detached(bundle, runtime, command):
    bundle.process["terminal"] = True
    bundle.write()
    result = runtime(*command, "-b", bundle.path, runtime.new_id(), check=False)
    assert result.code == 1
    assert "cannot allocate tty if runc will detach without setting console socket" in result.err


@pytest.mark.parametrize(
    ("command", "tty"), [(["create"], False), (["run"], False), (["run"], True), (["run", "--detach"], False)]
)
def test_a_socket_needs_a_detached_terminal(bundle, runtime, console, command, tty):
    bundle.process["terminal"] = tty
    bundle.write()
    result = runtime(*command, "-b", bundle.path, "--console-socket", console.path, runtime.new_id(), check=False)
    assert result.code == 1
    assert "cannot use console socket if runc will not detach or allocate tty" in result.err


def test_a_terminal_without_devpts(bundle, console):
    bundle.process["terminal"] = True
    bundle.mounts[:] = [mount for mount in bundle.mounts if mount["destination"] != "/dev/pts"]
    message = bundle.fails("--console-socket", console.path)
    assert "process.terminal: " in message
    assert "/dev/pts/ptmx" in message


def test_console_socket_and_user_namespace(bundle, runtime, console):
    """The terminal belongs to the mapped user."""
    bundle.namespace("user")
    bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    os.chown(bundle.rootfs, 100000, 100000)
    bundle.path.chmod(0o755)
    for parent in bundle.path.parents:
        if not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
    bundle.process["terminal"] = True
    bundle.process["user"] = {"uid": 7, "gid": 7}
    bundle.shell("stat -c %u $(tty)")
    name, _ = bundle.create("--console-socket", console.path)
    _, fds = console.receive()
    runtime("start", name)
    assert read_all(fds[0]) == b"7\r\n"


def test_start_reads_no_bundle(bundle, runtime):
    """state.json and config.json of the state directory are all that later commands know."""
    name, _ = bundle.create()
    stored = json.loads((runtime.root / name / "state.json").read_text())
    assert stored["bundle"] == str(bundle.path)
    (bundle.path / "config.json").unlink()
    runtime("start", name)
