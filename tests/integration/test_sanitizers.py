"""Containers of many kinds with an init that a sanitizer watches; what is undefined in C ends it, and so the create.

The static program itself runs under UndefinedBehaviorSanitizer, its sources with libc under AddressSanitizer as well.
"""

import os
import shutil
import signal
import socket
import subprocess

import pytest
from sanitized import install

IDS = [{"containerID": 0, "hostID": 100000, "size": 65536}]
KINDS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


@pytest.fixture(scope="module", params=["undefined", "address"])
def launcher(request, tmp_path_factory):
    return install(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(autouse=True)
def watched(runtime, launcher):
    runtime.path = str(launcher)
    # AddressSanitizer does not get along with every choice of addresses
    runtime.prefix = ["setarch", "--addr-no-randomize"]


def bind(source, destination, *options):
    return {"destination": destination, "type": "bind", "source": str(source), "options": list(options)}


def mount(destination, kind, *options):
    return {"destination": destination, "type": kind, "source": kind, "options": list(options)}


def test_the_watched_init_is_the_one_that_runs(bundle, runtime, launcher):
    name, _ = bundle.create()
    with open(f"/proc/{runtime.state(name)['pid']}/exe", "rb") as running:
        assert running.read() == next(launcher.parent.parent.glob("lib/pyruntime/pyruntime/_init")).read_bytes()


def test_mounts_of_every_kind(bundle, tmp_path):
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "file").write_text("content")
    copied = bundle.rootfs / "copied"
    (copied / "a/b/c").mkdir(parents=True)
    (copied / "link").symlink_to("x" * 1000)
    (copied / "a/file").write_bytes(os.urandom(100_000))
    os.mkfifo(copied / "fifo")
    os.mknod(copied / "null", 0o20666, os.makedev(1, 3))
    (bundle.rootfs / "way").symlink_to("deep/" * 50 + "../" * 60 + "/end")
    for name in ("lower", "upper", "work"):
        (tmp_path / name).mkdir()
    overlay = [f"{key}dir={tmp_path / key}" for key in ("lower", "upper", "work")]
    bundle.config["mounts"] += [
        bind(source, "/a", "rbind", "rro", "rnosuid"),
        bind(source / "file", "/f", "bind", "ro", "noatime"),
        bind(source, "/way/b", "bind", "rshared"),
        bind(source, "/" + "x" * 255, "bind", "private"),
        mount("/t", "tmpfs", "ro", "size=1m", "mode=700", "noexec", "lazytime"),
        mount("/copied", "tmpfs", "tmpcopyup", "ro"),
        mount("/copied/a/b/new", "tmpfs"),
        mount("/o", "overlay", *overlay),
        mount("/cg", "cgroup", "ro"),
        mount("/t", "tmpfs", "remount", "size=2m"),
        bind("", "/a", "remount", "bind", "noexec"),
    ]
    bundle.config["mounts"] += [mount(f"/many/{number}", "tmpfs") for number in range(50)]
    result = bundle.run("cat /a/file /f; ls /copied; stat -c %s /copied/a/file; grep -c / /proc/self/mountinfo")
    assert result.out.split()[:5] == ["contentcontenta", "fifo", "link", "null", "100000"]
    assert int(result.out.split()[-1]) > 70


@pytest.mark.parametrize(
    "entry",
    [
        mount("/x", "nosuchfs"),
        mount("/x", "tmpfs", "size=banana"),
        mount("/x", "tmpfs", "y" * 256),
        mount("/x", "tmpfs", "k" * 5000 + "=v"),
        mount("/" + "x" * 256, "tmpfs"),
        mount("/" + "x/" * 2500, "tmpfs"),
        mount("/loop/x", "tmpfs"),
        mount("/proc/self/attr", "tmpfs"),
        bind("/etc/passwd", "/tmp", "bind"),
        bind("/nosuch" * 100, "/x", "bind"),
        mount("/bottomless", "tmpfs", "tmpcopyup"),
    ],
    ids=lambda entry: entry["destination"][:12] + entry["options"][0][:12] if entry["options"] else entry["type"],
)
def test_mounts_that_fail(bundle, entry):
    """Init reports them itself: it is not ended by a signal, and a sanitizer has nothing to say."""
    (bundle.rootfs / "loop").symlink_to("loop")
    script = "mkdir bottomless; cd bottomless; i=0; while [ $i -lt 200 ]; do mkdir d && cd d; i=$((i+1)); done"
    subprocess.run(["sh", "-c", script], cwd=bundle.rootfs, check=True)
    bundle.mounts.append(entry)
    message = bundle.fails()
    assert "mounts[7]" in message
    assert "init is gone" not in message


def test_user_namespace_and_devices(bundle):
    bundle.namespace("user")
    bundle.namespace("cgroup")
    bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = IDS
    bundle.linux["devices"] = [{"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11}]
    for path in (bundle.rootfs, *bundle.rootfs.iterdir()):
        shutil.chown(path, 100000, 100000)
    assert bundle.run("id -u; stat -c %t:%T /dev/kmsg").out.split() == ["0", "1:b"]


def test_devices_masks_names_and_limits(bundle):
    bundle.linux["devices"] = [
        {"path": "/dev/a", "type": "c", "major": 511, "minor": 1048575, "fileMode": 0o640, "uid": 7, "gid": 8},
        {"path": "/new/dir/b", "type": "b", "major": 1, "minor": 256},
        {"path": "/run/fifo", "type": "p"},
    ]
    bundle.linux["maskedPaths"] += ["/etc/passwd", "/tmp", "/nosuch", "/proc/self"]
    bundle.linux["readonlyPaths"] += ["/home", "/nosuch"]
    bundle.linux["sysctl"] = {"net.ipv4.ip_forward": "1", "kernel.shm_rmid_forced": "1"}
    bundle.config.update(hostname="h" * 64, domainname="d" * 64)
    bundle.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 5, "hard": 10}]
    bundle.process["user"] = {"uid": 7, "gid": 8, "additionalGids": list(range(100, 300)), "umask": 0o777}
    bundle.process["capabilities"] = {
        name: ["CAP_CHECKPOINT_RESTORE", "CAP_CHOWN"] for name in ("bounding", "permitted", "inheritable", "ambient")
    }
    bundle.process.update(oomScoreAdj=1000, noNewPrivileges=True, cwd="/new/working/directory")
    result = bundle.run(
        "stat -c %t:%T:%a /dev/a; cat /proc/net/dev | wc -l; hostname; grep CapAmb /proc/self/status; pwd"
    )
    lines = result.out.split("\n")
    assert lines[0] == "1ff:fffff:640"
    assert lines[2:] == ["h" * 64, "CapAmb:\t0000010000000001", "/new/working/directory", ""]


def test_a_terminal(bundle, runtime, tmp_path):
    bundle.process.update(terminal=True, consoleSize={"height": 9999, "width": 12345})
    bundle.shell("stty size")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "console"))
        listener.listen()
        name, _ = bundle.create("--console-socket", tmp_path / "console")
        connection, _ = listener.accept()
        with connection:
            _, fds, _, _ = socket.recv_fds(connection, 64, 1)
        runtime("start", name)
        output = b""
        while not output.endswith(b"\n"):
            output += os.read(fds[0], 4096)
        os.close(fds[0])
    assert output == b"9999 12345\r\n"


def test_hooks_that_talk_much(bundle, tmp_path):
    """In the container as well as on the host, with a state longer than a pipe, and output that is cut."""
    bundle.config["annotations"] = {"long": "x" * 200_000}
    script = "cat > /dev/null; i=0; while [ $i -lt 100 ]; do echo 0123456789012345678901234567890; i=$((i+1)); done"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]}
    bundle.config["hooks"] = {kind: [hook] for kind in KINDS}
    assert bundle.run("echo ran").out == "ran\n"


@pytest.mark.parametrize(
    ("script", "timeout", "problem"),
    [
        ("i=0; while [ $i -lt 500 ]; do echo 0123456789; i=$((i+1)); done; exit 3", 0, "exit status 3, output: 0123"),
        ("kill -9 $$", 0, "signal 9"),
        ("sleep 100", 1, "timed out"),
    ],
)
def test_hooks_that_fail_inside(bundle, script, timeout, problem):
    hook = {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]}
    bundle.config["hooks"] = {"createContainer": [hook | ({"timeout": timeout} if timeout else {})]}
    assert problem in bundle.fails()


def test_joined_namespaces_without_pivot(bundle, make_bundle, runtime):
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    other = make_bundle("other")
    for kind, file in (("pid", "pid"), ("network", "net"), ("ipc", "ipc"), ("uts", "uts")):
        other.namespace(kind, f"/proc/{runtime.state(name)['pid']}/ns/{file}")
    del other.config["hostname"]
    assert other.run("cat /proc/1/comm; ls /", "--no-pivot").out.startswith("pyruntime-init\n")


def test_an_image_with_a_strange_passwd(bundle):
    lines = ["x" * 10000, "a:x:4294967296:0::/wrapped:", "::::::", "b:x:1000:0::/" + "d" * 4000 + ":"]
    (bundle.rootfs / "etc/passwd").unlink()  # the file itself belongs to all bundles
    (bundle.rootfs / "etc/passwd").write_text("\n".join(lines))
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    assert bundle.run("echo ${#HOME}").out == "4001\n"


@pytest.mark.parametrize("args", [["/missing"], ["missing"], ["/etc"], ["x" * 5000], ["/script"]])
def test_programs_that_cannot_run(bundle, args):
    (bundle.rootfs / "script").write_text("#!" + "/missing" * 10 + "\n")
    (bundle.rootfs / "script").chmod(0o755)
    bundle.process["args"] = args
    bundle.process["env"] = ["PATH=" + ":".join(f"/{number}" for number in range(500))]
    result = bundle.run(check=False)
    assert result.code in (1, 255)
    assert "exec" in result.err
    assert "init is gone" not in result.err


def test_a_signal_while_it_waits(bundle, runtime):
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    runtime("kill", name, "TERM")
    runtime.wait_status(name, "stopped")


def test_a_sanitizer_is_heard(bundle, runtime, launcher, tmp_path):
    """The tests above could not fail if the sanitizer were not there: an init with a fault in it does not get far."""

    def spoil(sources):
        path = sources / "process.c"
        text = path.read_text()
        mark = "\t(void)init;\n\treturn (int)sys_sethostname("
        assert mark in text
        fault = "\tint many[4] = { 0 };\n\n\tfor (u32 i = 0; i <= op->arg[0].size; i++)\n\t\tmany[i] = 1;\n"
        path.write_text(
            text.replace(mark, f"{fault}\tinit->index += (u32)many[0] - 1;\n{mark[mark.index('return') :]}")
        )

    kind = "address" if "address" in str(launcher) else "undefined"
    bundle.config["hostname"] = "longer than four"
    assert "hostname" not in bundle.run("true").err
    runtime.path = str(install(kind, tmp_path, spoil))
    result = bundle.run("true", check=False)
    assert result.code == 1
    if kind == "undefined":
        assert f"init is gone: it was ended by signal {int(signal.SIGILL)}" in result.err
    else:
        assert "stack-buffer-overflow" in result.err or "runtime error" in result.err
