"""linux.seccomp: the filter in force is the one that was asked for, or there is no container."""

import ctypes
import errno
import fcntl
import json
import os
import platform
import socket
import struct
import subprocess
import threading
from pathlib import Path

import pytest

from pyruntime.run import libseccomp

HERE = Path(__file__).resolve().parent
SIGSYS = 31
# what the program of calls.c needs for itself
NEEDED = ["write", "exit_group"]
# what init does after the filter is in force; docs/reference/config.md has it for users
OF_INIT = ["write", "read", "close", "rt_sigaction", "execve", "exit_group"]
OF_INIT_WITHOUT_NNP = ["capset", "capget", "prctl"]


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("calls") / "calls"
    flags = ["-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector", "-fno-pie", "-no-pie", "-O1"]
    subprocess.run(["cc", *flags, "-o", path, HERE / "calls.c"], check=True)
    return path


def number(name):
    """Returns the number of a system call on this machine."""
    return libseccomp._load()[1].seccomp_syscall_resolve_name(name.encode())


@pytest.fixture
def call(bundle, program):
    """Runs a container that makes one system call under a filter; returns "ok" or the name of the errno."""
    (bundle.rootfs / "calls").write_bytes(program.read_bytes())
    (bundle.rootfs / "calls").chmod(0o755)

    def run(name, *arguments, **seccomp):
        numbers = [name if isinstance(name, int) else number(name), *arguments]
        bundle.process["args"] = ["/calls", *map(str, numbers)]
        bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", **seccomp}
        result = bundle.run(check=False)
        if result.code:
            return result.code
        out = result.out.strip()
        return out if out == "ok" else errno.errorcode[int(out)]

    return run


def rule(*names, action="SCMP_ACT_ERRNO", **more):
    return {"syscalls": [{"names": list(names), "action": action, **more}]}


def test_without_a_rule_nothing_is_different(call, bundle):
    assert call("getpid") == "ok"
    assert "Seccomp:\t2\n" in bundle.run("cat /proc/self/status").out


@pytest.mark.parametrize(
    ("action", "more", "expected"),
    [
        ("SCMP_ACT_ERRNO", {}, "EPERM"),
        ("SCMP_ACT_ERRNO", {"errnoRet": errno.ENOTUNIQ}, "ENOTUNIQ"),
        ("SCMP_ACT_KILL", {}, 128 + SIGSYS),
        ("SCMP_ACT_KILL_THREAD", {}, 128 + SIGSYS),
        ("SCMP_ACT_KILL_PROCESS", {}, 128 + SIGSYS),
        ("SCMP_ACT_TRAP", {}, 128 + SIGSYS),
        ("SCMP_ACT_TRACE", {}, "ENOSYS"),  # there is no tracer
        ("SCMP_ACT_TRACE", {"errnoRet": 77}, "ENOSYS"),
        ("SCMP_ACT_LOG", {}, "ok"),
        ("SCMP_ACT_ALLOW", {}, "ok"),
    ],
)
def test_actions(call, action, more, expected):
    assert call("getpid", **rule("getpid", action=action, **more)) == expected
    assert call("getppid", **rule("getpid", action=action, **more)) == "ok"


@pytest.mark.parametrize(
    ("default", "more", "expected"),
    [
        ("SCMP_ACT_ERRNO", {}, "EPERM"),
        ("SCMP_ACT_ERRNO", {"defaultErrnoRet": errno.ENOTUNIQ}, "ENOTUNIQ"),
        ("SCMP_ACT_KILL", {}, 128 + SIGSYS),
        ("SCMP_ACT_KILL_PROCESS", {}, 128 + SIGSYS),
        ("SCMP_ACT_TRAP", {}, 128 + SIGSYS),
        ("SCMP_ACT_LOG", {}, "ok"),
    ],
)
def test_default_actions_and_what_init_needs(call, default, more, expected):
    """A filter that permits no more than that is enough to start a container."""
    allowed = rule(*NEEDED, *OF_INIT, "getppid", action="SCMP_ACT_ALLOW")
    assert call("getppid", defaultAction=default, **more, **allowed) == "ok"
    assert call("getpid", defaultAction=default, **more, **allowed) == expected


def test_what_init_needs_without_no_new_privileges(call, bundle):
    bundle.process["noNewPrivileges"] = False
    allowed = rule(*NEEDED, *OF_INIT, *OF_INIT_WITHOUT_NNP, action="SCMP_ACT_ALLOW")
    assert call("getpid", defaultAction="SCMP_ACT_ERRNO", **allowed) == "EPERM"


COMPARISONS = [
    ("SCMP_CMP_NE", 5, 0, {4: True, 5: False, 6: True}),
    ("SCMP_CMP_LT", 5, 0, {4: True, 5: False, 6: False}),
    ("SCMP_CMP_LE", 5, 0, {4: True, 5: True, 6: False}),
    ("SCMP_CMP_EQ", 5, 0, {4: False, 5: True, 6: False}),
    ("SCMP_CMP_GE", 5, 0, {4: False, 5: True, 6: True}),
    ("SCMP_CMP_GT", 5, 0, {4: False, 5: False, 6: True}),
    # 12 is the mask: of these two bits the first has to be set and the second must not
    ("SCMP_CMP_MASKED_EQ", 12, 4, {4: True, 5: True, 8: False, 12: False, 0: False}),
]


@pytest.mark.parametrize(("op", "value", "second", "matches"), COMPARISONS)
def test_comparisons_of_arguments(call, op, value, second, matches):
    for index, argument in [(0, item) for item in matches] + [(5, item) for item in list(matches)[:1]]:
        condition = {"index": index, "value": value, "valueTwo": second, "op": op}
        arguments = [0] * index + [argument]
        expected = "EPERM" if matches[argument] else "ok"
        assert call("getpid", *arguments, **rule("getpid", args=[condition])) == expected, (op, argument)


def test_large_arguments(call):
    big = (1 << 64) - 2
    condition = {"index": 1, "value": big, "op": "SCMP_CMP_EQ"}
    assert call("getpid", 0, big, **rule("getpid", args=[condition])) == "EPERM"
    assert call("getpid", 0, big - 1, **rule("getpid", args=[condition])) == "ok"
    assert call("getpid", 0, big & 0xFFFFFFFF, **rule("getpid", args=[condition])) == "ok"


def test_several_conditions(call):
    """All have to hold; but two on one argument are alternatives, as profiles made for runc have them."""
    two = [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 2, "op": "SCMP_CMP_EQ"}]
    assert call("getpid", 1, 2, **rule("getpid", args=two)) == "EPERM"
    assert call("getpid", 1, 3, **rule("getpid", args=two)) == "ok"
    either = [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}]
    for argument, expected in ((1, "EPERM"), (2, "EPERM"), (3, "ok")):
        assert call("getpid", argument, **rule("getpid", args=either)) == expected


def test_several_rules_for_one_call(call):
    rules = [
        {
            "names": ["getpid"],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": code,
            "args": [{"index": 0, "value": value, "op": "SCMP_CMP_EQ"}],
        }
        for value, code in ((1, errno.EXDEV), (2, errno.EDOM))
    ]
    assert [call("getpid", value, syscalls=rules) for value in (1, 2, 3)] == ["EXDEV", "EDOM", "ok"]


def test_names_that_are_not_known_are_passed_over(call):
    """Profiles name calls of other architectures, and of kernels to come."""
    assert call("getpid", **rule("getpid", "no_such_call", "arm_fadvise64_64")) == "EPERM"


@pytest.mark.parametrize("default", ["SCMP_ACT_ERRNO", "SCMP_ACT_KILL"])
def test_calls_newer_than_the_profile_do_not_exist(call, default):
    """A program falls back to an older call on ENOSYS only."""
    allowed = rule(*NEEDED, *OF_INIT, "getppid", action="SCMP_ACT_ALLOW")
    newest = max(number(name) for name in [*NEEDED, *OF_INIT, "getppid"])
    assert call(newest + 1, defaultAction=default, **allowed) == "ENOSYS"
    assert call(4000, defaultAction=default, **allowed) == "ENOSYS"
    expected = "EPERM" if default == "SCMP_ACT_ERRNO" else 128 + SIGSYS
    assert call(newest - 1, defaultAction=default, **allowed) == expected


def test_calls_newer_than_a_profile_that_permits_what_it_does_not_name(call):
    assert call("getppid", **rule("read", action="SCMP_ACT_LOG")) == "ok"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="x32 is of x86_64")
def test_calls_of_an_architecture_that_is_not_named_are_refused(call):
    x32 = 0x40000000 + 39
    assert call(x32) == 128 + SIGSYS
    # the kernel may be without x32; the filter lets it through
    assert call(x32, architectures=["SCMP_ARCH_X86_64", "SCMP_ARCH_X32"]) in ("ok", "ENOSYS")
    allowed = rule(*NEEDED, *OF_INIT, action="SCMP_ACT_ALLOW")
    both = {"architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X32"], "defaultAction": "SCMP_ACT_ERRNO"}
    assert call(0x40000000 + 4000, **both, **allowed) == "ENOSYS"
    assert call(4000, **both, **allowed) == "ENOSYS"


def test_all_architectures_that_libseccomp_knows(call):
    names = [
        "X86",
        "X86_64",
        "X32",
        "ARM",
        "AARCH64",
        "MIPS",
        "MIPS64",
        "MIPS64N32",
        "MIPSEL",
        "MIPSEL64",
        "MIPSEL64N32",
    ]
    names += ["PPC", "PPC64", "PPC64LE", "S390", "S390X", "PARISC", "PARISC64", "RISCV64"]
    little = [name for name in names if name not in ("MIPS", "MIPS64", "MIPS64N32", "PPC", "PPC64", "S390", "S390X")]
    little = [name for name in little if not name.startswith("PARISC")]
    assert call("getpid", architectures=[f"SCMP_ARCH_{name}" for name in little], **rule("getpid")) == "EPERM"


def test_an_architecture_that_cannot_be_combined_is_named(bundle):
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_S390X"]}
    assert "linux.seccomp.architectures[0]: error adding architecture SCMP_ARCH_S390X: " in bundle.fails()


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["SECCOMP_FILTER_FLAG_TSYNC"],
        ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"],
        ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
    ],
)
def test_flags(call, flags):
    assert call("getpid", flags=flags, **rule("getpid")) == "EPERM"


@pytest.mark.parametrize("no_new_privileges", [True, False])
@pytest.mark.parametrize("uid", [0, 1000])
def test_capabilities_are_those_of_the_config(bundle, no_new_privileges, uid):
    """Loading a filter takes CAP_SYS_ADMIN where noNewPrivileges is not set: nothing of that may stay."""
    bundle.process["noNewPrivileges"] = no_new_privileges
    bundle.process["user"] = {"uid": uid, "gid": uid}
    sets = {name: ["CAP_KILL"] for name in ("bounding", "permitted", "inheritable", "effective", "ambient")}
    bundle.process["capabilities"] = sets
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", **rule("getppid")}
    status = dict(line.split(":\t") for line in bundle.run("cat /proc/self/status").out.splitlines() if ":\t" in line)
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {f"{1 << 5:016x}"}
    assert status["NoNewPrivs"] == str(int(no_new_privileges))
    assert (status["Seccomp"], status["Seccomp_filters"]) == ("2", "1")


def test_in_a_user_namespace(bundle):
    bundle.process["noNewPrivileges"] = False
    bundle.namespace("user")
    maps = [{"containerID": 0, "hostID": 0, "size": 65536}]
    bundle.linux.update(uidMappings=maps, gidMappings=maps)
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", **rule("mkdir", "mkdirat")}
    assert "Operation not permitted" in bundle.run("mkdir /x; true").err


def test_hooks_run_under_an_old_profile(bundle):
    """startContainer hooks come after the filter; profiles refuse clone3 since its flags cannot be looked at."""
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "echo hooked > /tmp/hooked"], "env": ["PATH=/bin"]}
    bundle.config["hooks"] = {"startContainer": [hook]}
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", **rule("clone3", errnoRet=errno.ENOSYS)}
    assert bundle.run("cat /tmp/hooked").out == "hooked\n"


def test_a_hook_ends_under_a_profile_that_refuses_close(bundle):
    """The pipe on which init hears why there was no program then stays open at both ends."""
    bundle.config["hooks"] = {"startContainer": [{"path": "/bin/true"}]}
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", **rule("close")}
    assert bundle.run("echo -n").code == 0


def test_a_hook_that_cannot_be_waited_for_fails(bundle):
    bundle.config["hooks"] = {"startContainer": [{"path": "/bin/sleep", "args": ["sleep", "100"]}]}
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", **rule("ppoll")}
    problem = "error running startContainer hook #0: wait for it: operation not permitted"
    assert problem in bundle.run("true", check=False).err


# ---- compiled once


def cache(runtime):
    return runtime.root / "@seccomp"


def test_filters_are_kept_by_content(call, runtime):
    call("getpid", **rule("getpid"))
    (first,) = cache(runtime).iterdir()
    assert first.stat().st_mode & 0o777 == 0o600
    assert cache(runtime).stat().st_mode & 0o777 == 0o700
    # what is kept is what is used: this one lets everything through
    first.write_bytes(struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000))
    assert call("getpid", **rule("getpid")) == "ok"
    # flags and listeners are no part of the filter
    assert call("getpid", flags=["SECCOMP_FILTER_FLAG_LOG"], **rule("getpid")) == "ok"
    assert call("getpid", **rule("getpid", errnoRet=errno.EDOM)) == "EDOM"
    assert len(list(cache(runtime).iterdir())) == 2


@pytest.mark.parametrize("how", ["writable by others", "another's", "cut", "empty", "a link", "too long"])
def test_a_kept_filter_that_cannot_be_trusted_is_not_used(call, runtime, tmp_path, how):
    call("getpid", **rule("getpid"))
    (path,) = cache(runtime).iterdir()
    allow = struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)
    path.write_bytes(allow)
    match how:
        case "writable by others":
            path.chmod(0o666)
        case "another's":
            os.chown(path, 1000, 1000)
        case "cut":
            path.write_bytes(allow[:5])
        case "empty":
            path.write_bytes(b"")
        case "a link":
            path.rename(tmp_path / "elsewhere")
            path.symlink_to(tmp_path / "elsewhere")
        case "too long":
            path.write_bytes(allow * 5000)
    assert call("getpid", **rule("getpid")) == "EPERM"


def test_no_more_than_some_are_kept(call, runtime):
    cache(runtime).mkdir(mode=0o700)
    for number_ in range(80):
        (cache(runtime) / f"{number_:064}").write_bytes(bytes(8))
    assert call("getpid", **rule("getpid")) == "EPERM"
    assert len(list(cache(runtime).iterdir())) <= 64


def test_no_container_can_have_the_name_of_the_directory(runtime):
    assert "invalid container ID format" in runtime("state", "@seccomp", check=False).err


def test_without_the_library_there_is_no_container(bundle):
    """Never silently without a filter."""
    library = Path("/usr/lib") / f"{platform.machine()}-linux-gnu" / "libseccomp.so.2"
    script = f'mount --bind /dev/null {library.resolve()} && exec "$0" "$@"'
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", **rule("mkdir")}
    bundle.runtime.prefix = ["unshare", "-m", "--propagation", "private", "sh", "-c", script]
    message = bundle.fails()
    bundle.runtime.prefix = []
    assert "linux.seccomp: a filter needs libseccomp, which cannot be loaded: " in message
    assert "(config.json, line " in message


# ---- an agent that is asked

# linux/seccomp.h
NOTIF_RECV, NOTIF_SEND, CONTINUE = 0xC0502100, 0xC0182101, 1


class Agent:
    """Answers each question with an errno, or with None: go on. There have to be as many as there are answers."""

    def __init__(self, path, answers):
        self.path = path
        self.answers = answers
        self.message = None
        self.asked = []
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(path))
        self.listener.listen()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        connection, _ = self.listener.accept()
        with connection:
            data, fds, _, _ = socket.recv_fds(connection, 65536, 4)
            while more := connection.recv(65536):
                data += more
        self.message = json.loads(data)
        (fd,) = fds
        for answer in self.answers:
            notification = ctypes.create_string_buffer(80)
            fcntl.ioctl(fd, NOTIF_RECV, notification)
            identity, _, _, nr = struct.unpack_from("=QIIi", notification)
            self.asked.append(nr)
            response = struct.pack("=QqiI", identity, 0, -(answer or 0), CONTINUE if answer is None else 0)
            fcntl.ioctl(fd, NOTIF_SEND, response)
        os.close(fd)

    def end(self):
        self.thread.join(20)
        self.listener.close()
        assert not self.thread.is_alive()


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_an_agent_is_asked(call, bundle, tmp_path, no_new_privileges):
    bundle.process["noNewPrivileges"] = no_new_privileges
    bundle.config["annotations"] = {"com.example.key": "value"}
    agent = Agent(tmp_path / "agent", [errno.EDOM])
    listener = {"listenerPath": str(agent.path), "listenerMetadata": "of the test"}
    result = call("getppid", **listener, **rule("getppid", action="SCMP_ACT_NOTIFY"))
    agent.end()
    assert result == "EDOM"
    assert agent.asked == [number("getppid")]
    message = agent.message
    assert message["fds"] == ["seccompFd"]
    assert message["metadata"] == "of the test"
    assert message["pid"] == message["state"]["pid"] > 0
    assert message["state"]["status"] == "creating"
    assert message["state"]["id"] == bundle.runtime.ids[-1]
    assert message["state"]["annotations"] == {"com.example.key": "value"}
    assert message["state"]["bundle"] == str(bundle.path)


def test_an_agent_that_is_asked_about_what_init_does(call, tmp_path):
    """init reads three times: when the agent has the listener, when it is ready, and when it is started."""
    agent = Agent(tmp_path / "agent", [None] * 3)
    result = call("getpid", listenerPath=str(agent.path), **rule("read", action="SCMP_ACT_NOTIFY"))
    agent.end()
    assert result == "ok"
    assert agent.asked == [number("read")] * 3


def test_without_an_agent_there_is_no_container(bundle, tmp_path):
    bundle.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": str(tmp_path / "nobody"),
        **rule("getppid", action="SCMP_ACT_NOTIFY"),
    }
    message = bundle.fails()
    assert f"failed to connect with seccomp agent {tmp_path / 'nobody'}: no such file or directory" in message


def test_a_listener_that_nobody_is_asked_on_is_ignored(call):
    """config-linux.md: if SCMP_ACT_NOTIFY is not used this value is ignored."""
    assert call("getpid", listenerPath="/nobody", **rule("getpid")) == "EPERM"
