"""containerd and its shim, by way of ctr, on a daemon of our own."""

import subprocess
import time

import pytest
from calling import PATH, need, run

CONFIG = """version = 2
root = "{0}/root"
state = "{0}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{0}/sock"
[ttrpc]
  address = "{0}/sock.ttrpc"
"""


@pytest.fixture
def ctr(tmp_path, rootfs, runtime_path):
    need("containerd", "ctr", "containerd-shim-runc-v2")
    (tmp_path / "config.toml").write_text(CONFIG.format(tmp_path))
    with (tmp_path / "log").open("wb") as log:
        daemon = subprocess.Popen(
            ["containerd", "--config", str(tmp_path / "config.toml")], stdout=log, stderr=log, env={"PATH": PATH}
        )

    def call(*words):
        return run("ctr", "--address", tmp_path / "sock", *words)

    def run_container(name, *words, flags=()):
        ours = ("--runc-binary", runtime_path, "--runc-root", tmp_path / "state-of-runtime")
        return call("run", *ours, "--env", "PATH=/bin", *flags, "--rootfs", rootfs, name, *words)

    call.run = run_container
    deadline = time.monotonic() + 20
    while call("version")[0] != 0:
        assert time.monotonic() < deadline, (tmp_path / "log").read_text()
        time.sleep(0.1)
    yield call
    daemon.terminate()
    daemon.wait(20)


def test_exit_statuses(ctr):
    assert ctr.run("one", "echo", "hello", flags=["--rm"]) == (0, "hello\n", "")
    assert ctr.run("two", "sh", "-c", "exit 9", flags=["--rm"])[0] == 9
    code, _, err = ctr.run("three", "nosuch", flags=["--rm"])
    assert code == 1
    # the shim takes it from the log file
    assert (
        'OCI runtime create failed: pyruntime create failed: unable to start container process: exec: "nosuch"' in err
    )


def test_a_life(ctr):
    code, _, err = ctr.run("box", "sleep", "1000", flags=["--detach"])
    assert code == 0, err
    try:
        assert "RUNNING" in ctr("task", "list")[1]
        code, out, err = ctr("task", "metrics", "box")
        assert code == 0, err
        assert "memory" in out
        assert ctr("task", "kill", "--signal", "CONT", "box")[0] == 0
    finally:
        assert ctr("task", "kill", "--signal", "KILL", "box")[0] == 0
        deadline = time.monotonic() + 20
        while "STOPPED" not in ctr("task", "list")[1]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert ctr("task", "rm", "box")[0] in (0, 137)
    assert ctr("container", "rm", "box")[0] == 0
    assert "box" not in ctr("container", "list")[1]
