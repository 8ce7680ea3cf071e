"""`exec`: when it is allowed, what the new process shares with the container, how it ends."""

import ctypes
import os
import re
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from executions import Execution, namespaces, parse_status, status

NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
PR_SET_CHILD_SUBREAPER = 36


# ---- how it ends


@pytest.mark.parametrize("code", [0, 1, 7, 126, 127, 254])
def test_the_status_is_the_programs(execution, code):
    assert execution()(f"exit {code}", check=False).code == code


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1, signal.SIGSEGV, 40])
def test_128_and_the_signal(execution, number):
    assert execution()(f"kill -{int(number)} $$", check=False).code == 128 + number


def test_streams_are_passed_through(execution):
    process = execution().popen("sh", "-c", "cat; echo err >&2", stdin=-1, stdout=-1, stderr=-1)
    assert process.communicate(b"in\0put") == (b"in\0put", b"err\n")
    assert process.returncode == 0


@pytest.mark.parametrize("name", ["TERM", "INT", "USR1", "HUP"])
def test_signals_are_forwarded(execution, name):
    script = f"trap 'exit 9' {name}; echo ready; while :; do sleep 0.05; done"
    process = execution().popen("sh", "-c", script, stdout=subprocess.PIPE)
    assert process.stdout.read(5) == b"ready"
    process.send_signal(getattr(signal, f"SIG{name}"))
    assert process.wait(10) == 9
    process.stdout.close()


def test_the_end_of_the_container_ends_it(execution, runtime):
    """With its pid namespace the kernel takes all processes away."""
    execution = execution()
    process = execution.popen("sh", "-c", "echo ready; sleep 1000", stdout=subprocess.PIPE)
    assert process.stdout.read(5) == b"ready"
    runtime("kill", execution.name, "KILL")
    assert process.wait(10) == 137
    process.stdout.close()


FAILURES = [
    (["/missing"], [], 'exec: "/missing": stat /missing: no such file or directory'),
    (["missing"], [], 'exec: "missing": executable file not found in $PATH'),
    (["/etc"], [], 'exec: "/etc": is a directory'),
    (["/etc/passwd"], [], 'exec: "/etc/passwd": permission denied'),
    (["true"], ["--cwd", "/etc/passwd"], "process.cwd: working-directory /etc/passwd: chdir: not a directory"),
    (["true"], ["--cwd", "etc"], 'process.cwd: Cwd must be an absolute path: "etc"'),
    (["true"], ["--user", "user"], 'bad uid: strconv.Atoi: parsing "user": invalid syntax'),
    (["true"], ["--user", "0:user"], 'bad gid: strconv.Atoi: parsing "user": invalid syntax'),
    (["true"], ["--user", "-1"], 'bad uid: strconv.Atoi: parsing "-1": invalid syntax'),
    (["true"], ["--user", ":5"], 'bad uid: strconv.Atoi: parsing "": invalid syntax'),
    (["true"], ["--additional-gids", "user"], 'bad additional gid: strconv.Atoi: parsing "user": invalid syntax'),
    (["true"], ["--env", "NAME"], "invalid environment variable: missing '=': \"NAME\""),
    (["true"], ["--process", "/missing"], "open /missing: no such file or directory"),
    (["true"], ["--pid-file", "/missing/pid"], "/missing/pid: no such file or directory"),
    (["--"], [], "exec args cannot be empty"),
]


@pytest.mark.parametrize(("words", "flags", "message"), FAILURES)
def test_what_cannot_be_run(execution, words, flags, message):
    """255, one line, no process, no pid file."""
    assert message in execution().fails(*words, flags=flags)


def test_without_a_program(execution, runtime):
    execution = execution()
    result = runtime("exec", execution.name, check=False)
    assert result.code == 1
    assert '"exec" requires a minimum of 2 argument(s)' in result.err


def test_a_program_of_the_name_of_a_flag(execution, runtime):
    """What comes behind the id is the program's own."""
    execution = execution()
    assert runtime("exec", execution.name, "echo", "--tty", "--", "-d").out == "--tty -- -d\n"
    assert runtime("exec", execution.name, "--", "echo", "-d").out == "-d\n"
    assert runtime("exec", "--", execution.name, "echo", "-d").out == "-d\n"


# ---- when it is allowed


def test_before_the_start(bundle, runtime, tmp_path):
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    assert Execution(runtime, name, tmp_path)("echo here").out == "here\n"
    assert runtime.state(name)["status"] == "created"
    runtime("start", name)


def test_no_container(runtime):
    result = runtime("exec", "nobody", "true", check=False)
    assert result.code == 255
    assert "exec failed: container does not exist" in result.err


def test_a_stopped_container(execution, runtime):
    execution = execution()
    runtime("kill", execution.name, "KILL")
    runtime.wait_status(execution.name, "stopped")
    result = runtime("exec", execution.name, "true", check=False)
    assert result.code == 255
    assert "cannot exec in a stopped container" in result.err


def test_a_paused_container(execution, runtime, tmp_path):
    """Refused, and with --ignore-paused the process waits like the others until it is resumed."""
    execution = execution()
    runtime("pause", execution.name)
    assert "cannot exec in a paused container (use --ignore-paused to override)" in execution.fails("true")
    process = execution.popen("sh", "-c", "echo done", flags=["--ignore-paused"], stdout=subprocess.PIPE)
    time.sleep(0.3)
    assert process.poll() is None
    runtime("resume", execution.name)
    assert process.communicate(timeout=10)[0] == b"done\n"
    assert process.returncode == 0


def test_the_bundle_is_gone(execution, bundle):
    """With flags the process is the bundle's, with a file it is not."""
    execution = execution()
    bundle.path.rename(bundle.path.parent / "elsewhere")
    try:
        assert f"chdir {bundle.path}: no such file or directory" in execution.fails("true")
        assert execution.described({"args": "echo here"}).out == "here\n"
    finally:
        (bundle.path.parent / "elsewhere").rename(bundle.path)


def test_the_process_is_that_of_the_bundle_by_now(execution, bundle):
    execution = execution()
    bundle.process["env"].append("ADDED=later")
    bundle.write()
    assert execution("echo $ADDED").out == "later\n"
    (bundle.path / "config.json").write_text("{")
    assert "config.json" in execution.fails("true")


def test_many_at_once(execution):
    execution = execution()
    with ThreadPoolExecutor(20) as pool:
        results = list(pool.map(lambda number: execution(f"echo {number}; exit {number}", check=False), range(20)))
    assert [(result.code, result.out) for result in results] == [(number, f"{number}\n") for number in range(20)]
    assert execution.pids() == [execution.first]


# ---- what it shares with the container


@pytest.mark.parametrize("more", [[], ["cgroup"], ["time"], ["cgroup", "time"]])
def test_all_namespaces(execution, bundle, more):
    for kind in more:
        bundle.namespace(kind)
    execution = execution()
    pid = execution.detached("sleep", "1000")
    assert namespaces(pid) == namespaces(execution.first)
    assert set(NAMESPACES) <= set(namespaces(pid))


@pytest.mark.parametrize("kind", ["pid", "network", "ipc", "uts"])
def test_namespaces_of_the_host(execution, bundle, kind):
    bundle.namespace(kind, False)
    bundle.config.pop("hostname", None)
    bundle.mounts[:] = [mount for mount in bundle.mounts if mount["destination"] not in ("/proc", "/sys")]
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    execution = execution()
    pid = execution.detached("sleep", "1000")
    assert namespaces(pid) == namespaces(execution.first)
    os.kill(pid, signal.SIGKILL)


def test_without_a_mount_namespace(execution, bundle):
    """The root is the container's there too."""
    bundle.namespace("mount", False)
    bundle.mounts.clear()
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    (bundle.rootfs / "mark").write_text("here")
    assert execution()("cat /mark").out == "here"


def in_user_namespace(bundle):
    bundle.namespace("user")
    bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    os.chown(bundle.rootfs, 100000, 100000)
    for folder in (bundle.path, *bundle.path.parents):
        folder.chmod(folder.stat().st_mode | 0o011)


def test_in_a_user_namespace(execution, bundle):
    in_user_namespace(bundle)
    execution = execution()
    pid = execution.detached("sleep", "1000", flags=["--user", "7:8"])
    assert namespaces(pid) == namespaces(execution.first)
    found = status(pid)
    assert found["Uid"].split() == ["100007"] * 4
    assert found["Gid"].split() == ["100008"] * 4
    assert execution("id -u; id -g; touch /made").out == "0\n0\n"
    assert (bundle.rootfs / "made").stat().st_uid == 100000


def test_an_id_that_is_not_mapped(execution, bundle):
    in_user_namespace(bundle)
    assert "process.user" in execution().fails("true", flags=["--user", "70000"])


def test_the_mounts_are_the_containers(execution):
    execution = execution()
    pid = execution.detached("sleep", "1000")
    assert Path(f"/proc/{pid}/mountinfo").read_text() == Path(f"/proc/{execution.first}/mountinfo").read_text()
    assert execution("readlink /proc/self/root; pwd").out == "/\n/\n"


def test_the_cgroups_are_the_containers(execution):
    execution = execution()
    pid = execution.detached("sleep", "1000")
    assert Path(f"/proc/{pid}/cgroup").read_text() == Path(f"/proc/{execution.first}/cgroup").read_text()
    assert pid in execution.pids()


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_the_filter_is_in_force(execution, bundle, no_new_privileges):
    bundle.process["noNewPrivileges"] = no_new_privileges
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}
    execution = execution()
    result = execution("grep Seccomp: /proc/self/status; mkdir /made", check=False)
    assert result.out == "Seccomp:\t2\n"
    assert "Operation not supported" in result.err or "Not supported" in result.err
    process = {"args": "mkdir /made", "noNewPrivileges": no_new_privileges}
    assert execution.described(process, check=False).code == 1
    assert not (bundle.rootfs / "made").exists()


# ---- what it is to the host


def test_a_session_of_its_own(execution):
    fields = execution()("exec cat /proc/self/stat").out.split()
    pid, group, session = fields[0], fields[4], fields[5]
    assert pid == group == session


def test_its_parent_is_outside(execution):
    """Init of the container must not have to reap it."""
    assert parse_status(execution()("cat /proc/self/status").out)["PPid"] == "0"


def test_the_caller_can_wait_for_it(execution):
    """It comes to the caller's subreaper, as containerd's shim has it, and has ended with its own status."""
    execution = execution()
    libc = ctypes.CDLL(None)
    assert libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    try:
        pid = execution.detached("sh", "-c", "exit 5")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
    finally:
        libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def test_no_descriptor_of_the_caller(execution):
    root = os.open("/", os.O_RDONLY)

    def open_many():
        for number in (3, 4, 9, 30, 100, 500, 1000):
            os.dup2(root, number, inheritable=True)

    try:
        result = execution()("ls -l /proc/self/fd", preexec_fn=open_many, close_fds=False)
    finally:
        os.close(root)
    assert re.findall(r"(\d+) ->", result.out) == ["0", "1", "2"]


def test_signals_are_as_new(execution):
    def spoil():
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    found = parse_status(execution()("exec cat /proc/self/status", preexec_fn=spoil).out)
    assert {found[field] for field in ("SigIgn", "SigBlk", "SigCgt", "SigPnd")} == {"0" * 16}


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(execution, runtime, bundle, closed):
    """They are the container's /dev/null, and no file of ours."""
    execution = execution()
    command = runtime.command(
        "exec", execution.name, "sh", "-c", "cd /proc/self/fd; for i in 0 1 2; do stat -L -c %t:%T $i; done > /result"
    )
    subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", *command], capture_output=True, check=True)
    lines = (bundle.rootfs / "result").read_text().splitlines()
    assert len(lines) == 3
    for number, mark in ((0, "<&-"), (2, "2>&-")):
        if mark in closed:
            assert lines[number] == "1:3"


@pytest.mark.parametrize("how", ["rm /dev/null", "umount -l /dev", "umount -l /proc", "mount -t tmpfs none /proc"])
def test_a_container_that_has_lost(execution, bundle, how):
    """Nothing of what the container may have done to its own files is in the way of a program."""
    for name in ("bounding", "effective", "permitted"):
        bundle.process["capabilities"][name].append("CAP_SYS_ADMIN")
    execution = execution()
    execution(how)
    assert execution("echo here").out == "here\n"
    assert execution.described({"args": "echo $0", "oomScoreAdj": 500}).out == "sh\n"
