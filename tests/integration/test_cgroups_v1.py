"""Cgroups on a host with hierarchies of version 1: where they are, what is in them, what the container sees."""

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from device_rules import CASES, check

ROOT = Path("/sys/fs/cgroup")
pytestmark = pytest.mark.skipif((ROOT / "cgroup.controllers").exists(), reason="this host has no cgroups of version 1")
MIB = 1 << 20


def own(controller):
    """Returns the directory of this process's own cgroup."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            return ROOT / mountpoint(controller) / path.lstrip("/")
    return pytest.skip(f"this host does not have {controller} in version 1")


def mountpoint(controller):
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        kind, _, options = line.partition(" - ")[2].split(" ")
        if kind == "cgroup" and controller in options.split(","):
            return line.split(" ")[4]
    return pytest.skip(f"this host does not have {controller} in version 1")


class Cgroups:
    """The cgroups of a container, from outside."""

    def __init__(self, runtime, name):
        self.state = json.loads((runtime.root / name / "state.json").read_text())

    def path(self, controller):
        top = mountpoint(controller)
        (found,) = [path for path in self.state["cgroups"] if path.startswith(f"{top}/")]
        return Path(found)

    def read(self, file, controller=None):
        return (self.path(controller or file.partition(".")[0]) / file).read_text().strip()


@pytest.fixture
def limits(bundle, runtime):
    """Creates a container with resources; returns its cgroups."""

    def create(**resources):
        bundle.linux["resources"] |= resources
        bundle.process["args"] = ["sleep", "1000"]
        name, result = bundle.create()
        cgroups = Cgroups(runtime, name)
        cgroups.name, cgroups.warnings = name, result.err
        return cgroups

    return create


@pytest.fixture
def folder(runtime):
    """Makes cgroups for a test; takes them, and all below, away again."""
    made = []

    def make(controller, name):
        path = Path(mountpoint(controller)) / name
        path.mkdir(parents=True)
        made.append(Path(mountpoint(controller)) / name.partition("/")[0])
        return path

    yield make
    for name in runtime.ids:
        runtime("delete", "--force", name)
    for path in made:
        for directory, _, _ in os.walk(path, topdown=False):
            os.rmdir(directory)


def every(name):
    """Returns all cgroups of a path below the roots of the hierarchies."""
    return [path for path in ROOT.glob(f"*/{name}") if path.is_dir() and not path.parent.is_symlink()]


# ---- where


def test_default_place_is_below_the_own_cgroup_and_named_by_the_id(limits):
    cgroups = limits()
    for controller in ("memory", "pids", "cpu", "name=systemd"):
        with contextlib.suppress(pytest.skip.Exception):
            assert cgroups.path(controller) == own(controller) / cgroups.name
            assert cgroups.path(controller).is_dir()


def test_absolute_path_is_below_the_root_of_the_hierarchy(bundle, limits, runtime):
    name = f"test-{os.getpid()}-top"
    bundle.linux["cgroupsPath"] = f"/{name}/inner"
    cgroups = limits()
    assert cgroups.path("memory") == Path(mountpoint("memory")) / name / "inner"
    assert len(every(f"{name}/inner")) == len(cgroups.state["cgroups"])
    pid = str(runtime.state(cgroups.name)["pid"])
    for path in cgroups.state["cgroups"]:
        # containerd reads them right after `create`
        assert pid in Path(path, "cgroup.procs").read_text().split()
    runtime("delete", "--force", cgroups.name)
    assert every(name) == [], "parents that were made for the container are left"


def test_relative_path_is_below_the_own_cgroup(bundle, limits, runtime):
    name = f"test-{os.getpid()}-rel"
    bundle.linux["cgroupsPath"] = f"{name}/../{name}/./inner"
    cgroups = limits()
    assert cgroups.path("memory") == own("memory") / name / "inner"
    runtime("delete", "--force", cgroups.name)
    assert not (own("memory") / name).exists()


def test_path_cannot_leave_the_hierarchy(bundle, limits):
    name = f"test-{os.getpid()}-up"
    bundle.linux["cgroupsPath"] = f"/../../../{name}"
    assert limits().path("pids") == Path(mountpoint("pids")) / name


@pytest.mark.parametrize("path", ["/", "/..", "/a/../..", "."])
def test_the_root_of_all_is_refused(bundle, path):
    bundle.linux["cgroupsPath"] = path
    assert "linux.cgroupsPath" in bundle.fails()


def test_cgroups_that_were_there_stay(bundle, limits, runtime, folder):
    name = f"test-{os.getpid()}-old"
    old = folder("pids", f"{name}/inner")
    bundle.linux["cgroupsPath"] = f"/{name}/inner"
    cgroups = limits(pids={"limit": 7})
    assert cgroups.path("pids") == old
    assert (old / "pids.max").read_text() == "7\n"
    runtime("delete", "--force", cgroups.name)
    assert old.exists()
    assert every(name) == [old.parent]


def test_parents_with_another_container_stay(make_bundle, runtime, folder):
    name = f"test-{os.getpid()}-pod"
    folder("pids", name)
    ids = []
    for part in ("one", "two"):
        bundle = make_bundle(part)
        bundle.linux["cgroupsPath"] = f"/{name}/{part}"
        bundle.process["args"] = ["sleep", "1000"]
        ids.append(bundle.create()[0])
    runtime("delete", "--force", ids[0])
    assert every(f"{name}/two")
    assert not every(f"{name}/one")
    runtime("delete", "--force", ids[1])
    assert every(f"{name}/*") == []
    for path in every(name):
        # the first container made them, and could not take them away
        if path.parent.name != "pids":
            path.rmdir()


def test_a_used_cgroup_is_refused_and_its_processes_live_on(bundle, runtime, folder):
    """Undoing the create that failed must not end who was there before."""
    name = f"test-{os.getpid()}-used"
    path = folder("pids", name)
    stranger = subprocess.Popen(["sleep", "1000"])
    try:
        (path / "cgroup.procs").write_text(str(stranger.pid))
        bundle.linux["cgroupsPath"] = f"/{name}"
        assert "container's cgroup is not empty: 1 process(es) found" in bundle.fails()
        time.sleep(0.05)
        assert stranger.poll() is None
        assert every(name) == [path]
    finally:
        stranger.kill()
        stranger.wait()
        time.sleep(0.05)


def test_the_cgroup_of_another_container_is_refused_and_it_lives_on(make_bundle, runtime):
    name = f"test-{os.getpid()}-twice"
    first, second = make_bundle("first"), make_bundle("second")
    for bundle in (first, second):
        bundle.linux["cgroupsPath"] = f"/{name}"
        bundle.process["args"] = ["sleep", "1000"]
    one, _ = first.create()
    runtime("start", one)
    assert "container's cgroup is not empty" in second.fails()
    assert runtime.state(one)["status"] == "running"
    runtime("delete", "--force", one)
    assert every(name) == []


def test_a_frozen_cgroup_is_refused(bundle, folder):
    name = f"test-{os.getpid()}-frozen"
    path = folder("freezer", name)
    (path / "freezer.state").write_text("FROZEN")
    bundle.linux["cgroupsPath"] = f"/{name}"
    assert "container's cgroup unexpectedly frozen" in bundle.fails()
    (path / "freezer.state").write_text("THAWED")


def test_a_frozen_container_can_be_deleted(limits, runtime):
    cgroups = limits()
    runtime("start", cgroups.name)
    (cgroups.path("freezer") / "freezer.state").write_text("FROZEN")
    runtime.wait_status(cgroups.name, "paused")
    runtime("delete", "--force", cgroups.name)
    assert not cgroups.path("freezer").exists()


def test_deep_cgroups_of_a_container_are_removed(limits, runtime):
    """Deeper than Python recurses, and than a path is long."""
    cgroups = limits()
    path = cgroups.path("pids")
    fd = os.open(path, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("abcd", dir_fd=fd)
        below = os.open("abcd", os.O_RDONLY, dir_fd=fd)
        os.mkdir("side", dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    runtime("delete", "--force", cgroups.name)
    assert not path.exists()


def test_delete_ends_who_forks_without_a_pid_namespace(bundle, runtime):
    """They are found by the cgroup, also in one below that the container made."""
    bundle.namespace("pid", False)
    bundle.mounts[:] = [
        {"destination": "/cg", "type": "bind", "source": str(ROOT), "options": ["rbind"]},
    ]
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    relative = own("pids").relative_to(ROOT)
    bundle.linux["resources"]["pids"] = {"limit": 50}
    bundle.shell(
        "sleep 1000 & mkdir /cg/$WHERE/sub; echo $! > /cg/$WHERE/sub/cgroup.procs; touch /ready; "
        "while :; do (sleep 0.01; :) & sleep 0.005; done"
    )
    bundle.linux["cgroupsPath"] = name = f"test-{os.getpid()}-forks"
    bundle.process["env"].append(f"WHERE={relative}/{name}")
    container, _ = bundle.create()
    runtime("start", container)
    while not (bundle.rootfs / "ready").exists():
        time.sleep(0.01)
    os.kill(runtime.state(container)["pid"], signal.SIGSTOP)
    assert (ROOT / relative / name / "sub").is_dir()
    runtime("delete", "--force", container)
    assert not every(str(name))


# ---- limits


def test_memory(limits):
    cgroups = limits(
        memory={"limit": 64 * MIB, "reservation": 32 * MIB, "swap": 96 * MIB, "swappiness": 7, "disableOOMKiller": True}
    )
    assert cgroups.read("memory.limit_in_bytes") == str(64 * MIB)
    assert cgroups.read("memory.soft_limit_in_bytes") == str(32 * MIB)
    assert cgroups.read("memory.memsw.limit_in_bytes") == str(96 * MIB)
    assert cgroups.read("memory.swappiness") == "7"
    assert "oom_kill_disable 1" in cgroups.read("memory.oom_control")


def test_memory_without_limit(limits):
    cgroups = limits(memory={"limit": -1, "reservation": -1, "swap": -1, "useHierarchy": True})
    unlimited = (own("memory").parent / "memory.limit_in_bytes").read_text().strip()
    for file in ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"):
        assert int(cgroups.read(file)) >= min(int(unlimited), 1 << 60)
    assert cgroups.read("memory.use_hierarchy") == "1"
    assert cgroups.warnings == ""


@pytest.mark.parametrize(("before", "after"), [(32, 128), (128, 32)])
def test_memory_in_a_cgroup_that_has_limits(bundle, limits, folder, before, after):
    """At every step memory has to be within memory and swap, whichever is greater of the old and the new ones."""
    name = f"test-{os.getpid()}-limited"
    path = folder("memory", name)
    (path / "memory.limit_in_bytes").write_text(str(before * MIB))
    (path / "memory.memsw.limit_in_bytes").write_text(str(before * MIB))
    bundle.linux["cgroupsPath"] = f"/{name}"
    cgroups = limits(memory={"limit": after * MIB, "swap": after * MIB})
    assert cgroups.read("memory.limit_in_bytes") == cgroups.read("memory.memsw.limit_in_bytes") == str(after * MIB)


def test_the_limit_on_buffers_of_tcp(limits):
    """Deprecated by the kernel too, but still there."""
    if not Path("/sys/fs/cgroup/memory/memory.kmem.tcp.limit_in_bytes").exists():
        pytest.skip("this kernel has no limit on buffers of TCP")
    cgroups = limits(memory={"kernelTCP": 4 * MIB})
    assert cgroups.read("memory.kmem.tcp.limit_in_bytes") == str(4 * MIB)


@pytest.mark.parametrize(
    ("memory", "word"),
    [({"kernel": MIB}, "kernel"), ({"useHierarchy": False}, "useHierarchy")],
)
def test_what_the_kernel_has_withdrawn_is_warned_of(limits, memory, word):
    assert f"linux.resources.memory.{word}" in limits(memory=memory).warnings


def test_a_swap_limit_below_the_memory_limit_is_refused(bundle):
    bundle.linux["resources"]["memory"] = {"limit": 64 * MIB, "swap": 32 * MIB}
    assert "linux.resources.memory.swap" in bundle.fails()


def test_memory_limit_kills(bundle):
    bundle.linux["resources"]["memory"] = {"limit": 24 * MIB, "swap": 24 * MIB}
    result = bundle.run("head -c 100000000 /dev/zero | tail -c 100000000 > /dev/null; echo status $?", check=False)
    assert "status 137" in result.out


def test_cpu(limits):
    cgroups = limits(cpu={"shares": 2000, "quota": 30000, "period": 60000, "burst": 10000})
    assert cgroups.read("cpu.shares") == "2000"
    assert cgroups.read("cpu.cfs_quota_us") == "30000"
    assert cgroups.read("cpu.cfs_period_us") == "60000"
    assert cgroups.read("cpu.cfs_burst_us") == "10000"


def test_cpu_idle_and_no_quota(limits):
    cgroups = limits(cpu={"idle": 1, "quota": -1})
    assert cgroups.read("cpu.idle") == "1"
    assert cgroups.read("cpu.cfs_quota_us") == "-1"


def test_realtime(bundle, limits):
    if not Path(own("cpu") / "cpu.rt_runtime_us").exists():
        pytest.skip("this kernel has no realtime groups")
    if int((own("cpu") / "cpu.rt_runtime_us").read_text()) <= 0:
        pytest.skip("the own cgroup has no realtime to give")
    cgroups = limits(cpu={"realtimePeriod": 500000, "realtimeRuntime": 1000})
    assert cgroups.read("cpu.rt_period_us") == "500000"
    assert cgroups.read("cpu.rt_runtime_us") == "1000"


def test_more_quota_than_there_is_names_the_field(bundle):
    bundle.linux["resources"]["cpu"] = {"quota": 10}
    message = bundle.fails()
    assert "linux.resources.cpu.quota" in message
    assert "invalid argument" in message.lower()


def test_cpuset(bundle, limits, runtime):
    cgroups = limits(cpu={"cpus": "0", "mems": "0"})
    assert cgroups.read("cpuset.cpus") == "0"
    assert cgroups.read("cpuset.mems") == "0"
    status = Path(f"/proc/{runtime.state(cgroups.name)['pid']}/status").read_text()
    assert re.search(r"^Cpus_allowed_list:\t0$", status, re.MULTILINE)


def test_cpuset_is_inherited_through_new_and_empty_ones(bundle, limits, folder):
    """A cpuset that somebody made and left empty admits nobody: neither it nor one below."""
    name = f"test-{os.getpid()}-sets"
    empty = folder("cpuset", f"{name}/empty")
    assert (empty / "cpuset.cpus").read_text().strip() == ""
    bundle.linux["cgroupsPath"] = f"/{name}/empty/new/inner"
    cgroups = limits()
    assert cgroups.read("cpuset.cpus") == Path(mountpoint("cpuset"), "cpuset.cpus").read_text().strip()


@pytest.mark.parametrize(("limit", "content"), [(5, "5"), (-1, "max"), (1, "1")])
def test_pids(limits, limit, content):
    assert limits(pids={"limit": limit}).read("pids.max") == content


def test_pids_limit_stops_forks(bundle):
    bundle.linux["resources"]["pids"] = {"limit": 2}
    result = bundle.run("sleep 0.2 & sleep 0.2 & sleep 0.2 & wait", check=False)
    assert "can't fork: Resource temporarily unavailable" in result.err


def test_pids_limit_of_zero(bundle):
    """The container's own process is there; it can make no other."""
    bundle.linux["resources"]["pids"] = {"limit": 0}
    assert bundle.run("cat /proc/self/status >/dev/null; echo here", check=False).code != 0
    bundle.process["args"] = ["echo", "here"]
    assert bundle.run().out == "here\n"


def block_device():
    for line in Path("/proc/partitions").read_text().splitlines()[2:]:
        major, minor, _, _ = line.split()
        return int(major), int(minor)
    return pytest.skip("this machine has no block device")


def test_throttle(limits):
    major, minor = block_device()
    device = {"major": major, "minor": minor}
    kinds = {
        "throttleReadBpsDevice": "blkio.throttle.read_bps_device",
        "throttleWriteBpsDevice": "blkio.throttle.write_bps_device",
        "throttleReadIOPSDevice": "blkio.throttle.read_iops_device",
        "throttleWriteIOPSDevice": "blkio.throttle.write_iops_device",
    }
    block = {kind: [device | {"rate": 1000000 + index}] for index, kind in enumerate(kinds)}
    cgroups = limits(blockIO=block)
    for index, file in enumerate(kinds.values()):
        assert cgroups.read(file) == f"{major}:{minor} {1000000 + index}"


def test_weight(bundle, limits, folder):
    files = ("blkio.weight", "blkio.bfq.weight")
    probe = folder("blkio", f"test-{os.getpid()}-probe")
    if not any((probe / file).exists() for file in files):
        bundle.linux["resources"]["blockIO"] = {"weight": 200}
        message = bundle.fails()
        assert "linux.resources.blockIO.weight" in message
        assert "the kernel or the parent cgroup lacks" in message
        return
    cgroups = limits(blockIO={"weight": 200})
    assert "200" in [cgroups.read(file, "blkio") for file in files if (cgroups.path("blkio") / file).exists()]


@pytest.mark.parametrize(
    ("resources", "field"),
    [
        ({"blockIO": {"leafWeight": 100}}, "linux.resources.blockIO.leafWeight"),
        ({"blockIO": {"throttleReadBpsDevice": [{"major": 4000, "minor": 0, "rate": 1}]}}, "throttleReadBpsDevice[0]"),
        ({"cpu": {"cpus": "4000"}}, "linux.resources.cpu.cpus"),
        ({"cpu": {"mems": "4000"}}, "linux.resources.cpu.mems"),
        ({"hugepageLimits": [{"pageSize": "3MB", "limit": 0}]}, "linux.resources.hugepageLimits[0]"),
        ({"memory": {"swappiness": 1000}}, "linux.resources.memory.swappiness"),
    ],
)
def test_what_the_kernel_refuses_is_an_error_that_names_the_field(bundle, resources, field):
    bundle.linux["resources"] |= resources
    assert field in bundle.fails()


# ---- hybrid: some controllers are in version 2


def second():
    try:
        return (ROOT / "unified/cgroup.controllers").read_text().split()
    except FileNotFoundError:
        return pytest.skip("this host has no hierarchy of version 2 beside those of version 1")


def test_hugepages_wherever_the_controller_is(limits):
    page = 2 * MIB
    cgroups = limits(hugepageLimits=[{"pageSize": "2MB", "limit": 4 * page}], memory={"swappiness": 60})
    if "hugetlb" in second():
        (place,) = [Path(path) for path in cgroups.state["cgroups"] if path.startswith(str(ROOT / "unified"))]
        assert (place / "hugetlb.2MB.max").read_text() == f"{4 * page}\n"
        assert (place / "hugetlb.2MB.rsvd.max").read_text() == f"{4 * page}\n"
    else:
        assert cgroups.read("hugetlb.2MB.limit_in_bytes") == str(4 * page)


def test_unified_goes_to_version_2_alone(bundle, limits):
    if "hugetlb" not in second():
        pytest.skip("the hierarchy of version 2 has no controller to try")
    cgroups = limits(unified={"hugetlb.2MB.max": "4194304"})
    (place,) = [Path(path) for path in cgroups.state["cgroups"] if path.startswith(str(ROOT / "unified"))]
    assert (place / "hugetlb.2MB.max").read_text() == "4194304\n"


@pytest.mark.parametrize("file", ["pids.max", "memory.high", "memory.soft_limit_in_bytes"])
def test_unified_for_a_controller_of_version_1_is_refused(bundle, file):
    """Also where version 1 has a file of that name: it may mean something else there."""
    bundle.linux["resources"]["unified"] = {file: "1000000000"}
    message = bundle.fails()
    assert f'linux.resources.unified["{file}"]: the cgroup controller "{file.partition(".")[0]}" is not' in message


@pytest.mark.parametrize("file", ["cgroup.procs", "../x", "memory", "memory./x", "nosuch.max"])
def test_unified_is_for_files_of_controllers(bundle, file):
    bundle.linux["resources"]["unified"] = {file: "1"}
    assert f'linux.resources.unified["{file}"]' in bundle.fails()


# ---- controllers that are missing


def without(*controllers):
    """Returns a command that runs another without these hierarchies, in a mount namespace of its own."""
    umounts = "; ".join(f"umount {mountpoint(controller)}" for controller in controllers)
    return ["unshare", "-m", "--propagation", "private", "sh", "-c", f'{umounts}; exec "$@"', "sh"]


@pytest.mark.parametrize(
    ("controller", "resources"),
    [
        ("memory", {"memory": {"limit": MIB * 64}}),
        ("pids", {"pids": {"limit": 5}}),
        ("cpu", {"cpu": {"shares": 5}}),
        ("cpuset", {"cpu": {"cpus": "0"}}),
        ("devices", {"devices": []}),
    ],
)
def test_a_missing_controller_is_named(bundle, runtime, controller, resources):
    runtime.prefix = without(controller)
    bundle.linux["resources"] |= resources
    message = bundle.fails()
    assert f"linux.resources.{next(iter(resources))}" in message
    assert f'the cgroup controller "{controller}" is not available on this host' in message


def test_a_missing_controller_that_nobody_asked_for_is_not_missed(bundle, runtime):
    runtime.prefix = without("cpuset", "pids")
    bundle.linux["resources"]["memory"] = {"limit": MIB * 64}
    assert bundle.run("echo here").out == "here\n"


def test_without_any_cgroups_devices_would_be_free_for_all(bundle, runtime):
    script = 'umount -a -t cgroup,cgroup2; exec "$@"'
    runtime.prefix = ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh"]
    assert 'linux.resources.devices: the cgroup controller "devices" is not available' in bundle.fails()


# ---- devices


@pytest.mark.parametrize("name", CASES)
def test_devices(bundle, name):
    check(bundle, *CASES[name])


def test_what_version_1_cannot_express_is_refused(bundle):
    """One device of those that a wider rule allows: the kernel would take the denial and do nothing."""
    bundle.linux["resources"]["devices"] = [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": 10, "access": "rw"},
        {"allow": False, "type": "c", "major": 10, "minor": 229, "access": "rw"},
    ]
    assert "linux.resources.devices: cgroup v1 cannot deny c 10:229" in bundle.fails()


# ---- what the container sees


def test_proc_self_cgroup(bundle):
    bundle.namespace("cgroup", False)
    bundle.linux["cgroupsPath"] = name = f"/test-{os.getpid()}-seen"
    lines = bundle.run("cat /proc/self/cgroup").out.splitlines()
    assert {line.split(":", 2)[2] for line in lines} == {name}


@pytest.mark.parametrize("namespace", [None, False])
def test_cgroup_mount(bundle, namespace):
    """Each hierarchy at its own place, showing no more than the container's own part of it, read-only as asked."""
    bundle.namespace("cgroup", namespace)
    bundle.linux["resources"]["pids"] = {"limit": 77}
    bundle.linux["resources"]["memory"] = {"limit": 64 * MIB}
    seen = bundle.run(
        "cd /sys/fs/cgroup; cat pids/pids.max memory/memory.limit_in_bytes; cat devices/cgroup.procs | wc -l; "
        "mkdir pids/x; touch x; ls",
        check=False,
    )
    assert seen.out.splitlines()[:2] == ["77", str(64 * MIB)]
    assert int(seen.out.splitlines()[2]) >= 1
    assert "mkdir: can't create directory 'pids/x': Read-only file system" in seen.err
    assert "touch: x: Read-only file system" in seen.err
    names = {path.name for path in ROOT.iterdir() if path.is_dir() and (path / "tasks").exists()}
    assert names <= set(seen.out.splitlines()[3:])


def test_cgroup_mount_for_writing(bundle):
    (mount,) = [mount for mount in bundle.mounts if mount["type"] == "cgroup"]
    mount["options"] = ["nosuid", "nodev", "noexec", "rw"]
    bundle.namespace("cgroup")
    bundle.linux["resources"]["pids"] = {"limit": 77}
    script = "cd /sys/fs/cgroup/pids; mkdir inner; echo 5 > inner/pids.max; echo $$ > inner/cgroup.procs; "
    script += "cat /proc/self/cgroup | grep pids; cat inner/pids.max"
    assert re.fullmatch(r"\d+:pids:/inner\n5\n", bundle.run(script).out)
