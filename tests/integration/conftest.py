"""Real bundles on a real runtime: `bundle` makes them, `runtime` runs them, and afterwards nothing may be left.

The runtime is the one that `make build` installs below build/, as users would have it; RUNTIME names another.
"""

import functools
import json
import os
import shutil
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

import pytest
from executions import Execution
from remains import init_processes, leftovers
from scenes import Accidents, Scene
from terminals import ConsoleSocket
from unified import created, make_cgroup, unified  # noqa: F401 (fixtures)

ROOT = Path(__file__).resolve().parent.parent.parent
BUSYBOX = "/bin/busybox"
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


def pytest_collection_modifyitems(items):
    if os.geteuid() != 0:
        for item in items:
            if "integration" in item.path.parts:
                item.add_marker(pytest.mark.skip(reason="needs root"))


def runtime_path():
    return os.environ.get("RUNTIME", str(ROOT / "build/root/sbin/pyruntime"))


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """A root directory with busybox and all its names."""
    if not Path(BUSYBOX).exists():
        pytest.fail("busybox-static is not installed")
    root = tmp_path_factory.mktemp("template") / "rootfs"
    for name in ("bin", "dev", "etc", "home", "proc", "root", "sys", "tmp", "var"):
        (root / name).mkdir(parents=True)
    shutil.copy(BUSYBOX, root / "bin/busybox")
    applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for name in applets:
        if name != "busybox":
            (root / "bin" / name).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home:/bin/sh\n")
    (root / "tmp").chmod(0o1777)
    return root


class Runtime:
    """The runtime under test, with a state directory of its own."""

    def __init__(self, root):
        self.path = runtime_path()
        self.root = root
        self.ids = []
        self.prefix = []  # a command that runs the runtime

    def command(self, *args):
        return [*self.prefix, self.path, "--root", str(self.root), *map(str, args)]

    def __call__(self, *args, check=True, timeout=60, env=None, **kwargs):
        """Runs one command; its output goes to files, since a container keeps what it inherits open."""
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        out, err = self.root.parent / f"out-{uuid.uuid4().hex}", self.root.parent / f"err-{uuid.uuid4().hex}"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            kwargs.setdefault("stdout", stdout)
            kwargs.setdefault("stderr", stderr)
            done = subprocess.run(
                self.command(*args), check=False, timeout=timeout, env=ENVIRONMENT if env is None else env, **kwargs
            )
        result = Result(done.returncode, out, err)
        if check and result.code:
            pytest.fail(f"{args}: exit status {result.code}: {result.err}")
        return result

    def new_id(self):
        name = f"test-{uuid.uuid4().hex[:12]}"
        self.ids.append(name)
        return name

    def delete_all(self):
        for name in self.ids:
            if (self.root / name).exists():
                self("delete", "--force", name, check=False)

    def state(self, name):
        return json.loads(self("state", name).out)

    def wait_status(self, name, status, seconds=10):
        deadline = time.monotonic() + seconds
        while (now := self.state(name)["status"]) != status:
            assert time.monotonic() < deadline, f"{name} is {now}, not {status}"
            time.sleep(0.01)


class Result:
    def __init__(self, code, out, err):
        self.code = code
        self._out, self._err = out, err

    @property
    def out(self):
        return self._out.read_text(errors="backslashreplace")

    @property
    def err(self):
        """Standard error, with the quotes of log lines as they were."""
        return self._err.read_text(errors="backslashreplace").replace('\\"', '"')


@pytest.fixture
def runtime(tmp_path):
    root = tmp_path / "state"
    root.mkdir(mode=0o700)
    runtime = Runtime(root)
    yield runtime
    runtime.delete_all()
    assert not [path for path in root.iterdir() if path.name != "@seccomp"], "state directories are left"
    assert not leftovers(runtime.ids)
    assert not init_processes(tmp_path), "an init is left"


@functools.cache
def default_config(path):
    """Returns what the `spec` of a runtime writes. Once: in a VM without hardware's help each command counts."""
    with tempfile.TemporaryDirectory() as bundle:
        subprocess.run([path, "spec", "-b", bundle], check=True)
        return (Path(bundle) / "config.json").read_text()


class Bundle:
    """A bundle on disk; change `config`, then run()."""

    def __init__(self, path, template, runtime):
        self.path = path
        self.rootfs = path / "rootfs"
        self.runtime = runtime
        path.mkdir()
        shutil.copytree(template, self.rootfs, symlinks=True, copy_function=os.link)
        (self.rootfs / "bin/busybox").unlink()
        shutil.copy(template / "bin/busybox", self.rootfs / "bin/busybox")
        self.config = json.loads(default_config(runtime.path))
        self.process["terminal"] = False
        self.config["root"]["readonly"] = False

    @property
    def process(self):
        return self.config["process"]

    @property
    def linux(self):
        return self.config["linux"]

    @property
    def mounts(self):
        return self.config["mounts"]

    def shell(self, script):
        self.process["args"] = ["sh", "-c", script]
        return self

    def namespace(self, kind, path=None):
        """Replaces, adds or (path=False) removes a namespace."""
        kept = [entry for entry in self.linux["namespaces"] if entry["type"] != kind]
        if path is not False:
            kept.append({"type": kind} if path is None else {"type": kind, "path": str(path)})
        self.linux["namespaces"] = kept

    def write(self):
        (self.path / "config.json").write_text(json.dumps(self.config, indent=1))

    def create(self, *flags, check=True, **kwargs):
        """Creates a container; returns its id and the result."""
        self.write()
        name = self.runtime.new_id()
        return name, self.runtime("create", "--bundle", self.path, *flags, name, check=check, **kwargs)

    def run(self, script=None, *flags, check=True, **kwargs):
        """Runs to the end; returns the result."""
        if script is not None:
            self.shell(script)
        self.write()
        return self.runtime("run", "--bundle", self.path, *flags, self.runtime.new_id(), check=check, **kwargs)

    def fails(self, *flags, **kwargs):
        """Expects `create` to fail and to leave nothing; returns the message."""
        name, result = self.create(*flags, check=False, **kwargs)
        assert result.code == 1
        assert not (self.runtime.root / name).exists()
        assert not leftovers([name])
        lines = result.err.splitlines()
        assert len([line for line in lines if "level=warning" not in line]) == 1, result.err
        return lines[-1]


@pytest.fixture
def bundle(tmp_path, template, runtime):
    return Bundle(tmp_path / "bundle", template, runtime)


@pytest.fixture
def make_bundle(tmp_path, template, runtime):
    """Makes further bundles."""
    return lambda name: Bundle(tmp_path / name, template, runtime)


@pytest.fixture
def running(bundle, runtime):
    """Starts a container of the bundle that does nothing; returns its id."""

    def start():
        bundle.process["args"] = ["sleep", "1000"]
        name, _ = bundle.create()
        runtime("start", name)
        return name

    return start


@pytest.fixture
def execution(running, runtime, tmp_path):
    """Starts a container of the bundle as it is by then; returns what executes programs in it."""
    return lambda: Execution(runtime, running(), tmp_path)


@pytest.fixture
def console(tmp_path):
    """A socket to be sent a terminal to."""
    socket_path = ConsoleSocket(tmp_path / "console.sock")
    yield socket_path
    socket_path.close()


@pytest.fixture(scope="module")
def accidents(tmp_path_factory):
    """A runtime to which accidents happen."""
    server = Accidents(runtime_path(), tmp_path_factory.mktemp("accidents"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def bystander(tmp_path_factory):
    """A second one, for what happens meanwhile."""
    server = Accidents(runtime_path(), tmp_path_factory.mktemp("bystander"))
    yield server
    server.close()


@pytest.fixture
def scene(bundle, accidents, tmp_path, request):
    """A bundle of one of the variants of scenes.py, to make containers of."""
    scene = Scene(bundle, request.param, accidents, tmp_path)
    yield scene
    scene.close()
    bundle.runtime.ids.append(scene.name)
