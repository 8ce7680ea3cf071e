"""Many containers, one after the other and at once; a state directory that takes no more. Nothing is left or lost."""

import ctypes
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import ENVIRONMENT, Runtime
from remains import init_processes, leftovers, processes

LIFECYCLES = 1000
AT_ONCE = 100


def mounts():
    return len(Path("/proc/self/mountinfo").read_text().splitlines())


def zombies():
    """Reaps what has been left to this process, and returns how many of its children are dead and waited for."""
    dead = [pid for pid, _, state, parent in processes() if parent == os.getpid() and state == "Z"]
    for pid in dead:
        os.waitpid(pid, 0)
    return len(dead)


def quick(runtime, *args):
    """Runs one command that is to succeed, without files for what it prints."""
    done = subprocess.run(
        runtime.command(*args),
        check=False,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE if args[0] != "create" else subprocess.DEVNULL,
        timeout=60,
    )
    assert done.returncode == 0, (args, done.stderr)


@pytest.fixture
def adoptive():
    """Makes this process the parent of what commands leave behind, as a client's shim is (PR_SET_CHILD_SUBREAPER)."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(36, 1, 0, 0, 0) == 0
    yield
    assert libc.prctl(36, 0, 0, 0, 0) == 0


@pytest.mark.usefixtures("adoptive")
def test_a_thousand_lifecycles(bundle, runtime, tmp_path):
    """As many as a busy host has in some hours: after each it is as before, down to the last cgroup and descriptor."""
    bundle.shell("exit 3").write()
    pid_file = tmp_path / "pid"
    before = mounts(), len(os.listdir("/proc/self/fd"))
    ids = []
    for _ in range(LIFECYCLES):
        ids.append(runtime.new_id())
        quick(runtime, "create", "--bundle", bundle.path, "--pid-file", pid_file, ids[-1])
        pid = int(pid_file.read_text())
        quick(runtime, "start", ids[-1])
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
        quick(runtime, "delete", ids[-1])
    assert os.listdir(runtime.root) == []
    assert leftovers(ids) == []
    assert (mounts(), len(os.listdir("/proc/self/fd"))) == before
    assert not init_processes(tmp_path)


@pytest.mark.usefixtures("adoptive")
def test_a_hundred_at_once(bundle, runtime, tmp_path):
    """All of them created, started, looked at, ended and deleted, each time all at once."""
    bundle.shell("sleep 600").write()
    ids = [runtime.new_id() for _ in range(AT_ONCE)]
    before = mounts()
    zombies()  # those of others

    def all_at_once(*args, tail=()):
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda name: quick(runtime, *args, name, *tail), ids))

    try:
        all_at_once("create", "--bundle", bundle.path)
        listed = runtime("list", "--quiet").out.split()
        assert sorted(listed) == sorted(ids)
        all_at_once("start")
        all_at_once("exec", tail=["true"])
        lines = runtime("list").out.splitlines()[1:]
        assert [line.split()[2] for line in lines] == ["running"] * AT_ONCE
        assert len({line.split()[1] for line in lines}) == AT_ONCE
        all_at_once("kill", tail=["KILL"])
    finally:
        all_at_once("delete", "--force")
    assert os.listdir(runtime.root) == []
    assert leftovers(ids) == []
    assert mounts() == before
    assert not init_processes(tmp_path)
    assert zombies() == AT_ONCE
    assert zombies() == 0


@pytest.fixture
def small(tmp_path, runtime):
    """A state directory that is a file system of its own, and can be full."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "none", folder], check=True)
    small = Runtime(folder)
    yield small
    subprocess.run(["mount", "-o", "remount,rw", folder], check=True)
    small.delete_all()
    left = [path.name for path in folder.iterdir() if path.name != "fill"]
    subprocess.run(["umount", folder], check=True)
    assert left == []


def fill(folder):
    with pytest.raises(OSError, match="No space left"):
        (folder / "fill").write_bytes(bytes(1 << 20))


def test_a_full_disk(bundle, small):
    """What needs no room goes on; what does says so, and leaves all as it was."""
    bundle.runtime = small
    name, _ = bundle.shell("sleep 600").create()
    fill(small.root)
    text = bundle.fails()
    assert "write-state creating: no space left on device" in text
    assert "the file system of the state directory (--root) is full" in text
    small("start", name)
    assert small.state(name)["status"] == "running"
    assert small("exec", name, "echo", "here").out == "here\n"
    update = small("update", "--pids-limit", "50", name, check=False)
    assert update.code == 1
    assert "no space left on device" in update.err
    assert small.state(name)["status"] == "running"
    assert "50" not in small("exec", name, "cat", "/sys/fs/cgroup/pids/pids.max", check=False).out.split()
    small("kill", name, "KILL")
    small.wait_status(name, "stopped")
    small("delete", name)
    assert [path.name for path in small.root.iterdir()] == ["fill"]


def test_a_log_and_a_pid_file_on_a_full_disk(bundle, small, runtime):
    """A container whose pid nobody has been told is none that anybody could wait for."""
    fill(small.root)
    bundle.shell("sleep 600")
    text = bundle.fails("--pid-file", small.root / "pid")
    assert "no space left on device" in text
    assert not (small.root / "pid").exists()


def test_a_read_only_state_directory(bundle, small):
    """As after an error of the disk: containers can be looked at, used and ended, and are deleted when it is well."""
    bundle.runtime = small
    running, _ = bundle.shell("sleep 600").create()
    created, _ = bundle.create()
    small("start", running)
    subprocess.run(["mount", "-o", "remount,ro", small.root], check=True)
    assert "read-only file system" in bundle.fails()
    assert small("exec", running, "echo", "here").out == "here\n"
    small("start", created)
    assert small.state(created)["status"] == "running"
    assert "already running" in small("start", created, check=False).err
    small("kill", running, "KILL")
    small.wait_status(running, "stopped")
    refused = small("delete", running, check=False)
    assert refused.code == 1
    assert f"{small.root}/{running}" in refused.err
    assert "read-only file system" in refused.err
    assert {line.split()[0] for line in small("list").out.splitlines()[1:]} == {running, created}
    subprocess.run(["mount", "-o", "remount,rw", small.root], check=True)
    small("delete", running)
    small("delete", "--force", created)
    time.sleep(0.05)
    assert os.listdir(small.root) == []
