"""The tables of names: against Python's own constants, and the kernel's headers where they are installed."""

import os
import resource
import signal
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyruntime.config import names
from pyruntime.config.signals import NAMES, number
from pyruntime.errors import PyruntimeError

HEADERS = Path("/usr/include/linux")


def defines(header):
    """Returns the constants of a header: what `#define NAME VALUE` says, as far as it is a number or a shift."""
    path = HEADERS / header
    if not path.exists():
        pytest.skip(f"{path} is not installed")
    found = {}
    for line in path.read_text().splitlines():
        words = line.split("/*")[0].split()
        if len(words) >= 3 and words[0] == "#define" and words[1].isidentifier():
            value = "".join(words[2:]).strip("()").rstrip("UL")
            left, shift, right = value.partition("<<")
            try:
                found[words[1]] = int(left, 0) << int(right, 0) if shift else int(left, 0)
            except ValueError:
                continue
    return found


def test_signals():
    for name in NAMES:
        assert number(name) == getattr(signal, f"SIG{name}", 16)  # Python has SIGSTKFLT, 16, only from 3.11 on
    for member in signal.Signals:
        assert number(member.name) == member
        assert number(member.name.removeprefix("SIG").lower()) == member


def test_the_table_of_signals_is_complete():
    """Position is number: 31 of them, and then those of real time."""
    assert len(NAMES) == 31
    assert len(set(NAMES)) == 31


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("TERM", 15), ("SIGTERM", 15), ("sigterm", 15), ("15", 15), ("0", 0), ("9", 9), ("64", 64), ("RTMIN", 34),
        ("SIGRTMIN+1", 35), ("RTMIN+30", 64), ("RTMAX", 64), ("RTMAX-30", 34), ("rtmax-1", 63), ("SIGIOT", 6),
        ("CLD", 17), ("POLL", 29), ("999999999", 999999999), ("007", 7),
    ],
)  # fmt: skip
def test_signals_by_name_and_number(text, value):
    assert number(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "", "X", "SIG", "SIGSIGTERM", "TERM ", " 9", "-9", "+9", "9.0", "1e1", "٣", "²", "9" * 10, "RTMIN+31",
        "RTMAX-31", "RTMIN-1", "RTMAX+1", "RTMIN+", "RTMIN+x", "RTMIN+ 1", "RTMIN++1", "RTMIN+²", "RTMINUS",
        "KILL\n", "9\n",
    ],
)  # fmt: skip
def test_what_is_no_signal(text):
    with pytest.raises(PyruntimeError) as caught:
        number(text)
    assert str(caught.value) == f'unknown signal "{text}"'


@given(st.text() | st.text(alphabet="SIGRTMAXN+-0123456789"))
def test_any_text_is_a_signal_or_refused(text):
    try:
        assert number(text) >= 0
    except PyruntimeError as error:
        assert "unknown signal" in str(error)


def test_limits():
    for name, value in names.RLIMITS.items():
        if name != "RLIMIT_LOCKS":  # Python has no name for it
            assert value == getattr(resource, name)
    assert sorted(names.RLIMITS.values()) == list(range(16))


def test_capabilities():
    header = defines("capability.h")
    found = {name: value for name, value in header.items() if name.startswith("CAP_") and name != "CAP_LAST_CAP"}
    assert names.CAPABILITIES.index("CAP_CHECKPOINT_RESTORE") == 40
    assert {name: position for position, name in enumerate(names.CAPABILITIES)} == {
        name: value for name, value in found.items() if name in names.CAPABILITIES
    }
    # a newer kernel may have more; an older one may lack the last
    assert set(names.CAPABILITIES) - found.keys() <= {"CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE"}


def test_capabilities_of_this_kernel():
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    assert len(names.CAPABILITIES) >= min(last + 1, 41)


def test_namespaces():
    header = defines("sched.h")
    flags = {
        "user": "CLONE_NEWUSER", "pid": "CLONE_NEWPID", "mount": "CLONE_NEWNS", "uts": "CLONE_NEWUTS",
        "ipc": "CLONE_NEWIPC", "network": "CLONE_NEWNET", "cgroup": "CLONE_NEWCGROUP", "time": "CLONE_NEWTIME",
    }  # fmt: skip
    assert {name: header[flag] for name, flag in flags.items()} == names.NAMESPACES


def test_namespaces_of_this_kernel():
    for name in names.NAMESPACE_FILES.values():
        assert os.path.lexists(f"/proc/self/ns/{name}")


def test_attributes_of_mounts():
    header = defines("mount.h")
    ours = {
        "RDONLY": names.RDONLY, "NOSUID": names.NOSUID, "NODEV": names.NODEV, "NOEXEC": names.NOEXEC,
        "NOATIME": names.NOATIME, "STRICTATIME": names.STRICTATIME, "NODIRATIME": names.NODIRATIME,
        "NOSYMFOLLOW": names.NOSYMFOLLOW, "_ATIME": names.ATIME,
    }  # fmt: skip
    assert {name: header[f"MOUNT_ATTR_{name}"] for name in ours} == ours
    propagations = {name: header[f"MS_{name.upper()}"] for name in ("shared", "slave", "private", "unbindable")}
    assert propagations == names.PROPAGATIONS
    assert header["AT_RECURSIVE"] == names.AT_RECURSIVE if "AT_RECURSIVE" in header else names.AT_RECURSIVE == 0x8000


def test_pairs_of_options_undo_each_other():
    """What one option sets the other clears; a mode of access times clears all of that field first."""
    for on, off in [("ro", "rw"), ("nosuid", "suid"), ("nodev", "dev"), ("noexec", "exec"), ("nodiratime", "diratime"),
                    ("nosymfollow", "symfollow")]:  # fmt: skip
        assert names.MOUNT_ATTRIBUTES[on] == (names.MOUNT_ATTRIBUTES[off][1], 0)
        assert names.MOUNT_ATTRIBUTES[off][0] == 0
    for name, (sets, clears) in names.MOUNT_ATTRIBUTES.items():
        if name.removeprefix("no").removeprefix("strict").removeprefix("rel") == "atime":
            assert clears == names.ATIME, name
            assert sets & ~names.ATIME == 0, name


# config.md, Linux mount options: all but those that a file system takes itself
OPTIONS = """
async atime bind defaults dev diratime dirsync exec iversion lazytime loud mand noatime nodev nodiratime noexec
noiversion nolazytime nomand norelatime nostrictatime nosuid nosymfollow private ratime rbind rdev rdiratime relatime
remount rexec rnoatime rnodiratime rnoexec rnorelatime rnostrictatime rnosuid rnosymfollow ro rprivate rrelatime rro rrw
rshared rslave rstrictatime rsuid rsymfollow runbindable rw shared silent slave strictatime suid symfollow sync
tmpcopyup unbindable rnodev
""".split()


def test_every_option_of_the_specification_is_known():
    """One that is not would be handed to the file system, which refuses it, or worse, does not."""
    known = {*names.SUPERBLOCK_OPTIONS, *names.IGNORED_OPTIONS, "bind", "rbind", "remount", "tmpcopyup"}
    known |= names.MOUNT_ATTRIBUTES.keys() | {f"r{name}" for name in names.MOUNT_ATTRIBUTES}
    known |= names.PROPAGATIONS.keys() | {f"r{name}" for name in names.PROPAGATIONS}
    assert set(OPTIONS) <= known


def test_kinds_of_devices():
    assert names.DEVICE_TYPES == {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}
    for name, major, minor in names.DEFAULT_DEVICES:
        status = os.stat(f"/dev/{name}")
        assert (os.major(status.st_rdev), os.minor(status.st_rdev)) == (major, minor)
