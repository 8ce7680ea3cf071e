"""NOTIFY_SOCKET: a service in a container tells systemd, or whoever started it, that it is ready (sd_notify(3))."""

import os
import socket
import subprocess
import time
from pathlib import Path

import pytest
from conftest import ENVIRONMENT

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("notify") / "notify"
    subprocess.run(["cc", "-static", "-O", "-Wall", "-Werror", "-o", path, HERE / "notify.c"], check=True)
    return path


class Caller:
    """Who waits for the notification, as systemd does."""

    def __init__(self, path, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self.socket.bind(address)
        self.socket.settimeout(10)
        self.env = {**ENVIRONMENT, "NOTIFY_SOCKET": path}

    def messages(self, count):
        """Takes so many messages; what comes with them is closed, as the answer to a barrier."""
        found = []
        for _ in range(count):
            data, fds, _, _ = socket.recv_fds(self.socket, 4096, 4)
            found.append(data.decode())
            for fd in fds:
                os.close(fd)
        return found

    def nothing(self):
        self.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            self.socket.recv(4096)


@pytest.fixture(params=["path", "abstract"])
def caller(request, tmp_path):
    if request.param == "path":
        caller = Caller(str(tmp_path / "systemd"), str(tmp_path / "systemd"))
    else:
        name = f"pyruntime-test-{os.getpid()}"
        caller = Caller(f"@{name}", f"\0{name}")
    yield caller
    caller.socket.close()


@pytest.fixture
def service(bundle, program):
    (bundle.rootfs / "notify").write_bytes(program.read_bytes())
    (bundle.rootfs / "notify").chmod(0o755)
    bundle.process["args"] = ["/notify", "STATUS=starting", "+1", "READY=1\nSTATUS=up", "+100"]
    return bundle


@pytest.fixture
def begin(runtime):
    """Starts a command that is not waited for."""
    running = []

    def begin(*args, env):
        running.append(subprocess.Popen(runtime.command(*args), env=env, stdin=subprocess.DEVNULL))
        return running[-1]

    yield begin
    for process in running:
        if process.poll() is None:
            process.terminate()
        process.wait(timeout=10)


def expected(pid):
    return ["READY=1\n", f"MAINPID={pid}\n", "BARRIER=1"]


def test_start_waits_until_the_program_is_ready(service, runtime, caller, begin):
    name, _ = service.create(env=caller.env)
    begun = time.monotonic()
    start = begin("start", name, env=caller.env)
    assert caller.messages(3) == expected(runtime.state(name)["pid"])
    assert start.wait(timeout=10) == 0
    assert time.monotonic() - begun > 0.9
    caller.nothing()


def test_it_can_be_asked_about_and_killed_meanwhile(service, runtime, caller, begin):
    service.process["args"] = ["/notify", "+100"]
    name, _ = service.create(env=caller.env)
    start = begin("start", name, env=caller.env)
    runtime.wait_status(name, "running")
    runtime("kill", name, "KILL")
    assert start.wait(timeout=10) == 0
    caller.nothing()


def test_a_detached_run_waits_too(service, runtime, caller, begin, tmp_path):
    service.write()
    name = runtime.new_id()
    run = begin("run", "-d", "--bundle", service.path, name, env=caller.env)
    assert caller.messages(3) == expected(runtime.state(name)["pid"])
    assert run.wait(timeout=10) == 0


def test_a_foreground_run_passes_it_on(service, runtime, caller, begin):
    service.process["args"] = ["/notify", "READY=1", "+1"]
    service.write()
    name = runtime.new_id()
    run = begin("run", "--bundle", service.path, name, env=caller.env)
    assert [message.partition("=")[0] for message in caller.messages(3)] == ["READY", "MAINPID", "BARRIER"]
    assert run.wait(timeout=10) == 0


def test_a_foreground_run_does_not_wait_for_a_program_that_never_says_so(service, caller):
    """Runc hangs here, and cannot be ended with TERM."""
    assert service.run("exit 7", env=caller.env, check=False).code == 7


def test_any_user_may_send(service, runtime, caller, begin):
    """Also where the caller's umask lets nobody in."""
    service.process["user"] = {"uid": 1000, "gid": 1000}
    service.write()
    name = runtime.new_id()
    before = os.umask(0o077)
    try:
        begin("run", "-d", "--bundle", service.path, name, env=caller.env)
    finally:
        os.umask(before)
    assert caller.messages(1) == ["READY=1\n"]
    caller.messages(2)


def test_what_the_container_sees(bundle, caller):
    result = bundle.run("echo $NOTIFY_SOCKET; touch /run/notify/x; grep /run/notify /proc/mounts", env=caller.env)
    path, mount = result.out.splitlines()
    assert path == "/run/notify/notify.sock"
    assert mount.split()[3].startswith("ro,nosuid,nodev,noexec")
    assert "Read-only file system" in result.err


def test_without_it_there_is_nothing(bundle, runtime):
    assert bundle.run("echo .$NOTIFY_SOCKET.; ls /run 2>/dev/null; true").out == "..\n"


def test_start_alone_does_not_wait(service, runtime, caller):
    """The container was not told about a socket."""
    service.process["args"] = ["sleep", "100"]
    name, _ = service.create()
    runtime("start", name, env=caller.env)
    caller.nothing()


def test_the_state_directory_may_be_deep(service, runtime, caller, begin, tmp_path):
    """The path of a socket is at most 107 bytes long."""
    above = runtime.root
    runtime.root = tmp_path / ("x" * 120)
    name, _ = service.create(env=caller.env)
    begin("start", name, env=caller.env)
    assert caller.messages(1) == ["READY=1\n"]
    caller.messages(2)
    runtime("delete", "--force", name)
    assert not list(runtime.root.iterdir())
    runtime.root = above


def test_nobody_there_to_be_told(service, runtime, tmp_path):
    env = {**ENVIRONMENT, "NOTIFY_SOCKET": str(tmp_path / "nobody")}
    service.process["args"] = ["/notify", "READY=1", "+100"]
    name, _ = service.create(env=env)
    result = runtime("start", name, env=env, check=False)
    assert result.code == 1
    assert f"notify {tmp_path}/nobody: no such file or directory" in result.err
    assert runtime.state(name)["status"] == "running"
