"""What the runtime writes below /proc, and what it covers there: neither may be led to another file.

CVE-2015-3630, CVE-2015-3631, CVE-2018-10892, CVE-2019-16884, CVE-2022-0811, CVE-2025-31133, CVE-2025-52881,
CVE-2025-62161, CVE-2025-62596, GHSA-7ww5-4wqc-m92c.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest
from containers import Refused, capabilities

WRITTEN = [
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/self/oom_score_adj",
    "/proc/self/attr/exec",
    "/proc/self/attr/current",
    "/proc/thread-self/attr/exec",
    "/proc/1/attr/exec",
    "/proc/self/setgroups",
]


@pytest.fixture
def bystander():
    """A process of the host, whose `oom_score_adj` stands for files of procfs that are worth writing to."""
    process = subprocess.Popen(["sleep", "1000"])
    yield Path(f"/proc/{process.pid}/oom_score_adj")
    process.kill()
    process.wait()


@pytest.mark.parametrize("target", WRITTEN)
def test_writes_do_not_reach_another_file_of_procfs(bundle, bystander, target):
    """CVE-2025-52881: that the file lies on some procfs says nothing about which file it is.

    Another one is mounted over what the runtime writes to. That is refused, or the right file is written to.
    """
    before = bystander.read_text()
    bundle.mount(target, "bind", bystander, ["bind"])
    bundle.linux["sysctl"] = {"net.ipv4.ip_forward": "1"}
    bundle.process["oomScoreAdj"] = 1
    try:
        bundle.run("true")
    except Refused:
        pass
    assert bystander.read_text() == before


@pytest.mark.parametrize("target", WRITTEN)
def test_writes_do_not_reach_a_file_of_a_volume(bundle, tmp_path, target):
    """CVE-2019-16884: a label was written to a file of the image, and the container went without."""
    file = tmp_path / "file"
    file.write_text("0\n")
    bundle.mount(target, "bind", file, ["bind"])
    bundle.linux["sysctl"] = {"net.ipv4.ip_forward": "1"}
    bundle.process["oomScoreAdj"] = 1
    try:
        bundle.run("true")
    except Refused:
        pass
    assert file.read_text() == "0\n"


@pytest.mark.parametrize("target", ["/proc", "/proc/self", "/proc/self/attr", "/proc/sys", "/proc/sys/kernel"])
def test_no_volume_over_procfs(bundle, tmp_path, target):
    """CVE-2015-3631, CVE-2019-16884: a volume of the image over procfs is what labels were lost to."""
    (tmp_path / "volume/attr").mkdir(parents=True)
    bundle.mount(target, "bind", tmp_path / "volume", ["rbind"])
    bundle.is_refused("a volume covers procfs")


def test_no_volume_over_procfs_by_way_of_a_link(bundle, tmp_path):
    """CVE-2019-16884, where the config has another name for it."""
    (tmp_path / "volume").mkdir()
    (bundle.rootfs / "way").symlink_to("/proc/self/attr")
    bundle.mount("/way", "bind", tmp_path / "volume", ["rbind"])
    bundle.is_refused("a volume covers procfs")


def test_sysctl_is_written_to_procfs_and_not_to_the_image(bundle):
    """CVE-2025-52881: without a procfs at /proc the image's own file was written to."""
    bundle.without_mount("/proc")
    file = bundle.file("proc/sys/net/ipv4/ip_forward", "the image's\n")
    bundle.linux["sysctl"] = {"net.ipv4.ip_forward": "1"}
    bundle.mount("/mnt", "proc", "proc")
    try:
        assert bundle.out("cat /mnt/sys/net/ipv4/ip_forward") == "1"
    except Refused:
        pass
    assert file.read_text() == "the image's\n"


INJECTIONS = {
    "of-the-host": {"kernel.core_pattern": "x"},
    "plus": {"kernel.shm_rmid_forced+kernel.core_pattern": "x"},
    "assignment": {"kernel.shm_rmid_forced=1+kernel.core_pattern": "x"},
    "climbing": {"net.ipv4.ip_forward/../../../kernel/core_pattern": "x"},
    "climbing-at-once": {"net/../kernel/core_pattern": "x"},
    "slashes": {"/net//../kernel/core_pattern": "x"},
}


@pytest.mark.parametrize("what", INJECTIONS)
def test_parameters_of_the_host_cannot_be_set(bundle, what):
    """CVE-2022-0811: kernel.core_pattern, a program of which the host runs, by way of a parameter that is allowed."""
    pattern = Path("/proc/sys/kernel/core_pattern")
    before = pattern.read_text()
    bundle.linux["sysctl"] = INJECTIONS[what]
    try:
        bundle.is_refused()
        assert pattern.read_text() == before
    finally:
        if pattern.read_text() != before:
            pattern.write_text(before)


# ---- masks


def identity(path):
    status = os.stat(path)
    return oct(status.st_mode & 0o170000), os.major(status.st_rdev), os.minor(status.st_rdev)


NULLS = ["file", "link", "zero", "block", "directory"]


def place_null(bundle, kind):
    """Puts something that is not the null device at /dev/null of the image."""
    path = bundle.rootfs / "dev/null"
    if kind == "file":
        path.write_text("secret\n")
    elif kind == "link":
        path.symlink_to("/proc/sys/kernel/core_pattern")
    elif kind == "zero":
        os.mknod(path, 0o20666, os.makedev(1, 5))
    elif kind == "block":
        os.mknod(path, 0o60666, os.makedev(1, 3))
    else:
        path.mkdir()


@pytest.mark.parametrize("own_dev", [True, False], ids=["tmpfs", "image"])
@pytest.mark.parametrize("kind", NULLS)
def test_masks_are_the_null_device(bundle, kind, own_dev):
    """CVE-2025-31133, CVE-2025-62161: what the image has at /dev/null was mounted over the paths to be masked."""
    if not own_dev:
        bundle.mounts[:] = [mount for mount in bundle.mounts if not mount["destination"].startswith("/dev")]
    place_null(bundle, kind)
    bundle.file("etc/secret", "secret\n")
    bundle.linux["maskedPaths"] = ["/etc/secret", "/proc/keys"]
    try:
        container = bundle.create("sleep 1000")
    except Refused:
        return
    container.start()
    for name in ("etc/secret", "proc/keys"):
        assert identity(f"/proc/{container.pid}/root/{name}") == ("0o20000", 1, 3), name
    container.stop()


def test_masked_directories_are_empty_and_read_only(bundle):
    """CVE-2025-31133, for directories: nothing shows, and nothing can be put there."""
    bundle.file("secrets/secret", "secret\n")
    bundle.linux["maskedPaths"] = ["/secrets", "/sys/firmware"]
    bundle.grant("CAP_DAC_OVERRIDE")
    assert bundle.out("ls -A /secrets /sys/firmware | grep -v :; touch /secrets/x 2>&1 | grep -c ead-only") == "1"


def test_masks_are_there_for_exec_as_well(bundle, runtime, running):
    """And cannot be taken away, without CAP_SYS_ADMIN."""
    bundle.file("etc/secret", "secret\n")
    bundle.linux["maskedPaths"] = ["/etc/secret"]
    container = running()
    script = "umount /etc/secret; cat /etc/secret"
    assert "secret\n" not in runtime("exec", container.name, "sh", "-c", script, check=False).out


# what a container may not see by default: of the kernels that had a flaw there, and of those that have it still
MASKED = {
    "CVE-2015-3630": ["/proc/asound", "/proc/timer_list", "/proc/latency_stats", "/proc/sched_debug", "/proc/kcore"],
    "CVE-2018-10892": ["/proc/acpi"],
    "GHSA-7ww5-4wqc-m92c": ["/sys/devices/virtual/powercap"],
    "firmware": ["/sys/firmware"],
    "keys": ["/proc/keys"],
    "scsi": ["/proc/scsi"],
}


@pytest.mark.parametrize("flaw", MASKED)
def test_what_spec_masks(runtime, tmp_path, flaw):
    """CVE-2015-3630, CVE-2018-10892, GHSA-7ww5-4wqc-m92c: what `spec` leaves open is open in containers made of it."""
    (tmp_path / "new").mkdir()
    runtime("spec", cwd=tmp_path / "new")
    linux = json.loads((tmp_path / "new/config.json").read_text())["linux"]
    assert set(MASKED[flaw]) - set(linux["maskedPaths"]) == set()
    assert {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"} <= set(linux["readonlyPaths"])


def test_capabilities_do_not_open_masked_paths(bundle):
    """The usual capabilities of an engine: a mask is a mount, which takes CAP_SYS_ADMIN to undo."""
    bundle.linux["maskedPaths"], bundle.linux["readonlyPaths"] = ["/proc/keys"], ["/proc/sys"]
    bundle.process["capabilities"] = capabilities("CAP_DAC_OVERRIDE", "CAP_CHOWN", "CAP_FOWNER", "CAP_MKNOD")
    script = "umount /proc/keys; cat /proc/keys; echo x > /proc/sys/kernel/domainname; mount -o remount,rw /proc/sys"
    done = bundle.run(f"{script}; true")
    assert done.out == ""
    assert "ead-only" in done.err
