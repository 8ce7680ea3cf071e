"""docker and podman behind one interface: their command lines are nearly the same."""

import resource
import uuid

import pytest
from calling import Result, Terminal, run, wait_for

IMAGE = "box"
SLEEP = ("sleep", "1000")

# the limits are those that any root may set; init is that of docker
PODMAN = """[containers]
default_ulimits = ["nofile={files}", "nproc=10000:10000"]
init_path = "/usr/bin/docker-init"
[engine]
runtime = "tested"
[engine.runtimes]
tested = ["{runtime}"]
runc = ["/usr/sbin/runc"]
"""


class Container:
    def __init__(self, engine, name):
        self.engine, self.name = engine, name

    def exec(self, *words, flags=(), **kwargs):
        return self.engine("exec", *flags, self.name, *words, **kwargs)

    def inspect(self, form):
        result = self.engine("inspect", "--format", form, self.name)
        assert result.code == 0, result.err
        return result.out.strip()

    @property
    def pid(self):
        return int(self.inspect("{{.State.Pid}}"))

    @property
    def status(self):
        return self.inspect("{{.State.Status}}")

    @property
    def exit_code(self):
        return int(self.inspect("{{.State.ExitCode}}"))

    def logs(self):
        result = self.engine("logs", self.name)
        assert result.code == 0, result.err
        return result

    def wait_log(self, text):
        """Waits until the container has written this."""
        return wait_for(lambda: text in self.logs().out + self.logs().err, lambda: f"{text!r} in the log {self.logs()}")


class Engine:
    """A client; `call` it with the words of its command line.

    `arguments` is all in front of those words but the choice of the runtime, which podman's command line has there and
    docker's behind `run`.
    """

    def __init__(self, name, host, arguments, runtime="tested"):
        self.name, self.host, self.arguments, self.runtime = name, host, arguments, runtime
        self.image = IMAGE if name == "docker" else f"localhost/{IMAGE}"
        self.made = []

    def sibling(self, runtime="tested"):
        """Returns a client of the same daemon or store, with containers of its own."""
        return Engine(self.name, self.host, self.arguments, runtime)

    @property
    def command(self):
        return [*self.arguments, *(("--runtime", self.runtime) if self.name == "podman" else ())]

    def __call__(self, *words, **kwargs) -> Result:
        return run(*self.command, *words, **kwargs)

    def do(self, *words, **kwargs):
        """Calls it; fails if it fails. Returns its output."""
        result = self(*words, **kwargs)
        assert result.code == 0, (words, result.err)
        return result.out

    def new_name(self):
        name = f"test-{uuid.uuid4().hex[:12]}"
        self.made.append(name)
        return name

    def options(self, command, flags, name=None):
        """Returns the words up to the image: `command` with the flags, and those that all containers get."""
        words = [command, "--name", name or self.new_name()]
        if "--network" not in flags:
            words += ["--network", "none"]
        if self.name == "docker":
            words += [] if "--runtime" in flags else ["--runtime", self.runtime]
        else:
            words += ["--cgroup-parent", f"/{self.host.cgroup}/podman"]
        return [*words, *flags, IMAGE]

    def run(self, *words, flags=(), **kwargs):
        """Runs a container to its end."""
        return self(*self.options("run", ["--rm", *flags]), *words, **kwargs)

    def out(self, *words, flags=(), **kwargs):
        """Runs a container to its end; fails if it fails. Returns its output."""
        result = self.run(*words, flags=flags, **kwargs)
        if result.code != 0:
            self.excuse(lambda reference: reference.run(*words, flags=flags))
        assert result.code == 0, (words, result)
        return result.out

    def shell(self, script, *flags, **kwargs):
        return self.out("sh", "-c", script, flags=flags, **kwargs)

    def excuse(self, attempt):
        """Skips the test if runc cannot do this on this host either: `attempt` does it with the client it is given."""
        reference = self.sibling("runc")
        result = attempt(reference)
        reference.clean()
        if result.code != 0:
            pytest.skip(f"{self.name} with runc neither: {(result.err or result.out).strip()}")

    def create(self, *words, flags=()):
        name = self.new_name()
        self.do(*self.options("create", flags, name), *(words or SLEEP))
        return Container(self, name)

    def start(self, *words, flags=()):
        """Starts a container that goes on."""
        name, words = self.new_name(), words or SLEEP
        result = self(*self.options("run", ["--detach", *flags], name), *words)
        if result.code != 0:
            self.excuse(lambda reference: reference(*reference.options("run", ["--detach", *flags]), *words))
        assert result.code == 0, result
        return Container(self, name)

    def terminal(self, *words):
        return Terminal(*self.command, *words)

    def in_terminal(self, *words, flags=()):
        """Runs a container with a terminal."""
        return self.terminal(*self.options("run", ["--rm", "--interactive", "--tty", *flags]), *words)

    def remove(self, *names):
        more = () if self.name == "docker" else ("--time", "0", "--depend", "--ignore")
        return self("rm", "--force", *more, *names)

    def clean(self):
        """Removes what a test has made, as far as it is still there."""
        made, self.made = self.made, []
        attempts = []

        def is_done():
            there = self.do("ps", "--all", "--format", "{{.Names}}").split()
            there = [name for name in reversed(made) if name in there]  # some depend on earlier ones
            if there:
                attempts.append(self.remove(*there))
            return not there or attempts[-1].code == 0

        # again, since the cleanup that an engine starts at a container's end may be at work on the same mounts
        wait_for(is_done, lambda: f"removal: {attempts[-1]}")


def make_podman(host, runtime):
    """Returns podman with a store in a corner of the host. It has no daemon."""
    place = host.place / "podman"
    place.mkdir(mode=0o711)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    (place / "containers.conf").write_text(PODMAN.format(runtime=runtime, files=f"{soft}:{hard}"))
    flags = [f"--{name}={place / name}" for name in ("root", "runroot", "tmpdir", "network-config-dir")]
    flags += ["--storage-driver=vfs", "--cgroup-manager=cgroupfs", "--events-backend=file"]
    return Engine("podman", host, host.inside("env", f"CONTAINERS_CONF={place}/containers.conf", "podman", *flags))
