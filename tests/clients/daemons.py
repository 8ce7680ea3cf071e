"""containerd and dockerd in a corner of the host. The tests are their parent, so that one that was killed is gone."""

import json
import subprocess

from calling import ENVIRONMENT, PATH, run, wait_for
from engines import Engine

CONFIG = """version = 2
root = "{0}/root"
state = "{0}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
  address = "{0}/sock"
[ttrpc]
  address = "{0}/sock.ttrpc"
"""


class Daemon:
    """`command` is what starts it, and `probe` a client's that succeeds once it is ready."""

    def __init__(self, host, place, command, probe):
        self.host, self.place, self.command, self.probe = host, place, command, probe
        self.start()

    def start(self):
        with (self.place / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.host.inside(*self.command), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=ENVIRONMENT
            )
        wait_for(self._is_ready, lambda: f"{self.command[0]} is ready\n{self.log()}", 60)

    def _is_ready(self):
        assert self.process.poll() is None, self.log()
        return run(*self.host.inside(*self.probe)).code == 0

    def log(self):
        return (self.place / "log").read_text()

    def kill(self):
        """Kills it in the midst of what it does."""
        self.process.kill()
        self.process.wait()

    def close(self):
        """Ends it as one who stops it would."""
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()
            raise


class Containerd(Daemon):
    def __init__(self, host, name):
        place = host.place / name
        place.mkdir(mode=0o711)
        (place / "config.toml").write_text(CONFIG.format(place))
        self.client = ["ctr", "--address", str(place / "sock")]
        super().__init__(host, place, ["containerd", "--config", place / "config.toml"], [*self.client, "version"])


class Dockerd(Daemon):
    """Its containers are those of a namespace of the containerd that it is given; its PATH begins with `folder`."""

    def __init__(self, host, name, containerd, runtime, folder=None, **settings):
        place = host.place / name
        place.mkdir(mode=0o711)
        settings = {
            "data-root": str(place / "data"),
            "exec-root": str(place / "exec"),
            "pidfile": str(place / "pid"),
            "hosts": [f"unix://{place}/sock"],
            "containerd": str(containerd.place / "sock"),
            "containerd-namespace": name,
            "containerd-plugins-namespace": f"{name}-plugins",
            "exec-opts": ["native.cgroupdriver=cgroupfs"],
            "cgroup-parent": f"/{host.cgroup}/{name}",
            "runtimes": {
                "tested": {"path": runtime},
                "with-arguments": {"path": runtime, "runtimeArgs": ["--debug"]},
            },
            "default-runtime": "tested",
            "log-level": "warn",
            "shutdown-timeout": 5,
            **settings,
        }
        (place / "daemon.json").write_text(json.dumps(settings))
        self.containerd = containerd
        self.client = Engine("docker", host, ["docker", "--host", f"unix://{place}/sock"])
        probe = [*self.client.arguments, "version"]
        path = f"{folder}:{PATH}" if folder else PATH
        command = ["env", f"PATH={path}", "dockerd", "--config-file", place / "daemon.json"]
        super().__init__(host, place, command, probe)
