"""Hooks (config.md, POSIX-platform Hooks; runtime.md, Lifecycle): when, where and with what they run, and what a
failure does."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import jsonschema
import pytest

KINDS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
ON_HOST = ("prestart", "createRuntime", "poststart", "poststop")
IN_CREATE = ("prestart", "createRuntime", "createContainer")
SCHEMA = json.loads((Path(__file__).resolve().parent.parent.parent / "specs/state.schema.json").read_text())

RECORDER = """#!/bin/busybox sh
export PATH=/bin
b=/bin/busybox
d={out}/$1
$b mkdir $d
echo $1 >> {out}/order
$b cat > $d/state
$b tr '\\0' '\\n' < /proc/self/environ > $d/environ
echo "$0" "$@" > $d/args
$b pwd > $d/cwd
$b ls -l /proc/self/fd > $d/fds
$b cat /proc/self/status > $d/status
$b cat /proc/self/mountinfo > $d/mountinfo
for n in mnt pid net ipc uts; do $b readlink /proc/self/ns/$n; done > $d/namespaces
exit 0
"""


class Hooks:
    """Hooks of a bundle, and what those of them that keep records have seen."""

    def __init__(self, bundle, directory):
        self.bundle = bundle
        self.directory = directory
        directory.mkdir()
        # where startContainer hooks leave their records
        self.inside = bundle.rootfs / "records"
        self.inside.mkdir()
        self.inside.chmod(0o777)
        self.count = 0

    def add(self, kind, script, **fields):
        """Adds a hook that runs a shell script; in the container, where it is one of startContainer."""
        self.count += 1
        name = f"hook{self.count}"
        path = (self.bundle.rootfs if kind == "startContainer" else self.directory) / name
        path.write_text(script if script.startswith("#!") else f"#!/bin/busybox sh\nexport PATH=/bin\n{script}\n")
        path.chmod(0o755)
        seen = f"/{name}" if kind == "startContainer" else str(path)
        self.entry(kind, path=seen, **fields)
        return seen

    def entry(self, kind, **fields):
        self.bundle.config.setdefault("hooks", {}).setdefault(kind, []).append(fields)

    def record(self, kind, label=None, **fields):
        out = "/records" if kind == "startContainer" else self.directory
        fields.setdefault("args", ["hook", label or kind])
        return self.add(kind, RECORDER.format(out=out), **fields)

    def seen(self, label, what):
        for directory in (self.directory, self.inside):
            if (directory / label / what).exists():
                return (directory / label / what).read_text()
        return None

    def state(self, label):
        return json.loads(self.seen(label, "state"))

    def order(self, directory=None):
        path = (directory or self.directory) / "order"
        return path.read_text().split() if path.exists() else []


@pytest.fixture
def hooks(bundle, tmp_path):
    return Hooks(bundle, tmp_path / "hooks")


def status(text):
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def namespaces_of(pid):
    return [os.readlink(f"/proc/{pid}/ns/{name}") for name in ("mnt", "pid", "net", "ipc", "uts")]


def is_gone(pid, seconds=5):
    """Whether a process ends, or has ended and only waits to be reaped."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] in "ZX":
                return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


def test_all_kinds_run_in_order(bundle, runtime, hooks):
    """Each kind in its operation, and within a kind in the listed order."""
    for kind in reversed(KINDS):
        for index in range(2):
            hooks.record(kind, f"{kind}{index}")
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    created = [f"{kind}{index}" for kind in IN_CREATE for index in range(2)]
    assert hooks.order() == created
    runtime("start", name)
    assert hooks.order(hooks.inside) == ["startContainer0", "startContainer1"]
    assert hooks.order() == [*created, "poststart0", "poststart1"]
    runtime("kill", name, "KILL")
    runtime.wait_status(name, "stopped")
    runtime("delete", name)
    assert hooks.order() == [*created, "poststart0", "poststart1", "poststop0", "poststop1"]


def test_the_state_on_standard_input(bundle, runtime, hooks):
    bundle.config["annotations"] = {"org.example.key": 'a "quoted" välue\n'}
    for kind in KINDS:
        hooks.record(kind)
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    pid = runtime.state(name)["pid"]
    runtime("start", name)
    runtime("delete", "--force", name)
    expected = {
        "prestart": ("created", pid),
        "createRuntime": ("created", pid),
        "createContainer": ("created", 1),
        "startContainer": ("created", 1),
        "poststart": ("running", pid),
        "poststop": ("stopped", None),
    }
    for kind, (wanted, number) in expected.items():
        state = hooks.state(kind)
        jsonschema.validate(state, SCHEMA)
        assert (state["status"], state.get("pid")) == (wanted, number), kind
        assert state["id"] == name
        assert state["bundle"] == str(bundle.path)
        assert state["annotations"] == bundle.config["annotations"]
        assert "\n" not in hooks.seen(kind, "state"), "one line, for those who take it apart by hand"


def test_the_pid_is_the_one_seen_there(bundle, runtime, hooks):
    """runtime.md, State: in the container namespace it is the pid as seen by the container, which may be the host's."""
    bundle.namespace("pid", False)
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    bundle.mounts[:] = [mount for mount in bundle.mounts if mount["destination"] != "/proc"]
    hooks.record("createContainer")
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    assert hooks.state("createContainer")["pid"] == runtime.state(name)["pid"]


def test_namespaces(bundle, runtime, hooks):
    for kind in KINDS:
        hooks.record(kind)
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    container = namespaces_of(runtime.state(name)["pid"])
    runtime("start", name)
    runtime("delete", "--force", name)
    host = namespaces_of("self")
    assert all(a != b for a, b in zip(host, container, strict=True))
    for kind in KINDS:
        expected = host if kind in ON_HOST else container
        assert hooks.seen(kind, "namespaces").split() == expected, kind


def test_before_and_after_the_change_of_root(bundle, hooks):
    """createRuntime and createContainer find the mounts made, and the root not yet changed."""
    bundle.mounts.append({"destination": "/volume", "type": "tmpfs", "source": "tmpfs"})
    hooks.record("createRuntime")
    hooks.add(
        "createRuntime",
        f"pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); cat /proc/$pid/mountinfo > {hooks.directory}/of-init",
    )
    hooks.record("createContainer")
    hooks.record("startContainer")
    bundle.run("true")
    volume = f" {bundle.rootfs}/volume "
    assert volume not in hooks.seen("createRuntime", "mountinfo")
    assert volume in (hooks.directory / "of-init").read_text()
    assert volume in hooks.seen("createContainer", "mountinfo")
    assert " /volume " in hooks.seen("startContainer", "mountinfo")
    assert volume not in hooks.seen("startContainer", "mountinfo")


def test_working_directories(bundle, runtime, hooks, tmp_path):
    """The bundle for hooks of `create` on the host, the root directory for createContainer, as under runc."""
    for kind in KINDS:
        hooks.record(kind)
    bundle.process["cwd"] = "/home"
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    runtime("start", name)
    runtime("delete", "--force", name)
    assert {kind: hooks.seen(kind, "cwd").strip() for kind in IN_CREATE} == {
        "prestart": str(bundle.path),
        "createRuntime": str(bundle.path),
        "createContainer": str(bundle.rootfs),
    }
    assert hooks.seen("startContainer", "cwd") == "/home\n"


def test_environment_is_that_of_the_config_alone(bundle, runtime, hooks):
    for kind in KINDS:
        hooks.record(kind, f"{kind}0", env=["A=1", "B=two=2", "EMPTY="])
        hooks.record(kind, f"{kind}1")
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    runtime("start", name)
    runtime("delete", "--force", name)
    for kind in KINDS:
        assert hooks.seen(f"{kind}0", "environ").split() == ["A=1", "B=two=2", "EMPTY="], kind
        assert hooks.seen(f"{kind}1", "environ") == "", kind


def test_arguments(bundle, hooks):
    """args are argv, argv[0] included; without args there is argv[0] alone."""
    for kind in ("createRuntime", "createContainer"):
        script = f"tr '\\0' '|' < /proc/self/cmdline > {hooks.directory}/{kind}"
        # the kernel puts the interpreter in front of a script's arguments; a program has them as they are
        hooks.entry(kind, path="/bin/busybox", args=["sh", "-c", script, "x y", ""])
        hooks.entry(kind, path="/bin/busybox")
    bundle.run("true")
    assert (hooks.directory / "createRuntime").read_text().startswith("tr|")
    for kind in ("createRuntime", "createContainer"):
        bundle.config["hooks"] = {kind: [{"path": "/bin/true", "args": []}]}
        bundle.run("true")


def test_no_descriptors_but_three(bundle, runtime, hooks):
    """Nothing of ours, and nothing that our caller left open (CVE-2024-21626)."""
    for kind in KINDS:
        hooks.record(kind)
    bundle.process["args"] = ["sleep", "1000"]
    fds = [os.open("/", os.O_RDONLY) for _ in range(5)]
    for fd in fds:
        os.set_inheritable(fd, True)
    try:
        name, _ = bundle.create(close_fds=False)
        runtime("start", name, close_fds=False)
        runtime("delete", "--force", name, close_fds=False)
    finally:
        for fd in fds:
            os.close(fd)
    for kind in KINDS:
        lines = [line.split(" -> ") for line in hooks.seen(kind, "fds").splitlines() if " -> " in line]
        open_files = [line.split()[-1] for line, target in lines if not target.startswith("/proc/")]
        assert open_files == ["0", "1", "2"], (kind, lines)


def test_signals_and_session_are_fresh(bundle, runtime, hooks):
    for kind in KINDS:
        hooks.record(kind)

    def spoil():
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})

    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create(preexec_fn=spoil)
    runtime("start", name, preexec_fn=spoil)
    runtime("delete", "--force", name, preexec_fn=spoil)
    for kind in KINDS:
        found = status(hooks.seen(kind, "status"))
        assert int(found["SigBlk"], 16) == 0, kind
        assert not int(found["SigIgn"], 16) & 1 << (signal.SIGPIPE - 1), kind


def test_start_container_hooks_are_the_user(bundle, hooks):
    """They come last, when init is already what the program will be, as under runc."""
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    hooks.record("startContainer")
    hooks.record("createContainer")
    bundle.run("true")
    assert status(hooks.seen("startContainer", "status"))["Uid"].split()[0] == "1000"
    assert status(hooks.seen("createContainer", "status"))["Uid"].split()[0] == "0"


def test_the_program_runs_between_start_container_and_poststart(bundle, runtime, hooks):
    """poststart MUST come after the program is executed: what runs then is no longer init."""
    script = f"pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); readlink /proc/$pid/exe > {hooks.directory}/exe"
    hooks.add("poststart", script)
    hooks.add("startContainer", "echo hook >> /records/log")
    bundle.shell("echo program >> /records/log; sleep 1000")
    name, _ = bundle.create()
    runtime("start", name)
    assert (hooks.directory / "exe").read_text().strip().endswith("/bin/busybox")
    while len((hooks.inside / "log").read_text().split()) < 2:
        time.sleep(0.01)
    assert (hooks.inside / "log").read_text().split() == ["hook", "program"]


@pytest.mark.parametrize("kind", IN_CREATE)
@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("exit 3", "exit status 3"),
        ("echo oops >&2; exit 1", "exit status 1, output: oops"),
        ("kill -KILL $$", "signal 9"),
    ],
)
def test_a_failing_hook_fails_the_create(bundle, hooks, kind, script, problem):
    """runtime.md, Lifecycle: an error, the container is destroyed, and then the poststop hooks run."""
    hooks.record(kind, "first")
    hooks.add(kind, script)
    hooks.record(kind, "never")
    hooks.record("poststop")
    message = bundle.fails()
    assert f"hooks.{kind}[1]: error running {kind} hook #1: {problem} (config.json, line " in message
    assert hooks.order() == ["first", "poststop"]
    assert hooks.state("poststop")["status"] == "stopped"


@pytest.mark.parametrize("kind", IN_CREATE)
def test_hooks_without_a_program(bundle, hooks, kind):
    (hooks.directory / "plain").write_text("x")
    (hooks.directory / "script").write_text("#!/missing\n")
    (hooks.directory / "script").chmod(0o755)
    for path, text in (
        ("/missing", "no such file or directory"),
        (f"{hooks.directory}/plain", "permission denied"),
        (str(hooks.directory), "permission denied"),
        (f"{hooks.directory}/script", "no such file or directory"),
        (f"{hooks.directory}/plain/x", "not a directory"),
    ):
        bundle.config["hooks"] = {kind: [{"path": path}]}
        assert f"error running {kind} hook #0: exec {path}: {text}" in bundle.fails()


@pytest.mark.parametrize("kind", IN_CREATE)
def test_a_timeout_ends_the_whole_group(bundle, hooks, kind):
    hooks.add(kind, "sleep 1000 & sleep 1000 & wait", timeout=1, env=[f"MARK={hooks.directory}"])
    began = time.monotonic()
    message = bundle.fails()
    assert f"error running {kind} hook #0: timed out" in message
    assert 0.9 < time.monotonic() - began < 10
    mark = f"MARK={hooks.directory}".encode()
    left = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in path.read_bytes().split(b"\0"):
                left.append(path)
        except OSError:
            continue
    assert left == []


@pytest.mark.parametrize("kind", IN_CREATE)
def test_a_timeout_that_is_not_reached(bundle, hooks, kind):
    hooks.add(kind, "sleep 0.2", timeout=30)
    began = time.monotonic()
    bundle.run("true")
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("timeout", [0, -1, 1.5, "1"])
def test_timeouts_must_be_positive(bundle, hooks, timeout):
    hooks.add("createRuntime", "exit 0", timeout=timeout)
    assert "hooks.createRuntime[0].timeout" in bundle.fails()


@pytest.mark.parametrize("path", ["relative", "", "./x"])
def test_paths_must_be_absolute(bundle, hooks, path):
    hooks.entry("createRuntime", path=path)
    assert "hooks.createRuntime[0].path" in bundle.fails()


@pytest.mark.parametrize("kind", KINDS)
def test_a_hook_may_leave_a_child_behind(bundle, runtime, hooks, kind):
    """What holds the pipes open after the hook has ended is not waited for."""
    out = "/records" if kind == "startContainer" else hooks.directory
    hooks.add(kind, f"sleep 1000 & echo $! > {out}/child; exit 0")
    bundle.process["args"] = ["sleep", "1000"]
    began = time.monotonic()
    name, _ = bundle.create()
    runtime("start", name)
    runtime("delete", "--force", name)
    assert time.monotonic() - began < 10
    if kind in ON_HOST:
        child = int((hooks.directory / "child").read_text())
        assert Path(f"/proc/{child}").exists(), "a hook that ended well keeps what it left running"
        os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "script", ["exit 0", "exec <&-; sleep 0.1; exit 0", "exec <&- >&- 2>&-; sleep 0.1", "sleep 0.1"]
)
def test_hooks_that_do_not_read(bundle, runtime, hooks, kind, script):
    """A state larger than a pipe holds must neither block a hook that does not read it, nor kill us."""
    bundle.config["annotations"] = {"big": "x" * 300_000}
    hooks.add(kind, script)
    bundle.run("true", timeout=20)


@pytest.mark.parametrize("kind", KINDS)
def test_a_huge_state_arrives_whole(bundle, runtime, hooks, kind):
    bundle.config["annotations"] = {f"key{number}": "é" * 1000 for number in range(500)}
    hooks.record(kind)
    bundle.run("true")
    assert hooks.state(kind)["annotations"] == bundle.config["annotations"]


@pytest.mark.parametrize("kind", IN_CREATE)
def test_a_hook_that_prints_much(bundle, hooks, kind):
    """It must not block on a full pipe, and the message stays short."""
    hooks.add(kind, "yes | head -c 5000000; exit 1")
    message = bundle.fails()
    assert "exit status 1, output: y" in message
    assert len(message) < 6000


def test_a_failing_start_container_hook_destroys(bundle, runtime, hooks):
    hooks.record("startContainer", "first")
    hooks.add("startContainer", "echo no >&2; exit 7")
    hooks.record("poststart")
    hooks.record("poststop")
    bundle.shell("echo ran > /records/program")
    name, _ = bundle.create()
    result = runtime("start", name, check=False)
    assert result.code == 1
    text = "hooks.startContainer[1]: error running startContainer hook #1: exit status 7, output: no"
    assert text in result.err
    assert not (runtime.root / name).exists()
    assert not (hooks.inside / "program").exists()
    assert hooks.order() == ["poststop"]


def test_a_missing_start_container_hook(bundle, runtime, hooks):
    hooks.entry("startContainer", path="/missing")
    name, _ = bundle.create()
    result = runtime("start", name, check=False)
    assert "error running startContainer hook #0: exec /missing: no such file or directory" in result.err
    assert not (runtime.root / name).exists()


def test_a_start_container_hook_that_takes_too_long(bundle, runtime, hooks):
    hooks.add("startContainer", "sleep 1000", timeout=1)
    name, _ = bundle.create()
    result = runtime("start", name, check=False, timeout=20)
    assert "error running startContainer hook #0: timed out" in result.err
    assert not (runtime.root / name).exists()


def test_a_failing_poststart_hook_destroys(bundle, runtime, hooks):
    """runtime.md since 1.0.3: an error, the container is stopped and destroyed, and poststop hooks run."""
    hooks.add("poststart", "exit 4")
    hooks.record("poststop")
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    pid = runtime.state(name)["pid"]
    result = runtime("start", name, check=False)
    assert result.code == 1
    assert "hooks.poststart[0]: error running poststart hook #0: exit status 4" in result.err
    assert not (runtime.root / name).exists()
    assert is_gone(pid)
    assert hooks.order() == ["poststop"]


def test_a_failing_poststop_hook_is_a_warning(bundle, runtime, hooks):
    """The rest of them run, the container is gone, and `delete` has succeeded."""
    hooks.add("poststop", "echo no; exit 5")
    hooks.record("poststop", "second")
    hooks.entry("poststop", path="/missing")
    name, _ = bundle.create()
    result = runtime("delete", "--force", name)
    first, second = result.err.splitlines()
    assert "level=warning" in first
    assert "hooks.poststop[0]: error running poststop hook #0: exit status 5, output: no" in first
    assert "hooks.poststop[2]: error running poststop hook #2: exec /missing: no such file or directory" in second
    assert hooks.order() == ["second"]
    assert not (runtime.root / name).exists()


def test_a_poststop_hook_that_takes_too_long(bundle, runtime, hooks):
    hooks.add("poststop", "sleep 1000", timeout=1)
    name, _ = bundle.create()
    result = runtime("delete", "--force", name, timeout=20)
    assert "error running poststop hook #0: timed out" in result.err


def test_poststop_finds_the_container_gone(bundle, runtime, hooks):
    """They MUST be called after the container is deleted, but before `delete` returns."""
    bundle.linux["cgroupsPath"] = ""
    name, _ = bundle.create()
    cgroups = json.loads((runtime.root / name / "state.json").read_text())["cgroups"]
    runtime("delete", "--force", name)
    assert cgroups
    listing = " ".join([str(runtime.root / name), *cgroups])
    hooks.add("poststop", f"ls -d {listing} > {hooks.directory}/still 2>/dev/null; exit 0")
    bundle.config["linux"]["cgroupsPath"] = "/" + name
    name, _ = bundle.create()
    runtime("delete", "--force", name)
    assert (hooks.directory / "still").read_text() == ""


def test_run_runs_them_all(bundle, hooks):
    for kind in KINDS:
        hooks.record(kind)
    assert bundle.run("exit 3", check=False).code == 3
    assert hooks.order() == [*IN_CREATE, "poststart", "poststop"]
    assert hooks.order(hooks.inside) == ["startContainer"]


@pytest.mark.parametrize("kind", ["createRuntime", "createContainer", "startContainer", "poststart"])
@pytest.mark.parametrize("flags", [(), ("--detach",)])
def test_a_failing_hook_fails_the_run(bundle, runtime, hooks, kind, flags, tmp_path):
    hooks.add(kind, "exit 9")
    hooks.record("poststop")
    result = bundle.run("sleep 1000", "--pid-file", tmp_path / "pid", *flags, check=False)
    assert result.code == 1
    assert "pyruntime run failed: " in result.err
    assert f"hooks.{kind}[0]: error running {kind} hook #0: exit status 9" in result.err
    assert not list(runtime.root.iterdir())
    assert not (tmp_path / "pid").exists()
    assert hooks.order() == ["poststop"]


def test_no_poststop_when_the_create_fails_before_any_hook(bundle, hooks):
    """runtime.md, Errors: as if the operation were never attempted."""
    bundle.mounts.append({"destination": "/x", "type": "bind", "source": "/missing", "options": ["bind"]})
    hooks.record("createRuntime")
    hooks.record("poststop")
    bundle.fails()
    assert hooks.order() == []


def test_poststop_when_the_create_fails_after_hooks(bundle, hooks):
    """What createRuntime has set up is taken down again."""
    hooks.record("createRuntime")
    hooks.record("poststop")
    bundle.process["args"] = ["/missing"]
    bundle.fails()
    assert hooks.order() == ["createRuntime", "poststop"]


def test_a_hook_can_add_a_mount(bundle, hooks):
    """What createContainer is for: the mount namespace is the container's, the files are the host's."""
    (hooks.directory / "source").mkdir()
    (hooks.directory / "source/file").write_text("from the host\n")
    (bundle.rootfs / "added").mkdir()
    hooks.add("createContainer", f"mount -o bind {hooks.directory}/source {bundle.rootfs}/added")
    assert bundle.run("cat /added/file").out == "from the host\n"
    assert list((bundle.rootfs / "added").iterdir()) == []


def test_a_hook_can_set_up_the_network(bundle, hooks):
    """What createRuntime is for: it finds the network namespace by the state's pid."""
    script = "pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); nsenter -t $pid -n ifconfig lo 127.0.0.1 up"
    hooks.add("createRuntime", f"export PATH=/bin:/usr/bin:/sbin; {script}")
    assert "127.0.0.1" in bundle.run("ifconfig lo").out


def test_hooks_killed_with_the_runtime(bundle, runtime, hooks):
    """When `create` is killed in a hook, `delete --force` finds all there is and runs poststop."""
    hooks.add("createRuntime", f"echo $$ > {hooks.directory}/pid; sleep 1000")
    hooks.record("poststop")
    bundle.write()
    name = runtime.new_id()
    create = subprocess.Popen(runtime.command("create", "-b", bundle.path, name), stderr=subprocess.DEVNULL)
    while not (hooks.directory / "pid").exists() or not (hooks.directory / "pid").read_text():
        time.sleep(0.01)
    create.kill()
    create.wait()
    assert runtime.state(name)["status"] == "stopped"
    runtime("delete", "--force", name)
    assert hooks.order() == ["poststop"]
    os.killpg(int((hooks.directory / "pid").read_text()), signal.SIGKILL)


@pytest.mark.parametrize("kind", IN_CREATE)
def test_an_interrupted_create_is_undone(bundle, runtime, hooks, kind):
    """Ctrl-C in a hook: the hook ends, the container is gone, and what hooks had set up is taken down."""
    hooks.add(kind, f"readlink /proc/self > {hooks.directory}/begun; sleep 1000")
    hooks.record("poststop")
    bundle.write()
    name = runtime.new_id()
    create = subprocess.Popen(runtime.command("create", "-b", bundle.path, name), stderr=subprocess.DEVNULL)
    while not (hooks.directory / "begun").exists():
        time.sleep(0.01)
    create.send_signal(signal.SIGINT)
    assert create.wait(20) == 130
    assert not (runtime.root / name).exists()
    assert hooks.order() == ["poststop"]


def test_a_start_that_is_killed_in_a_hook(bundle, runtime, hooks):
    """The container goes on without it, and is created until its program runs, whatever files are left."""
    hooks.add("startContainer", ": > /records/begun; sleep 1")
    bundle.shell(": > /records/program; sleep 1000")
    name, _ = bundle.create()
    start = subprocess.Popen(runtime.command("start", name))
    while not (hooks.inside / "begun").exists():
        time.sleep(0.01)
    start.kill()
    start.wait()
    assert runtime.state(name)["status"] == "created"
    while not (hooks.inside / "program").exists():
        time.sleep(0.01)
    assert runtime.state(name)["status"] == "running"
    assert "cannot start an already running container" in runtime("start", name, check=False).err


def test_empty_lists_of_hooks(bundle):
    bundle.config["hooks"] = {kind: [] for kind in KINDS}
    assert bundle.run("echo ran").out == "ran\n"


def test_a_statically_linked_hook_outside_the_root(bundle, hooks, tmp_path):
    """startContainer paths resolve in the container, the others on the host."""
    shutil.copy("/bin/busybox", tmp_path / "only-on-host")
    for kind in ("createRuntime", "createContainer"):
        bundle.config["hooks"] = {kind: [{"path": str(tmp_path / "only-on-host"), "args": ["true"]}]}
        bundle.run("true")
    bundle.config["hooks"] = {"startContainer": [{"path": str(tmp_path / "only-on-host"), "args": ["true"]}]}
    assert "no such file or directory" in bundle.run("true", check=False).err
