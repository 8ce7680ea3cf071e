"""Every limit of linux.resources on cgroup v2: in the cgroup's files, as the container sees them, and in force."""

import re
import subprocess
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("controllers")
KIB, MIB = 1 << 10, 1 << 20

LIMITS = {
    "memory": (
        {"memory": {"limit": 64 * MIB, "reservation": 32 * MIB, "swap": 96 * MIB}},
        {"memory.max": str(64 * MIB), "memory.low": str(32 * MIB), "memory.swap.max": str(32 * MIB)},
    ),
    "memory without swap": (
        {"memory": {"limit": 64 * MIB, "swap": 64 * MIB, "checkBeforeUpdate": True}},
        {"memory.max": str(64 * MIB), "memory.swap.max": "0"},
    ),
    "memory unlimited": (
        {"memory": {"limit": -1, "swap": -1, "reservation": -1}},
        {"memory.max": "max", "memory.swap.max": "max", "memory.low": "max"},
    ),
    "swap alone": (
        {"memory": {"limit": -1, "swap": 32 * MIB}},
        {"memory.max": "max", "memory.swap.max": str(32 * MIB)},
    ),
    "cpu": (
        {"cpu": {"shares": 1024, "quota": 30000, "period": 60000, "burst": 10000}},
        {"cpu.weight": "100", "cpu.max": "30000 60000", "cpu.max.burst": "10000"},
    ),
    "cpu, the least": ({"cpu": {"shares": 2, "quota": 25000}}, {"cpu.weight": "1", "cpu.max": "25000 100000"}),
    "cpu, the most": ({"cpu": {"shares": 262144, "quota": -1}}, {"cpu.weight": "10000", "cpu.max": "max 100000"}),
    "cpu period alone": ({"cpu": {"period": 50000}}, {"cpu.max": "max 50000"}),
    "cpu only when idle": ({"cpu": {"idle": 1, "shares": 2048}}, {"cpu.idle": "1"}),
    "cpuset": ({"cpu": {"cpus": "1", "mems": "0"}}, {"cpuset.cpus": "1", "cpuset.mems": "0"}),
    "pids": ({"pids": {"limit": 5}}, {"pids.max": "5"}),
    "pids unlimited": ({"pids": {"limit": -1}}, {"pids.max": "max"}),
    "no more pids": ({"pids": {"limit": 1}}, {"pids.max": "1"}),
    "no pids": ({"pids": {"limit": 0}}, {"pids.max": "0"}),
    "huge pages": (
        {"hugepageLimits": [{"pageSize": "2MB", "limit": 8 * MIB}]},
        {"hugetlb.2MB.max": str(8 * MIB), "hugetlb.2MB.rsvd.max": str(8 * MIB)},
    ),
    "weight of block I/O": ({"blockIO": {"weight": 10}}, {"io.weight": "default 1"}),
    "unified": (
        {
            "memory": {"limit": 64 * MIB},
            "unified": {
                "memory.max": str(96 * MIB),
                "memory.high": str(48 * MIB),
                "memory.min": str(4 * MIB),
                "memory.oom.group": "1",
                "cpu.weight": "500",
                "cpuset.cpus": "0-1",
                "pids.max": "20",
                "io.weight": "200",
                "cgroup.max.depth": "3",
            },
        },
        {
            # it comes last, and so it holds
            "memory.max": str(96 * MIB),
            "memory.high": str(48 * MIB),
            "memory.min": str(4 * MIB),
            "memory.oom.group": "1",
            "cpu.weight": "500",
            "cpuset.cpus": "0-1",
            "pids.max": "20",
            "io.weight": "default 200",
            "cgroup.max.depth": "3",
        },
    ),
}


@pytest.fixture
def agree(bundle, created, runtime):
    """Creates a container, and expects these contents of files outside and inside."""

    def agree(resources, expected):
        # what needs no process: there may be no more of them
        bundle.shell(f"cd /sys/fs/cgroup; for file in {' '.join(expected)}; do read line < $file; echo $line; done")
        bundle.namespace("cgroup")
        container = created(**resources)
        assert {file: container.read(file) for file in expected} == expected
        container.start()
        runtime.wait_status(container.name, "stopped")
        assert container.result.out.splitlines() == list(expected.values())
        return container

    return agree


@pytest.mark.parametrize("name", LIMITS)
def test_limits(agree, name):
    agree(*LIMITS[name])


# ---- block I/O


@pytest.fixture(scope="session")
def disk():
    """The numbers of a disk that keeps nothing."""
    if not Path("/sys/block/nullb0").exists():
        done = subprocess.run(["modprobe", "null_blk", "nr_devices=1"], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"there is no null_blk here: {done.stderr.strip()}")
    major, minor = Path("/sys/block/nullb0/dev").read_text().strip().split(":")
    return {"major": int(major), "minor": int(minor)}


def test_throttled_block_devices(agree, disk):
    kinds = ("ReadBps", "WriteBps", "ReadIOPS", "WriteIOPS")
    limits = {f"throttle{kind}Device": [disk | {"rate": 1000000 + index}] for index, kind in enumerate(kinds)}
    expected = f"{disk['major']}:{disk['minor']} rbps=1000000 wbps=1000001 riops=1000002 wiops=1000003"
    agree({"blockIO": limits}, {"io.max": expected})


def test_weights_with_a_scheduler(created, disk):
    """With BFQ there are weights of its own, for the cgroup and for each device."""
    scheduler = Path("/sys/block/nullb0/queue/scheduler")
    before = re.search(r"\[(.*)\]", scheduler.read_text())[1]
    if subprocess.run(["modprobe", "bfq"], capture_output=True, check=False).returncode:
        pytest.skip("there is no BFQ here")
    scheduler.write_text("bfq")
    try:
        container = created(blockIO={"weight": 300, "weightDevice": [disk | {"weight": 400}]})
        expected = ["default 300", f"{disk['major']}:{disk['minor']} 400"]
        assert container.read("io.bfq.weight").splitlines() == expected
    finally:
        scheduler.write_text(before)


def test_throttled_block_device_is_slow(bundle, disk):
    bundle.linux["devices"] = [{"path": "/dev/disk", "type": "b", **disk}]
    bundle.linux["resources"]["devices"] = [{"allow": True, "type": "b", "access": "rw", **disk}]
    bundle.linux["resources"]["blockIO"] = {"throttleWriteBpsDevice": [disk | {"rate": 512 * KIB}]}
    start = time.monotonic()
    bundle.run("dd if=/dev/zero of=/dev/disk bs=128k count=8 oflag=direct")
    assert time.monotonic() - start > 1.5


# ---- in force


def test_two_megabytes_are_enough_to_start(bundle):
    bundle.linux["resources"]["memory"] = {"limit": 2 * MIB, "swap": 2 * MIB}
    assert bundle.run("echo here").out == "here\n"


def test_the_memory_limit_kills(bundle, created, runtime):
    bundle.shell("head -c 100000000 /dev/zero | tail -c 100000000 > /dev/null; echo status $?; sleep 1000")
    container = created(memory={"limit": 16 * MIB, "swap": 16 * MIB})
    container.start()
    deadline = time.monotonic() + 30
    while "status 137" not in container.result.out:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "oom_kill 1" in container.read("memory.events")
    # the container's first process is none of those that were killed
    assert runtime.state(container.name)["status"] == "running"


def test_the_first_process_out_of_memory(bundle):
    bundle.linux["resources"]["memory"] = {"limit": 16 * MIB, "swap": 16 * MIB}
    bundle.process["args"] = ["tail", "-c", "100000000", "/dev/zero"]
    assert bundle.run(check=False).code == 128 + 9


def test_not_enough_memory_to_create(bundle):
    bundle.linux["resources"]["memory"] = {"limit": 64 * KIB, "swap": 64 * KIB}
    assert "memory limit is too small" in bundle.fails()


def test_the_pids_limit_stops_forks(bundle):
    bundle.linux["resources"]["pids"] = {"limit": 2}
    result = bundle.run("sleep 0.2 & sleep 0.2 & sleep 0.2 & wait", check=False)
    assert "can't fork: Resource temporarily unavailable" in result.err


@pytest.mark.parametrize("limit", [0, 1])
def test_the_pids_limit_forbids_any_fork(bundle, limit):
    """The container's first process is there; it can make no other."""
    bundle.linux["resources"]["pids"] = {"limit": limit}
    result = bundle.run("echo here; sleep 0.1 & echo not here", check=False)
    assert result.out == "here\n"
    assert "can't fork: Resource temporarily unavailable" in result.err


def test_the_quota_throttles(bundle, created, runtime):
    bundle.shell("i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done; sleep 1000")
    container = created(cpu={"quota": 5000, "period": 50000})
    container.start()
    deadline = time.monotonic() + 30
    while re.search(r"^nr_throttled 0$", container.read("cpu.stat"), re.MULTILINE):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_cpuset_is_where_it_runs(bundle):
    bundle.linux["resources"]["cpu"] = {"cpus": "1", "mems": "0"}
    seen = bundle.run("grep _allowed_list /proc/self/status").out
    assert dict(line.split(":\t") for line in seen.splitlines()) == {"Cpus_allowed_list": "1", "Mems_allowed_list": "0"}


def test_limits_of_an_earlier_user_are_replaced(bundle, created, make_cgroup):
    """From more to less and from less to more, whatever the order in which the kernel wants them."""
    path = make_cgroup(f"test-{time.monotonic_ns()}")
    bundle.linux["cgroupsPath"] = f"/{path.name}"
    for megabytes in (64, 16, 128):
        memory = {"limit": megabytes * MIB, "swap": 2 * megabytes * MIB}
        container = created(memory=memory, cpu={"quota": megabytes * 1000, "burst": megabytes * 1000})
        assert container.read("memory.max") == container.read("memory.swap.max") == str(megabytes * MIB)
        assert container.read("cpu.max") == f"{megabytes * 1000} 100000"
        assert container.read("cpu.max.burst") == str(megabytes * 1000)
        container.delete()


# ---- refused


@pytest.mark.parametrize(
    ("resources", "field"),
    [
        ({"cpu": {"cpus": "4000"}}, "linux.resources.cpu.cpus"),
        ({"cpu": {"mems": "4000"}}, "linux.resources.cpu.mems"),
        ({"cpu": {"quota": 10}}, "linux.resources.cpu.quota"),
        ({"cpu": {"quota": 10000, "burst": 20000}}, "linux.resources.cpu.burst"),
        ({"cpu": {"realtimeRuntime": 1000}}, "linux.resources.cpu.realtimeRuntime"),
        ({"memory": {"swappiness": 10}}, "linux.resources.memory.swappiness"),
        ({"memory": {"disableOOMKiller": True}}, "linux.resources.memory.disableOOMKiller"),
        ({"memory": {"limit": 64 * MIB, "swap": 32 * MIB}}, "linux.resources.memory.swap"),
        ({"memory": {"swap": 32 * MIB}}, "linux.resources.memory.swap"),
        ({"blockIO": {"leafWeight": 100}}, "linux.resources.blockIO.leafWeight"),
        ({"blockIO": {"throttleReadBpsDevice": [{"major": 4000, "minor": 0, "rate": 1}]}}, "throttleReadBpsDevice[0]"),
        ({"hugepageLimits": [{"pageSize": "3MB", "limit": 0}]}, "linux.resources.hugepageLimits[0]"),
        ({"unified": {"memory.nosuch": "1"}}, 'linux.resources.unified["memory.nosuch"]'),
        ({"unified": {"memory.max": "much"}}, 'linux.resources.unified["memory.max"]'),
        ({"unified": {"memory.stat": "1"}}, 'linux.resources.unified["memory.stat"]'),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_is_an_error_that_names_the_field(bundle, resources, field):
    bundle.linux["resources"] |= resources
    assert field in bundle.fails()


def test_what_the_kernel_has_withdrawn_is_warned_of(created):
    warnings = created(memory={"kernel": MIB, "useHierarchy": False}).result.err
    for name in ("kernel", "useHierarchy"):
        assert f"linux.resources.memory.{name} is not applied" in warnings


# ---- in between


def test_a_parent_with_processes_becomes_threaded_for_thread_aware_controllers_alone(bundle, created, make_cgroup):
    """It is somebody else's: only what the config asks for is worth that."""
    parent = make_cgroup(f"test-{time.monotonic_ns()}")
    bundle.linux["cgroupsPath"] = f"/{parent.name}/inner"
    stranger = subprocess.Popen(["sleep", "1000"])
    try:
        (parent / "cgroup.procs").write_text(str(stranger.pid))
        bundle.linux["resources"]["memory"] = {"limit": 64 * MIB}
        assert "the cgroup above has processes of its own" in bundle.fails()
        assert (parent / "cgroup.type").read_text() == "domain\n"
        del bundle.linux["resources"]["memory"]
        container = created(pids={"limit": 5})
        assert container.read("pids.max") == "5"
        assert container.read("cgroup.type") == "threaded"
        assert (parent / "cgroup.type").read_text() == "domain threaded\n"
        assert (parent / "cgroup.subtree_control").read_text() == "pids\n"
        container.start()
        container.delete()
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("kind", ["cgroup", "cgroup2"])
def test_options_of_the_hosts_mount_stay(bundle, kind):
    """A new mount of cgroup v2 without a cgroup namespace would take nsdelegate and others away from the host."""

    def options():
        return [line.split(" ")[3] for line in Path("/proc/mounts").read_text().splitlines() if " cgroup2 " in line]

    before = options()
    if not all("nsdelegate" in line for line in before):
        pytest.skip("cgroup v2 is mounted without nsdelegate here")
    bundle.namespace("cgroup", False)
    (mount,) = [mount for mount in bundle.mounts if mount["type"] == "cgroup"]
    mount["type"] = kind
    assert " cgroup2 ro," in bundle.run("grep /sys/fs/cgroup /proc/mounts").out
    assert options() == before
