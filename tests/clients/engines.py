"""docker and podman behind one interface: their command lines are nearly the same."""

import json
import subprocess
import uuid

from calling import ENVIRONMENT, PATH, Result, Terminal, run, wait_for
from corner import is_gone, stop

IMAGE = "box"


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
    """A client; `call` it with the words of its command line."""

    def __init__(self, name, command, runtime):
        self.name, self.command, self.runtime = name, command, runtime
        self.made = []

    def __call__(self, *words, **kwargs) -> Result:
        return run(*self.command, *words, **kwargs)

    def do(self, *words, **kwargs):
        """Calls it; fails if it fails. Returns its output."""
        result = self(*words, **kwargs)
        assert result.code == 0, (words, result.err)
        return result.out

    def new_name(self):
        self.made.append(f"test-{uuid.uuid4().hex[:12]}")
        return self.made[-1]

    def options(self, runtime):
        return ("--network", "none", *(() if runtime is None else ("--runtime", runtime)))

    def run(self, *words, flags=(), runtime=None, **kwargs):
        """Runs a container to its end."""
        name = self.new_name()
        return self("run", "--rm", "--name", name, *self.options(runtime), *flags, IMAGE, *words, **kwargs)

    def out(self, *words, flags=(), **kwargs):
        """Runs a container to its end; fails if it fails. Returns its output."""
        result = self.run(*words, flags=flags, **kwargs)
        assert result.code == 0, (words, result.err)
        return result.out

    def shell(self, script, *flags, **kwargs):
        return self.out("sh", "-c", script, flags=flags, **kwargs)

    def start(self, *words, flags=(), runtime=None):
        """Starts a container that goes on."""
        name = self.new_name()
        self.do("run", "--detach", "--name", name, *self.options(runtime), *flags, IMAGE, *(words or ("sleep", "1000")))
        return Container(self, name)

    def terminal(self, *words):
        return Terminal(*self.command, *words)

    def in_terminal(self, *words, flags=()):
        """Runs a container with a terminal."""
        options = ("--rm", "--interactive", "--tty", "--name", self.new_name(), *self.options(None))
        return self.terminal("run", *options, *flags, IMAGE, *words)

    def inspect_image(self, name):
        return json.loads(self.do("image", "inspect", name))[0]

    def clean(self):
        """Removes what a test has made."""
        if self.made:
            self("rm", "--force", *(() if self.name == "docker" else ("--time", "0", "--ignore")), *self.made)
        self.made.clear()


class Dockerd:
    """A docker daemon in a corner of the host."""

    def __init__(self, host, name, runtime, **settings):
        self.host, self.place = host, host.place / name
        self.place.mkdir(mode=0o711)
        self.socket = self.place / "sock"
        settings = {
            "data-root": str(self.place / "data"),
            "exec-root": str(self.place / "exec"),
            "pidfile": str(self.place / "pid"),
            "hosts": [f"unix://{self.socket}"],
            "exec-opts": ["native.cgroupdriver=cgroupfs"],
            "cgroup-parent": f"/{host.cgroup}/{name}",
            "runtimes": {"tested": {"path": runtime}},
            "default-runtime": "tested",
            "log-level": "warn",
            "shutdown-timeout": 5,
            **settings,
        }
        (self.place / "daemon.json").write_text(json.dumps(settings))
        self.start()
        self.client = Engine("docker", ["/usr/bin/docker", "--host", f"unix://{self.socket}"], runtime)

    def start(self):
        command = self.host.inside("dockerd", "--config-file", self.place / "daemon.json")
        with (self.place / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**ENVIRONMENT, "PATH": PATH}
            )
        wait_for(self.answers, lambda: f"dockerd is ready\n{self.log()}", 60)

    def answers(self):
        assert self.process.poll() is None, self.log()
        return run("/usr/bin/docker", "--host", f"unix://{self.socket}", "version").code == 0

    def log(self):
        return (self.place / "log").read_text()

    def kill(self):
        """Kills the daemon in the midst of what it does."""
        self.process.kill()
        self.process.wait()
        wait_for(lambda: is_gone(self.process.pid), "dockerd ends")

    def close(self):
        stop(self.process)
