"""Cgroups on a host with version 2 alone: where they are, who is in them, what the container sees.

On a host with hierarchies of version 1 the runtime runs in a mount namespace that has none (see unified.py); what needs
the controllers that version 1 holds is in tests/vm.
"""

import ctypes
import os
import signal
import struct
import subprocess
import time
from pathlib import Path

import pytest
from device_rules import CASES, check

MIB = 1 << 20
# the controller that cgroup v2 has even where version 1 has the others; it cannot be in threaded cgroups
PAGES = {"hugepageLimits": [{"pageSize": "2MB", "limit": 8 * MIB}]}
SYS_BPF, BPF_PROG_QUERY, BPF_CGROUP_DEVICE = {"x86_64": 321, "aarch64": 280}[os.uname().machine], 16, 6


@pytest.fixture
def runtime(runtime, unified):
    yield from unified.alone(runtime)


@pytest.fixture
def name():
    """A cgroup's name that nobody else uses."""
    return f"test-{os.getpid()}-{time.monotonic_ns()}"


def eventually(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# ---- where


def test_default_place_is_beside_the_own_cgroup(created, make_cgroup, name, runtime, unified):
    """A cgroup that has processes cannot hand on controllers; so not below it."""
    make_cgroup(f"{name}/session")
    runtime.prefix = unified.inside(f"{name}/session")
    container = created()
    assert container.cgroup == f"/{name}/{container.name}"
    container.delete()
    assert not container.path.exists()


def test_default_place_of_who_is_at_the_top(created, runtime, unified):
    runtime.prefix = unified.inside(".") if unified.prefix else unified.inside("vmrun.slice")
    container = created()
    assert container.cgroup == f"/{container.name}"


def test_relative_path_is_beside_the_own_cgroup(bundle, created, make_cgroup, name, runtime, unified):
    make_cgroup(f"{name}/deep/session")
    runtime.prefix = unified.inside(f"{name}/deep/session")
    bundle.linux["cgroupsPath"] = "a/../a/./inner"
    container = created()
    assert container.cgroup == f"/{name}/deep/a/inner"
    container.delete()
    assert not unified.path(f"{name}/deep/a").exists()


def test_absolute_path_is_below_the_root(bundle, created, make_cgroup, name, runtime, unified):
    """containerd looks for init there right after `create`."""
    make_cgroup(f"{name}-own/session")
    runtime.prefix = unified.inside(f"{name}-own/session")
    bundle.linux["cgroupsPath"] = f"/{name}/inner"
    container = created()
    assert container.cgroup == f"/{name}/inner"
    assert unified.members(f"{name}/inner") == [container.pid]
    container.delete()
    assert not unified.path(name).exists(), "a parent that was made for the container is left"


@pytest.mark.parametrize("path", ["/../../../{}", "../../../../{}"])
def test_path_cannot_leave_the_hierarchy(bundle, created, name, path):
    bundle.linux["cgroupsPath"] = path.format(name)
    assert created().cgroup == f"/{name}"


@pytest.mark.parametrize("path", ["/", "/..", "/a/../..", ".", "a/.."])
def test_the_root_of_all_is_refused(bundle, path):
    bundle.linux["cgroupsPath"] = path
    assert "linux.cgroupsPath" in bundle.fails()


def test_in_a_cgroup_namespace(bundle, created, make_cgroup, name, runtime, unified):
    """As in a container of somebody else: its root is the root of all there is, has processes, and no controllers."""
    make_cgroup(f"{name}/there")
    mount = 'umount /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$@"'
    unshare = ["unshare", "-C", "-m", "--propagation", "private", "sh", "-c", mount, "sh"]
    runtime.prefix = [*unified.inside(f"{name}/there"), *unshare]
    container = created()
    assert container.cgroup == f"/{name}/there/{container.name}"
    container.start()
    container.delete()
    bundle.linux["cgroupsPath"] = "/above/all"
    assert created().cgroup == f"/{name}/there/above/all"
    bundle.linux["resources"] |= PAGES
    message = bundle.fails()
    assert "linux.resources.hugepageLimits[0]" in message
    assert 'the cgroup controller "hugetlb" is not available' in message


# ---- whose


def test_cgroups_that_were_there_stay(bundle, created, make_cgroup, name):
    old = make_cgroup(f"{name}/inner")
    bundle.linux["cgroupsPath"] = f"/{name}/inner"
    container = created(**PAGES)
    assert container.path == old
    assert container.read("hugetlb.2MB.max") == str(8 * MIB)
    container.delete()
    assert old.exists()


def test_exactly_what_was_made_is_removed(bundle, created, make_cgroup, name, unified):
    """What is beside it, and what was there above it, is not."""
    make_cgroup(f"{name}/there/beside")
    bundle.linux["cgroupsPath"] = f"/{name}/there/new/inner"
    created().delete()
    assert unified.path(f"{name}/there/beside").exists()
    assert not unified.path(f"{name}/there/new").exists()


def test_parents_with_another_container_stay(make_bundle, name, runtime, unified):
    ids = []
    for part in ("one", "two"):
        bundle = make_bundle(part)
        bundle.linux["cgroupsPath"] = f"/{name}/{part}"
        bundle.process["args"] = ["sleep", "1000"]
        ids.append(bundle.create()[0])
    runtime("delete", "--force", ids[0])
    assert not unified.path(f"{name}/one").exists()
    assert unified.path(f"{name}/two").exists()
    runtime("delete", "--force", ids[1])
    # the first one made it, and could not take it away
    unified.path(name).rmdir()


def test_a_used_cgroup_is_refused_and_its_processes_live_on(bundle, make_cgroup, name):
    """Undoing the create that failed must not end who was there before."""
    path = make_cgroup(name)
    stranger = subprocess.Popen(["sleep", "1000"])
    try:
        (path / "cgroup.procs").write_text(str(stranger.pid))
        bundle.linux["cgroupsPath"] = f"/{name}"
        assert "container's cgroup is not empty: 1 process(es) found" in bundle.fails()
        time.sleep(0.05)
        assert stranger.poll() is None
        assert path.exists()
    finally:
        stranger.kill()
        stranger.wait()


def test_the_cgroup_of_another_container_is_refused_and_it_lives_on(make_bundle, name, runtime, unified):
    first, second = make_bundle("first"), make_bundle("second")
    for bundle in (first, second):
        bundle.linux["cgroupsPath"] = f"/{name}"
        bundle.process["args"] = ["sleep", "1000"]
    one, _ = first.create()
    runtime("start", one)
    assert "container's cgroup is not empty" in second.fails()
    assert runtime.state(one)["status"] == "running"
    runtime("delete", "--force", one)
    assert not unified.path(name).exists()


def test_a_frozen_cgroup_is_refused(bundle, make_cgroup, name):
    (make_cgroup(name) / "cgroup.freeze").write_text("1")
    bundle.linux["cgroupsPath"] = f"/{name}"
    assert "container's cgroup unexpectedly frozen" in bundle.fails()


# ---- controllers


def test_controllers_are_handed_on_from_the_top(bundle, created, make_cgroup, name, unified):
    """Also where somebody has made the cgroups above, and has left that to others."""
    make_cgroup(f"{name}/there")
    assert "hugetlb" not in unified.read(f"{name}/there", "cgroup.controllers")
    bundle.linux["cgroupsPath"] = f"/{name}/there/inner"
    container = created(**PAGES)
    assert container.read("hugetlb.2MB.max") == str(8 * MIB)
    # all that there are, for who reads their statistics
    assert container.read("cgroup.controllers").split() == unified.controllers


def test_a_parent_with_processes_hands_on_nothing(bundle, created, make_cgroup, name, unified):
    """Its children can be containers without limits; with limits they are refused. It is left as it is."""
    parent = make_cgroup(name)
    stranger = subprocess.Popen(["sleep", "1000"])
    try:
        (parent / "cgroup.procs").write_text(str(stranger.pid))
        bundle.linux["cgroupsPath"] = f"/{name}/inner"
        container = created()
        assert unified.members(f"{name}/inner") == [container.pid]
        container.delete()
        bundle.linux["resources"] |= PAGES
        message = bundle.fails()
        assert "linux.cgroupsPath" in message
        assert "the cgroup above has processes of its own" in message
        assert (parent / "cgroup.type").read_text() == "domain\n"
        assert (parent / "cgroup.subtree_control").read_text().strip() == ""
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("inner", ["there", "", "new"])
def test_threaded_cgroups_take_no_controllers_of_domains(bundle, make_cgroup, name, inner):
    (make_cgroup(f"{name}/there") / "cgroup.type").write_text("threaded")
    bundle.linux["cgroupsPath"] = f"/{name}/{inner}"
    bundle.linux["resources"] |= PAGES
    message = bundle.fails()
    assert f'cannot enter cgroupv2 "/sys/fs/cgroup/{name}' in message
    assert "with domain controllers -- it is in domain threaded mode" in message


@pytest.mark.parametrize(("inner", "kind"), [("there", "threaded"), ("", "domain threaded"), ("new", "threaded")])
def test_containers_in_threaded_cgroups(bundle, created, make_cgroup, name, inner, kind):
    (make_cgroup(f"{name}/there") / "cgroup.type").write_text("threaded")
    bundle.linux["cgroupsPath"] = f"/{name}/{inner}"
    container = created()
    assert container.read("cgroup.type") == kind
    container.start()
    assert container.pid in [int(pid) for pid in container.read("cgroup.threads").split()]
    container.delete()


def test_a_used_threaded_cgroup_is_refused(bundle, make_cgroup, name, unified):
    make_cgroup(f"{name}/there")
    stranger = subprocess.Popen(["sleep", "1000"])
    try:
        (unified.path(name) / "cgroup.procs").write_text(str(stranger.pid))
        for file, value in (("cgroup.type", "threaded"), ("cgroup.threads", str(stranger.pid))):
            (unified.path(f"{name}/there") / file).write_text(value)
        bundle.linux["cgroupsPath"] = f"/{name}/there"
        assert "container's cgroup is not empty: 1 process(es) found" in bundle.fails()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_missing_controller_is_named(bundle, unified):
    resources = {
        "memory": {"memory": {"limit": 64 * MIB}},
        "pids": {"pids": {"limit": 5}},
        "cpu": {"cpu": {"shares": 5}},
        "cpuset": {"cpu": {"cpus": "0"}},
        "io": {"blockIO": {"weight": 100}},
        "nosuch": {"unified": {"nosuch.max": "1"}},
    }
    missing = resources.keys() - set(unified.controllers)
    for controller in missing:
        bundle.linux["resources"] = resources[controller]
        message = bundle.fails()
        assert f"linux.resources.{next(iter(resources[controller]))}" in message
        assert f'the cgroup controller "{controller}" is not available on this host' in message


def test_huge_pages(created):
    container = created(**PAGES)
    assert container.read("hugetlb.2MB.max") == str(8 * MIB)
    assert container.read("hugetlb.2MB.rsvd.max") == str(8 * MIB)


def test_unified(created):
    container = created(
        unified={"hugetlb.2MB.max": str(4 * MIB), "cgroup.max.descendants": "3", "cgroup.max.depth": "2"}
    )
    assert container.read("hugetlb.2MB.max") == str(4 * MIB)
    assert container.read("cgroup.max.descendants") == "3"
    assert container.read("cgroup.max.depth") == "2"


@pytest.mark.parametrize(
    "file", ["cgroup.procs", "cgroup.freeze", "cgroup.subtree_control", "../x", "hugetlb", "hugetlb./x", "nosuch.max"]
)
def test_unified_is_for_parameters(bundle, file):
    bundle.linux["resources"]["unified"] = {file: "1"}
    assert f'linux.resources.unified["{file}"]' in bundle.fails()


@pytest.mark.parametrize(("file", "value"), [("hugetlb.2MB.max", "much"), ("hugetlb.3MB.max", "1")])
def test_what_the_kernel_does_not_take_is_an_error_that_names_the_file(bundle, file, value):
    bundle.linux["resources"]["unified"] = {file: value}
    assert f'linux.resources.unified["{file}"]' in bundle.fails()


# ---- devices


@pytest.mark.parametrize("case", CASES)
def test_devices(bundle, case):
    check(bundle, *CASES[case])


def device_programs(path):
    """Returns the ids of the device programs on a cgroup (bpf(2))."""
    ids = (ctypes.c_uint32 * 64)()
    directory = os.open(path, os.O_RDONLY)
    # target_fd, attach_type, query_flags, attach_flags, prog_ids, prog_cnt
    attributes = struct.pack("IIIIQI", directory, BPF_CGROUP_DEVICE, 0, 0, ctypes.addressof(ids), 64)
    buffer = ctypes.create_string_buffer(attributes, 128)
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(SYS_BPF, BPF_PROG_QUERY, buffer, 128)
    os.close(directory)
    assert result == 0, os.strerror(ctypes.get_errno())
    return list(ids[: struct.unpack_from("I", buffer, 24)[0]])


def test_the_device_program_of_an_earlier_container_goes(make_bundle, make_cgroup, name, runtime):
    """Programs on one cgroup all have to agree: the rules of the one before would hold as well, and add up."""
    path = make_cgroup(name)
    seen = []
    for part in ("one", "two", "three"):
        bundle = make_bundle(part)
        bundle.linux["cgroupsPath"] = f"/{name}"
        bundle.process["args"] = ["sleep", "1000"]
        container, _ = bundle.create()
        seen += device_programs(path)
        runtime("delete", "--force", container)
    assert len(seen) == len(set(seen)) == 3
    bundle = make_bundle("allowed")
    bundle.linux["cgroupsPath"] = f"/{name}"
    check(bundle, [{"allow": True, "access": "rwm"}], [("fuse", "rw", True)])
    assert len(device_programs(path)) == 1


def test_device_programs_above_stay(make_bundle, created, name, unified):
    """A pod's rules hold for its containers."""
    outer = make_bundle("outer")
    outer.linux["cgroupsPath"] = f"/{name}"
    outer.linux["resources"]["devices"] = [{"allow": False, "access": "rwm"}]
    outer.namespace("cgroup", False)
    outer.mounts[:] = [m for m in outer.mounts if m["type"] != "cgroup"]
    outer.mounts.append({"destination": "/cg", "type": "bind", "source": str(unified.view), "options": ["rbind"]})
    outer.linux["maskedPaths"] = outer.linux["readonlyPaths"] = []
    # away from the cgroup, so that it can have others below
    outer.shell(f"mkdir /cg/{name}/own; echo 0 > /cg/{name}/own/cgroup.procs; touch /ready; sleep 1000")
    container, _ = outer.create()
    outer.runtime("start", container)
    eventually(lambda: (outer.rootfs / "ready").exists())
    inner = make_bundle("inner")
    inner.linux["cgroupsPath"] = f"/{name}/inner"
    check(inner, [{"allow": True, "access": "rwm"}], [("fuse", "rw", False), ("null", "rw", True)])


# ---- who is in it


def test_init_is_born_in_its_cgroup(bundle, make_cgroup, name, unified):
    """There is no moment outside: where everything is frozen it does not come to its first instruction."""
    parent = make_cgroup(name)
    (parent / "cgroup.freeze").write_text("1")
    bundle.linux["cgroupsPath"] = f"/{name}/inner"
    bundle.process["args"] = ["true"]
    bundle.write()
    container = bundle.runtime.new_id()
    create = subprocess.Popen(bundle.runtime.command("create", "--bundle", bundle.path, container))
    try:
        inner = parent / "inner"
        eventually(lambda: inner.exists() and unified.members(f"{name}/inner"))
        time.sleep(0.1)
        (pid,) = unified.members(f"{name}/inner")
        assert "frozen 1" in (inner / "cgroup.events").read_text()
        # the first thing that it does is to make a session of its own
        assert os.getsid(pid) != pid
        assert create.poll() is None
    finally:
        (parent / "cgroup.freeze").write_text("0")
        assert create.wait(timeout=30) == 0
    assert os.getsid(pid) == pid
    bundle.runtime("delete", "--force", container)


def test_hooks_find_init_in_its_cgroup(bundle, name):
    bundle.linux["cgroupsPath"] = f"/{name}/inner"
    seen = bundle.path / "seen"
    script = 'pid=$(sed "s/.*\\"pid\\":\\([0-9]*\\).*/\\1/"); grep ^0:: /proc/$pid/cgroup > "$0"'
    hook = {"path": "/bin/sh", "args": ["sh", "-c", script, str(seen)], "env": ["PATH=/usr/bin:/bin"]}
    bundle.config["hooks"] = {"createRuntime": [hook]}
    bundle.run("true")
    assert seen.read_text() == f"0::/{name}/inner\n"


# ---- frozen


@pytest.fixture
def frozen(created, runtime):
    container = created()
    container.start()
    (container.path / "cgroup.freeze").write_text("1")
    eventually(lambda: "frozen 1" in container.read("cgroup.events"))
    return container


def test_a_frozen_container_is_paused(frozen, runtime):
    assert runtime.state(frozen.name)["status"] == "paused"
    assert "paused" in runtime("list").out
    (frozen.path / "cgroup.freeze").write_text("0")
    runtime.wait_status(frozen.name, "running")


def test_a_paused_container_is_deleted_by_force_alone(frozen, runtime):
    refused = runtime("delete", frozen.name, check=False)
    assert refused.code == 1
    assert "that is not stopped: paused" in refused.err
    runtime("delete", "--force", frozen.name)
    assert not frozen.path.exists()


def test_a_paused_container_can_be_killed(frozen, runtime):
    runtime("kill", frozen.name, "KILL")
    runtime.wait_status(frozen.name, "stopped")


def test_signals_for_a_paused_container_wait(frozen, bundle, runtime):
    runtime("kill", frozen.name, "TERM")
    assert runtime.state(frozen.name)["status"] == "paused"


def test_a_frozen_container_is_not_started(created, runtime):
    container = created()
    (container.path / "cgroup.freeze").write_text("1")
    eventually(lambda: "frozen 1" in container.read("cgroup.events"))
    refused = runtime("start", container.name, check=False)
    assert refused.code == 1
    assert "cannot start a container in the paused state" in refused.err


# ---- the end


def forks_for_ever(bundle, name, unified):
    """A container without a pid namespace, in several cgroups, that makes new processes all the time."""
    bundle.namespace("pid", False)
    bundle.mounts[:] = [{"destination": "/cg", "type": "bind", "source": str(unified.view), "options": ["rbind"]}]
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    bundle.linux["cgroupsPath"] = f"/{name}"
    bundle.shell(
        f"cd /cg/{name}; mkdir sub sub/sub; sleep 1000 & echo $! > sub/sub/cgroup.procs; "
        "touch /ready; while :; do (sleep 0.01; :) & sleep 0.005; done"
    )
    container, _ = bundle.create()
    bundle.runtime("start", container)
    eventually(lambda: (bundle.rootfs / "ready").exists())
    return container


def test_delete_ends_who_forks_without_a_pid_namespace(bundle, name, runtime, unified):
    container = forks_for_ever(bundle, name, unified)
    runtime("delete", "--force", container)
    assert not unified.path(name).exists()


def test_kill_ends_who_forks_without_a_pid_namespace(bundle, name, runtime, unified):
    container = forks_for_ever(bundle, name, unified)
    runtime("kill", container, "KILL")
    eventually(lambda: "populated 0" in unified.read(name, "cgroup.events"))
    runtime("delete", container)
    assert not unified.path(name).exists()


def test_kill_all_reaches_who_is_left(bundle, name, runtime, unified):
    """The first process has ended already, as when containerd calls it."""
    container = forks_for_ever(bundle, name, unified)
    os.kill(runtime.state(container)["pid"], signal.SIGKILL)
    runtime.wait_status(container, "stopped")
    assert "populated 1" in unified.read(name, "cgroup.events")
    runtime("kill", "--all", container, "9")
    eventually(lambda: "populated 0" in unified.read(name, "cgroup.events"))


def test_kill_all_sends_other_signals_to_all(bundle, name, runtime, unified):
    """Also to those in nested cgroups."""
    bundle.mounts[:] = [m for m in bundle.mounts if m["type"] != "cgroup"]
    bundle.mounts.append({"destination": "/cg", "type": "bind", "source": str(unified.view), "options": ["rbind"]})
    bundle.linux["readonlyPaths"] = []
    bundle.linux["cgroupsPath"] = f"/{name}"
    (bundle.rootfs / "wait").write_text(
        f"[ $1 = main ] || echo 0 > /cg/{name}/$1/cgroup.procs\n"
        "trap 'touch /$1' USR1\n"
        "touch /ready-$1\n"
        "while :; do sleep 0.05; done\n"
    )
    bundle.shell(f"mkdir /cg/{name}/sub; sh /wait sub & exec sh /wait main")
    container, _ = bundle.create()
    runtime("start", container)
    for which in ("sub", "main"):
        eventually(lambda which=which: (bundle.rootfs / f"ready-{which}").exists())
    runtime("kill", "--all", container, "USR1")
    for which in ("sub", "main"):
        eventually(lambda which=which: (bundle.rootfs / which).exists())


def test_deep_cgroups_of_a_container_are_removed(created):
    """Deeper than a path is long."""
    container = created()
    fd = os.open(container.path, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("a-name-of-some-length", dir_fd=fd)
        below = os.open("a-name-of-some-length", os.O_RDONLY, dir_fd=fd)
        os.mkdir("side", dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    container.delete()
    assert not container.path.exists()


# ---- what the container sees


def test_proc_self_cgroup(bundle, name):
    bundle.linux["cgroupsPath"] = f"/{name}"
    bundle.namespace("cgroup")
    assert "0::/\n" in bundle.run("cat /proc/self/cgroup").out
    bundle.namespace("cgroup", False)
    assert f"0::/{name}\n" in bundle.run("cat /proc/self/cgroup").out


def test_cgroup_mount(bundle, unified):
    """With a namespace it is the container's own part, read-only as asked."""
    bundle.namespace("cgroup")
    bundle.linux["resources"] |= PAGES
    seen = bundle.run(
        "cd /sys/fs/cgroup; cat hugetlb.2MB.max cgroup.procs; mkdir x; echo 1 > hugetlb.2MB.max; "
        "grep /sys/fs/cgroup /proc/mounts",
        check=False,
    )
    lines = seen.out.splitlines()
    assert lines[:2] == [str(8 * MIB), "1"]
    device, _, kind, options, *_ = lines[-1].split(" ")
    assert (device, kind) == ("cgroup", "cgroup2")
    assert {"ro", "nosuid", "nodev", "noexec", "relatime"} <= set(options.split(","))
    assert "mkdir: can't create directory 'x': Read-only file system" in seen.err
    assert "can't create hugetlb.2MB.max: Read-only file system" in seen.err


def writable(bundle):
    (mount,) = [mount for mount in bundle.mounts if mount["type"] == "cgroup"]
    mount["options"] = ["nosuid", "nodev", "noexec", "rw"]


def test_cgroup_mount_for_writing(bundle, created, name, unified):
    """A container manages the cgroups below its own, but does not get out."""
    bundle.namespace("cgroup")
    writable(bundle)
    bundle.linux["cgroupsPath"] = f"/{name}"
    bundle.shell(
        "cd /sys/fs/cgroup; mkdir inner; echo 0 > inner/cgroup.procs; cat /proc/self/cgroup; "
        "echo +hugetlb > cgroup.subtree_control; echo 4194304 > inner/hugetlb.2MB.max; touch /ready; sleep 1000"
    )
    container = created(**PAGES)
    container.start()
    eventually(lambda: (bundle.rootfs / "ready").exists())
    assert unified.of(container.pid) == f"/{name}/inner"
    assert unified.read(f"{name}/inner", "hugetlb.2MB.max") == str(4 * MIB)
    container.delete()
    assert not unified.path(name).exists()


def test_cgroup_mount_without_a_namespace(bundle, name):
    """It is the whole hierarchy, in which /proc/self/cgroup says where one is."""
    bundle.namespace("cgroup", False)
    bundle.linux["resources"] |= PAGES
    bundle.linux["cgroupsPath"] = f"/{name}"
    seen = bundle.run(
        "cd /sys/fs/cgroup; cat .$(sed -n s/^0:://p /proc/self/cgroup)/hugetlb.2MB.max; mkdir x; "
        "grep /sys/fs/cgroup /proc/mounts",
        check=False,
    )
    lines = seen.out.splitlines()
    assert lines[0] == str(8 * MIB)
    assert "mkdir: can't create directory 'x': Read-only file system" in seen.err
    assert "cgroup2" in lines[-1]


@pytest.mark.parametrize("user", [False, True])
def test_cgroup_namespace_of_another_container(make_bundle, name, runtime, unified, user):
    """With nsdelegate nobody gets from there into a cgroup that it does not show; the container is in its own."""
    first, second = make_bundle("first"), make_bundle("second")
    for bundle, part in ((first, "first"), (second, "second")):
        bundle.linux["cgroupsPath"] = f"/{name}-{part}"
        bundle.process["args"] = ["sleep", "1000"]
    first.namespace("cgroup")
    one, _ = first.create()
    pid = runtime.state(one)["pid"]
    second.namespace("cgroup", f"/proc/{pid}/ns/cgroup")
    if user:
        with_own_ids(second)
    second.mounts[:] = [mount for mount in second.mounts if mount["type"] != "cgroup"]
    second.linux["resources"] |= PAGES
    two, _ = second.create()
    inside = runtime.state(two)["pid"]
    assert unified.members(f"{name}-second") == [inside]
    assert os.readlink(f"/proc/{inside}/ns/cgroup") == os.readlink(f"/proc/{pid}/ns/cgroup")
    runtime("start", two)


def with_own_ids(bundle):
    bundle.namespace("user")
    for kind in ("uidMappings", "gidMappings"):
        bundle.linux[kind] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    for path in (bundle.rootfs, *bundle.rootfs.rglob("*")):
        os.chown(path, 100000, 100000, follow_symlinks=False)
    bundle.path.chmod(0o755)


def test_cgroup_mount_in_a_user_namespace(bundle, runtime):
    bundle.namespace("cgroup")
    with_own_ids(bundle)
    bundle.linux["resources"] |= PAGES
    seen = bundle.run("cat /sys/fs/cgroup/hugetlb.2MB.max /proc/self/cgroup; mkdir /sys/fs/cgroup/x", check=False)
    assert seen.out.splitlines()[0] == str(8 * MIB)
    assert "0::/\n" in seen.out
    assert "Read-only file system" in seen.err


def test_cgroup_mount_in_a_user_namespace_without_a_cgroup_namespace(bundle, name):
    """Nobody may mount it there: it gets its own part of the host's mount."""
    bundle.namespace("cgroup", False)
    with_own_ids(bundle)
    bundle.linux["resources"] |= PAGES
    bundle.linux["cgroupsPath"] = f"/{name}"
    seen = bundle.run("cat /sys/fs/cgroup/hugetlb.2MB.max /proc/self/cgroup; mkdir /sys/fs/cgroup/x", check=False)
    assert seen.out.splitlines()[0] == str(8 * MIB)
    assert f"0::/{name}\n" in seen.out
    assert "Read-only file system" in seen.err


OWNERS = [
    # cgroup namespace, mounted for writing, given away
    (True, True, True),
    (True, False, False),
    (False, True, False),
]


@pytest.mark.parametrize(("namespace", "writes", "given"), OWNERS)
def test_ownership(bundle, created, name, unified, namespace, writes, given):
    """config-linux.md, Cgroup ownership: the directory and the files that the kernel lists, and no others."""
    bundle.namespace("cgroup", None if namespace else False)
    with_own_ids(bundle)
    if writes:
        writable(bundle)
    bundle.linux["resources"] |= PAGES
    bundle.linux["cgroupsPath"] = f"/{name}"
    path = unified.path(created().cgroup)
    listed = Path("/sys/kernel/cgroup/delegate").read_text().split()
    # memory.oom.group is listed, and is there only with the controller
    assert {file.name for file in path.iterdir() if file.stat().st_uid == 100000} == (
        {file for file in listed if (path / file).exists()} if given else set()
    )
    assert path.stat().st_uid == (100000 if given else 0)


def test_ownership_where_the_kernel_has_no_list(bundle, created, name, unified, runtime):
    """config-linux.md, Cgroup ownership: three files by name."""
    hide = "mount -t tmpfs tmpfs /sys/kernel/cgroup"
    runtime.prefix = [*runtime.prefix, "unshare", "-m", "sh", "-c", f'{hide}; exec "$@"', "sh"]
    bundle.namespace("cgroup")
    with_own_ids(bundle)
    writable(bundle)
    # in a user namespace the kernel mounts no sysfs where something covers a part of the host's
    bundle.mounts[:] = [mount for mount in bundle.mounts if mount["type"] != "sysfs"]
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    bundle.linux["resources"] |= PAGES
    bundle.linux["cgroupsPath"] = f"/{name}"
    path = unified.path(created().cgroup)
    assert {file.name for file in path.iterdir() if file.stat().st_uid == 100000} == {
        "cgroup.procs", "cgroup.subtree_control", "cgroup.threads",
    }  # fmt: skip
