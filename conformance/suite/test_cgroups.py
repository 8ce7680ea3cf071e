"""cgroupsPath, ownership and resources (config-linux.md, Control groups); rules about devices are in test_devices.py.

Files and values are given for both versions of cgroups, and what a host does not have is not applicable there.
"""

from pathlib import Path

import pytest
from containers import Refused, cgroups, not_applicable, requirement
from host import Cgroups, need_controller

SLEEP = "sleep 1000"
MIB = 1 << 20


def limited(bundle, **resources):
    """Creates a container with these resources; returns its cgroups."""
    bundle.resources.update(resources)
    return Cgroups(bundle.create(SLEEP).pid)


def check(bundle, controller, resources, v1, v2):
    """Checks what a file of a controller says; `v1` and `v2` are (file, content), or None for what a version lacks."""
    need_controller(controller)
    version = Cgroups().version(controller)
    expected = v1 if version == 1 else v2
    if expected is None:
        not_applicable(f"cgroup v{version} has no such limit")
    file, content = expected
    found = limited(bundle, **resources)
    if not (found.directory(controller) / file).exists():
        not_applicable(f"this kernel has no {file}")
    assert found.read(controller, file) == content


def is_refused(bundle, **resources):
    bundle.resources.update(resources)
    bundle.process["args"] = ["sleep", "1000"]
    bundle.is_refused()


# ---- where


def place(pid):
    """Returns the cgroup of a process for the pids controller, from where the hierarchy is mounted."""
    need_controller("pids")
    found = Cgroups(pid)
    mount = found._place("pids")[1]
    return found.directory("pids").relative_to(mount)


@requirement("linux.cgroups-path.absolute", "linux.cgroups-path.forms")
def test_an_absolute_path(bundle, runtime):
    name = runtime.new_name()
    bundle.linux["cgroupsPath"] = f"/{name}/inner"
    assert place(bundle.create(SLEEP).pid) == Path(name, "inner")


@requirement("linux.cgroups-path.forms")
def test_a_relative_path(bundle, runtime):
    """Below a place that the runtime chooses."""
    name = runtime.new_name()
    bundle.linux["cgroupsPath"] = f"{name}/inner"
    found = place(bundle.create(SLEEP).pid)
    assert str(found).endswith(f"{name}/inner")


@requirement("linux.cgroups-path.consistent")
@pytest.mark.parametrize("top", ["/", ""])
def test_one_path_is_one_cgroup(bundle, make_bundle, runtime, top):
    name = runtime.new_name()
    places = []
    for number in range(2):
        once = make_bundle(f"bundle-{number}")
        once.linux["cgroupsPath"] = f"{top}{name}"
        container = once.create(SLEEP)
        places.append(place(container.pid))
        container.start()
        container.stop()
        container.delete()
    assert places[0] == places[1]


@requirement("linux.cgroups-path.invalid")
@pytest.mark.parametrize("path", ["/", "/..", "/a/../.."])
def test_the_root_of_the_hierarchy(bundle, path):
    """The limits of a container would be everybody's."""
    bundle.linux["cgroupsPath"] = path
    bundle.is_refused()


@requirement("linux.cgroups-path.invalid")
def test_a_path_does_not_lead_out_of_the_hierarchy(bundle, runtime):
    name = runtime.new_name()
    bundle.linux["cgroupsPath"] = f"/../../../{name}"
    try:
        container = bundle.create(SLEEP)
    except Refused:
        return
    assert place(container.pid) == Path(name)


@requirement("linux.cgroups.fit")
def test_the_cgroup_of_a_running_container(bundle, make_bundle, runtime):
    """The two would share limits, and the end."""
    name = runtime.new_name()
    bundle.linux["cgroupsPath"] = f"/{name}"
    first = bundle.create(SLEEP)
    first.start()
    second = make_bundle("second")
    second.linux["cgroupsPath"] = f"/{name}"
    try:
        second.create(SLEEP)
    except Refused:
        assert first.status == "running", "the other container has suffered"
    else:
        not_applicable("this runtime does not check whether a cgroup is in use, which it need not")
    first.stop()


@requirement("linux.cgroups.ownership.v1")
def test_cgroups_of_version_1_keep_their_owner(bundle):
    need_controller("pids", version=1)
    bundle.map_ids()
    bundle.namespace("cgroup")
    bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", ["rw", "nosuid", "nodev", "noexec"])
    container = bundle.create(SLEEP)
    for directory in cgroups(container.name):
        for path in (directory, *directory.iterdir()):
            assert path.stat().st_uid == 0, path


@requirement("linux.cgroups.ownership.namespace", "linux.cgroups.ownership.not-mounted")
@pytest.mark.parametrize(("namespace", "mounted"), [(False, True), (True, False)])
def test_cgroups_that_are_not_given_away(bundle, namespace, mounted):
    bundle.map_ids()
    if namespace:
        bundle.namespace("cgroup")
    if mounted:
        bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", ["rw", "nosuid", "nodev", "noexec"])
    container = bundle.create(SLEEP)
    for directory in cgroups(container.name):
        assert directory.stat().st_uid == 0, directory


# ---- memory


@requirement("linux.resources.memory.limit")
def test_memory(bundle):
    check(
        bundle, "memory", {"memory": {"limit": 64 * MIB}},
        ("memory.limit_in_bytes", str(64 * MIB)), ("memory.max", str(64 * MIB)),
    )  # fmt: skip


@requirement("linux.resources.memory.limit")
def test_no_limit_of_memory(bundle):
    need_controller("memory")
    found = limited(bundle, memory={"limit": -1})
    if found.version("memory") == 2:
        assert found.read("memory", "memory.max") == "max"
    else:
        assert int(found.read("memory", "memory.limit_in_bytes")) > 1 << 60


@requirement("linux.resources.memory.limit")
def test_too_much_memory(bundle):
    need_controller("memory")
    bundle.resources["memory"] = {"limit": 32 * MIB, "swap": 32 * MIB}
    done = bundle.run("probe eat 100; echo status $?")
    assert "eaten" not in done.out


@requirement("linux.resources.memory.reservation")
def test_reservation(bundle):
    check(
        bundle, "memory", {"memory": {"reservation": 32 * MIB}},
        ("memory.soft_limit_in_bytes", str(32 * MIB)), ("memory.low", str(32 * MIB)),
    )  # fmt: skip


@requirement("linux.resources.memory.swap")
def test_swap(bundle):
    """It is memory and swap together; version 2 counts swap alone."""
    check(
        bundle, "memory", {"memory": {"limit": 64 * MIB, "swap": 96 * MIB}},
        ("memory.memsw.limit_in_bytes", str(96 * MIB)), ("memory.swap.max", str(32 * MIB)),
    )  # fmt: skip


@requirement("linux.resources.memory.swap", "config.values.invalid")
def test_swap_that_is_less_than_memory(bundle):
    need_controller("memory")
    is_refused(bundle, memory={"limit": 64 * MIB, "swap": 32 * MIB})


@requirement("linux.resources.memory.kernel")
def test_kernel_memory_is_not_applied(bundle):
    """It is discouraged, and the kernel has nothing for it any more."""
    need_controller("memory")
    limited(bundle, memory={"limit": 64 * MIB, "kernel": 32 * MIB})


@requirement("linux.resources.memory.kernel-tcp")
def test_buffers_of_tcp(bundle):
    check(bundle, "memory", {"memory": {"kernelTCP": 4 * MIB}}, ("memory.kmem.tcp.limit_in_bytes", str(4 * MIB)), None)


@requirement("linux.resources.memory.swappiness")
@pytest.mark.parametrize("swappiness", [0, 7, 100])
def test_swappiness(bundle, swappiness):
    check(bundle, "memory", {"memory": {"swappiness": swappiness}}, ("memory.swappiness", str(swappiness)), None)


@requirement("linux.resources.memory.swappiness", "config.values.invalid")
def test_a_swappiness_beyond_the_kernels(bundle):
    need_controller("memory", version=1)
    is_refused(bundle, memory={"swappiness": 1000})


@requirement("linux.resources.memory.disable-oom-killer")
@pytest.mark.parametrize(("disable", "shown"), [(True, "1"), (False, "0")])
def test_the_killer_is_disabled(bundle, disable, shown):
    need_controller("memory", version=1)
    found = limited(bundle, memory={"limit": 64 * MIB, "disableOOMKiller": disable})
    assert found.read("memory", "memory.oom_control").splitlines()[0] == f"oom_kill_disable {shown}"


@requirement("linux.resources.memory.use-hierarchy")
def test_hierarchical_accounting(bundle):
    need_controller("memory", version=1, file="memory.use_hierarchy")
    found = limited(bundle, memory={"limit": 64 * MIB, "useHierarchy": True})
    assert found.read("memory", "memory.use_hierarchy") == "1"


@requirement("linux.resources.memory.check-before-update")
@pytest.mark.parametrize("wanted", [True, False])
def test_the_check_before_an_update(bundle, wanted):
    """A new cgroup uses nothing yet, so that every limit passes."""
    check(
        bundle, "memory", {"memory": {"limit": 64 * MIB, "checkBeforeUpdate": wanted}},
        ("memory.limit_in_bytes", str(64 * MIB)), ("memory.max", str(64 * MIB)),
    )  # fmt: skip


# ---- CPU


@requirement("linux.resources.cpu.shares")
def test_shares(bundle):
    need_controller("cpu")
    found = limited(bundle, cpu={"shares": 2048})
    if found.version("cpu") == 1:
        assert found.read("cpu", "cpu.shares") == "2048"
    else:
        # no conversion is prescribed, but twice the default is more than the default
        assert int(found.read("cpu", "cpu.weight")) > 39


@requirement("linux.resources.cpu.quota", "linux.resources.cpu.period")
def test_quota_and_period(bundle):
    check(
        bundle, "cpu", {"cpu": {"quota": 30000, "period": 60000}},
        ("cpu.cfs_quota_us", "30000"), ("cpu.max", "30000 60000"),
    )  # fmt: skip
    found = Cgroups(bundle.runtime.containers[-1].pid)
    if found.version("cpu") == 1:
        assert found.read("cpu", "cpu.cfs_period_us") == "60000"


@requirement("linux.resources.cpu.quota")
def test_no_quota(bundle):
    check(bundle, "cpu", {"cpu": {"quota": -1}}, ("cpu.cfs_quota_us", "-1"), ("cpu.max", "max 100000"))


@requirement("linux.resources.cpu.quota", "linux.resources.cpu.period", "config.values.invalid")
@pytest.mark.parametrize("cpu", [{"quota": 10}, {"period": 10}, {"quota": "10000"}])
def test_a_quota_that_cannot_be(bundle, cpu):
    need_controller("cpu")
    is_refused(bundle, cpu=cpu)


@requirement("linux.resources.cpu.burst")
def test_burst(bundle):
    need_controller("cpu", file="cpu.cfs_burst_us" if Cgroups().version("cpu") == 1 else "cpu.max.burst")
    check(
        bundle, "cpu", {"cpu": {"quota": 30000, "period": 60000, "burst": 10000}},
        ("cpu.cfs_burst_us", "10000"), ("cpu.max.burst", "10000"),
    )  # fmt: skip


@requirement("linux.resources.cpu.realtime")
def test_real_time(bundle):
    need_controller("cpu", version=1, file="cpu.rt_runtime_us")
    if int(Cgroups().read("cpu", "cpu.rt_runtime_us")) <= 0:
        not_applicable("the own cgroup has no real-time to give")
    found = limited(bundle, cpu={"realtimePeriod": 500000, "realtimeRuntime": 1000})
    assert found.read("cpu", "cpu.rt_period_us") == "500000"
    assert found.read("cpu", "cpu.rt_runtime_us") == "1000"


@requirement("linux.resources.cpu.cpus", "linux.resources.cpu.mems")
def test_cpus_and_memory_nodes(bundle):
    need_controller("cpuset")
    found = limited(bundle, cpu={"cpus": "0", "mems": "0"})
    assert found.read("cpuset", "cpuset.cpus") == "0"
    assert found.read("cpuset", "cpuset.mems") == "0"
    status = Path(f"/proc/{found.pid}/status").read_text()
    assert "Cpus_allowed_list:\t0\n" in status
    assert "Mems_allowed_list:\t0\n" in status


@requirement("linux.resources.cpu.cpus", "linux.resources.cpu.mems", "config.values.invalid")
@pytest.mark.parametrize("cpu", [{"cpus": "4000"}, {"cpus": "one"}, {"mems": "4000"}])
def test_cpus_that_are_not_there(bundle, cpu):
    need_controller("cpuset")
    is_refused(bundle, cpu=cpu)


@requirement("linux.resources.cpu.idle")
def test_idle(bundle):
    need_controller("cpu", file="cpu.idle")
    check(bundle, "cpu", {"cpu": {"idle": 1}}, ("cpu.idle", "1"), ("cpu.idle", "1"))


# ---- pids


@requirement("linux.resources.pids.limit")
@pytest.mark.parametrize(("limit", "content"), [(7, "7"), (-1, "max")])
def test_pids(bundle, limit, content):
    check(bundle, "pids", {"pids": {"limit": limit}}, ("pids.max", content), ("pids.max", content))


@requirement("linux.resources.pids.zero")
def test_no_pids(bundle):
    """The container's first process is there, and can have no other beside it."""
    need_controller("pids")
    bundle.resources["pids"] = {"limit": 0}
    done = bundle.run("echo first; /bin/echo second | /bin/cat")
    assert done.out == "first\n"


@requirement("linux.resources.pids.limit")
def test_forks_beyond_the_limit(bundle):
    need_controller("pids")
    bundle.resources["pids"] = {"limit": 3}
    done = bundle.run("for number in 1 2 3 4 5 6; do sleep 0.2 & done; wait")
    assert "fork" in done.err


# ---- block devices


def block_device():
    for line in Path("/proc/partitions").read_text().splitlines()[2:]:
        major, minor, *_ = line.split()
        return {"major": int(major), "minor": int(minor)}
    return not_applicable("this machine has no block device")


@requirement("linux.resources.block-io.throttle-bps", "linux.resources.block-io.throttle-iops")
@pytest.mark.parametrize(
    ("name", "v1", "v2"),
    [
        ("throttleReadBpsDevice", "read_bps_device", "rbps"),
        ("throttleWriteBpsDevice", "write_bps_device", "wbps"),
        ("throttleReadIOPSDevice", "read_iops_device", "riops"),
        ("throttleWriteIOPSDevice", "write_iops_device", "wiops"),
    ],
)
def test_rates(bundle, name, v1, v2):
    controller = "blkio" if Cgroups().version("blkio") else "io"
    need_controller(controller)
    device = block_device()
    found = limited(bundle, blockIO={name: [{**device, "rate": 1_000_000}]})
    if controller == "blkio":
        content = found.read("blkio", f"blkio.throttle.{v1}")
        assert content == f"{device['major']}:{device['minor']} 1000000"
    else:
        assert f"{v2}=1000000" in found.read("io", "io.max")


@requirement("config.values.invalid")
@pytest.mark.parametrize(
    ("name", "lacks"),
    [
        pytest.param(name, lacks, marks=requirement(f"linux.resources.block-io.throttle-{word}"))
        for name, word in (("throttleReadBpsDevice", "bps"), ("throttleWriteIOPSDevice", "iops"))
        for lacks in ("major", "minor", "rate")
    ],
)
def test_rates_that_lack_a_member(bundle, name, lacks):
    entry = {**block_device(), "rate": 1_000_000}
    del entry[lacks]
    is_refused(bundle, blockIO={name: [entry]})


@requirement("linux.resources.block-io.weight", "linux.resources.block-io.leaf-weight")
@pytest.mark.parametrize(("name", "files"), [("weight", ("weight", "bfq.weight")), ("leafWeight", ("leaf_weight",))])
def test_weights(bundle, name, files):
    """Where the kernel has nothing for them, they are refused."""
    controller = "blkio" if Cgroups().version("blkio") else "io"
    need_controller(controller)
    container = bundle.create(SLEEP)
    directory = Cgroups(container.pid).directory(controller)
    present = [directory / f"{controller}.{file}" for file in files if (directory / f"{controller}.{file}").exists()]
    container.start()
    container.stop()
    container.delete()
    if not present:
        is_refused(bundle, blockIO={name: 200})
        return
    found = limited(bundle, blockIO={name: 200})
    assert "200" in (found.directory(controller) / present[0].name).read_text()


@requirement("linux.resources.block-io.weight-device", "config.values.invalid")
@pytest.mark.parametrize("lacks", ["major", "minor"])
def test_a_weight_of_a_device_that_lacks_a_number(bundle, lacks):
    entry = {**block_device(), "weight": 200}
    del entry[lacks]
    is_refused(bundle, blockIO={"weightDevice": [entry]})


@requirement("linux.resources.block-io.weight-device.weights", "config.values.invalid")
def test_a_weight_of_a_device_without_a_weight(bundle):
    is_refused(bundle, blockIO={"weightDevice": [block_device()]})


# ---- huge pages, network, rdma


@requirement("linux.resources.hugepage-limits.page-size", "linux.resources.hugepage-limits.limit")
def test_huge_pages(bundle):
    limit = str(4 * MIB)
    check(
        bundle, "hugetlb", {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}]},
        ("hugetlb.2MB.limit_in_bytes", limit), ("hugetlb.2MB.max", limit),
    )  # fmt: skip


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param({"limit": MIB}, marks=requirement("linux.resources.hugepage-limits.page-size"), id="no size"),
        pytest.param({"pageSize": "2MB"}, marks=requirement("linux.resources.hugepage-limits.limit"), id="no limit"),
        pytest.param(
            {"pageSize": "3MB", "limit": MIB},
            marks=requirement("linux.resources.hugepage-limits.page-size"),
            id="no such size",
        ),
    ],
)
def test_bad_limits_of_huge_pages(bundle, entry):
    is_refused(bundle, hugepageLimits=[entry])


@requirement("linux.resources.network.class-id")
def test_the_class_of_packets(bundle):
    check(bundle, "net_cls", {"network": {"classID": 0x100001}}, ("net_cls.classid", str(0x100001)), None)


@requirement("linux.resources.network.class-id", "linux.resources.network.priorities", "runtime.create.cannot-apply")
@pytest.mark.parametrize(
    ("controller", "network"),
    [("net_cls", {"classID": 0x100001}), ("net_prio", {"priorities": [{"name": "lo", "priority": 7}]})],
)
def test_the_network_without_its_controller(bundle, controller, network):
    if Cgroups().version(controller):
        not_applicable(f"this host has the controller {controller}")
    is_refused(bundle, network=network)


@requirement("linux.resources.network.priorities")
@pytest.mark.parametrize("entry", [{"name": "lo"}, {"priority": 7}])
def test_a_priority_that_lacks_a_member(bundle, entry):
    is_refused(bundle, network={"priorities": [entry]})


@requirement("linux.resources.rdma")
def test_rdma_without_a_limit(bundle):
    is_refused(bundle, rdma={"mlx5_1": {}})


@requirement("linux.resources.rdma", "runtime.create.cannot-apply")
def test_rdma_without_its_controller(bundle):
    if Cgroups().version("rdma"):
        not_applicable("this host has the controller rdma")
    is_refused(bundle, rdma={"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}})


# ---- unified, and what only one version has


@requirement("linux.resources.unified", "linux.resources.unified.controllers")
def test_unified(bundle):
    need_controller("pids", version=2)
    found = limited(bundle, unified={"pids.max": "77", "memory.high": str(64 * MIB)})
    assert found.read("pids", "pids.max") == "77"
    assert found.read("memory", "memory.high") == str(64 * MIB)


@requirement("linux.resources.unified.absent")
@pytest.mark.parametrize("file", ["nosuch.max", "pids.no-such-file"])
def test_unified_for_what_is_not_there(bundle, file):
    is_refused(bundle, unified={file: "1"})


@requirement("linux.resources.unified.absent", "linux.resources.conversion")
@pytest.mark.parametrize("file", ["pids.max", "memory.high"])
def test_unified_for_a_controller_of_version_1(bundle, file):
    need_controller(file.partition(".")[0], version=1)
    is_refused(bundle, unified={file: "1000000000"})


@requirement("linux.resources.conversion")
@pytest.mark.parametrize("memory", [{"swappiness": 7}, {"kernelTCP": MIB}])
def test_what_version_2_does_not_have(bundle, memory):
    need_controller("memory", version=2)
    is_refused(bundle, memory=memory)


@requirement("runtime.create.cannot-apply", "config.values.invalid")
@pytest.mark.parametrize(
    "resources",
    [
        {"memory": {"limit": "64M"}},
        {"memory": {"limit": 1.5}},
        {"memory": []},
        {"cpu": {"shares": -1}},
        {"pids": {"limit": "7"}},
        {"blockIO": {"weight": -1}},
        {"devices": {}},
    ],
)
def test_bad_resources(bundle, resources):
    is_refused(bundle, **resources)
