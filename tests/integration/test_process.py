"""process: what the program finds when it runs, asked from inside."""

import os
import resource
import signal
import subprocess
import time

import pytest


def status(text):
    """The lines of /proc/self/status as a dict."""
    return {key: value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}


def test_user_and_groups(bundle):
    bundle.process["user"] = {"uid": 1000, "gid": 100, "additionalGids": [5, 7]}
    found = status(bundle.run("cat /proc/self/status").out)
    assert found["Uid"].split() == ["1000"] * 4
    assert found["Gid"].split() == ["100"] * 4
    assert found["Groups"].split() == ["5", "7"]


def test_no_groups_are_inherited(bundle):
    assert status(bundle.run("cat /proc/self/status").out)["Groups"] == ""


@pytest.mark.parametrize(("umask", "shown"), [(None, "0022"), (0o077, "0077"), (0, "0000")])
def test_umask(bundle, umask, shown):
    if umask is not None:
        bundle.process["user"]["umask"] = umask
    assert bundle.run("umask").out.strip() == shown


def test_cwd(bundle):
    bundle.process["cwd"] = "/var/../tmp"
    assert bundle.run("pwd").out == "/tmp\n"


def test_missing_cwd_is_made(bundle):
    bundle.process["cwd"] = "/new/place"
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    assert bundle.run("pwd; stat -c %u:%a /new/place").out == "/new/place\n0:755\n"


def test_cwd_that_only_root_may_enter(bundle):
    """Tried as root first, as runc does: an image may have its WORKDIR closed to the user."""
    (bundle.rootfs / "closed").mkdir(mode=0o700)
    bundle.process["cwd"] = "/closed"
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    assert bundle.run("/bin/busybox pwd").out == "/closed\n"


def test_environment_is_the_configs_alone(bundle, monkeypatch):
    monkeypatch.setenv("LEAK", "1")
    bundle.process["env"] = ["PATH=/bin", "A=1", "A=2", "EMPTY=", "HOME=/x"]
    lines = bundle.run("exec env").out.splitlines()
    # the shell adds these three
    assert sorted(line for line in lines if line.split("=")[0] not in ("PWD", "SHLVL", "OLDPWD")) == [
        "A=2",
        "EMPTY=",
        "HOME=/x",
        "PATH=/bin",
    ]


@pytest.mark.parametrize(("uid", "home"), [(0, "/root"), (1000, "/home"), (4242, "/")])
def test_home_comes_from_the_containers_passwd(bundle, uid, home):
    bundle.process["user"] = {"uid": uid, "gid": 0}
    bundle.process["env"] = ["PATH=/bin", "HOME="]
    assert bundle.run("echo $HOME").out == f"{home}\n"


@pytest.mark.parametrize("kind", ["fifo", "link-out", "directory", "huge-line", "missing"])
def test_home_with_a_hostile_passwd(bundle, kind):
    """Three runtimes hang on a fifo here (security.md); it must neither hang nor be believed."""
    path = bundle.rootfs / "etc/passwd"
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "link-out":
        path.symlink_to("../../../../../../../etc/passwd")
    elif kind == "directory":
        path.mkdir()
    elif kind == "huge-line":
        path.write_text("x" * 100000 + "\nroot:x:0:0::/found:/bin/sh\n")
    expected = "/found" if kind == "huge-line" else "/"
    assert bundle.run("echo $HOME", timeout=20).out == f"{expected}\n"


def test_the_program_is_found_by_the_containers_path(bundle):
    (bundle.rootfs / "opt").mkdir()
    (bundle.rootfs / "opt/tool").write_text("#!/bin/sh\necho tool\n")
    (bundle.rootfs / "opt/tool").chmod(0o755)
    bundle.process["env"] = ["PATH=/nowhere:/opt:/bin"]
    bundle.process["args"] = ["tool"]
    assert bundle.run().out == "tool\n"


@pytest.mark.parametrize(
    ("program", "text"),
    [
        ("/missing", 'exec: "/missing": stat /missing: no such file or directory'),
        ("missing", 'exec: "missing": executable file not found in $PATH'),
        ("/etc", 'exec: "/etc": is a directory: permission denied'),
        ("/plain", 'exec: "/plain": permission denied'),
        ("", 'exec: "": executable file not found in $PATH'),
    ],
)
def test_programs_that_cannot_run(bundle, program, text):
    """docker and podman make their exit codes 126 and 127 of these words."""
    (bundle.rootfs / "plain").write_text("x")
    bundle.process["args"] = [program]
    message = bundle.fails()
    assert f"pyruntime create failed: unable to start container process: {text}" in message


def test_a_script_without_its_interpreter_fails_in_the_container(bundle):
    """Only execve finds out: too late for create, and by then the container's own stderr is all there is."""
    (bundle.rootfs / "script").write_text("#!/missing\n")
    (bundle.rootfs / "script").chmod(0o755)
    bundle.process["args"] = ["/script"]
    result = bundle.run(check=False)
    assert result.code == 255
    assert "exec /script: no such file or directory" in result.err


def capability(number):
    return 1 << number


def test_five_capability_sets(bundle):
    chown, kill, setuid, net, audit = (
        f"CAP_{name}" for name in ("CHOWN", "KILL", "SETUID", "NET_BIND_SERVICE", "AUDIT_WRITE")
    )
    bundle.process["capabilities"] = {
        "bounding": [chown, kill, setuid, net, audit],
        "permitted": [chown, kill, net],
        "effective": [chown, kill],
        "inheritable": [chown, net],
        "ambient": [chown],
    }
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    bundle.process["args"] = ["cat", "/proc/self/status"]
    found = {key: int(value, 16) for key, value in status(bundle.run().out).items() if key.startswith("Cap")}
    # cat is not set-user-id: what a user keeps across execve is the ambient set, and the bounds
    assert found["CapBnd"] == capability(0) | capability(5) | capability(7) | capability(10) | capability(29)
    assert found["CapInh"] == capability(0) | capability(10)
    assert found["CapAmb"] == found["CapPrm"] == found["CapEff"] == capability(0)


def test_capabilities_of_root(bundle):
    bundle.process["capabilities"] = {name: ["CAP_KILL"] for name in ("bounding", "permitted", "effective")}
    found = status(bundle.run("cat /proc/self/status").out)
    assert int(found["CapEff"], 16) == int(found["CapPrm"], 16) == int(found["CapBnd"], 16) == capability(5)
    assert int(found["CapInh"], 16) == int(found["CapAmb"], 16) == 0


def test_no_capabilities_given_means_none(bundle):
    del bundle.process["capabilities"]
    found = status(bundle.run("cat /proc/self/status").out)
    assert {found[key] for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}


def test_unknown_capabilities_are_warned_about(bundle):
    """config.md: what cannot be granted must be logged as a warning, and should not fail."""
    bundle.process["capabilities"]["bounding"] += ["CAP_FLY", "CAP_sys_admin"]
    result = bundle.run("true")
    assert "level=warning" in result.err
    assert "CAP_FLY is not a capability" in result.err
    assert "CAP_sys_admin is not a capability" in result.err


@pytest.mark.parametrize("value", [True, False])
def test_no_new_privileges(bundle, value):
    bundle.process["noNewPrivileges"] = value
    assert status(bundle.run("cat /proc/self/status").out)["NoNewPrivs"] == str(int(value))


def test_rlimits(bundle):
    bundle.process["rlimits"] = [
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
        {"type": "RLIMIT_NPROC", "soft": 50, "hard": 60},
    ]
    lines = bundle.run("cat /proc/self/limits").out.splitlines()
    limits = {line[:26].strip(): line[26:].split()[:2] for line in lines}
    assert limits["Max open files"] == ["100", "200"]
    assert limits["Max core file size"] == ["0", "0"]
    assert limits["Max processes"] == ["50", "60"]


def test_very_low_limits(bundle):
    """Init itself must not trip over the limits of the program."""
    bundle.process["rlimits"] = [
        {"type": "RLIMIT_NOFILE", "soft": 3, "hard": 3},
        {"type": "RLIMIT_FSIZE", "soft": 0, "hard": 0},
    ]
    bundle.process["args"] = ["true"]
    bundle.run()


def test_a_hard_limit_that_may_not_be_raised(bundle):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    bundle.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": hard * 2, "hard": hard * 2}]
    _, result = bundle.create(check=False)
    if result.code == 0:
        pytest.skip("this root may raise limits: it has CAP_SYS_RESOURCE")
    assert "process.rlimits[0] (RLIMIT_NOFILE): raise-limit" in result.err
    assert "only CAP_SYS_RESOURCE may raise a hard limit" in result.err


def test_oom_score(bundle):
    bundle.process["oomScoreAdj"] = 123
    assert bundle.run("cat /proc/self/oom_score_adj").out == "123\n"


def test_oom_score_is_left_alone_without_a_value(bundle):
    with open("/proc/self/oom_score_adj") as file:
        own = file.read()
    assert bundle.run("cat /proc/self/oom_score_adj").out == own


def test_signals_are_as_new(bundle):
    """conmon ignores SIGPIPE, Python ignores two signals, and a caller may block any: a program must see none of it."""

    def spoil():
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR2})

    bundle.process["args"] = ["cat", "/proc/self/status"]
    found = status(bundle.run(preexec_fn=spoil).out)
    assert found["SigIgn"] == found["SigBlk"] == found["SigCgt"] == "0" * 16


def test_session_of_its_own(bundle):
    assert bundle.run("cut -d' ' -f5,6 /proc/1/stat").out == "1 1\n"


def test_only_standard_streams_are_open(bundle, tmp_path):
    """CVE-2024-21626: whatever the caller leaves open stays outside."""
    bundle.process["args"] = ["ls", "-l", "/proc/self/fd"]
    fds = [os.open("/", os.O_RDONLY) for _ in range(10)]
    for fd in fds:
        os.set_inheritable(fd, True)
    try:
        lines = bundle.run(close_fds=False).out.splitlines()
    finally:
        for fd in fds:
            os.close(fd)
    names = [line.split()[-3] for line in lines if "->" in line]
    assert names == ["0", "1", "2"]  # and the listing's own, which has no target any more


def test_preserved_descriptors_keep_their_numbers(bundle, tmp_path):
    for number in (3, 4, 5):
        (tmp_path / f"file{number}").write_text(f"content {number}\n")
    bundle.shell("cat <&3; cat <&4; cat <&5 2>/dev/null || echo closed")
    bundle.write()
    name = bundle.runtime.new_id()
    command = bundle.runtime.command("run", "-b", bundle.path, "--preserve-fds", "2", name)
    script = f'exec 3<{tmp_path}/file3 4<{tmp_path}/file4 5<{tmp_path}/file5; exec "$@"'
    done = subprocess.run(["sh", "-c", script, "sh", *command], capture_output=True, text=True, check=True)
    assert done.stdout == "content 3\ncontent 4\nclosed\n"


def test_a_preserved_descriptor_that_is_not_open(bundle):
    _, result = bundle.create("--preserve-fds", "2", check=False)
    assert result.code == 1
    assert "unable to stat preserved-fd 0 (of 2): no such file or directory" in result.err


def test_socket_activation(bundle, tmp_path):
    """LISTEN_FDS counts only for the process that LISTEN_PID names, and come before the preserved ones."""
    (tmp_path / "a").write_text("listen\n")
    (tmp_path / "b").write_text("preserved\n")
    bundle.shell("cat <&3; cat <&4; echo $LISTEN_FDS $LISTEN_PID")
    bundle.write()
    name = bundle.runtime.new_id()
    command = bundle.runtime.command("run", "-b", bundle.path, "--preserve-fds", "1", name)
    script = f'exec 3<{tmp_path}/a 4<{tmp_path}/b; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"'
    done = subprocess.run(["sh", "-c", script, "sh", *command], capture_output=True, text=True, check=True)
    assert done.stdout == "listen\npreserved\n1 1\n"


def test_dev_null_becomes_the_containers(bundle):
    bundle.process["args"] = ["sh", "-c", "stat -L -c %d /proc/self/fd/0; stat -c %d /dev/null"]
    first, second = bundle.run().out.split()
    assert first == second


def test_streams_are_given_to_the_user(bundle, tmp_path):
    """A program that opens /dev/stdout finds it open to it, when it is a pipe."""
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    bundle.shell("echo hello > /dev/stdout; id -u")
    bundle.write()
    name = bundle.runtime.new_id()
    done = subprocess.run(
        bundle.runtime.command("run", "-b", bundle.path, name), capture_output=True, text=True, check=False
    )
    assert done.stdout == "hello\n1000\n", done.stderr


def test_files_are_not_given_away(bundle, tmp_path):
    path = tmp_path / "log"
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    with path.open("w") as log:
        bundle.run("echo hello", stdout=log)
    assert path.stat().st_uid == 0
    assert path.read_text() == "hello\n"


def test_hostname_and_domainname(bundle):
    bundle.config["hostname"] = "box"
    bundle.config["domainname"] = "example.test"
    host = os.uname().nodename
    assert bundle.run("hostname; cat /proc/sys/kernel/domainname").out == "box\nexample.test\n"
    assert os.uname().nodename == host


def test_no_interpreter_inside(bundle, runtime):
    """Init is a memfd: neither Python nor any file of the host can be reached through /proc/1/exe."""
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    pid = runtime.state(name)["pid"]
    assert os.readlink(f"/proc/{pid}/exe") == "/memfd:pyruntime-init (deleted)"
    with open(f"/proc/{pid}/maps") as maps:
        files = {line.split()[-1] for line in maps if "/" in line}
    assert all(file.startswith(("/memfd:", "(deleted)")) for file in files), files
    runtime("start", name)
    for _ in range(100):
        if os.readlink(f"/proc/{pid}/exe").endswith("/bin/busybox"):
            break
        time.sleep(0.01)
    assert os.readlink(f"/proc/{pid}/exe").endswith("/bin/busybox")


def test_init_is_small(bundle, runtime):
    """The budget of docs/performance.md: at most 300 KiB of private memory while it waits."""
    name, _ = bundle.create()
    with open(f"/proc/{runtime.state(name)['pid']}/smaps_rollup") as rollup:
        fields = status(rollup.read())
    private = sum(int(fields[key].split()[0]) for key in ("Private_Clean", "Private_Dirty"))
    assert private <= 300


def test_init_cannot_be_looked_into(bundle, runtime):
    """Not dumpable: /proc/<pid> belongs to root of the host, and nobody in the container may attach."""
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    name, _ = bundle.create()
    assert os.stat(f"/proc/{runtime.state(name)['pid']}/mem").st_uid == 0


def test_session_keyring(bundle):
    if not os.path.exists("/proc/keys"):
        pytest.skip("this kernel has no keyrings")
    name, _ = bundle.create()
    with open("/proc/keys") as keys:
        assert f"_ses.{name}" in keys.read()


def test_ids_beyond_the_last(bundle):
    """To setresuid(2) 4294967295 means "unchanged": it would leave the program root."""
    for field in ("uid", "gid"):
        bundle.process["user"] = {"uid": 0, "gid": 0, field: 4294967295}
        message = bundle.fails()
        assert f"process.user.{field}: 4294967295 is not a user or group id" in message
