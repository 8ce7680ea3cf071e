"""rootfsPropagation, maskedPaths, readonlyPaths and mountLabel (config-linux.md)."""

import subprocess
from pathlib import Path

import pytest
from containers import Refused, not_applicable, requirement
from host import has_lsm, mount_at, mount_points

SLEEP = "sleep 1000"


# ---- masked and read-only paths


@requirement("linux.masked-paths")
def test_a_masked_file(bundle):
    bundle.file("etc/secret", "secret")
    bundle.linux["maskedPaths"] = ["/etc/secret"]
    bundle.grant("CAP_DAC_OVERRIDE")
    assert bundle.run("cat /etc/secret").out == ""
    assert bundle.run("echo x > /etc/secret; cat /etc/secret").out == ""


@requirement("linux.masked-paths")
def test_a_masked_directory(bundle):
    bundle.file("data/secret", "secret")
    bundle.linux["maskedPaths"] = ["/data"]
    bundle.grant("CAP_DAC_OVERRIDE")
    done = bundle.run("ls -A /data; cat /data/secret; echo x > /data/new")
    assert done.out == ""
    assert done.code
    assert not (bundle.rootfs / "data/new").exists()


@requirement("linux.masked-paths")
@pytest.mark.parametrize("path", ["/proc/kcore", "/proc/keys", "/proc/sched_debug", "/sys/firmware"])
def test_masked_paths_of_the_kernel(bundle, path):
    if not Path(path).exists():
        not_applicable(f"this kernel has no {path}")
    bundle.linux["maskedPaths"] = [path]
    assert bundle.out(f"if test -d {path}; then ls -A {path}; else head -c 100 {path}; fi") == ""


@requirement("linux.masked-paths")
def test_a_masked_path_that_is_not_there(bundle):
    bundle.linux["maskedPaths"] = ["/proc/no-such-file", "/missing/file"]
    assert bundle.out("echo here") == "here"
    assert not (bundle.rootfs / "missing").exists()


@requirement("linux.masked-paths")
def test_a_masked_path_is_one_after_the_mounts(bundle):
    (bundle.path / "source").mkdir()
    (bundle.path / "source/secret").write_text("secret")
    bundle.mount("/mnt", "bind", bundle.path / "source", ["bind"])
    bundle.linux["maskedPaths"] = ["/mnt/secret"]
    assert bundle.run("cat /mnt/secret").out == ""


@requirement("linux.masked-paths.absolute")
@pytest.mark.parametrize("path", ["etc/secret", "./etc/secret", ""])
def test_a_masked_path_that_is_not_absolute(bundle, path):
    bundle.file("etc/secret", "secret")
    bundle.linux["maskedPaths"] = [path]
    bundle.is_refused()


@requirement("linux.readonly-paths")
def test_a_read_only_file(bundle):
    file = bundle.file("etc/file", "content")
    bundle.linux["readonlyPaths"] = ["/etc/file"]
    bundle.grant("CAP_DAC_OVERRIDE")
    done = bundle.run("cat /etc/file; echo x > /etc/file")
    assert done.out == "content"
    assert done.code
    assert file.read_text() == "content"


@requirement("linux.readonly-paths")
def test_a_read_only_directory(bundle):
    bundle.file("data/deep/file", "content")
    bundle.linux["readonlyPaths"] = ["/data"]
    bundle.grant("CAP_DAC_OVERRIDE")
    done = bundle.run("cat /data/deep/file; echo x > /data/new && echo bad; echo x > /data/deep/file && echo bad; :")
    assert done.out == "content"
    assert not (bundle.rootfs / "data/new").exists()


@requirement("linux.readonly-paths")
def test_read_only_paths_of_the_kernel(bundle):
    bundle.linux["readonlyPaths"] = ["/proc/sys"]
    bundle.grant("CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE")
    assert bundle.run("echo 77 > /proc/sys/net/ipv4/ip_unprivileged_port_start").code
    assert "ro" in mount_at(bundle.out("cat /proc/self/mountinfo"), "/proc/sys").options


@requirement("linux.readonly-paths")
def test_a_read_only_path_keeps_its_other_options(bundle):
    bundle.mount("/mnt", "tmpfs", "tmpfs", ["nosuid", "nodev", "noexec"])
    bundle.linux["readonlyPaths"] = ["/mnt"]
    assert {"ro", "nosuid", "nodev", "noexec"} <= mount_at(bundle.out("cat /proc/self/mountinfo"), "/mnt").options


@requirement("linux.readonly-paths")
def test_a_read_only_path_that_is_not_there(bundle):
    bundle.linux["readonlyPaths"] = ["/proc/no-such-file", "/missing/file"]
    assert bundle.out("echo here") == "here"


@requirement("linux.readonly-paths.absolute")
@pytest.mark.parametrize("path", ["etc/file", "./etc/file", ""])
def test_a_read_only_path_that_is_not_absolute(bundle, path):
    bundle.file("etc/file", "content")
    bundle.linux["readonlyPaths"] = [path]
    bundle.is_refused()


# ---- propagation of the root


@pytest.fixture
def shared_root(bundle, host_mounts):
    """The root is a mount of the host in a peer group, so that something could propagate at all."""
    host_mounts("--bind", bundle.rootfs, at=bundle.rootfs)
    subprocess.run(["mount", "--make-shared", str(bundle.rootfs)], check=True)
    (bundle.rootfs / "later").mkdir()
    return bundle.rootfs


def root_of(container):
    return mount_at(container.proc("mountinfo"), "/").propagation


def mount_line(text, point):
    return [line for line in text.splitlines() if line.split()[4] == point][-1]


@pytest.mark.parametrize(
    ("propagation", "shown", "hidden", "arrives"),
    [
        pytest.param(name, *rest, marks=requirement(f"linux.rootfs-propagation.{name}"), id=name)
        for name, *rest in (
            ("slave", {"master"}, {"shared"}, True),
            ("private", set(), {"shared", "master"}, False),
        )
    ],
)
def test_what_the_host_mounts_later(bundle, shared_root, host_mounts, propagation, shown, hidden, arrives):
    bundle.linux["rootfsPropagation"] = propagation
    container = bundle.create(SLEEP)
    found = root_of(container)
    assert shown <= found
    assert not hidden & found
    host_mounts("-t", "tmpfs", "later", at=shared_root / "later")
    assert ("/later" in [mount.point for mount in mount_points(container.proc("mountinfo"))]) == arrives
    container.start()
    container.stop()


@pytest.mark.parametrize(
    "propagation",
    [
        pytest.param(name, marks=requirement(f"linux.rootfs-propagation.{name}"), id=name)
        for name in ("slave", "private")
    ],
)
def test_what_the_container_mounts_does_not_reach_the_host(bundle, shared_root, propagation):
    bundle.grant("CAP_SYS_ADMIN")
    bundle.linux["rootfsPropagation"] = propagation
    bundle.out("mount -t tmpfs tmpfs /later && echo > /later/mark")
    assert not (shared_root / "later/mark").exists()


@requirement("linux.rootfs-propagation.shared")
def test_a_shared_root(bundle):
    """Its peers are mounts of the container, and not of the host."""
    bundle.linux["rootfsPropagation"] = "shared"
    container = bundle.create(SLEEP)
    assert "shared" in root_of(container)
    group = [word for word in mount_line(container.proc("mountinfo"), "/").split() if word.startswith("shared:")]
    assert group[0] not in Path("/proc/self/mountinfo").read_text().split()
    container.start()
    container.stop()


@requirement("linux.rootfs-propagation.unbindable")
def test_an_unbindable_root(bundle):
    bundle.grant("CAP_SYS_ADMIN")
    bundle.linux["rootfsPropagation"] = "unbindable"
    container = bundle.create("mkdir /x; mount -o bind / /x")
    assert "unbindable" in root_of(container)
    container.start()
    assert container.wait() != 0


@requirement("config.values.invalid")
@pytest.mark.parametrize("propagation", ["public", "SHARED", 1])
def test_a_propagation_that_is_none(bundle, propagation):
    bundle.linux["rootfsPropagation"] = propagation
    bundle.is_refused()


# ---- labels


@requirement("linux.mount-label", "config.values.invalid")
def test_a_label_that_cannot_be_had(bundle):
    if has_lsm("selinux"):
        not_applicable("this host has SELinux, and which labels there are depends on its policy")
    bundle.linux["mountLabel"] = "system_u:object_r:svirt_sandbox_file_t:s0:c715,c811"
    try:
        bundle.run("true")
    except Refused:
        return
    pytest.fail("the label was left out without a word")
