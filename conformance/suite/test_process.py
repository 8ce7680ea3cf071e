"""process (config.md, Process): what the container's process is."""

import array
import fcntl
import os
import re
import socket
import struct
import termios

import pytest
from containers import Refused, capabilities, not_applicable, requirement, wait_for
from host import has_lsm, own_capabilities


def status(text):
    """Returns the fields of /proc/self/status."""
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


# ---- terminal, consoleSize


class Console:
    """A socket that gets the terminal of a container, as callers of runc have it."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen()
        self.socket.settimeout(10)
        self.terminal = -1

    def accept(self):
        connection, _ = self.socket.accept()
        with connection:
            _, fds, _, _ = socket.recv_fds(connection, 4096, 1)
        self.terminal = fds[0]

    def read(self, wanted):
        """Reads until something has come, or the terminal is closed at the other end."""
        os.set_blocking(self.terminal, False)
        text = b""

        def has_come():
            nonlocal text
            try:
                text += os.read(self.terminal, 4096)
            except BlockingIOError:
                return False
            except OSError:
                return True
            return wanted in text

        wait_for(has_come, f"the terminal shows {wanted!r}")
        return text.decode(errors="replace")

    def size(self):
        packed = array.array("B", bytes(8))
        fcntl.ioctl(self.terminal, termios.TIOCGWINSZ, packed)
        return struct.unpack("HHHH", packed.tobytes())[:2]

    def close(self):
        self.socket.close()
        if self.terminal >= 0:
            os.close(self.terminal)


@pytest.fixture
def console(bundle, tmp_path):
    bundle.process["terminal"] = True
    console = Console(tmp_path / "console")
    yield console
    console.close()


def with_terminal(bundle, console, script):
    container = bundle.create(script, flags=["--console-socket", console.path])
    console.accept()
    container.start()
    return container


@requirement("config.process.terminal", "linux.default-devices")
def test_a_terminal(bundle, console):
    """It is all three standard streams, the controlling terminal, and /dev/console."""
    checks = "for fd in 0 1 2; do test -t $fd || echo no $fd; done; tty; stat -c %t:%T /dev/console"
    script = f"{checks}; echo > /dev/tty; cat"
    container = with_terminal(bundle, console, script)
    text = console.read(b"88:")
    assert "no " not in text
    assert "/dev/pts/0" in text
    os.write(console.terminal, b"hello\n")
    # the terminal's echo, then cat's
    console.read(b"hello\r\nhello\r\n")
    container.stop()


@requirement("config.process.terminal")
def test_no_terminal(bundle):
    assert bundle.run("test -t 0 || test -t 1 || test -t 2").code == 1
    assert bundle.run("test -e /dev/console").code == 1


@requirement("config.process.console-size")
def test_the_size_of_the_terminal(bundle, console):
    bundle.process["consoleSize"] = {"height": 33, "width": 77}
    container = with_terminal(bundle, console, "stty size; sleep 1000")
    assert "33 77" in console.read(b"\n")
    assert console.size() == (33, 77)
    container.stop()


@requirement("config.process.console-size.ignored")
@pytest.mark.parametrize("terminal", [False, None])
def test_a_size_without_a_terminal(bundle, terminal):
    bundle.process["consoleSize"] = {"height": 33, "width": 77}
    if terminal is None:
        del bundle.process["terminal"]
    assert bundle.out("echo here") == "here"


@requirement("config.process.console-size.required")
@pytest.mark.parametrize("size", [{"height": 33}, {"width": 77}, {}])
def test_a_size_with_one_side(bundle, console, size):
    bundle.process["consoleSize"] = size
    name = bundle.runtime.new_name()
    bundle.write(name)
    flags = ["--bundle", bundle.path, "--console-socket", console.path]
    assert bundle.runtime("create", *flags, name, check=False).code, "it was accepted"


# ---- cwd, env, args


@requirement("config.process.cwd")
def test_the_working_directory(bundle):
    (bundle.rootfs / "a/b").mkdir(parents=True)
    bundle.process["cwd"] = "/a/b"
    assert bundle.out("pwd; readlink /proc/self/cwd").split() == ["/a/b", "/a/b"]


@requirement("config.process.cwd")
def test_the_working_directory_may_be_a_mount(bundle):
    bundle.mount("/mnt", "tmpfs", "tmpfs")
    bundle.process["cwd"] = "/mnt"
    bundle.out("echo x > file")
    assert not (bundle.rootfs / "mnt/file").exists()


@requirement("config.process.cwd")
def test_no_working_directory(bundle):
    del bundle.process["cwd"]
    bundle.is_refused()


@requirement("config.process.cwd.absolute")
@pytest.mark.parametrize("cwd", ["tmp", "./tmp", ""])
def test_a_working_directory_that_is_not_absolute(bundle, cwd):
    bundle.process["cwd"] = cwd
    bundle.is_refused()


@requirement("config.process.env")
def test_the_environment(bundle):
    """It is the list of the config and nothing of the caller's; HOME may be added."""
    bundle.process["env"] = ["PATH=/bin", "A=b", "EMPTY=", "EQUALS=a=b", "SPACE= x ", "LINES=a\tb"]
    bundle.process["args"] = ["probe", "environment"]
    lines = [line for line in bundle.out().splitlines() if not line.startswith("HOME=")]
    assert sorted(lines) == sorted(line.rstrip() if line == lines[-1] else line for line in bundle.process["env"])


@requirement("config.process.env")
def test_no_environment(bundle):
    del bundle.process["env"]
    bundle.process["args"] = ["/bin/probe", "environment"]
    assert [line for line in bundle.out().splitlines() if not line.startswith("HOME=")] == []


@requirement("config.process.args")
def test_the_arguments(bundle):
    bundle.process["args"] = ["probe", "arguments", "", "a b", "*", "-x", "ü", "$PATH"]
    assert bundle.out() == "<probe><arguments><><a b><*><-x><ü><$PATH>"


@requirement("config.process.args")
@pytest.mark.parametrize("name", ["probe", "/bin/probe", "./probe", "../bin/probe"])
def test_where_the_program_is_looked_for(bundle, name):
    """As execvp(3) has it: on the container's PATH, unless there is a slash in the name."""
    bundle.process["cwd"] = "/bin"
    bundle.process["args"] = [name, "arguments"]
    assert bundle.out() == f"<{name}><arguments>"


@requirement("config.process.args")
def test_the_path_is_the_containers(bundle):
    bundle.file("place/program", "#!/bin/sh\necho found\n", 0o755)
    bundle.process["env"] = ["PATH=/nowhere:/place"]
    bundle.process["args"] = ["program"]
    assert bundle.out() == "found"


@requirement("config.process.args", "config.values.invalid")
@pytest.mark.parametrize("program", ["missing", "/bin/missing", "/etc"])
def test_a_program_that_cannot_be_executed(bundle, program):
    """create fails, or start, or at the latest the container's process."""
    bundle.process["args"] = [program]
    try:
        assert bundle.run().code
    except Refused:
        return


@requirement("config.process.args.required")
@pytest.mark.parametrize("arguments", [[], None])
def test_no_arguments(bundle, arguments):
    bundle.process["args"] = arguments
    bundle.is_refused()


# ---- rlimits

LIMITS = {
    "RLIMIT_AS": "Max address space",
    "RLIMIT_CORE": "Max core file size",
    "RLIMIT_CPU": "Max cpu time",
    "RLIMIT_DATA": "Max data size",
    "RLIMIT_FSIZE": "Max file size",
    "RLIMIT_LOCKS": "Max file locks",
    "RLIMIT_MEMLOCK": "Max locked memory",
    "RLIMIT_MSGQUEUE": "Max msgqueue size",
    "RLIMIT_NICE": "Max nice priority",
    "RLIMIT_NOFILE": "Max open files",
    "RLIMIT_NPROC": "Max processes",
    "RLIMIT_RSS": "Max resident set",
    "RLIMIT_RTPRIO": "Max realtime priority",
    "RLIMIT_RTTIME": "Max realtime timeout",
    "RLIMIT_SIGPENDING": "Max pending signals",
    "RLIMIT_STACK": "Max stack size",
}


def limits(text):
    """Returns soft and hard limit by name, of /proc/self/limits."""
    found = {}
    for line in text.splitlines()[1:]:
        match = re.match(r"(.{25}) (\S+) +(\S+)", line)
        found[match[1].strip()] = match[2], match[3]
    return found


@requirement("config.process.rlimits.each", "config.process.rlimits.soft", "config.process.rlimits.hard")
@pytest.mark.parametrize("kind", LIMITS)
def test_limits(bundle, kind):
    """Below what this process has itself, which not everybody may raise."""
    soft, hard = {"RLIMIT_AS": (2**40, 2**41), "RLIMIT_NICE": (0, 0), "RLIMIT_RTPRIO": (0, 0)}.get(kind, (100, 200))
    if kind in ("RLIMIT_DATA", "RLIMIT_STACK", "RLIMIT_FSIZE", "RLIMIT_MEMLOCK"):
        soft, hard = soft << 20, hard << 20
    if kind in ("RLIMIT_MEMLOCK", "RLIMIT_MSGQUEUE"):
        soft, hard = 1000, 2000
    bundle.process["rlimits"] = [{"type": kind, "soft": soft, "hard": hard}]
    assert limits(bundle.out("cat /proc/self/limits"))[LIMITS[kind]] == (str(soft), str(hard))


@requirement("config.process.rlimits.soft", "config.process.rlimits.hard")
def test_a_limit_without_end(bundle):
    bundle.process["rlimits"] = [{"type": "RLIMIT_CORE", "soft": 0, "hard": 2**64 - 1}]
    if not own_capabilities() >> 24 & 1:
        import resource

        if resource.getrlimit(resource.RLIMIT_CORE)[1] != resource.RLIM_INFINITY:
            not_applicable("no limit can be raised here: there is no CAP_SYS_RESOURCE")
    assert limits(bundle.out("cat /proc/self/limits"))["Max core file size"] == ("0", "unlimited")


@requirement("config.process.rlimits.type")
@pytest.mark.parametrize("kind", ["RLIMIT_FOO", "NOFILE", "rlimit_nofile", ""])
def test_a_limit_that_does_not_exist(bundle, kind):
    bundle.process["rlimits"] = [{"type": kind, "soft": 1, "hard": 1}]
    bundle.is_refused()


@requirement(
    "config.process.rlimits.type.required", "config.process.rlimits.soft.required",
    "config.process.rlimits.hard.required",
)  # fmt: skip
@pytest.mark.parametrize("name", ["type", "soft", "hard"])
def test_a_limit_that_lacks_a_member(bundle, name):
    limit = {"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20}
    del limit[name]
    bundle.process["rlimits"] = [limit]
    bundle.is_refused()


@requirement("config.process.rlimits.duplicates")
@pytest.mark.parametrize("second", [10, 20])
def test_a_limit_that_occurs_twice(bundle, second):
    bundle.process["rlimits"] = [
        {"type": "RLIMIT_CORE", "soft": 10, "hard": 100},
        {"type": "RLIMIT_CORE", "soft": second, "hard": 100},
    ]
    bundle.is_refused()


@requirement("config.values.invalid")
@pytest.mark.parametrize(("soft", "hard"), [(20, 10), (-1, 10), (1, 2**64), ("1", "2"), (1.5, 2)])
def test_bad_limits(bundle, soft, hard):
    bundle.process["rlimits"] = [{"type": "RLIMIT_CORE", "soft": soft, "hard": hard}]
    bundle.is_refused()


# ---- capabilities, noNewPrivileges

KINDS = {
    "effective": "CapEff",
    "bounding": "CapBnd",
    "inheritable": "CapInh",
    "permitted": "CapPrm",
    "ambient": "CapAmb",
}
CHOWN, KILL, SETPCAP = 1 << 0, 1 << 5, 1 << 8


def sets(bundle, **kwargs):
    found = status(bundle.out(["cat", "/proc/self/status"], **kwargs))
    return {kind: int(found[name], 16) for kind, name in KINDS.items()}


@requirement(
    "config.process.capabilities.effective", "config.process.capabilities.bounding",
    "config.process.capabilities.inheritable", "config.process.capabilities.permitted",
    "config.process.capabilities.ambient",
)  # fmt: skip
def test_the_five_sets(bundle):
    """Of a user other than root, whom executing a program gives just the ambient set."""
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    bundle.process["capabilities"] = {
        "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_SETPCAP"],
        "permitted": ["CAP_CHOWN", "CAP_KILL"],
        "inheritable": ["CAP_CHOWN", "CAP_KILL"],
        "effective": ["CAP_CHOWN"],
        "ambient": ["CAP_CHOWN"],
    }
    assert sets(bundle) == {
        "bounding": CHOWN | KILL | SETPCAP,
        "inheritable": CHOWN | KILL,
        "permitted": CHOWN,
        "effective": CHOWN,
        "ambient": CHOWN,
    }


@requirement("config.process.capabilities.effective", "config.process.capabilities.permitted")
def test_the_sets_of_root(bundle):
    """To whom executing a program gives the bounding set."""
    bundle.grant("CAP_CHOWN", "CAP_KILL")
    expected = CHOWN | KILL
    assert sets(bundle) == {
        "bounding": expected, "permitted": expected, "effective": expected, "inheritable": 0, "ambient": 0,
    }  # fmt: skip


@requirement("config.process.capabilities.bounding")
@pytest.mark.parametrize("given", [{}, {"bounding": [], "effective": [], "permitted": []}])
def test_no_capabilities(bundle, given):
    bundle.process["capabilities"] = given
    assert set(sets(bundle).values()) == {0}


@requirement("config.process.capabilities.unknown", "config.process.capabilities.no-failure")
@pytest.mark.parametrize("kind", ["bounding", "permitted", "inheritable"])
def test_a_capability_that_does_not_exist(bundle, kind):
    bundle.process["capabilities"][kind] = [*bundle.process["capabilities"].get(kind, []), "CAP_OF_TOMORROW"]
    container = bundle.create("grep Cap /proc/self/status; sleep 1000")
    assert "CAP_OF_TOMORROW" in container.created.err, "there is no warning"
    container.start()
    container.stop()


@requirement("config.process.capabilities.unknown", "config.process.capabilities.no-failure")
def test_a_capability_that_cannot_be_granted(bundle):
    """The runtime itself has no more than a bounding set without CAP_KILL."""
    drop = ["setpriv", "--bounding-set", "-kill", "--inh-caps", "-kill"]
    bundle.grant("CAP_KILL", "CAP_CHOWN")
    container = bundle.create("sleep 1000", prefix=drop)
    assert "CAP_KILL" in container.created.err, "there is no warning"
    container.start()
    assert int(status(container.proc("status"))["CapBnd"], 16) == CHOWN
    container.stop()


@requirement("config.process.capabilities.ambient")
def test_an_ambient_capability_that_is_not_inheritable(bundle):
    """The kernel forbids it; no more than a warning may come of it."""
    bundle.process["capabilities"] = capabilities("CAP_KILL") | {"ambient": ["CAP_KILL"]}
    try:
        assert sets(bundle)["ambient"] == 0
    except Refused as error:
        assert "ambient" in str(error).lower(), error


@requirement("config.process.no-new-privileges")
@pytest.mark.parametrize("wanted", [True, False, None])
def test_no_new_privileges(bundle, wanted):
    bundle.process["noNewPrivileges"] = wanted
    if wanted is None:
        del bundle.process["noNewPrivileges"]
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    (bundle.path / "source").mkdir()
    (bundle.path / "source/probe").write_bytes((bundle.rootfs / "bin/probe").read_bytes())
    (bundle.path / "source/probe").chmod(0o4755)
    bundle.mount("/mnt", "bind", bundle.path / "source", ["bind", "suid"])
    flag, ids = bundle.out("grep NoNewPrivs /proc/self/status; /mnt/probe ids").splitlines()
    assert flag.split()[1] == ("1" if wanted else "0")
    assert ids.split()[1] == ("1000" if wanted else "0")


# ---- oomScoreAdj


@requirement("config.process.oom-score-adj")
@pytest.mark.parametrize("score", [1000, 100, 0])
def test_oom_score(bundle, score):
    bundle.process["oomScoreAdj"] = score
    assert bundle.out("cat /proc/self/oom_score_adj") == str(score)


@requirement("config.process.oom-score-adj.unset")
@pytest.mark.parametrize("score", [0, 77])
def test_oom_score_that_is_not_set(bundle, score):
    """It stays what it is in the runtime."""
    raised = ["sh", "-c", f'echo {score} > /proc/self/oom_score_adj; exec "$@"', "sh"]
    assert bundle.out("cat /proc/self/oom_score_adj", prefix=raised) == str(score)


@requirement("config.values.invalid")
@pytest.mark.parametrize("score", [1001, -1001, "100"])
def test_bad_oom_scores(bundle, score):
    bundle.process["oomScoreAdj"] = score
    bundle.is_refused()


# ---- user


@requirement("config.process.user.uid", "config.process.user.gid")
def test_user_and_group(bundle):
    bundle.process["user"] = {"uid": 1234, "gid": 5678}
    found = status(bundle.out("cat /proc/self/status"))
    assert found["Uid"].split() == ["1234"] * 4
    assert found["Gid"].split() == ["5678"] * 4


@requirement("config.process.user.uid", "config.process.user.gid")
def test_user_and_group_in_a_user_namespace(bundle):
    """They are ids of the container."""
    bundle.map_ids(100000)
    bundle.process["user"] = {"uid": 7, "gid": 8}
    container = bundle.create("sleep 1000")
    container.start()
    wait_for(lambda: "sleep" in container.proc("cmdline"), "the program runs")
    found = status(container.proc("status"))
    assert found["Uid"].split()[0] == "100007"
    assert found["Gid"].split()[0] == "100008"
    container.stop()


@requirement("config.process.user.uid", "config.values.invalid")
@pytest.mark.parametrize("user", [{"uid": 4294967295, "gid": 0}, {"uid": 0, "gid": 4294967295}, {"uid": -1, "gid": 0}])
def test_ids_that_are_none(bundle, user):
    """To the kernel, the last number means that the id stays as it is."""
    bundle.process["user"] = user
    try:
        bundle.run("true")
    except Refused:
        return
    pytest.fail("it was accepted")


@requirement("config.process.user.additional-gids")
def test_additional_groups(bundle):
    bundle.process["user"] = {"uid": 1000, "gid": 1000, "additionalGids": [5, 60000]}
    groups = status(bundle.out("cat /proc/self/status"))["Groups"].split()
    assert sorted(map(int, groups)) in ([5, 60000], [5, 1000, 60000])


@requirement("config.process.user.additional-gids")
def test_no_additional_groups(bundle):
    """None of the caller's are inherited."""
    caller = ["setpriv", "--groups", "77,78"]
    found = set(status(bundle.out("cat /proc/self/status", prefix=caller))["Groups"].split())
    assert found <= {"0"}


@requirement("config.process.user.umask")
@pytest.mark.parametrize("mask", [0o077, 0o000, 0o027])
def test_umask(bundle, mask):
    bundle.process["user"]["umask"] = mask
    assert int(status(bundle.out("cat /proc/self/status"))["Umask"], 8) == mask


@requirement("config.process.user.umask.unset")
def test_umask_that_is_not_set(bundle):
    caller = ["sh", "-c", 'umask 0027; exec "$@"', "sh"]
    assert int(status(bundle.out("cat /proc/self/status", prefix=caller))["Umask"], 8) == 0o027


@requirement("config.values.invalid")
@pytest.mark.parametrize("mask", [-1, "077", 1.5])
def test_bad_umasks(bundle, mask):
    bundle.process["user"]["umask"] = mask
    bundle.is_refused()


# ---- descriptors, links


@requirement("runtime-linux.descriptors")
def test_only_the_standard_streams_are_open(bundle):
    read, write = os.pipe()
    try:
        assert bundle.out(["probe", "descriptors"], pass_fds=[read, write]) == "0 1 2"
    finally:
        os.close(read)
        os.close(write)


# ---- Linux security modules


@requirement("config.process.apparmor-profile", "config.values.invalid")
def test_an_apparmor_profile_that_cannot_be_had(bundle):
    """Without AppArmor none can, and with it none that is not loaded."""
    bundle.process["apparmorProfile"] = "no-such-profile-of-conformance"
    try:
        bundle.run("true")
    except Refused:
        return
    pytest.fail("the profile was left out without a word")


@requirement("config.process.apparmor-profile")
def test_an_apparmor_profile(bundle):
    if not has_lsm("apparmor"):
        not_applicable("this host has no AppArmor")
    bundle.process["apparmorProfile"] = "unconfined"
    assert bundle.out("cat /proc/self/attr/current").startswith("unconfined")


@requirement("config.process.selinux-label", "config.values.invalid")
def test_a_selinux_label_that_cannot_be_had(bundle):
    if has_lsm("selinux"):
        not_applicable("this host has SELinux, and which labels there are depends on its policy")
    bundle.process["selinuxLabel"] = "system_u:system_r:svirt_lxc_net_t:s0:c124,c675"
    try:
        bundle.run("true")
    except Refused:
        return
    pytest.fail("the label was left out without a word")


# ---- a config that is not about processes at all


@requirement("config.values.invalid")
@pytest.mark.parametrize("process", ["sh", ["sh"], 7])
def test_a_process_that_is_none(bundle, process):
    bundle.config["process"] = process
    bundle.is_refused()
