"""podman and conmon: create with a pid file, then start, kill, state and delete with next to no environment."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from calling import need, run


@pytest.fixture
def podman(rootfs, runtime_path):
    need("podman", "conmon")
    place = Path(tempfile.mkdtemp(prefix="podman-"))  # podman allows 50 characters
    store = ("--root", place / "root", "--runroot", place / "run", "--tmpdir", place / "tmp")
    # of the host's networks none is needed, and podman warns of those that it has no plugins for
    store += ("--network-config-dir", place / "networks")
    kinds = ("--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "none")
    cgroup = f"test-podman-{os.getpid()}"

    def call(*words):
        return run("podman", *store, *kinds, "--runtime", runtime_path, *words)

    def run_container(*words, flags=()):
        # no filter: seccomp is not there yet; the limits are those that any root may set
        limits = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000")
        groups = ("--cgroup-parent", f"/{cgroup}", "--cgroups", "no-conmon")
        options = ("--network", "none", "--security-opt", "seccomp=unconfined", *limits, *groups)
        return call("run", *options, *flags, "--rootfs", rootfs, *words)

    call.run = run_container
    yield call
    call("rm", "--all", "--force", "--time", "0")
    for hierarchy in [Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir()]:
        if (hierarchy / cgroup).is_dir():
            (hierarchy / cgroup).rmdir()
    shutil.rmtree(place)


def test_exit_statuses(podman):
    """126 and 127 are made from what the runtime says."""
    assert podman.run("echo", "hello", flags=["--rm"]) == (0, "hello\n", "")
    assert podman.run("sh", "-c", "exit 7", flags=["--rm"])[0] == 7
    assert podman.run("nosuch", flags=["--rm"])[0] == 127
    assert podman.run("/nosuch", flags=["--rm"])[0] == 127
    assert podman.run("/etc", flags=["--rm"])[0] == 126


def test_a_terminal(podman):
    code, out, err = podman.run("tty", flags=["--rm", "--tty"])
    assert (code, out.strip()) == (0, "/dev/pts/0"), err


def test_a_life(podman):
    code, _, err = podman.run("sleep", "1000", flags=["--detach", "--name", "box"])
    assert code == 0, err
    assert podman("inspect", "--format", "{{.State.Status}}", "box")[1] == "running\n"
    assert podman("kill", "--signal", "KILL", "box")[0] == 0
    assert podman("wait", "box")[1] == "137\n"
    assert podman("start", "box")[0] == 0
    assert podman("stop", "--time", "0", "box")[0] == 0
    assert podman("rm", "box")[0] == 0
    assert podman("ps", "--all", "--quiet")[1] == ""


def test_limits_and_user(podman):
    flags = ["--rm", "--memory", "64m", "--pids-limit", "50", "--user", "1000:1000", "--read-only", "--cap-drop", "all"]
    code, out, err = podman.run("id", "-u", flags=flags)
    assert (code, out) == (0, "1000\n"), err
