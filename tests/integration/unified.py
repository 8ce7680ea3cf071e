"""cgroup v2 for tests: the host's own hierarchy or, where there are others beside it, a mount namespace with it alone.

In there the runtime finds cgroup v2 at /sys/fs/cgroup and nothing else. What the hierarchy lacks are the controllers
that version 1 holds; tests that need them say so, and run in the VM of tests/vm.
"""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path("/sys/fs/cgroup")
# what is mounted already is taken: another mount would be of the same file system, and set its options anew
SCRIPT = """
where=$(awk '$9 == "cgroup2" || $8 == "cgroup2" {print $5; exit}' /proc/self/mountinfo)
if [ -n "$where" ]; then mount --bind "$where" /sys/fs/cgroup; else mount -t cgroup2 cgroup2 /sys/fs/cgroup; fi &&
echo ready && read -r _
"""


class Unified:
    """The hierarchy. Paths of cgroups are those that the runtime has, with /sys/fs/cgroup in front, or relative."""

    def __init__(self, view, prefix):
        # where this process sees it
        self.view = view
        # a command that runs another where it is all that there is
        self.prefix = prefix
        self.controllers = (view / "cgroup.controllers").read_text().split()

    def path(self, cgroup):
        return self.view / str(cgroup).removeprefix(f"{ROOT}/").lstrip("/")

    def read(self, cgroup, file):
        return (self.path(cgroup) / file).read_text().strip()

    def of(self, pid):
        """Returns the cgroup of a process, with a leading slash."""
        for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            if line.startswith("0::"):
                return line[3:]
        return None

    def members(self, cgroup):
        return [int(pid) for pid in self.read(cgroup, "cgroup.procs").split()]

    def inside(self, cgroup):
        """Returns a command that runs another in this cgroup, and sees nothing but version 2."""
        enter = 'echo 0 > "$1/cgroup.procs" && shift && exec "$@"'
        return [*self.prefix, "sh", "-c", enter, "sh", str(ROOT / cgroup)]

    def need(self, *controllers):
        for controller in controllers:
            if controller not in self.controllers:
                pytest.skip(f"cgroup v2 has no controller {controller} here: `make test-vm` has it")

    def alone(self, runtime):
        """A fixture's body: the runtime sees nothing but version 2, and in the end no cgroup is left."""
        before = self.tests()
        runtime.prefix = self.prefix
        yield runtime
        runtime.delete_all()
        assert self.tests() == before

    def tests(self):
        """Returns all cgroups that tests have made and that are still there."""
        found = []
        for directory, names, _ in os.walk(self.view):
            found += [f"{directory}/{name}" for name in names if name.startswith("test-")]
        return sorted(found)


@pytest.fixture(scope="session")
def unified():
    if (ROOT / "cgroup.controllers").exists():
        yield Unified(ROOT, [])
        return
    command = ["unshare", "-m", "--propagation", "private", "sh", "-c", SCRIPT]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if holder.stdout.readline() != b"ready\n":
        pytest.skip(f"cgroup v2 cannot be mounted here: {holder.communicate()[1].decode()}")
    yield Unified(Path(f"/proc/{holder.pid}/root{ROOT}"), ["nsenter", f"--mount=/proc/{holder.pid}/ns/mnt"])
    holder.communicate()


@pytest.fixture
def make_cgroup(unified, runtime):
    """Makes cgroups for a test; takes them, and all below, away again."""
    made = []

    def make(name):
        path = unified.path(name)
        path.mkdir(parents=True)
        made.append(unified.path(name.partition("/")[0]))
        return path

    yield make
    runtime.delete_all()
    for path in made:
        for directory, _, _ in os.walk(path, topdown=False):
            os.rmdir(directory)


class Container:
    """A container that waits for its start, and its cgroup."""

    def __init__(self, unified, runtime, name, result):
        self.unified = unified
        self.runtime = runtime
        self.name = name
        # of `create`; what the container prints goes there as well
        self.result = result
        self.pid = runtime.state(name)["pid"]
        self.cgroup = unified.of(self.pid)

    @property
    def path(self):
        return self.unified.path(self.cgroup)

    def read(self, file):
        return self.unified.read(self.cgroup, file)

    def start(self):
        self.runtime("start", self.name)

    def delete(self):
        self.runtime("delete", "--force", self.name)


@pytest.fixture
def created(bundle, runtime, unified):
    """Creates a container that would sleep, with these resources."""

    def create(*flags, **resources):
        bundle.linux.setdefault("resources", {}).update(resources)
        if bundle.process["args"] == ["sh"]:
            bundle.process["args"] = ["sleep", "1000"]
        name, result = bundle.create(*flags)
        return Container(unified, runtime, name, result)

    return create
