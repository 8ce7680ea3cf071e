"""containerd and its shim, by way of ctr, on a daemon of our own."""

import os
import signal
import subprocess
import time
import uuid

import pytest
from calling import ENVIRONMENT, Terminal, need, run, wait_for
from corner import is_gone, limit
from daemons import Containerd
from images import write_archive

IMAGE = "docker.io/library/box:latest"


class Ctr:
    """Call it with the words of ctr's command line."""

    def __init__(self, daemon, runtime):
        self.daemon, self.host, self.place, self.runtime = daemon, daemon.host, daemon.place, runtime
        self.command = self.host.inside(*daemon.client)
        self.made = []

    def __call__(self, *words, **kwargs):
        return run(*self.command, *words, **kwargs)

    def do(self, *words, **kwargs):
        result = self(*words, **kwargs)
        assert result.code == 0, (words, result)
        return result.out

    def options(self, command, flags):
        """Returns the words up to the program's, and the container's name."""
        name = f"test-{uuid.uuid4().hex[:12]}"
        self.made.append(name)
        ours = ["--runtime", "io.containerd.runc.v2", "--runc-binary", self.runtime]
        ours += ["--runc-root", self.place / "runc", "--snapshotter", "native"]
        ours += ["--cgroup", f"/{self.host.cgroup}/containerd/{name}"]
        return [command, *ours, *flags, IMAGE, name], name

    def run(self, *words, flags=(), **kwargs):
        """Runs a container to its end."""
        options, _ = self.options("run", ["--rm", *flags])
        return self(*options, *words, **kwargs)

    def started(self, *words, flags=()):
        """Starts a container that goes on; returns its name."""
        options, name = self.options("run", ["--detach", *flags])
        self.do(*options, *(words or ("sleep", "1000")))
        return name

    def exec(self, name, *words, flags=(), **kwargs):
        identity = f"exec-{uuid.uuid4().hex[:8]}"
        return self("task", "exec", "--exec-id", identity, *flags, name, *words, **kwargs)

    def status(self, name):
        """Returns a task's status: RUNNING, PAUSED, STOPPED, ..., or "" if there is none."""
        lines = [line.split() for line in self.do("task", "list").splitlines()]
        return next((words[2] for words in lines if words[0] == name), "")

    def pid(self, name):
        lines = [line.split() for line in self.do("task", "list").splitlines()]
        return next(int(words[1]) for words in lines if words[0] == name)

    def remove(self, name):
        if self.status(name):
            self("task", "delete", "--force", name)
        assert self("container", "delete", name).code == 0, name

    def clean(self):
        there = self.do("container", "list", "--quiet").split()
        for name in self.made:
            if name in there:
                self.remove(name)
        self.made.clear()


@pytest.fixture(scope="module")
def containerd(host, runtime_path, layout):
    need("containerd", "ctr", "containerd-shim-runc-v2")
    daemon = Containerd(host, "containerd")
    client = Ctr(daemon, runtime_path)
    archive = host.place / "box.tar"
    write_archive(archive, layout)
    client.do("image", "import", "--base-name", "docker.io/library/box", "--snapshotter", "native", archive)
    yield client
    daemon.close()


@pytest.fixture
def ctr(containerd):
    yield containerd
    containerd.clean()
    assert not list((containerd.place / "runc/default").glob("test-*"))
    assert not [path for path in containerd.host.cgroups("containerd") if path.name.startswith("test-")]


def test_output(ctr):
    result = ctr.run("sh", "-c", "echo to out; echo to err >&2")
    assert (result.code, result.out, result.err) == (0, "to out\n", "to err\n")


def test_exit_status(ctr):
    assert ctr.run("sh", "-c", "exit 9").code == 9


def test_standard_input(ctr):
    """Of an exec, ctr passes on the end of it too."""
    assert ctr.run("sh", "-c", "read words; echo $words", stdin="some words\n").out == "some words\n"


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("nosuch", 'exec: "nosuch": executable file not found in $PATH'),
        ("/nosuch", 'exec: "/nosuch": stat /nosuch: no such file or directory'),
        ("/etc/plain", 'exec: "/etc/plain": permission denied'),
    ],
)
def test_what_cannot_run(ctr, program, words):
    """The shim takes the words from the runtime's log file."""
    result = ctr.run(program)
    assert result.code == 1
    assert f"create failed: unable to start container process: {words}" in result.err
    assert "OCI runtime create failed: " in result.err


def test_environment_and_directory(ctr):
    flags = ["--env", "ONE=first", "--cwd", "/home"]
    assert ctr.run("sh", "-c", "echo $ONE $PWD", flags=flags).out == "first /home\n"


def test_read_only(ctr):
    assert "Read-only file system" in ctr.run("sh", "-c", "echo x > /x", flags=["--read-only"]).err


def test_mount(ctr):
    source = ctr.place / "source"
    source.mkdir()
    flags = ["--mount", f"type=bind,src={source},dst=/mnt,options=rbind:rw"]
    assert ctr.run("sh", "-c", "echo x > /mnt/file", flags=flags).code == 0
    assert (source / "file").read_text() == "x\n"


def test_limits(ctr):
    name = ctr.started(flags=["--memory-limit", str(64 << 20), "--cpus", "0.5"])
    assert limit(ctr.pid(name), "memory", "memory.limit_in_bytes", "memory.max") == str(64 << 20)
    assert limit(ctr.pid(name), "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0] == "50000"


def test_seccomp(ctr):
    assert "Seccomp:\t2" in ctr.run("cat", "/proc/self/status", flags=["--seccomp"]).out


def test_capability_dropped(ctr):
    status = ctr.run("cat", "/proc/self/status", flags=["--cap-drop", "CAP_CHOWN"]).out
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff"))
    assert int(effective, 16)
    assert not int(effective, 16) & 1


def test_network_of_the_host(ctr):
    pid = ctr.pid(ctr.started(flags=["--net-host"]))
    here = ctr.host.path("/proc/self").parent / str(ctr.host.holder.pid)
    assert (here / "ns/net").readlink() == (here.parent / f"{pid}/ns/net").readlink()


def test_namespace_of_another(ctr):
    first = ctr.pid(ctr.started())
    second = ctr.pid(ctr.started(flags=["--with-ns", f"ipc:/proc/{first}/ns/ipc"]))
    links = [ctr.host.path(f"/proc/{pid}/ns/ipc").readlink() for pid in (first, second)]
    assert links[0] == links[1]


def test_pid_file(ctr):
    path = ctr.place / "pid-file"
    name = ctr.started(flags=["--pid-file", path])
    assert path.read_text() == str(ctr.pid(name))


def test_terminal(ctr):
    options, _ = ctr.options("run", ["--rm", "--tty"])
    with Terminal(*ctr.command, *options, "sh", "-c", "tty; read word; echo got $word; exit 4") as tty:
        tty.read("/dev/pts/")
        tty.write("this\n")
        tty.read("got this")
        tty.read()
        assert tty.process.wait(10) == 4


def test_a_life(ctr):
    name = ctr.started()
    pid = ctr.pid(name)
    assert ctr.status(name) == "RUNNING"
    ctr.do("task", "kill", "--signal", "CONT", name)
    assert ctr.status(name) == "RUNNING"
    ctr.do("task", "kill", "--signal", "KILL", name)
    wait_for(lambda: ctr.status(name) == "STOPPED", "it ends")
    assert is_gone(pid)
    result = ctr("task", "delete", name)
    assert result.code == 137 or "exit code 137" in result.err
    assert ctr.status(name) == ""
    ctr.do("container", "delete", name)
    assert name not in ctr.do("container", "list", "--quiet").split()


def test_pause_and_resume(ctr):
    name = ctr.started()
    ctr.do("task", "pause", name)
    assert ctr.status(name) == "PAUSED"
    assert ctr.exec(name, "true").code != 0
    ctr.do("task", "resume", name)
    assert ctr.status(name) == "RUNNING"
    assert ctr.exec(name, "true").code == 0


def test_removal_of_one_that_is_paused(ctr):
    name = ctr.started()
    pid = ctr.pid(name)
    ctr.do("task", "pause", name)
    ctr.remove(name)
    wait_for(lambda: is_gone(pid), "it ends")


def test_exec(ctr):
    name = ctr.started()
    result = ctr.exec(name, "sh", "-c", "echo to out; echo to err >&2; exit 7")
    assert (result.code, result.out, result.err) == (7, "to out\n", "to err\n")
    assert ctr.exec(name, "cat", stdin="some words\n").out == "some words\n"
    assert ctr.exec(name, "pwd", flags=["--cwd", "/home"]).out == "/home\n"
    assert ctr.exec(name, "id", "-u", flags=["--user", "1000"]).out == "1000\n"
    assert 'exec: "nosuch": executable file not found in $PATH' in ctr.exec(name, "nosuch").err


def test_exec_with_a_terminal(ctr):
    name = ctr.started()
    words = ["task", "exec", "--exec-id", "terminal", "--tty", name, "sh", "-c", "tty; exit 5"]
    with Terminal(*ctr.command, *words) as tty:
        tty.read("/dev/pts/")
        tty.read()
        assert tty.process.wait(10) == 5


def test_processes(ctr):
    name = ctr.started("sh", "-c", "sleep 1000 & sleep 1000 & wait")
    wait_for(lambda: len(ctr.do("task", "ps", name).split("\n")[1:-1]) == 3, lambda: ctr.do("task", "ps", name))
    assert str(ctr.pid(name)) in ctr.do("task", "ps", name)


def test_kill_all(ctr):
    name = ctr.started("sh", "-c", "trap '' TERM; sleep 1000 & wait")
    ctr.do("task", "kill", "--all", "--signal", "KILL", name)
    wait_for(lambda: ctr.status(name) == "STOPPED", "it ends")


def test_metrics(ctr):
    name = ctr.started()
    out = ctr.do("task", "metrics", name)
    assert "memory.usage" in out
    assert "pids.current" in out


def test_daemon_killed(ctr):
    """The containers go on, and the new daemon finds them."""
    name = ctr.started()
    pid = ctr.pid(name)
    ctr.daemon.kill()
    assert not is_gone(pid)
    ctr.daemon.start()
    assert ctr.status(name) == "RUNNING"
    assert ctr.exec(name, "echo", "hello").out == "hello\n"
    ctr.remove(name)
    assert is_gone(pid)


def test_shim_killed(ctr):
    """Nobody waits for the container any more; containerd has the runtime remove it."""
    name = ctr.started()
    pid = ctr.pid(name)
    shim = int(ctr.host.path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    subprocess.run(["kill", "-KILL", str(shim)], check=True)
    wait_for(lambda: is_gone(pid), "the container ends")
    deadline = time.monotonic() + 20
    while ctr.status(name) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert ctr.status(name) in ("", "STOPPED", "UNKNOWN")


def test_client_killed(ctr):
    """In the midst of a `run`. What containerd knows nothing of any more, the runtime removes."""
    for delay in (0.05, 0.1, 0.15, 0.2):
        options, _ = ctr.options("run", ["--detach"])
        client = subprocess.Popen(list(map(str, [*ctr.command, *options, "sleep", "1000"])), env=ENVIRONMENT)
        time.sleep(delay)
        client.kill()
        client.wait()
    time.sleep(1)  # until the daemon has done what it was asked to do
    names = list(ctr.made)
    ctr.clean()
    for name in names:
        assert (
            run(*ctr.host.inside(ctr.runtime, "--root", ctr.place / "runc/default", "delete", "--force", name)).code
            == 0
        )
    for pid, command in ctr.host.processes().items():
        if "containerd-shim" in command and any(f"-id {name} " in command for name in names):
            os.kill(pid, signal.SIGKILL)
