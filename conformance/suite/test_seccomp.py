"""linux.seccomp (config-linux.md, Seccomp, The Container Process State)."""

import ctypes
import errno
import fcntl
import json
import os
import signal
import socket
import struct
import threading
from pathlib import Path

import pytest
from containers import Refused, not_applicable, requirement

# system calls that neither a C library nor a runtime makes on its own, with their numbers
NUMBERS = {"x86_64": {"getppid": 110, "getpgid": 121, "personality": 135}}
NUMBERS["aarch64"] = {"getppid": 173, "getpgid": 155, "personality": 92}
SLEEP = "sleep 1000"


def number(name):
    found = NUMBERS.get(os.uname().machine)
    return found[name] if found else not_applicable("numbers of system calls are not known for this machine")


def rule(name="getppid", action="SCMP_ACT_ERRNO", **more):
    return {"names": [name], "action": action, **more}


def profile(bundle, *rules, default="SCMP_ACT_ALLOW", **more):
    bundle.linux["seccomp"] = {"defaultAction": default, **({"syscalls": list(rules)} if rules else {}), **more}


def call(bundle, name="getppid", *arguments, program="call"):
    """Runs a container that makes a system call; returns "ok" or the errno as a number."""
    words = [str(word) for word in (number(name), *arguments)]
    done = bundle.run(["probe", program, *words])
    return done.out.strip() if not done.code else done.code


# ---- actions


ACTIONS = [
    ("SCMP_ACT_ALLOW", "ok"),
    ("SCMP_ACT_LOG", "ok"),
    ("SCMP_ACT_ERRNO", str(errno.EPERM)),
    # nobody traces: the call does not exist
    ("SCMP_ACT_TRACE", str(errno.ENOSYS)),
    ("SCMP_ACT_TRAP", 128 + signal.SIGSYS),
    ("SCMP_ACT_KILL", 128 + signal.SIGSYS),
    ("SCMP_ACT_KILL_PROCESS", 128 + signal.SIGSYS),
    ("SCMP_ACT_KILL_THREAD", 128 + signal.SIGSYS),
]


@requirement("linux.seccomp.syscalls.action", "linux.seccomp.syscalls.names")
@pytest.mark.parametrize(("action", "result"), ACTIONS)
def test_actions(bundle, action, result):
    profile(bundle, rule(action=action))
    assert call(bundle) == result
    # and no other call
    assert call(bundle, "getpgid", 0) == "ok"


@requirement("linux.seccomp.syscalls.action")
@pytest.mark.parametrize(("action", "alive"), [("SCMP_ACT_KILL_THREAD", True), ("SCMP_ACT_KILL_PROCESS", False)])
def test_the_end_of_a_thread_or_of_the_process(bundle, action, alive):
    profile(bundle, rule(action=action))
    assert call(bundle, program="thread") == ("alive" if alive else 128 + signal.SIGSYS)


ALLOWED = (
    "access arch_prctl brk capget capset chdir chmod chown clone clone3 close close_range dup dup2 dup3 "
    "epoll_create1 epoll_ctl epoll_pwait epoll_wait execve execveat exit exit_group faccessat faccessat2 fchdir "
    "fchmod fchown fchownat fcntl fstat fstatfs futex getcwd getdents64 getegid geteuid getgid getgroups getpid "
    "getppid getrandom gettid getuid ioctl keyctl lseek lstat madvise mkdirat mmap mprotect munmap nanosleep "
    "newfstatat open openat openat2 personality pipe pipe2 poll ppoll prctl pread64 prlimit64 read readlink "
    "readlinkat recvmsg rseq rt_sigaction rt_sigprocmask rt_sigreturn sched_getaffinity sched_yield seccomp "
    "sendmsg set_robust_list set_tid_address setgid setgroups setresgid setresuid setsid setuid sigaltstack "
    "socketpair stat statfs statx tgkill umask uname unlinkat wait4 waitid write writev"
).split()


@requirement("linux.seccomp.default-action", "linux.seccomp.default-errno")
@pytest.mark.parametrize(
    ("default", "more", "result"),
    [
        ("SCMP_ACT_ERRNO", {}, str(errno.EPERM)),
        ("SCMP_ACT_ERRNO", {"defaultErrnoRet": errno.EDOM}, str(errno.EDOM)),
        ("SCMP_ACT_KILL_PROCESS", {}, 128 + signal.SIGSYS),
    ],
)
def test_what_no_rule_is_about(bundle, default, more, result):
    profile(bundle, {"names": ALLOWED, "action": "SCMP_ACT_ALLOW"}, default=default, **more)
    assert call(bundle, "getpgid", 0) == result
    assert call(bundle) == "ok"


@requirement("linux.seccomp.default-action")
def test_a_filter_without_rules(bundle):
    profile(bundle)
    assert call(bundle) == "ok"


@requirement("linux.seccomp.syscalls.errno")
@pytest.mark.parametrize("given", [errno.EDOM, errno.ENOSYS, 0, None])
def test_the_errno(bundle, given):
    profile(bundle, rule(**({} if given is None else {"errnoRet": given})))
    # a call that fails with 0 has not failed
    assert call(bundle) == ("ok" if given == 0 else str(given or errno.EPERM))


@requirement("linux.seccomp.syscalls.errno", "linux.seccomp.default-errno")
@pytest.mark.parametrize("action", ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"])
@pytest.mark.parametrize("place", ["rule", "default"])
def test_an_errno_for_an_action_that_has_none(bundle, action, place):
    if place == "rule":
        profile(bundle, rule(action=action, errnoRet=1))
    else:
        profile(bundle, rule(), default=action, defaultErrnoRet=1)
    bundle.is_refused()


# ---- conditions


def condition(op, value, index=0, **more):
    return {"index": index, "op": op, "value": value, **more}


CONDITIONS = [
    # operator, value, arguments that meet it, arguments that do not
    ("SCMP_CMP_EQ", 7, [7], [6, 8]),
    ("SCMP_CMP_NE", 7, [6, 8], [7]),
    ("SCMP_CMP_LT", 7, [0, 6], [7, 8]),
    ("SCMP_CMP_LE", 7, [0, 7], [8, 2**40]),
    ("SCMP_CMP_GE", 7, [7, 8, 2**40], [6]),
    ("SCMP_CMP_GT", 7, [8, 2**40], [0, 7]),
]


@requirement("linux.seccomp.syscalls.args.op", "linux.seccomp.syscalls.args.value", "linux.seccomp.syscalls.args.index")
@pytest.mark.parametrize(("op", "value", "met", "unmet"), CONDITIONS)
def test_conditions(bundle, op, value, met, unmet):
    profile(bundle, rule("getpgid", errnoRet=errno.EDOM, args=[condition(op, value, index=1)]))
    for argument in met:
        assert call(bundle, "getpgid", 0, argument) == str(errno.EDOM), argument
    for argument in unmet:
        assert call(bundle, "getpgid", 0, argument) == "ok", argument


@requirement("linux.seccomp.syscalls.args.op", "linux.seccomp.syscalls.args.value")
def test_a_masked_condition(bundle):
    """`value` is the mask, `valueTwo` what is then compared with."""
    profile(bundle, rule("getpgid", args=[condition("SCMP_CMP_MASKED_EQ", 0xF0, index=1, valueTwo=0x20)]))
    assert call(bundle, "getpgid", 0, 0x2F) == str(errno.EPERM)
    assert call(bundle, "getpgid", 0, 0x3F) == "ok"


@requirement("linux.seccomp.syscalls.args.index", "linux.seccomp.syscalls.args.value")
def test_several_conditions_have_to_be_met_at_once(bundle):
    both = [condition("SCMP_CMP_EQ", 7, index=1), condition("SCMP_CMP_EQ", 8, index=2)]
    profile(bundle, rule("getpgid", args=both))
    assert call(bundle, "getpgid", 0, 7, 8) == str(errno.EPERM)
    assert call(bundle, "getpgid", 0, 7, 9) == "ok"
    assert call(bundle, "getpgid", 0, 6, 8) == "ok"


@requirement("linux.seccomp.syscalls.args.value")
def test_a_value_of_64_bits(bundle):
    profile(bundle, rule("getpgid", args=[condition("SCMP_CMP_EQ", 2**63 + 5, index=1)]))
    assert call(bundle, "getpgid", 0, 2**63 + 5) == str(errno.EPERM)
    assert call(bundle, "getpgid", 0, 5) == "ok"


# ---- architectures, flags, names


@requirement("linux.seccomp.architectures")
def test_calls_of_another_architecture(bundle):
    """They are filtered if it is listed, and not permitted if it is not."""
    if os.uname().machine != "x86_64":
        not_applicable("this machine has no second architecture that is known here")
    getppid_32 = "64"
    if bundle.run(["probe", "call32", getppid_32]).out.strip() != "ok":
        not_applicable("this kernel has no system calls of 32 bits")
    profile(bundle, rule(), architectures=["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"])
    assert bundle.run(["probe", "call32", getppid_32]).out.strip() == str(errno.EPERM)
    profile(bundle, rule(), architectures=["SCMP_ARCH_X86_64"])
    assert bundle.run(["probe", "call32", getppid_32]).out.strip() != "ok"


@requirement("linux.seccomp.flags")
@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["SECCOMP_FILTER_FLAG_LOG"],
        ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"],
        ["SECCOMP_FILTER_FLAG_TSYNC"],
        ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"],
    ],
)
def test_flags(bundle, flags):
    profile(bundle, rule(), flags=flags)
    assert call(bundle) == str(errno.EPERM)


@requirement("linux.seccomp.flags")
def test_the_flag_against_mitigations(bundle):
    """The kernel shows whether speculation is held back under the filter (spec_allow: it is not)."""
    profile(bundle, rule(), flags=["SECCOMP_FILTER_FLAG_SPEC_ALLOW"])
    lines = [line for line in bundle.out("cat /proc/self/status").splitlines() if "Speculation_Store_Bypass" in line]
    own = [line for line in Path("/proc/self/status").read_text().splitlines() if "Speculation_Store_Bypass" in line]
    assert lines == own


@requirement("config.values.invalid")
@pytest.mark.parametrize(
    "change",
    [
        {"defaultAction": "SCMP_ACT_MAYBE"},
        {"defaultAction": ""},
        {"flags": ["SECCOMP_FILTER_FLAG_UNKNOWN"]},
        {"architectures": ["SCMP_ARCH_Z80"]},
        {"syscalls": [rule(action="SCMP_ACT_MAYBE")]},
        {"syscalls": [rule(args=[condition("SCMP_CMP_SO", 1)])]},
        {"syscalls": [rule(args=[condition("SCMP_CMP_EQ", 1, index=6)])]},
        {"syscalls": [rule(args=[condition("SCMP_CMP_EQ", -1)])]},
        {"syscalls": [rule(errnoRet=-1)]},
    ],
)
def test_bad_filters(bundle, change):
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", **change}
    bundle.is_refused()


@requirement("linux.seccomp.default-action")
def test_no_default_action(bundle):
    bundle.linux["seccomp"] = {"syscalls": [rule()]}
    bundle.is_refused()


@pytest.mark.parametrize(
    "member",
    [
        pytest.param("names", marks=requirement("linux.seccomp.syscalls.names"), id="names"),
        pytest.param("action", marks=requirement("linux.seccomp.syscalls.action"), id="action"),
    ],
)
def test_a_rule_that_lacks_a_member(bundle, member):
    entry = rule()
    del entry[member]
    profile(bundle, entry)
    bundle.is_refused()


@requirement("linux.seccomp.syscalls.names.empty")
def test_a_rule_without_names(bundle):
    profile(bundle, {"names": [], "action": "SCMP_ACT_ERRNO"})
    bundle.is_refused()


@pytest.mark.parametrize(
    "member",
    [
        pytest.param(name, marks=requirement(f"linux.seccomp.syscalls.args.{name}"), id=name)
        for name in ("index", "value", "op")
    ],
)
def test_a_condition_that_lacks_a_member(bundle, member):
    entry = condition("SCMP_CMP_EQ", 1, index=1)
    del entry[member]
    profile(bundle, rule(args=[entry]))
    bundle.is_refused()


# ---- an agent that is asked


RECEIVE, SEND = 0xC0502100, 0xC0182101  # linux/seccomp.h


class Agent:
    """Listens for filters, and answers one question to the first of them."""

    def __init__(self, path, answer=errno.EDOM):
        self.path = path
        self.answer = answer
        self.messages = []
        self.descriptors = []
        self.asked = 0
        self.closed = False
        self.later = 0
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(path))
        self.listener.listen()
        self.listener.settimeout(15)
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self):
        try:
            connection, _ = self.listener.accept()
        except OSError:
            return
        with connection:
            connection.settimeout(10)
            data, fds, _, _ = socket.recv_fds(connection, 1 << 16, 4)
            self.descriptors = fds
            # what comes later has to come without descriptors, and then the end
            while True:
                more, further, _, _ = socket.recv_fds(connection, 1 << 16, 4)
                self.later += len(further)
                if not more:
                    break
                data += more
            self.closed = True
        self.messages.append(data)
        notification = ctypes.create_string_buffer(80)
        fcntl.ioctl(fds[0], RECEIVE, notification)
        identity, _, _, self.asked = struct.unpack_from("=QIIi", notification)
        fcntl.ioctl(fds[0], SEND, struct.pack("=QqiI", identity, 0, -self.answer, 0))

    def end(self):
        self.thread.join(20)
        self.listener.settimeout(0)
        try:
            self.listener.accept()
            self.messages.append("another connection")
        except OSError:
            pass
        self.listener.close()
        for fd in self.descriptors:
            os.close(fd)
        assert not self.thread.is_alive()


@requirement(
    "linux.seccomp.listener.one-state", "linux.seccomp.listener.not-reused", "linux.seccomp.listener.closed",
    "linux.seccomp.listener.descriptor", "linux.seccomp.state.payload", "linux.seccomp.state.descriptors",
    "linux.seccomp.state.first-message", "linux.seccomp.state.oci-version", "linux.seccomp.state.pid",
    "linux.seccomp.state.metadata", "linux.seccomp.state.state",
)  # fmt: skip
def test_an_agent_is_asked(bundle, tmp_path):
    bundle.config["annotations"] = {"com.example.key": "value"}
    agent = Agent(tmp_path / "agent")
    profile(bundle, rule(action="SCMP_ACT_NOTIFY"), listenerPath=str(agent.path), listenerMetadata="of the test")
    try:
        container = bundle.create(["probe", "call", str(number("getppid"))])
        container.start()
        container.wait()
    finally:
        agent.listener.shutdown(socket.SHUT_RDWR)
        agent.end()
    assert agent.asked == number("getppid")
    assert agent.closed
    assert agent.later == 0
    assert len(agent.messages) == 1
    message = json.loads(agent.messages[0])
    assert message["fds"] == ["seccompFd"]
    assert len(agent.descriptors) == 1
    assert message["ociVersion"]
    assert message["pid"] == container.pid
    assert message["metadata"] == "of the test"
    state = message["state"]
    assert state["id"] == container.name
    assert state["ociVersion"]
    assert state["bundle"] == str(bundle.path)
    assert state["status"] in ("creating", "created")
    assert state["annotations"]["com.example.key"] == "value"


@requirement("linux.seccomp.listener.failure")
@pytest.mark.parametrize("listens", [True, False])
def test_an_agent_that_is_not_there(bundle, tmp_path, listens):
    path = tmp_path / "agent"
    if listens:
        # nobody listens any more
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(path))
    profile(bundle, rule(action="SCMP_ACT_NOTIFY"), listenerPath=str(path))
    with pytest.raises(Refused):
        bundle.create(SLEEP).start()


@requirement("linux.seccomp.listener.failure", "config.values.invalid")
def test_nobody_to_ask(bundle):
    profile(bundle, rule(action="SCMP_ACT_NOTIFY"))
    with pytest.raises(Refused):
        bundle.create(SLEEP).start()


@requirement("linux.seccomp.listener.ignored")
def test_a_listener_that_nobody_is_asked_on(bundle, tmp_path):
    profile(bundle, rule(), listenerPath=str(tmp_path / "nobody"))
    assert call(bundle) == str(errno.EPERM)


@requirement("linux.seccomp.listener.metadata")
def test_metadata_without_a_listener(bundle):
    profile(bundle, rule(), listenerMetadata="of the test")
    bundle.is_refused()
