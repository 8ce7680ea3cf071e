"""docker and podman: capabilities, privileged containers, no new privileges, seccomp, masked paths."""

import json
import os
from pathlib import Path

import pytest

MASKED = ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/acpi", "/proc/scsi", "/sys/firmware"]
USERFAULTFD = {"x86_64": 323, "aarch64": 282}
CHOWN, NET_RAW, SYS_ADMIN, SYS_TIME = 0, 13, 21, 25


def status(engine, *flags):
    """Returns what a container's /proc/self/status says."""
    text = engine.out("cat", "/proc/self/status", flags=flags)
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


def has(fields, number, kind="CapEff"):
    return bool(int(fields[kind], 16) >> number & 1)


def test_usual_capabilities(engine):
    fields = status(engine)
    assert has(fields, CHOWN)
    assert not has(fields, SYS_ADMIN)
    assert fields["CapEff"] == fields["CapPrm"] == fields["CapBnd"]
    assert int(fields["CapAmb"], 16) == 0


def test_capability_added(engine):
    fields = status(engine, "--cap-add", "SYS_TIME")
    assert has(fields, SYS_TIME)
    assert has(fields, CHOWN)


def test_capability_dropped(engine):
    fields = status(engine, "--cap-drop", "CHOWN")
    assert not has(fields, CHOWN)
    assert not has(fields, CHOWN, "CapBnd")


def test_all_capabilities_dropped_but_one(engine):
    fields = status(engine, "--cap-drop", "ALL", "--cap-add", "NET_RAW")
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 1 << NET_RAW


def test_user_has_no_effective_capabilities(engine):
    assert int(status(engine, "--user", "1000")["CapEff"], 16) == 0


def test_privileged(engine):
    fields = status(engine, "--privileged")
    assert has(fields, SYS_ADMIN)
    assert fields["Seccomp"] == "0"


def test_privileged_mounts(engine):
    assert engine.shell("mount -t tmpfs tmpfs /mnt && grep -c ' /mnt ' /proc/mounts", "--privileged") == "1\n"


def test_no_new_privileges(engine):
    assert status(engine)["NoNewPrivs"] == "0"
    assert status(engine, "--security-opt", "no-new-privileges")["NoNewPrivs"] == "1"


def test_seccomp_of_the_engine(engine):
    """Its profile refuses a system call that the kernel grants (userfaultfd(2), with UFFD_USER_MODE_ONLY)."""
    assert status(engine)["Seccomp"] == "2"
    call = ["calls", USERFAULTFD[os.uname().machine], "1"]
    assert engine.out(*call, flags=["--security-opt", "seccomp=unconfined"]) == "ok\n"
    assert engine.out(*call) == "1\n"  # EPERM


@pytest.fixture
def profile(host):
    path = host.place / "profile.json"
    refused = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}
    path.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "architectures": [], "syscalls": [refused]}))
    return path


def test_seccomp_of_the_user(engine, profile):
    out = engine.shell("mkdir /tmp/x 2>&1; grep Seccomp: /proc/self/status", "--security-opt", f"seccomp={profile}")
    assert "Operation not supported" in out or "Not supported" in out
    assert "Seccomp:\t2" in out


def test_no_seccomp(engine):
    assert status(engine, "--security-opt", "seccomp=unconfined")["Seccomp"] == "0"


@pytest.mark.parametrize("path", [path for path in MASKED if Path(path).exists()])
def test_masked_path(engine, path):
    """A file has nothing in it, and a folder no entries."""
    words = ["ls", path] if Path(path).is_dir() else ["head", "-c", "1", path]
    assert engine.out(*words) == ""


def test_path_that_may_be_read(engine):
    assert "Read-only file system" in engine.run("sh", "-c", "echo x > /proc/sys/kernel/domainname").err


def test_descriptors(engine):
    """Nothing but the three standard streams and the one that `ls` has open."""
    assert engine.out("ls", "/proc/self/fd").split() == ["0", "1", "2", "3"]


def test_signals_have_their_defaults(engine):
    fields = status(engine)
    assert int(fields["SigIgn"], 16) == int(fields["SigBlk"], 16) == 0


def test_additional_groups(engine):
    assert "2000" in engine.out("id", "-G", flags=["--user", "1000", "--group-add", "2000"]).split()
