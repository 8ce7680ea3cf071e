"""The runtime under test, the bundles it is given, and the containers that it makes of them."""

import contextlib
import ctypes
import glob
import json
import os
import select
import shutil
import signal
import subprocess
import time
import uuid
from pathlib import Path

import pytest

BUSYBOX = "/bin/busybox"
APPLETS = (
    "cat chmod chown cut date dd df dnsdomainname echo env false grep head hostname id ip kill ln ls mkdir mkfifo "
    "mknod mount mv ps pwd readlink rm rmdir sed seq sh sleep sort stat stty sync tail test touch tr true tty umount "
    "uname wc"
)
SECONDS = 20
PR_SET_CHILD_SUBREAPER = 36

# marks a test with the requirements that it holds
requirement = pytest.mark.requirement


class Refused(Exception):
    """A command of the runtime failed; the text is the last line that it printed."""


class Done:
    """What a command of the runtime came to."""

    def __init__(self, code, out, err):
        self.code = code
        self.out = out
        self.err = err

    @property
    def problem(self):
        """The last line of what it printed as an error."""
        lines = [line for line in self.err.splitlines() if line.strip()]
        return lines[-1].strip() if lines else f"exit status {self.code}"


def become_subreaper():
    """Makes the processes of containers our children once their runtime has ended, so that they can be waited for."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Runtime:
    """The runtime under test, with a state directory of its own."""

    def __init__(self, path, folder):
        self.path = path
        self.folder = folder
        self.state_root = folder / "state"
        self.state_root.mkdir(mode=0o700)
        self.names = []
        self.containers = []
        become_subreaper()

    def __call__(self, *words, check=True, cwd=None, prefix=(), **kwargs):
        """Runs one command. Raises Refused when it fails, unless `check` is false."""
        out, err = self.folder / f"out-{uuid.uuid4().hex}", self.folder / f"err-{uuid.uuid4().hex}"
        command = [*prefix, self.path, "--root", str(self.state_root), *map(str, words)]
        # files, since a container keeps open what it inherits
        with out.open("wb") as stdout, err.open("wb") as stderr:
            kwargs.setdefault("stdin", subprocess.DEVNULL)
            kwargs.setdefault("stdout", stdout)
            kwargs.setdefault("stderr", stderr)
            try:
                code = subprocess.run(command, check=False, timeout=SECONDS, cwd=cwd, **kwargs).returncode
            except subprocess.TimeoutExpired:
                pytest.fail(f"{words[0]} has not come to its end after {SECONDS} seconds")
        done = Done(code, out.read_text(errors="replace"), err.read_text(errors="replace"))
        if check and code:
            raise Refused(f"{words[0]}: {done.problem}")
        return done

    def new_name(self):
        name = f"conformance-{uuid.uuid4().hex[:12]}"
        self.names.append(name)
        return name

    def state(self, name):
        return json.loads(self("state", name).out)

    def exists(self, name):
        return self("state", name, check=False).code == 0

    def clean(self):
        """Ends and deletes what tests have left, also where the runtime would not."""
        for name in self.names:
            if any(self.state_root.glob(f"**/{name}")):
                self("delete", "--force", name, check=False)
        for container in self.containers:
            container.end()
        for name in self.names:
            remove_cgroups(name)
        reap()


def reap():
    """Takes note of all children that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def remove_cgroups(name):
    for directory in cgroups(name):
        for procs in directory.rglob("cgroup.procs"):
            for pid in procs.read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        for _ in range(100):
            for inner, _, _ in os.walk(directory, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(inner)
            if not directory.exists():
                break
            time.sleep(0.01)


def cgroups(name):
    """Returns the cgroups whose last part is the name of a container, in all hierarchies."""
    found = []
    for pattern in (name, f"*/{name}", f"*/*/{name}", f"*/*/*/{name}"):
        # of glob and not of pathlib: cgroups of others may go meanwhile
        found += [Path(path) for path in glob.glob(f"/sys/fs/cgroup/{pattern}") if os.path.isdir(path)]
    return found


def make_root(path, programs):
    """Makes a root directory with busybox and the programs of the suite."""
    if not Path(BUSYBOX).exists():
        pytest.fail("busybox-static is not installed")
    for name in ("bin", "dev", "etc", "mnt", "proc", "sys", "tmp"):
        (path / name).mkdir(parents=True)
    shutil.copy(BUSYBOX, path / "bin/busybox")
    for name in APPLETS.split():
        (path / "bin" / name).symlink_to("busybox")
    for program in programs.iterdir():
        shutil.copy(program, path / "bin" / program.name)
    (path / "tmp").chmod(0o1777)
    return path


def base_config():
    """A config with what nearly every test needs; the same for every runtime."""
    return {
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs"},
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": ["PATH=/bin"],
            "cwd": "/",
            "noNewPrivileges": True,
            "capabilities": capabilities("CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"),
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {
                "destination": "/dev",
                "type": "tmpfs",
                "source": "tmpfs",
                "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
            },
            {
                "destination": "/dev/pts",
                "type": "devpts",
                "source": "devpts",
                "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
            },
            {
                "destination": "/dev/shm",
                "type": "tmpfs",
                "source": "shm",
                "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
            },
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
        ],
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")],
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
        },
    }


def capabilities(*names, ambient=False):
    """Returns the sets of a process that has these."""
    sets = {kind: list(names) for kind in ("bounding", "effective", "permitted")}
    return sets | ({"inheritable": list(names), "ambient": list(names)} if ambient else {})


class Bundle:
    """A bundle on disk: change `config`, then make a container of it."""

    def __init__(self, runtime, path, template):
        self.runtime = runtime
        self.path = path
        self.rootfs = path / "rootfs"
        path.mkdir()
        # the template is for all; what tests write goes into directories, which are copies
        shutil.copytree(template, self.rootfs, symlinks=True, copy_function=os.link)
        self.config = base_config()

    @property
    def process(self):
        return self.config["process"]

    @property
    def linux(self):
        return self.config["linux"]

    @property
    def mounts(self):
        return self.config["mounts"]

    @property
    def resources(self):
        return self.linux["resources"]

    def grant(self, *names, **kwargs):
        self.process["capabilities"] = capabilities(*names, **kwargs)

    def namespace(self, kind, path=None):
        """Replaces, adds or (path=False) removes a namespace."""
        kept = [entry for entry in self.linux["namespaces"] if entry["type"] != kind]
        if path is not False:
            kept.append({"type": kind} if path is None else {"type": kind, "path": str(path)})
        self.linux["namespaces"] = kept

    def map_ids(self, host=100000, size=65536):
        """Gives the container a user namespace of its own, and the root directory to its root."""
        self.namespace("user")
        ids = [{"containerID": 0, "hostID": host, "size": size}]
        self.linux["uidMappings"], self.linux["gidMappings"] = ids, list(ids)
        for directory, _, names in os.walk(self.rootfs):
            os.chown(directory, host, host)
            for name in names:
                if not os.path.islink(f"{directory}/{name}"):
                    continue
                os.chown(f"{directory}/{name}", host, host, follow_symlinks=False)
        for parent in (self.path, *self.path.parents):
            if parent.stat().st_mode & 0o111 != 0o111:
                parent.chmod(parent.stat().st_mode | 0o111)

    def without_mount(self, destination):
        self.mounts[:] = [mount for mount in self.mounts if mount["destination"] != destination]

    def mount(self, destination, kind=None, source=None, options=()):
        """Adds a mount."""
        entry = {"destination": destination, "type": kind, "source": source, "options": list(options)}
        self.mounts.append({name: str(value) if name == "source" else value for name, value in entry.items() if value})

    def file(self, path, text, mode=0o644):
        """Writes a file into the root directory."""
        place = self.rootfs / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(mode)
        return place

    def write(self, name=None):
        config = json.loads(json.dumps(self.config))
        if name and isinstance(config.get("linux"), dict):
            config["linux"].setdefault("cgroupsPath", f"/{name}")
        (self.path / "config.json").write_text(json.dumps(config, indent=1))

    def create(self, script=None, *, name=None, **kwargs):
        """Creates a container. Raises Refused."""
        if script is not None:
            self.process["args"] = ["sh", "-c", script] if isinstance(script, str) else list(script)
        name = name or self.runtime.new_name()
        self.write(name)
        pid_file = self.path.parent / f"pid-{name}"
        flags = kwargs.pop("flags", [])
        done = self.runtime("create", "--bundle", self.path, "--pid-file", pid_file, *flags, name, **kwargs)
        container = Container(self, name, int(pid_file.read_text()) if pid_file.exists() else 0, done)
        self.runtime.containers.append(container)
        return container

    def run(self, script=None, **kwargs):
        """Runs a container to its end: create, start, wait, delete. Raises Refused. Returns what it printed."""
        out, err = self.path.parent / "container-out", self.path.parent / "container-err"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            kwargs.setdefault("stdout", stdout)
            try:
                container = self.create(script, stderr=stderr, **kwargs)
            except Refused:
                text = err.read_text(errors="replace").strip()
                raise Refused(f"create: {text.splitlines()[-1] if text else 'no message'}") from None
        container.start()
        code = container.wait()
        container.delete()
        return Done(code, out.read_text(errors="replace"), err.read_text(errors="replace"))

    def out(self, script=None, **kwargs):
        """Returns the output of a container whose program has to succeed."""
        done = self.run(script, **kwargs)
        if done.code:
            pytest.fail(f"in the container: {done.problem}")
        return done.out.strip()

    def is_refused(self, why="", **kwargs):
        """Checks that `create` fails and makes no container; returns the command with what it printed."""
        name = self.runtime.new_name()
        self.write(name)
        done = self.runtime("create", "--bundle", self.path, name, check=False, **kwargs)
        assert done.code, why or "create did not fail"
        assert done.code > 0, f"create ended by signal {-done.code}"
        assert not self.runtime.exists(name), "create failed, and there is a container all the same"
        return done


class Container:
    """A container that was created."""

    def __init__(self, bundle, name, pid, done):
        self.bundle = bundle
        self.runtime = bundle.runtime
        self.name = name
        self.pid = pid
        # of create; it has what the container prints as well
        self.created = done
        self._code = None

    @property
    def status(self):
        return self.runtime.state(self.name)["status"]

    @property
    def state(self):
        return self.runtime.state(self.name)

    def start(self):
        self.runtime("start", self.name)

    def kill(self, *words):
        self.runtime("kill", self.name, *words)

    def wait(self, seconds=SECONDS):
        """Waits for the end of the container's process; returns its exit status, 128 and more for a signal."""
        if self._code is not None:
            return self._code
        try:
            fd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            fd = None
        if fd is not None:
            try:
                if not select.select([fd], [], [], seconds)[0]:
                    pytest.fail(f"the container has not come to its end after {seconds} seconds")
            finally:
                os.close(fd)
        try:
            code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        except ChildProcessError:
            code = 0  # it is a child of somebody else
        self._code = 128 - code if code < 0 else code
        return self._code

    def delete(self, *flags):
        self.runtime("delete", *flags, self.name)

    def end(self):
        """Kills the container's process, whatever the runtime thinks of it."""
        if not self.pid or self._code is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def stop(self):
        """Ends a container that was started, by the runtime's own command."""
        self.kill("KILL")
        self.wait()

    def proc(self, file):
        return Path(f"/proc/{self.pid}/{file}").read_text()

    def namespace(self, name):
        return os.readlink(f"/proc/{self.pid}/ns/{name}")


def wait_for(condition, what, seconds=5):
    """Waits until something is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {seconds} seconds")
        time.sleep(0.005)


def not_applicable(reason):
    """Ends a test that this host has not got what it takes for."""
    pytest.skip(reason)
