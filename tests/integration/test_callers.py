"""Callers of all kinds: whatever they have ignored, left open, closed, limited or filled up, the container is the same.

Or there is one line that says why it cannot be, and nothing left.
"""

import os
import resource
import shlex
import signal
import subprocess
import time

import pytest
from remains import leftovers

FIELDS = ("SigIgn", "SigBlk", "SigCgt", "SigPnd", "ShdPnd")


def ignore_all():
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)


def block_all():
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


def ignore_and_block():
    ignore_all()
    block_all()
    os.kill(os.getpid(), signal.SIGUSR2)  # pending


def open_many():
    """Leaves descriptors open, one of them of the host's root directory, and some with high numbers."""
    root = os.open("/", os.O_RDONLY)
    for number in (3, 4, 9, 30, 100, 500, 1000):
        os.dup2(root, number, inheritable=True)


CALLERS = {"ignores": ignore_all, "blocks": block_all, "both": ignore_and_block, "leaves open": open_many}
SCRIPT = "cat /proc/self/status > /status; ls -l /proc/self/fd > /fds"


def lived(bundle, how, **kwargs):
    """Has the container say how it found itself: in one command, or in one for each step of its life."""
    bundle.shell(SCRIPT)
    if how == "run":
        bundle.run(**kwargs)
        return
    name, _ = bundle.create(**kwargs)
    bundle.runtime("start", name, **kwargs)
    bundle.runtime.wait_status(name, "stopped")
    bundle.runtime("delete", name, **kwargs)


@pytest.mark.parametrize("how", ["run", "create and start"])
@pytest.mark.parametrize("caller", CALLERS)
def test_signals_and_descriptors_are_as_new(bundle, caller, how):
    lived(bundle, how, preexec_fn=CALLERS[caller], close_fds=False)
    found = dict(line.split(":\t") for line in (bundle.rootfs / "status").read_text().splitlines() if ":\t" in line)
    assert {field: found[field] for field in FIELDS} == dict.fromkeys(FIELDS, "0" * 16)
    names = [line.split()[-3] for line in (bundle.rootfs / "fds").read_text().splitlines() if "->" in line]
    assert names == ["0", "1", "2"]  # and the listing's own, which has no target any more


def test_signals_are_forwarded_from_a_caller_who_blocks_them(bundle):
    bundle.shell('trap "exit 7" TERM; echo ready > /ready; while :; do sleep 0.02; done')
    bundle.write()
    command = bundle.runtime.command("run", "--bundle", bundle.path, bundle.runtime.new_id())
    with subprocess.Popen(command, preexec_fn=block_all, stdin=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 10
        while not (bundle.rootfs / "ready").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.terminate()
        try:
            assert process.wait(10) == 7
        finally:
            process.kill()


def test_the_environment_is_the_configs_to_the_letter(bundle):
    """Of the caller's nothing arrives, neither in the container nor in the interpreter of the runtime."""
    hostile = {
        "LD_PRELOAD": "/nosuch.so",
        "PYTHONPATH": "/nosuch",
        "PYTHONHOME": "/nosuch",
        "PYTHONSTARTUP": "/nosuch",
        "PYTHONINSPECT": "1",
        "PYTHONWARNINGS": "error",
        "PYTHONMALLOC": "debug",
        "LC_ALL": "xx_XX.UTF-8",
        "LISTEN_FDS": "x",
        "LISTEN_PID": "1",
        "HOME": "/caller",
        "PATH": "",
    }
    bundle.process["args"] = ["env"]
    bundle.process["env"] = ["PATH=/bin", "A=", "B=a=b", "TERM=xterm", "ÄÖ=ü"]
    assert bundle.run(env=hostile).out.splitlines() == [*bundle.process["env"], "HOME=/root"]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_whole_life_with_closed_streams(bundle, runtime, closed):
    """Descriptors 0 to 2 are the container's /dev/null where the caller had none, and no file of the runtime's."""
    bundle.shell("cd /proc/self/fd; for fd in 0 1 2; do echo $fd $(stat -L -c %t:%T $fd); done > /fds; sleep 1000")
    bundle.write()
    name = runtime.new_id()
    for words in (
        ["create", "--bundle", bundle.path, name],
        ["state", name],
        ["list"],
        ["start", name],
        ["kill", name, "KILL"],
    ):
        script = f"exec {shlex.join(runtime.command(*words))} {closed}"
        done = subprocess.run(["sh", "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False)
        assert done.returncode == 0, words
        if words[0] == "start":
            deadline = time.monotonic() + 10
            while not (bundle.rootfs / "fds").exists() or (bundle.rootfs / "fds").read_text().count("\n") < 3:
                assert time.monotonic() < deadline
                time.sleep(0.01)
    lines = (bundle.rootfs / "fds").read_text().splitlines()
    numbers = {0: "<&-", 1: ">&-", 2: "2>&-"}
    for number, mark in numbers.items():
        if number != 1 and mark in closed:  # 1 is the file itself
            assert lines[number] == f"{number} 1:3"


def test_a_whole_life_in_a_directory_that_is_gone(bundle, runtime, tmp_path):
    bundle.process["args"] = ["sleep", "1000"]
    bundle.write()
    name = runtime.new_id()
    gone = tmp_path / "gone"
    for words in (
        ["create", "--bundle", bundle.path, "--pid-file", tmp_path / "pid", name],
        ["state", name],
        ["list"],
        ["start", name],
        ["kill", name, "KILL"],
        ["delete", "--force", name],
    ):
        gone.mkdir()
        script = f"cd {gone} && rmdir {gone} && exec {shlex.join(runtime.command(*words))}"
        with (tmp_path / "log").open("w") as log:  # no pipe: the container would keep it open
            done = subprocess.run(["sh", "-c", script], stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False)
        assert done.returncode == 0, (words, (tmp_path / "log").read_text())


def test_a_relative_path_in_a_directory_that_is_gone(bundle, runtime, tmp_path):
    gone = tmp_path / "gone"
    for words in (["--root", "state", "list"], ["--root", runtime.root, "create", "x"]):
        gone.mkdir()
        script = f"cd {gone} && rmdir {gone} && exec {shlex.join(map(str, [runtime.path, *words]))}"
        done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1
        assert "no such file or directory" in done.stderr or "config.json not found" in done.stderr


# ---- no room, and no right to write


def with_a_state_directory(runtime, options, script):
    """Has every command run where the state directory is a tmpfs, in a mount namespace of its own, by a script that has
    the command in "$@" and the directory in "$3"."""
    runtime.prefix = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs -o {options} none "$3"; {script}', "sh"]


@pytest.mark.parametrize("command", ["create", "run"])
@pytest.mark.parametrize("limit", ["nr_inodes", "nr_blocks"])
def test_a_full_state_directory(bundle, runtime, limit, command):
    """It has room for one file more each time, until there is enough: one line before that, and nothing left."""
    bundle.process["args"] = ["true"]
    bundle.write()
    codes = []
    for count in range(1, 20):
        name = runtime.new_id()
        end = f'[ $code != 0 ] || "$1" "$2" "$3" delete --force {name}; ls -A "$3" >&2; exit $code'
        with_a_state_directory(runtime, f"{limit}={count}", f'"$@"; code=$?; {end}')
        result = runtime(command, "--bundle", bundle.path, name, check=False)
        codes.append(result.code)
        if result.code == 0:
            assert result.err == ""
            break
        assert result.err.count("\n") == 1, result.err
        assert "no space left on device" in result.err
    runtime.prefix = []
    assert codes[0] == 1
    assert codes[-1] == 0


@pytest.mark.parametrize("command", ["create", "run"])
def test_a_read_only_state_directory(bundle, runtime, command):
    bundle.process["args"] = ["true"]
    bundle.write()
    with_a_state_directory(runtime, "ro", 'exec "$@"')
    result = runtime(command, "--bundle", bundle.path, runtime.new_id(), check=False)
    runtime.prefix = []
    assert result.code == 1
    assert result.err.count("\n") == 1
    assert f"mkdir {runtime.root}/{runtime.ids[-1]}: read-only file system" in result.err


def test_a_state_directory_that_has_become_read_only(bundle, runtime):
    """What is there can still be looked at and be signalled; it cannot be deleted, and is not halfway."""
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    script = 'mount --bind "$3" "$3"; mount -o remount,bind,ro "$3"; exec "$@"'
    runtime.prefix = ["unshare", "--mount", "sh", "-c", script, "sh"]
    assert runtime.state(name)["status"] == "created"
    assert name in runtime("list").out
    runtime("kill", name, "KILL")
    runtime.wait_status(name, "stopped")
    deleted = runtime("delete", name, check=False)
    assert deleted.code == 1
    assert deleted.err.count("\n") == 1
    assert "read-only file system" in deleted.err
    assert runtime.state(name)["status"] == "stopped"
    runtime.prefix = []


# ---- callers with limits


LIMITS = {
    "RLIMIT_NOFILE": (6, 8, 10, 12, 16),
    "RLIMIT_FSIZE": (0, 1000, 40000),
    "RLIMIT_AS": (64 << 20,),
    "RLIMIT_STACK": (256 << 10,),
    "RLIMIT_CORE": (0,),
    "RLIMIT_MEMLOCK": (0,),
    "RLIMIT_NPROC": (1,),
}


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind in LIMITS for value in LIMITS[kind]])
def test_a_caller_with_low_limits(bundle, runtime, kind, value):
    """Either the container is made, or there is a line, and nothing left."""
    bundle.process["args"] = ["true"]
    bundle.process["rlimits"] = []
    bundle.write()
    name = runtime.new_id()
    # a pipe, which a limit on the size of files is not about; the container may keep it open
    said, says = os.pipe2(os.O_NONBLOCK)
    try:
        limits = {"preexec_fn": lambda: resource.setrlimit(getattr(resource, kind), (value, value))}
        result = runtime("create", "--bundle", bundle.path, name, check=False, stderr=says, **limits)
        if result.code == 0:
            runtime("delete", "--force", name)
            return
        lines = os.read(said, 65536).decode().splitlines()
    finally:
        os.close(said)
        os.close(says)
    assert result.code == 1
    assert len(lines) == 1, lines
    if kind in ("RLIMIT_NOFILE", "RLIMIT_FSIZE"):
        assert "too many open files" in lines[0] or "file too large" in lines[0]
    assert not (runtime.root / name).exists()
    assert not leftovers([name])


def test_a_standard_error_that_takes_nothing(bundle, runtime):
    """What fails fails as it would, and what succeeds succeeds with its warnings unheard."""
    bundle.process["args"] = ["true"]
    with open("/dev/full", "wb") as full:
        assert runtime("state", "nobody", check=False, stderr=full).code == 1
        bundle.process["capabilities"]["bounding"].append("CAP_OF_TOMORROW")
        name, _ = bundle.create(stderr=full)
    assert runtime.state(name)["status"] == "created"
