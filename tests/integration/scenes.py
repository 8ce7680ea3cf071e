"""Containers to which accidents happen: what is done to them, and what may be left afterwards.

The accidents are made by accidents.py, which holds a runtime that can be stopped, killed or failed at a chosen moment.
"""

import json
import os
import shutil
import socket
import subprocess
import time
import uuid
from pathlib import Path

import pytest
from remains import init_processes, leftovers

HERE = Path(__file__).resolve().parent
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
IDS = [{"containerID": 0, "hostID": 100000, "size": 65536}]
KINDS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"


def sampled(events, part=0):
    """Returns number and event of every fourth one, beginning with `part`; of all when we are to be thorough."""
    return list(enumerate(events)) if THOROUGH else list(enumerate(events))[part::4]


# ---- commands with accidents


class Outcome:
    """What became of a command: its exit status (None when it hung), its output, and the events that were listed."""

    def __init__(self, status, output, events):
        self.status = status
        self.events = events
        self.out, self.err = (path.read_text(errors="replace") for path in output)

    def problems(self):
        """Returns what is wrong with how it has failed: it has to say so in one line, and never with a traceback."""
        errors = [line for line in self.err.splitlines() if "level=warning" not in line]
        if self.status == 1 and len(errors) == 1 and "Traceback" not in self.err:
            return []
        return [f"status {self.status}: {self.err}"]


class Accidents:
    """A server of accidents.py."""

    def __init__(self, launcher, folder):
        interpreter = Path(launcher).read_text().splitlines()[0].removeprefix("#!").split()[0]
        self.folder = folder
        self.listed = False
        self.process = subprocess.Popen(
            [interpreter, "-IS", HERE / "accidents.py", launcher],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PATH": PATH},
            text=True,
        )

    def begin(self, argv, how="", where="", number=-1, then=None, seconds=20):
        """Begins a command line with an accident; `then` is how, where and number of a second one, for which what is
        counted begins with the first."""
        self.listed = "list" in (how, then and then[0])
        request = {"argv": [str(word) for word in argv], "how": how, "where": where, "number": number, "then": then}
        request |= {"output": [str(self.folder / "out"), str(self.folder / "err")]}
        self._send(request | {"seconds": seconds, "events": str(self.folder / "events")})

    def _send(self, value):
        self.process.stdin.write(json.dumps(value) + "\n")
        self.process.stdin.flush()

    def wait(self):
        """Waits for the end of a command; returns the Outcome, or None when it has stopped."""
        status = json.loads(self.process.stdout.readline())
        if status == "stopped":
            return None
        events = json.loads((self.folder / "events").read_text()) if self.listed else []
        return Outcome(status, [self.folder / "out", self.folder / "err"], events)

    def go_on(self):
        """Lets a command go on that has stopped."""
        self._send("go on")

    def __call__(self, *args, **kwargs):
        self.begin(*args, **kwargs)
        return self.wait()

    def close(self):
        self.process.communicate()


# ---- bundles


def everything(bundle):
    """Makes use of all that there is, but for what excludes something else."""
    (bundle.rootfs / "data").mkdir()
    (bundle.rootfs / "data/file").write_text("content")
    bundle.process.update(args=["sleep", "1000"], terminal=True, oomScoreAdj=100)
    bundle.process["user"] = {"uid": 1000, "gid": 1000, "additionalGids": [5]}
    bundle.process["env"] = ["PATH=/bin"]
    for kind in ("cgroup", "time"):
        bundle.namespace(kind)
    bundle.config["mounts"] += [
        {"destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro"]},
        {"destination": "/etc/hostname", "type": "bind", "source": "/etc/hostname", "options": ["bind", "ro"]},
        {"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup", "ro"]},
    ]
    bundle.linux["devices"] = [{"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11}]
    bundle.linux["sysctl"] = {"net.ipv4.ip_forward": "1", "kernel.shm_rmid_forced": "1"}
    bundle.linux["resources"]["memory"] = {"limit": 64 << 20}
    bundle.linux["resources"]["pids"] = {"limit": 100}
    bundle.config["hostname"] = "box"
    bundle.config["hooks"] = {kind: [{"path": "/bin/true"}] for kind in KINDS}


def with_user_namespace(bundle):
    everything(bundle)
    bundle.namespace("user")
    bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = IDS
    for path in (bundle.rootfs, *bundle.rootfs.iterdir()):
        shutil.chown(path, 100000, 100000)


def little(bundle):
    """Without a pid namespace, so that nobody dies with init; and with a limit that is set after the clone."""
    bundle.namespace("pid", False)
    bundle.mounts[:] = [mount for mount in bundle.mounts if mount["destination"] != "/proc"]
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    bundle.linux["resources"]["pids"] = {"limit": 1}
    bundle.process.update(args=["sleep", "1000"], terminal=False)


VARIANTS = {"everything": everything, "user namespace": with_user_namespace, "little": little}


def all_variants(function):
    return pytest.mark.parametrize("scene", VARIANTS, indirect=True)(function)


def one_variant(name):
    return pytest.mark.parametrize("scene", [name], indirect=True)


class Scene:
    """One bundle, one container after the other of it, and what was there before."""

    def __init__(self, bundle, variant, accidents, folder):
        VARIANTS[variant](bundle)
        self.variant = variant
        self.bundle = bundle
        self.runtime = bundle.runtime
        self.accidents = accidents
        self.folder = folder
        self.pid_files = folder / "pid-files"
        self.pid_files.mkdir()
        bundle.write()
        self.listener = None
        self.name = f"test-{uuid.uuid4().hex[:12]}"

    def argv(self, *words):
        return ["--root", self.runtime.root, *words]

    def command(self, *words, **accident):
        return self.accidents(self.argv(*words), **accident)

    def creation(self, command="create"):
        """Returns the words of a create; the socket for its terminal is there."""
        flags = ["--bundle", self.bundle.path, "--pid-file", self.pid_files / "pid"]
        if self.bundle.process["terminal"]:
            self._listen()
            flags += ["--console-socket", self.folder / "console"]
        return [command, *flags, self.name]

    def create(self, **accident):
        return self.command(*self.creation(), **accident)

    def _listen(self):
        self.close()
        (self.folder / "console").unlink(missing_ok=True)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.folder / "console"))
        self.listener.listen()

    def close(self):
        if self.listener is not None:
            self.listener.close()

    def events(self, where):
        """Returns the events of a create to which nothing happens."""
        listed = self.create(how="list", where=where)
        assert listed.status == 0, listed.err
        assert self.delete() == []
        return listed.events

    def bring_to(self, status):
        """Makes a container that is created, running or stopped."""
        outcome = self.create()
        assert outcome.status == 0, outcome.err
        if status != "created":
            outcome = self.command("start", self.name)
            assert outcome.status == 0, outcome.err
        if status == "stopped":
            self.command("kill", self.name, "KILL")
            deadline = time.monotonic() + 5
            while json.loads(self.command("state", self.name).out)["status"] != "stopped":
                assert time.monotonic() < deadline

    def stored(self):
        """Returns the status in the state file, "" if there is none; it is "created" when init may live alone."""
        try:
            return json.loads((self.runtime.root / self.name / "state.json").read_text())["status"]
        except FileNotFoundError:
            return ""

    def init_ends(self):
        """Whether, within a moment, no init is left."""
        deadline = time.monotonic() + 2
        while init_processes(self.runtime.root):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.001)
        return True

    def delete(self):
        """Deletes the container by force; returns what is wrong with that, and what is left."""
        outcome = self.command("delete", "--force", self.name)
        problems = [f"delete: {outcome.status}: {outcome.err}"] if outcome.status != 0 or outcome.err else []
        self.take_pid_files()
        return problems + self.remains()

    def remains(self):
        """Returns what is left of the container when nothing should be."""
        self.close()
        found = [str(path) for path in self.runtime.root.iterdir()] + leftovers([self.name, str(self.folder)])
        if not self.init_ends():
            found.append("an init")
        return found + sorted(self.take_pid_files())

    def take_pid_files(self):
        """Returns the names of files where the pid file is written, and takes them away."""
        names = {path.name for path in self.pid_files.iterdir()}
        for name in names:
            (self.pid_files / name).unlink()
        return names
