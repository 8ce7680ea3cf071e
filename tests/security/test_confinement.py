"""What keeps a container in: its root, its mounts, its cgroup, the rules on devices, its namespaces.

CVE-2020-15257, CVE-2021-3602, CVE-2021-41103, CVE-2021-43784, CVE-2022-0532, CVE-2023-6476, CVE-2023-25809,
CVE-2024-25621, CVE-2025-23266, CVE-2025-47291, CVE-2026-57231, GHSA-5g49-rx9x-qfc6, GHSA-g54h-m393-cpwq.
"""

import os
import subprocess
from pathlib import Path

import pytest
from containers import Refused, capabilities, cgroups
from host import Cgroups, mount_points

# ---- the root


def test_root_cannot_be_left(bundle):
    """A second chroot(2) leads out of the first, but not out of a root that was changed by pivot_root(2)."""
    bundle.grant("CAP_SYS_CHROOT", "CAP_DAC_OVERRIDE")
    names = set(bundle.out(["witness", "escape"]).split())
    assert {"bin", "proc"} <= names
    assert names <= set(os.listdir(bundle.rootfs)) | {".", ".."}


def test_nothing_is_below_the_root(bundle):
    """The host's root was mounted there, and would show again for who may unmount (pivot_root(2))."""
    bundle.process["capabilities"] = capabilities("CAP_SYS_ADMIN", "CAP_SYS_CHROOT", "CAP_DAC_OVERRIDE")
    script = "for i in 1 2 3; do umount -l / 2>/dev/null; done; /bin/busybox ls -1a / /..; /bin/busybox true"
    names = {name for name in bundle.run(script).out.split() if not name.endswith(":")}
    assert not names & (set(os.listdir("/")) - set(os.listdir(bundle.rootfs)))


def test_no_mount_of_the_host_is_left(bundle):
    """What is mounted is what the config asks for, and the root."""
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    found = {mount.point for mount in mount_points(bundle.out("cat /proc/self/mountinfo"))}
    wanted = {mount["destination"] for mount in bundle.mounts}
    assert found - wanted - {"/"} == set()


@pytest.mark.parametrize("propagation", ["shared", "rshared", "slave", "private", None])
def test_mounts_of_the_container_do_not_reach_the_host(bundle, host_mounts, tmp_path, propagation):
    """Whatever the config wants of the root, and where the bundle lies on a shared mount of the host."""
    shared = host_mounts("--bind", tmp_path, at=tmp_path / "shared")
    subprocess.run(["mount", "--make-rshared", str(shared)], check=True)
    if propagation:
        bundle.linux["rootfsPropagation"] = propagation
    bundle.config["root"]["path"] = str(shared / "bundle/rootfs")
    bundle.process["capabilities"] = capabilities("CAP_SYS_ADMIN")
    before = Path("/proc/self/mountinfo").read_text()
    container = bundle.create("mount -t tmpfs x /mnt && echo mounted && sleep 1000")
    container.start()
    assert Path("/proc/self/mountinfo").read_text() == before
    container.stop()


# ---- devices


@pytest.mark.parametrize("rules", [None, [], [{"allow": False, "type": "b", "major": 8, "access": "w"}]])
def test_devices_are_forbidden_unless_they_are_allowed(bundle, rules):
    """GHSA-g54h-m393-cpwq: a list without a rule against all was taken for a list of what is forbidden."""
    bundle.grant("CAP_MKNOD", "CAP_DAC_OVERRIDE")
    bundle.linux["resources"] = {} if rules is None else {"devices": rules}
    numbers = ["1:1 c", "10:237 c", "7:0 b", "4:64 c"]  # mem, loop-control, loop0, ttyS0
    script = "; ".join(
        f"mknod /n{at} {entry.split()[1]} {entry.split()[0].replace(':', ' ')}; "
        f"(: < /n{at}) 2>&1 | grep -o 'not permitted'"
        for at, entry in enumerate(numbers)
    )
    done = bundle.run(f"{script}; true")
    assert done.out.split("\n").count("not permitted") == len(numbers), done.out + done.err


# ---- cgroups


@pytest.mark.parametrize("own", [True, False], ids=["cgroup-namespace", "host-namespace"])
def test_a_read_only_cgroup_mount_is_read_only(bundle, own):
    """CVE-2023-25809: "ro" was lost, and the cgroups of the host could be written to."""
    if own:
        bundle.namespace("cgroup")
    bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", ["ro", "nosuid", "noexec", "nodev"])
    bundle.grant("CAP_DAC_OVERRIDE")
    script = """
    for file in $(busybox find /sys/fs/cgroup -maxdepth 3 -name cgroup.procs); do
        test -e $file && (echo 0 > $file) 2>/dev/null && echo writable $file
        mkdir ${file%/*}/made 2>/dev/null && echo made ${file%/*}
    done
    true
    """
    assert bundle.out(script) == ""


@pytest.mark.parametrize("size", ["../../../x", "2MB/../../x", "/2MB", "2MB\n", "..", "2MB.limit/../x"])
def test_sizes_of_huge_pages_are_no_paths(bundle, size):
    """GHSA-5g49-rx9x-qfc6: the size became a part of a path below the cgroup."""
    bundle.linux["resources"]["hugepageLimits"] = [{"pageSize": size, "limit": 1}]
    bundle.is_refused()


@pytest.mark.parametrize("key", ["../cgroup.procs", "memory.max/../../cgroup.procs", "/cgroup.procs", "..", ""])
def test_names_of_cgroup_files_are_no_paths(bundle, key):
    """GHSA-5g49-rx9x-qfc6, for `unified`."""
    bundle.linux["resources"]["unified"] = {key: "0"}
    bundle.is_refused()


@pytest.mark.parametrize("path", ["/../../{}", "../../../../{}", "/x/../../../{}"])
def test_a_cgroup_does_not_lie_elsewhere(bundle, runtime, path):
    """CVE-2022-0532 and its relatives: what is a path in the config leads out of the hierarchy."""
    name = runtime.new_name()
    bundle.linux["cgroupsPath"] = path.format(name)
    try:
        container = bundle.create("sleep 1000", name=name)
    except Refused:
        return
    for line in container.proc("cgroup").splitlines():
        assert ".." not in line
    assert not Path(f"/sys/fs/{name}").exists()
    assert not Path(f"/sys/{name}").exists()


def test_annotations_do_not_move_a_container(bundle, runtime):
    """CVE-2023-6476, CVE-2025-47291: which cgroup it is in is what the config says, and nothing else."""
    name = runtime.new_name()
    bundle.map_ids()
    bundle.linux["cgroupsPath"] = f"/{name}"
    bundle.config["annotations"] = {
        "io.kubernetes.cri-o.cgroup-parent": "/", "run.oci.systemd.subgroup": "../../..",
        "org.systemd.property.Delegate": "true", "run.oci.delegate-cgroup": "../..",
    }  # fmt: skip
    container = bundle.create("sleep 1000", name=name)
    for controller in ("memory", "pids", "devices"):
        if Cgroups().version(controller) == 1:
            assert Cgroups(container.pid).directory(controller).name == name
    assert cgroups(name)


# ---- namespaces


def test_many_maps_do_not_take_namespaces_away(bundle):
    """CVE-2021-43784: a length of 16 bits ran over, and what followed was read as another list of namespaces."""
    bundle.map_ids()
    for count in (340, 3000, 9000):
        lines = [{"containerID": at, "hostID": 100000 + at, "size": 1} for at in range(count)]
        bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = lines
        try:
            container = bundle.create("sleep 1000")
        except Refused:
            continue
        for kind in ("user", "mnt", "pid", "net", "ipc", "uts"):
            assert container.namespace(kind) != os.readlink(f"/proc/self/ns/{kind}"), kind
        container.end()


# ---- the caller


SECRET = {"PATH": os.environ.get("PATH", "/usr/bin"), "SECRET": "of the caller"}


def test_the_environment_of_the_caller_stays_outside(bundle, runtime):
    """CVE-2021-3602, CVE-2026-57231: not the first process's, not that of what waits, not that of `exec`."""
    bundle.grant("CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE")
    container = bundle.create("cat /proc/*/environ >/seen; sleep 1000", env=SECRET)
    assert "SECRET" not in container.proc("environ")
    runtime("start", container.name, env=SECRET)
    script = "cat /proc/*/environ; env"
    assert "SECRET" not in runtime("exec", container.name, "sh", "-c", script, env=SECRET).out
    assert "SECRET" not in (bundle.rootfs / "seen").read_text()


def test_a_hook_has_not_the_environment_of_the_container(bundle):
    """CVE-2025-23266: LD_PRELOAD of an image, in a hook that runs as root of the host."""
    bundle.process["env"].append("LD_PRELOAD=/evil.so")
    script = "env > seen; cat /proc/self/environ >> seen"
    folder = bundle.path / "hook"
    folder.mkdir()
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"cd {folder}; {script}"], "env": ["PATH=/usr/bin:/bin"]}
    for kind in ("createRuntime", "createContainer", "prestart", "poststart", "poststop"):
        bundle.config["hooks"] = {kind: [hook]}
        bundle.run("true")
        assert "LD_PRELOAD" not in (folder / "seen").read_text(), kind
        (folder / "seen").unlink()


# ---- what is left lying about on the host


def abstract_sockets():
    return {line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines() if line.split()[-1][0] == "@"}


def test_no_socket_that_anybody_can_reach(bundle, runtime):
    """CVE-2020-15257: an abstract socket is there for all of the network namespace, which may be the host's."""
    before = abstract_sockets()
    bundle.namespace("network", False)
    bundle.without_mount("/sys")
    container = bundle.create("grep @ /proc/net/unix >/seen; sleep 1000")
    assert abstract_sockets() - before == set()
    container.start()
    runtime("exec", container.name, "/bin/true")
    assert abstract_sockets() - before == set()
    container.stop()


def test_state_is_for_its_owner_alone(bundle, runtime, tmp_path):
    """CVE-2021-41103, CVE-2024-25621: whatever the caller's umask is."""
    state = tmp_path / "new-state"
    bundle.process["args"] = ["sleep", "1000"]
    name = runtime.new_name()
    bundle.write(name)
    words = ["--root", state, "create", "--bundle", bundle.path, name]
    previous = os.umask(0)
    try:
        runtime(*words)
    finally:
        os.umask(previous)
    try:
        as_user = ["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups"]
        for parent in tmp_path.parents:
            if parent.stat().st_uid == 0 and parent.stat().st_mode & 0o001 == 0:
                parent.chmod(parent.stat().st_mode | 0o001)
        tmp_path.chmod(0o755)
        for entry in state.rglob("*"):
            assert not entry.is_symlink()
            assert not entry.stat().st_mode & 0o022 or entry.is_socket() or entry.is_fifo(), entry
            seen = subprocess.run([*as_user, "cat", str(entry)], check=False, capture_output=True, timeout=10)
            assert seen.returncode, f"{entry} can be read by anybody"
    finally:
        runtime("--root", state, "delete", "--force", name)


@pytest.mark.parametrize("word", ["../x", "x/../../y", "/x", ".", "..", "x\n", "a/b"])
def test_an_id_is_no_path(bundle, runtime, tmp_path, word):
    """Whoever chooses ids does not choose what is made, read or deleted on the host."""
    bundle.process["args"] = ["true"]
    # whatever comes to be is in a cgroup that is cleared afterwards
    bundle.write(runtime.new_name())
    (tmp_path / "x").mkdir()
    (tmp_path / "x/file").touch()
    before = sorted(tmp_path.rglob("*"))
    for words in (["create", "--bundle", bundle.path], ["state"], ["delete"], ["delete", "--force"]):
        done = runtime(*words, word, check=False)
        assert done.code or "--force" in words, f"{words[0]} was done"
    mine = {path for path in tmp_path.rglob("*") if not path.name.startswith(("out-", "err-"))}
    assert mine == {path for path in before if not path.name.startswith(("out-", "err-"))}
