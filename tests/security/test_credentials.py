"""Who a process of the container is: ids, groups, capabilities, keyring, session, and who may trace it.

CVE-2016-3697, CVE-2016-8867, CVE-2016-9962, CVE-2016-10124, CVE-2017-5226, CVE-2022-2989, CVE-2022-2990, CVE-2022-2995,
CVE-2022-24769, CVE-2022-27649, CVE-2022-27650, CVE-2022-27651, CVE-2022-27652, CVE-2022-29162, CVE-2022-36109,
CVE-2023-25173, CVE-2024-40635, CVE-2025-27612, CVE-2026-30892, CVE-2026-46680.
"""

import os
import pty
import subprocess
from pathlib import Path

import pytest
from containers import Refused, wait_for

SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
CHOWN, KILL, NET_RAW = 1 << 0, 1 << 5, 1 << 13
STATUS = ["/bin/cat", "/proc/self/status"]


def status(text):
    return {name: value.split() for name, _, value in (line.partition(":") for line in text.splitlines())}


def sets(text):
    """Returns the five sets by their name."""
    return {name: int(status(text)[name][0], 16) for name in SETS}


# ---- capabilities


@pytest.mark.parametrize("uid", [0, 1000])
def test_nothing_is_inheritable_that_is_not_configured(bundle, runtime, running, uid):
    """CVE-2022-24769, CVE-2022-27649, CVE-2022-27650, CVE-2022-27651, CVE-2022-27652, CVE-2022-29162, CVE-2016-8867.

    A program with inheritable file capabilities gets those that its caller has in the inheritable set.
    """
    bundle.process["user"] = {"uid": uid, "gid": uid}
    bundle.grant("CAP_CHOWN", "CAP_KILL")
    found = sets(bundle.out(STATUS))
    assert (found["CapInh"], found["CapAmb"]) == (0, 0)
    assert found["CapBnd"] == CHOWN | KILL
    container = running()
    found = sets(runtime("exec", container.name, *STATUS).out)
    assert (found["CapInh"], found["CapAmb"]) == (0, 0)
    assert found["CapPrm"] == (0 if uid else CHOWN | KILL)


@pytest.mark.parametrize("uid", ["0", "1000"])
def test_a_capability_for_exec_is_not_inheritable(bundle, runtime, running, uid):
    """CVE-2022-29162, CVE-2025-27612: `exec --cap` raised the inheritable set. Others are not raised either."""
    bundle.grant("CAP_CHOWN")
    container = running()
    found = sets(runtime("exec", "--cap", "CAP_NET_RAW", "--user", uid, container.name, *STATUS).out)
    assert found["CapInh"] == 0
    assert found["CapBnd"] | NET_RAW == CHOWN | NET_RAW
    # what comes next has the capabilities of the container again
    assert sets(runtime("exec", container.name, *STATUS).out)["CapBnd"] == CHOWN


def test_the_inheritable_set_of_the_caller_is_not_passed_on(bundle, runtime, running):
    """CVE-2022-24769, where the runtime's caller has one."""
    caller = ["setpriv", "--inh-caps", "+net_raw", "--ambient-caps", "+net_raw"]
    bundle.grant("CAP_CHOWN")
    assert sets(bundle.out(STATUS, prefix=caller))["CapInh"] == 0
    container = running()
    found = sets(runtime("exec", container.name, *STATUS, prefix=caller).out)
    assert (found["CapInh"], found["CapAmb"], found["CapBnd"]) == (0, 0, CHOWN)


def test_exec_has_no_new_privileges_and_the_filter_of_the_container(bundle, runtime, running):
    """A process that is added is kept in like the first one."""
    bundle.process["noNewPrivileges"] = True
    bundle.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["sethostname"], "action": "SCMP_ACT_ERRNO"}],
    }
    container = running()
    found = status(runtime("exec", container.name, *STATUS).out)
    assert (found["NoNewPrivs"], found["Seccomp"]) == (["1"], ["2"])


# ---- ids


def test_a_number_is_not_looked_up_as_a_name(bundle, runtime, running):
    """CVE-2016-3697: the image has a user whose name is a number, and who is root."""
    bundle.file("etc/passwd", "1000:x:0:0:root:/root:/bin/sh\nroot:x:0:0::/:/bin/sh\n")
    bundle.file("etc/group", "1000:x:0:\n")
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    found = status(bundle.out(STATUS))
    assert (found["Uid"], found["Gid"]) == (["1000"] * 4, ["1000"] * 4)
    bundle.process["user"] = {"uid": 0, "gid": 0}
    container = running()
    assert status(runtime("exec", "--user", "1000", container.name, *STATUS).out)["Uid"] == ["1000"] * 4


@pytest.mark.parametrize("word", ["1", "1:1", "65534", "2147483648", "4294967294"])
def test_the_user_of_exec_is_the_one_that_is_given(runtime, running, word):
    """CVE-2026-30892: `exec -u 1` ran as root."""
    container = running()
    done = runtime("exec", "--user", word, container.name, *STATUS, check=False)
    if done.code:
        assert int(word) >= 2**31, "only what has 32 bits may be too large"
    else:
        assert status(done.out)["Uid"] == [word.partition(":")[0]] * 4


NO_USERS = ["4294967295", "4294967296", "4294968296", "18446744073709551616", "-1", "+1", "1x", " 1", "1_0", "1:", ":1"]


@pytest.mark.parametrize("word", NO_USERS)
def test_a_user_of_exec_that_is_none_is_not_another(runtime, running, word):
    """CVE-2024-40635, CVE-2026-46680: numbers that are too large became 0."""
    container = running()
    done = runtime("exec", f"--user={word}", container.name, *STATUS, check=False)
    # some take a sign
    assert done.code or status(done.out)["Uid"] == [word.removeprefix("+")] * 4


@pytest.mark.parametrize("number", [4294967295, 4294967296, 2**64, -1, 1.5, "0", True])
def test_an_id_of_the_config_that_is_none_is_not_root(bundle, number):
    """CVE-2024-40635: to setresuid(2) the last number means "leave as it is", which is root."""
    for user in ({"uid": number, "gid": 0}, {"uid": 0, "gid": number}):
        bundle.process["user"] = user
        try:
            found = status(bundle.out(STATUS))
        except Refused:
            continue
        pytest.fail(f"{user} ran as {found['Uid'][0]}:{found['Gid'][0]}")


def test_groups_are_those_of_the_config(bundle, runtime, running):
    """CVE-2022-2989, CVE-2022-2990, CVE-2022-2995, CVE-2022-36109, CVE-2023-25173.

    They are neither the caller's nor those of the image's files.
    """
    caller = ["setpriv", "--groups", "77,78"]
    bundle.file("etc/group", "evil:x:79:user\nroot:x:0:user\n")
    bundle.file("etc/passwd", "user:x:1000:1000::/:/bin/sh\n")
    bundle.process["user"] = {"uid": 1000, "gid": 1000, "additionalGids": [5, 60000]}
    found = status(bundle.out(STATUS, prefix=caller))
    assert set(found["Groups"]) in ({"5", "60000"}, {"5", "60000", "1000"})
    container = running()
    groups = set(status(runtime("exec", container.name, *STATUS, prefix=caller).out)["Groups"])
    assert groups <= {"5", "60000", "1000"}
    groups = set(status(runtime("exec", "--user", "7:8", container.name, *STATUS, prefix=caller).out)["Groups"])
    assert groups <= {"5", "60000", "8"}


# ---- keyrings


def test_keys_of_the_host_are_not_found_inside(bundle, runtime, programs):
    """The session keyring of the caller is not the container's, and not that of what `exec` adds (keyrings(7))."""
    name = f"witness-{os.getpid()}"
    # a session keyring of its own, which ends with it
    caller = [programs / "witness", "with-key", name]
    own = subprocess.run([*caller, programs / "witness", "key", name], capture_output=True, text=True, check=True)
    assert own.stdout == "found\n"
    assert bundle.out(["witness", "key", name], prefix=caller).isdigit()
    container = bundle.create("sleep 1000", prefix=caller)
    container.start()
    assert runtime("exec", container.name, "/bin/witness", "key", name, prefix=caller).out.strip().isdigit()


def test_keys_of_a_container_are_not_found_in_another(bundle, make_bundle):
    """Each container has a session keyring of its own."""
    output = bundle.path / "output"
    with output.open("wb") as stdout:
        container = bundle.create("witness add-key of-the-first; witness key of-the-first; sleep 1000", stdout=stdout)
    container.start()
    wait_for(lambda: "found" in output.read_text(), "the first one has its key")
    other = make_bundle("other")
    assert other.out(["witness", "key", "of-the-first"]).isdigit()
    container.stop()


# ---- the terminal of the caller


@pytest.mark.parametrize("command", ["run", "exec"])
def test_the_terminal_of_the_caller_is_not_the_controlling_one(bundle, runtime, running, command):
    """CVE-2016-10124, CVE-2017-5226: with it TIOCSTI types into the shell that the container was started from."""
    master, slave = pty.openpty()
    own = ["setsid", "--ctty", "--wait"]
    try:
        if command == "run":
            bundle.process["args"] = ["witness", "terminal"]
            name = runtime.new_name()
            bundle.write(name)
            done = runtime("run", "--bundle", bundle.path, name, stdin=slave, prefix=own, check=False)
        else:
            container = running()
            done = runtime("exec", container.name, "/bin/witness", "terminal", stdin=slave, prefix=own, check=False)
        assert done.out.strip().isdigit(), "there is a controlling terminal"
    finally:
        os.close(master)
        os.close(slave)


# ---- tracing


@pytest.fixture
def dumpable_after_all():
    """fs.suid_dumpable = 1: what changes its ids can be traced by the new user (proc_sys_fs(5))."""
    switch = Path("/proc/sys/fs/suid_dumpable")
    before = switch.read_text()
    switch.write_text("1\n")
    try:
        yield
    finally:
        switch.write_text(before)


def traced(make_bundle, container, uid):
    """Whether a process with the ids of the container, in its pid namespace, may trace its first one."""
    neighbour = make_bundle("neighbour")
    neighbour.namespace("pid", f"/proc/{container.pid}/ns/pid")
    neighbour.process["user"] = {"uid": uid, "gid": uid}
    neighbour.process["capabilities"] = {}
    neighbour.without_mount("/sys")
    return neighbour.out("witness trace 1; cat /proc/1/environ >/dev/null 2>&1 && echo read; true") != "1"


@pytest.mark.parametrize("uid", [0, 1000])
def test_a_container_that_waits_cannot_be_traced(bundle, make_bundle, uid):
    """CVE-2016-9962: what traces the runtime has its rights, and what it has open."""
    bundle.process["user"] = {"uid": uid, "gid": uid}
    bundle.process["capabilities"] = {}
    container = bundle.create("sleep 1000")
    assert not traced(make_bundle, container, uid)
    container.start()
    wait_for(lambda: "sleep" in container.proc("cmdline"), "the program runs")
    container.stop()


@pytest.mark.usefixtures("dumpable_after_all")
def test_a_container_that_waits_cannot_be_traced_whatever_the_host_permits(bundle, make_bundle):
    """CVE-2016-9962, once more: with fs.suid_dumpable = 1 a change of ids makes a process traceable again."""
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    bundle.process["capabilities"] = {}
    container = bundle.create("sleep 1000")
    assert not traced(make_bundle, container, 1000)
    as_user = ["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups"]
    for name in ("exe", "root", "cwd", "fd/0"):
        look = subprocess.run([*as_user, "readlink", f"/proc/{container.pid}/{name}"], capture_output=True, check=False)
        assert look.returncode, f"{name} can be seen"
