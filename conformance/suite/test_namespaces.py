"""linux.namespaces, id mappings, timeOffsets and sysctl (config-linux.md), hostname and domainname (config.md)."""

import os
import subprocess
import time
from pathlib import Path

import pytest
from containers import not_applicable, requirement

FILES = {
    "pid": "pid", "network": "net", "mount": "mnt", "ipc": "ipc", "uts": "uts", "user": "user", "cgroup": "cgroup",
    "time": "time",
}  # fmt: skip
SLEEP = "sleep 1000"


def own(kind):
    return os.readlink(f"/proc/self/ns/{FILES[kind]}")


def need(kind):
    if not Path(f"/proc/self/ns/{FILES[kind]}").exists():
        not_applicable(f"this kernel has no {kind} namespaces")


def kinds(*names):
    """Parametrizes a test with kinds of namespaces, each held by the requirement for it."""
    return [pytest.param(name, marks=requirement(f"linux.namespaces.{name}"), id=name) for name in names]


# ---- new, inherited, joined


@requirement("linux.namespaces.new", "linux.namespaces.types")
@pytest.mark.parametrize("kind", kinds(*FILES))
def test_a_new_namespace(bundle, kind):
    need(kind)
    if kind == "user":
        bundle.map_ids()
    bundle.namespace(kind)
    container = bundle.create(SLEEP)
    container.start()
    assert container.namespace(FILES[kind]) != own(kind)
    container.stop()


@requirement("linux.namespaces.inherited")
@pytest.mark.parametrize("kind", ["pid", "network", "ipc", "uts", "user", "cgroup", "time"])
def test_a_namespace_that_is_not_listed(bundle, kind):
    need(kind)
    bundle.namespace(kind, False)
    if kind == "network":
        bundle.without_mount("/sys")
    container = bundle.create(SLEEP)
    assert container.namespace(FILES[kind]) == own(kind)
    container.start()
    container.stop()
    # without a pid namespace its end does not end the program that its shell has started
    container.delete("--force")


@pytest.fixture
def holder():
    """Makes a namespace, which a process holds; returns the path of the namespace."""
    processes = []

    def make(kind):
        flag = {"network": "net"}.get(kind, kind)
        # a pid or time namespace is for children
        forks = ["--fork"] if kind in ("pid", "time") else []
        process = subprocess.Popen(
            ["unshare", f"--{flag}", *forks, "sh", "-c", "echo $$; exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        processes.append(process)
        assert process.stdout.readline()
        pid = process.pid
        if forks:
            pid = int(Path(f"/proc/{pid}/task/{pid}/children").read_text())
        return Path(f"/proc/{pid}/ns/{FILES[kind]}")

    yield make
    for process in processes:
        process.communicate()


@requirement("linux.namespaces.path")
@pytest.mark.parametrize("kind", ["pid", "network", "ipc", "uts", "cgroup", "time"])
def test_a_namespace_by_its_path(bundle, holder, kind):
    need(kind)
    path = holder(kind)
    bundle.namespace(kind, path)
    if kind == "network":
        bundle.without_mount("/sys")
    container = bundle.create(SLEEP)
    container.start()
    assert container.namespace(FILES[kind]) == os.readlink(path)
    container.stop()


@requirement("linux.namespaces.path")
def test_the_namespace_of_another_container(bundle, make_bundle):
    first = bundle.create(SLEEP)
    first.start()
    second = make_bundle("second")
    for kind in ("network", "ipc", "uts"):
        second.namespace(kind, f"/proc/{first.pid}/ns/{FILES[kind]}")
    container = second.create(SLEEP)
    container.start()
    for name in ("net", "ipc", "uts"):
        assert container.namespace(name) == first.namespace(name)
    container.stop()
    first.stop()


@requirement("linux.namespaces.path.type")
@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("network", "/proc/self/ns/uts"),
        ("uts", "/proc/self/ns/net"),
        ("ipc", "/proc/self/ns/pid"),
        ("network", "/dev/null"),
        ("network", "/proc/self/status"),
        ("network", "/nowhere/at/all"),
        ("ipc", "/"),
    ],
)
def test_a_path_to_something_else(bundle, kind, path):
    bundle.namespace(kind, path)
    bundle.process["args"] = ["sleep", "1000"]
    bundle.is_refused()


@requirement("linux.namespaces.path.absolute")
@pytest.mark.parametrize("path", ["proc/self/ns/net", "./net", "../../../../../../../proc/self/ns/net"])
def test_a_path_that_is_not_absolute(bundle, path):
    (bundle.path / "net").symlink_to("/proc/self/ns/net")
    bundle.namespace("network", path)
    bundle.process["args"] = ["sleep", "1000"]
    bundle.is_refused(cwd=bundle.path)


@requirement("linux.namespaces.duplicates")
@pytest.mark.parametrize("kind", ["pid", "network", "mount", "uts"])
def test_a_type_that_is_listed_twice(bundle, kind):
    bundle.linux["namespaces"].append({"type": kind})
    bundle.is_refused()


@requirement("linux.namespaces.type", "config.values.invalid")
@pytest.mark.parametrize("entry", [{}, {"type": ""}, {"type": "net"}, {"type": "PID"}, {"type": 1}, "pid"])
def test_a_type_that_is_none(bundle, entry):
    bundle.linux["namespaces"].append(entry)
    bundle.is_refused()


# ---- what they are for


@requirement("linux.namespaces.pid")
def test_processes_of_the_container_alone_are_seen(bundle):
    assert {int(word) for word in bundle.out("cd /proc; ls -d [0-9]*").split()} <= {1, 2, 3}


@requirement("linux.namespaces.network")
def test_interfaces_of_its_own(bundle):
    lines = bundle.out("cat /proc/net/dev").splitlines()[2:]
    names = {line.partition(":")[0].strip() for line in lines}
    assert "lo" in names
    mine = {line.partition(":")[0].strip() for line in Path("/proc/net/dev").read_text().splitlines()[2:]}
    # a kernel may add some to each namespace, such as tunl0
    assert not {name for name in names & mine if name.startswith(("eth", "en", "veth", "docker", "br"))}


@requirement("linux.namespaces.mount")
def test_mounts_of_its_own(bundle):
    before = Path("/proc/self/mountinfo").read_text()
    bundle.mount("/mnt", "tmpfs", "conformance")
    container = bundle.create(SLEEP)
    assert "conformance" in container.proc("mountinfo")
    assert Path("/proc/self/mountinfo").read_text() == before
    container.start()
    container.stop()


@requirement("linux.namespaces.ipc")
def test_objects_of_ipc_of_its_own(bundle):
    made = subprocess.run(["ipcmk", "-M", "4096"], capture_output=True, text=True, check=True).stdout.split()[-1]
    try:
        assert made in Path("/proc/sysvipc/shm").read_text()
        assert len(bundle.out("cat /proc/sysvipc/shm").splitlines()) == 1
    finally:
        subprocess.run(["ipcrm", "-m", made], check=True)


@requirement("linux.namespaces.uts", "config.hostname", "config.domainname")
def test_names_of_its_own(bundle):
    before = os.uname().nodename
    bundle.config |= {"hostname": "container.example", "domainname": "domain.example"}
    bundle.config["ociVersion"] = "1.1.0"
    names = bundle.out("hostname; cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname").split()
    assert names == ["container.example", "container.example", "domain.example"]
    assert os.uname().nodename == before


@requirement("config.hostname", "config.domainname")
@pytest.mark.parametrize("name", ["hostname", "domainname"])
def test_names_without_a_namespace_for_them(bundle, name):
    """They would be the host's."""
    before = os.uname().nodename
    bundle.namespace("uts", False)
    bundle.config[name] = "container.example"
    bundle.is_refused()
    assert os.uname().nodename == before


@requirement("config.values.invalid")
@pytest.mark.parametrize("name", ["hostname", "domainname"])
def test_names_that_are_too_long(bundle, name):
    bundle.config[name] = "x" * 65
    bundle.is_refused()


@requirement("linux.namespaces.cgroup")
def test_the_own_cgroup_is_the_root_of_what_is_seen(bundle):
    need("cgroup")
    bundle.namespace("cgroup")
    for line in bundle.out("cat /proc/self/cgroup").splitlines():
        names, path = line.split(":", 2)[1:]
        if names:
            assert path == "/", line


@requirement("linux.namespaces.time", "linux.time-offsets")
def test_clocks_of_its_own(bundle):
    need("time")
    bundle.namespace("time")
    bundle.linux["timeOffsets"] = {
        "monotonic": {"secs": 100_000, "nanosecs": 500_000_000},
        "boottime": {"secs": 1_000_000},
    }
    boottime = time.clock_gettime(time.CLOCK_BOOTTIME)
    found = int(bundle.out(["probe", "monotonic"]))
    assert abs(found - 100_000 - time.clock_gettime(time.CLOCK_MONOTONIC)) < 20
    uptime = float(bundle.out("cat /proc/uptime").split()[0])
    assert abs(uptime - 1_000_000 - boottime) < 20


@requirement("linux.time-offsets", "config.values.invalid")
@pytest.mark.parametrize(
    "offsets",
    [{"monotonic": {"secs": 1, "nanosecs": 1_000_000_000}}, {"monotonic": {"secs": "1"}}, {"boottime": 7}],
)
def test_bad_offsets(bundle, offsets):
    need("time")
    bundle.namespace("time")
    bundle.linux["timeOffsets"] = offsets
    bundle.is_refused()


@requirement("linux.time-offsets", "config.values.invalid")
def test_offsets_without_a_time_namespace(bundle):
    """They cannot be applied."""
    bundle.linux["timeOffsets"] = {"monotonic": {"secs": 100_000}}
    bundle.is_refused()


# ---- user namespaces


@requirement(
    "linux.namespaces.user", "linux.id-mappings.container-id", "linux.id-mappings.host-id", "linux.id-mappings.size"
)
def test_maps(bundle):
    bundle.map_ids()
    first = {"containerID": 0, "hostID": 100000, "size": 1000}
    bundle.linux["uidMappings"] = [first, {"containerID": 5000, "hostID": 300000, "size": 7}]
    bundle.linux["gidMappings"] = [first | {"hostID": 200000}]
    for directory, _, _ in os.walk(bundle.rootfs):
        os.chown(directory, 100000, 200000)
    container = bundle.create(SLEEP)
    assert container.proc("uid_map").split() == "0 100000 1000 5000 300000 7".split()
    assert container.proc("gid_map").split() == "0 200000 1000".split()
    assert container.namespace("user") != own("user")
    container.start()
    assert os.stat(f"/proc/{container.pid}").st_uid == 100000
    container.stop()


@requirement("linux.id-mappings.owners-stay")
def test_files_keep_their_owners(bundle):
    bundle.map_ids()
    file = bundle.file("etc/file", "x")
    (bundle.path / "source").mkdir()
    os.chown(bundle.path / "source", 1234, 1234)
    bundle.mount("/mnt", "bind", bundle.path / "source", ["bind"])
    assert bundle.out("stat -c %u /etc/file /mnt").split() == ["65534", "65534"]
    assert file.stat().st_uid == 0
    assert (bundle.path / "source").stat().st_uid == 1234


@pytest.mark.parametrize(
    "member",
    [
        pytest.param(name, marks=requirement(f"linux.id-mappings.{word}"), id=name)
        for name, word in (("containerID", "container-id"), ("hostID", "host-id"), ("size", "size"))
    ],
)
@pytest.mark.parametrize("maps", ["uidMappings", "gidMappings"])
def test_a_map_that_lacks_a_member(bundle, maps, member):
    bundle.map_ids()
    entry = {"containerID": 0, "hostID": 100000, "size": 65536}
    del entry[member]
    bundle.linux[maps] = [entry]
    bundle.is_refused()


@requirement("config.values.invalid")
@pytest.mark.parametrize(
    "entry",
    [
        {"containerID": 0, "hostID": 100000, "size": 0},
        {"containerID": -1, "hostID": 100000, "size": 10},
        {"containerID": 0, "hostID": 4294967295, "size": 10},
        {"containerID": 0, "hostID": 2**32, "size": 10},
        {"containerID": "0", "hostID": 100000, "size": 10},
    ],
)
def test_bad_maps(bundle, entry):
    bundle.map_ids()
    bundle.linux["uidMappings"] = [entry]
    bundle.is_refused()


@requirement("config.values.invalid")
def test_maps_without_a_user_namespace(bundle):
    ids = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    bundle.linux.update(uidMappings=ids, gidMappings=ids)
    bundle.is_refused()


# ---- sysctl


@requirement("linux.sysctl")
def test_kernel_parameters(bundle):
    host = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()
    bundle.linux["sysctl"] = {
        "net.ipv4.ip_unprivileged_port_start": "77",
        "kernel.shm_rmid_forced": "1",
        "fs.mqueue.msg_max": "11",
    }
    files = "net/ipv4/ip_unprivileged_port_start kernel/shm_rmid_forced fs/mqueue/msg_max"
    assert bundle.out(f"cd /proc/sys; cat {files}").split() == ["77", "1", "11"]
    assert Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text() == host


@requirement("linux.sysctl")
@pytest.mark.parametrize(
    ("name", "kind"), [("net.ipv4.ip_unprivileged_port_start", "network"), ("kernel.shm_rmid_forced", "ipc")]
)
def test_kernel_parameters_of_the_host(bundle, name, kind):
    """Without the namespace, the value would be the host's."""
    file = Path("/proc/sys", *name.split("."))
    before = file.read_text()
    bundle.namespace(kind, False)
    bundle.without_mount("/sys")
    bundle.linux["sysctl"] = {name: "1"}
    bundle.is_refused()
    assert file.read_text() == before


@requirement("linux.sysctl", "config.values.invalid")
@pytest.mark.parametrize(
    "sysctl",
    [
        {"net.ipv4.no_such_parameter": "1"},
        {"kernel.panic": "1"},
        {"vm.swappiness": "60"},
        {"net.ipv4.ip_unprivileged_port_start": "many"},
        {"net.ipv4.ip_unprivileged_port_start": 77},
        {"net/../../sys/kernel/panic": "1"},
    ],
)
def test_bad_kernel_parameters(bundle, sysctl):
    """Not there, of no namespace, or not what the kernel takes."""
    bundle.linux["sysctl"] = sysctl
    bundle.is_refused()
