"""hooks (config.md, POSIX-platform Hooks; runtime.md, Lifecycle)."""

import json
import os
import time
from pathlib import Path

import pytest
from containers import Refused, cgroups, requirement, wait_for

IN_CREATE = ("prestart", "createRuntime", "createContainer")
KINDS = (*IN_CREATE, "startContainer", "poststart", "poststop")
# those that run in the runtime's namespaces
OUTSIDE = ("prestart", "createRuntime", "poststart", "poststop")
NAMESPACES = ("pid", "net", "ipc", "uts", "mnt")
SLEEP = "sleep 1000"
PROGRAM = "echo > /mark; sleep 1000"


def word(kind):
    """Returns the name of a kind as ids of requirements have it."""
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in kind)


def kinds(*wanted, holds):
    """Parametrizes a test with kinds of hooks; `holds` are the requirements, with {} for the kind."""
    return [
        pytest.param(kind, marks=requirement(*(name.format(word(kind)) for name in holds)), id=kind) for kind in wanted
    ]


class Hooks:
    """Hooks of a bundle that keep a journal in a directory below its root, which all of them can see."""

    def __init__(self, bundle):
        self.bundle = bundle
        self.folder = bundle.rootfs / "journal"
        self.folder.mkdir()
        self.folder.chmod(0o777)

    def place(self, kind):
        """Returns the directory as a hook of this kind has it."""
        return "/journal" if kind == "startContainer" else str(self.folder)

    def add(self, kind, script="", name=None, **members):
        """Adds a hook that writes down the state that it reads, runs a script, and then says that it has run."""
        name = name or kind
        lines = ["#!/bin/sh", f"cd {self.place(kind)}", f"cat > {name}.state", script, f"echo {name} >> journal"]
        file = self.folder / f"hook-{name}"
        file.write_text("\n".join(lines) + "\n")
        file.chmod(0o755)
        self.add_program(kind, f"{self.place(kind)}/{file.name}", **members)

    def probe(self, kind):
        """Returns the path of the suite's program as a hook of this kind has it."""
        return "/bin/probe" if kind == "startContainer" else str(self.bundle.rootfs / "bin/probe")

    def recorded(self, what):
        """Returns what `probe record` has written down, arguments or environment."""
        lines = self.read("record").splitlines()
        assert lines, "the hook has not run"
        return [line.partition(" ")[2] for line in lines if line.partition(" ")[0] == what]

    def add_program(self, kind, path, **members):
        hooks = self.bundle.config.setdefault("hooks", {})
        hooks.setdefault(kind, []).append({"path": path, **members})

    @property
    def ran(self):
        """The names of those that have run, in their order."""
        return self.read("journal").split()

    def read(self, name):
        path = self.folder / name
        return path.read_text() if path.exists() else ""

    def state(self, name):
        return json.loads(self.read(f"{name}.state"))


@pytest.fixture
def hooks(bundle):
    return Hooks(bundle)


def live(container):
    """Takes a container that was created through the rest of its life; its program has run for a while by its end."""
    root = container.bundle.rootfs
    container.start()
    wait_for((root / "mark").exists, "the program runs")
    container.stop()
    container.delete()


# ---- when they run


@requirement(
    "config.hooks.prestart.when", "config.hooks.prestart.first", "config.hooks.create-runtime.when",
    "config.hooks.create-container.when", "config.hooks.create-container.after-create-runtime",
    "config.hooks.start-container.when", "config.hooks.poststart.when", "config.hooks.poststop.when",
    *(f"runtime.lifecycle.{word(kind)}" for kind in KINDS),
)  # fmt: skip
def test_all_kinds_run_with_their_operation(bundle, hooks):
    for kind in reversed(KINDS):
        hooks.add(kind)
    container = bundle.create(SLEEP)
    assert hooks.ran == list(KINDS[:3])
    container.start()
    assert hooks.ran == list(KINDS[:5])
    container.stop()
    assert hooks.ran == list(KINDS[:5])
    container.delete()
    assert hooks.ran == list(KINDS)


@requirement("config.hooks.order")
@pytest.mark.parametrize("kind", KINDS)
def test_the_hooks_of_a_kind_run_in_the_order_of_the_list(bundle, hooks, kind):
    # the first takes longest
    for name, moment in (("one", 0.2), ("two", 0.1), ("three", 0)):
        hooks.add(kind, f"sleep {moment}", name)
    live(bundle.create(PROGRAM))
    assert hooks.ran == ["one", "two", "three"]


PID_OF_STATE = """pid=$(sed 's/[,{}]/\\n/g' NAME.state | sed -n 's/^ *"pid": *//p')"""


@pytest.mark.parametrize("kind", kinds("prestart", "createRuntime", holds=["config.hooks.{}.when"]))
def test_the_environment_is_there_and_the_root_not_yet_changed(bundle, hooks, kind):
    """Of the environment they can count on the namespaces and the mounts."""
    bundle.mount("/mnt", "tmpfs", "tmpfs")
    look = "cat /proc/$pid/mountinfo > mounts; readlink /proc/$pid/ns/net > namespace; ls -id /proc/$pid/root/. > root"
    hooks.add(kind, f"{PID_OF_STATE.replace('NAME', kind)}; {look}")
    container = bundle.create(SLEEP)
    assert hooks.read("namespace").strip() == container.namespace("net")
    assert f"{bundle.rootfs}/mnt " in hooks.read("mounts"), "the mount is not there, or the root is changed already"
    assert int(hooks.read("root").split()[0]) == Path("/").stat().st_ino


@pytest.mark.parametrize("kind", kinds("createContainer", holds=["config.hooks.{}.when"]))
def test_the_mounts_are_there_and_the_root_not_yet_changed(bundle, hooks, kind):
    bundle.mount("/mnt", "tmpfs", "tmpfs")
    hooks.add(kind, "cat /proc/self/mountinfo > mounts")
    bundle.create(SLEEP)
    assert f"{bundle.rootfs}/mnt " in hooks.read("mounts")


@requirement("config.hooks.start-container.when", "runtime.lifecycle.start-container")
def test_start_container_hooks_run_before_the_program(bundle, hooks):
    hooks.add("startContainer", "sleep 0.2")
    container = bundle.create("echo program >> /journal/journal; sleep 1000")
    assert hooks.ran == []
    container.start()
    wait_for(lambda: len(hooks.ran) == 2, "both have run")
    assert hooks.ran == ["startContainer", "program"]
    container.stop()


@requirement("config.hooks.poststart.when", "runtime.lifecycle.poststart")
def test_poststart_hooks_run_once_the_program_has_begun(bundle, hooks):
    waits = "for i in 1 2 3 4 5 6 7 8 9 10; do grep -q program journal 2> /dev/null && break; sleep 0.1; done"
    hooks.add("poststart", waits)
    container = bundle.create("echo program >> /journal/journal; sleep 1000")
    container.start()
    assert hooks.ran == ["program", "poststart"], "the program had not begun, or start has not waited"
    container.stop()


@requirement("config.hooks.poststop.when", "runtime.lifecycle.poststop")
def test_poststop_hooks_run_once_the_container_is_gone(bundle, runtime, hooks):
    name = runtime.new_name()
    hooks.add("poststop", f"ls -d /sys/fs/cgroup/{name} /sys/fs/cgroup/*/{name} 2> /dev/null > left")
    container = bundle.create(PROGRAM, name=name)
    assert cgroups(name)
    live(container)
    assert hooks.ran == ["poststop"]
    assert hooks.read("left") == ""


# ---- where they run, and what they are given


BOTH = ["config.hooks.{}.path", "config.hooks.{}.path-again", "config.hooks.{}.namespace"]
BOTH.append("config.hooks.{}.namespace-again")


@pytest.mark.parametrize("kind", kinds(*OUTSIDE, holds=BOTH))
def test_hooks_of_the_runtimes_namespaces(bundle, hooks, kind):
    """The program is found at a path that there is outside only."""
    hooks.add(kind, f"for kind in {' '.join(NAMESPACES)}; do readlink /proc/self/ns/$kind; done > namespaces")
    live(bundle.create(PROGRAM))
    assert hooks.read("namespaces").split() == [os.readlink(f"/proc/self/ns/{name}") for name in NAMESPACES]


@pytest.mark.parametrize("kind", kinds("createContainer", "startContainer", holds=BOTH))
def test_hooks_of_the_containers_namespaces(bundle, hooks, kind):
    """createContainer hooks are found outside, startContainer hooks in the container."""
    hooks.add(kind, f"for kind in {' '.join(NAMESPACES)}; do readlink /proc/self/ns/$kind; done > namespaces")
    container = bundle.create(PROGRAM)
    expected = [container.namespace(name) for name in NAMESPACES]
    live(container)
    assert hooks.read("namespaces").split() == expected


STATUS = {
    **dict.fromkeys(IN_CREATE, ("creating", "created")),
    "startContainer": ("created",),
    "poststart": ("running",),
    "poststop": ("stopped",),
}


@requirement("config.hooks.state")
@pytest.mark.parametrize("kind", KINDS)
def test_the_state_on_standard_input(bundle, hooks, kind):
    bundle.config["annotations"] = {"com.example.key": "value"}
    hooks.add(kind)
    container = bundle.create(PROGRAM)
    live(container)
    state = hooks.state(kind)
    assert state["id"] == container.name
    assert state["bundle"] == str(bundle.path)
    assert state["ociVersion"]
    assert state["annotations"]["com.example.key"] == "value"
    assert state["status"] in STATUS[kind]


@requirement("runtime.state.pid.seen", "runtime.state.pid")
@pytest.mark.parametrize("kind", KINDS[:5])
def test_the_pid_that_a_hook_is_given(bundle, hooks, kind):
    """It is the one in the namespace where the hook runs."""
    hooks.add(kind)
    container = bundle.create(PROGRAM)
    pid = container.pid
    live(container)
    assert hooks.state(kind)["pid"] == (pid if kind in OUTSIDE else 1)


@requirement("config.hooks.args")
@pytest.mark.parametrize("kind", KINDS)
def test_arguments(bundle, hooks, kind):
    arguments = ["a name", "record", f"{hooks.place(kind)}/record", "", "two words"]
    hooks.add_program(kind, hooks.probe(kind), args=arguments)
    live(bundle.create(PROGRAM))
    assert hooks.recorded("argument") == arguments


@requirement("config.hooks.env")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("environment", [["A=b", "EMPTY=", "PATH=/bin"], [], None])
def test_the_environment(bundle, hooks, kind, environment):
    """It is the list of the config, and nothing of the runtime's or the container's."""
    members = {} if environment is None else {"env": environment}
    hooks.add_program(kind, hooks.probe(kind), args=["probe", "record", f"{hooks.place(kind)}/record"], **members)
    live(bundle.create(PROGRAM))
    assert hooks.recorded("environment") == (environment or [])


# ---- failure


@pytest.mark.parametrize("failure", ["exit status", "signal", "no program"])
@pytest.mark.parametrize("kind", kinds(*IN_CREATE, holds=["runtime.lifecycle.{}.failure"]))
def test_a_failing_hook_fails_create(bundle, runtime, hooks, kind, failure):
    """And nothing is left of the container; the hooks behind it don't run."""
    match failure:
        case "exit status":
            hooks.add(kind, "exit 7", "bad")
        case "signal":
            hooks.add(kind, "kill -9 $$", "bad")
        case _:
            hooks.add_program(kind, "/nowhere/at/all")
    hooks.add(kind, name="behind")
    bundle.process["args"] = ["sleep", "1000"]
    bundle.is_refused()
    assert hooks.ran == []
    assert not cgroups(runtime.names[-1]), "a cgroup is left"


@requirement("runtime.lifecycle.poststop")
@pytest.mark.parametrize("kind", kinds(*IN_CREATE, holds=["runtime.lifecycle.{}.failure"]))
def test_poststop_hooks_run_after_a_failing_hook(bundle, hooks, kind):
    """The life goes on where a container is deleted."""
    hooks.add(kind, "exit 7", "bad")
    hooks.add("poststop")
    bundle.process["args"] = ["sleep", "1000"]
    bundle.is_refused()
    assert hooks.ran == ["poststop"]


@pytest.mark.parametrize("kind", kinds("startContainer", "poststart", holds=["runtime.lifecycle.{}.failure"]))
def test_a_failing_hook_fails_start(bundle, runtime, hooks, kind):
    """The container is stopped and deleted."""
    hooks.add(kind, "exit 7", "bad")
    hooks.add("poststop")
    container = bundle.create("echo program >> /journal/journal; sleep 1000")
    with pytest.raises(Refused):
        container.start()
    wait_for(lambda: not Path(f"/proc/{container.pid}/cmdline").exists() or not container.proc("cmdline"), "it ends")
    if kind == "startContainer":
        assert "program" not in hooks.ran
    assert not runtime.exists(container.name), "the container is still there"
    assert "poststop" in hooks.ran


@requirement("runtime.lifecycle.poststop.failure")
@pytest.mark.parametrize("script", ["exit 7", "kill -9 $$"])
def test_a_failing_poststop_hook_is_a_warning(bundle, runtime, hooks, script):
    hooks.add("poststop", script, "bad")
    hooks.add("poststop", name="behind")
    container = bundle.create(SLEEP)
    container.start()
    container.stop()
    done = runtime("delete", container.name)
    assert hooks.ran == ["behind"]
    assert not runtime.exists(container.name)
    assert done.err.strip(), "there is no warning"


@requirement("config.hooks.timeout")
@pytest.mark.parametrize("kind", [*IN_CREATE, "startContainer"])
def test_a_hook_that_takes_too_long(bundle, hooks, kind):
    """It is ended, and has failed."""
    hooks.add(kind, "echo $$ > pid; exec sleep 15", "slow", timeout=1)
    begin = time.monotonic()
    with pytest.raises(Refused):
        bundle.create(SLEEP).start()
    assert time.monotonic() - begin < 10
    if kind in OUTSIDE:
        assert not Path(f"/proc/{hooks.read('pid').strip()}").exists(), "the hook goes on"


@requirement("config.hooks.timeout")
@pytest.mark.parametrize("kind", KINDS)
def test_a_hook_that_is_done_in_time(bundle, hooks, kind):
    hooks.add(kind, "sleep 0.1", timeout=10)
    live(bundle.create(PROGRAM))
    assert hooks.ran == [kind]


# ---- configs that are refused


@requirement("config.hooks.timeout.positive")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("timeout", [0, -1])
def test_a_timeout_that_is_none(bundle, hooks, kind, timeout):
    hooks.add(kind, timeout=timeout)
    bundle.is_refused()


@requirement("config.hooks.path.required")
@pytest.mark.parametrize("kind", KINDS)
def test_a_hook_without_a_path(bundle, kind):
    bundle.config["hooks"] = {kind: [{"args": ["/bin/true"]}]}
    bundle.is_refused()


@requirement("config.hooks.path.absolute")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", ["true", "bin/true", "./bin/true"])
def test_a_path_that_is_not_absolute(bundle, kind, path):
    bundle.config["hooks"] = {kind: [{"path": path}]}
    bundle.is_refused()
