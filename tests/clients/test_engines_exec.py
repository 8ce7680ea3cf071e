"""docker and podman: exec, with and without a terminal."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from calling import wait_for


@pytest.mark.parametrize("code", [0, 7])
def test_exit_status(box, code):
    assert box.exec("sh", "-c", f"exit {code}").code == code


@pytest.mark.parametrize("program", ["nosuch", "/nosuch"])
def test_exit_status_of_what_is_not_there(box, program):
    """Older dockers say 126 to this."""
    assert box.exec(program).code in ((126, 127) if box.engine.name == "docker" else (127,))


@pytest.mark.parametrize("program", ["/etc", "/etc/plain"])
def test_exit_status_of_what_cannot_run(box, program):
    assert box.exec(program).code == 126


def test_exit_status_of_what_was_killed(box):
    assert box.exec("sh", "-c", "kill -9 $$").code == 137


def test_standard_streams(box):
    result = box.exec("sh", "-c", "echo to out; echo to err >&2")
    assert (result.out, result.err) == ("to out\n", "to err\n")


def test_standard_input(box):
    assert box.exec("cat", flags=["--interactive"], stdin="some words\n").out == "some words\n"


def test_much_output(box):
    assert len(box.exec("sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x").out) == 3_000_000


def test_environment_directory_and_user(box):
    flags = ["--env", "ONE=first", "--workdir", "/home", "--user", "1000:1000"]
    assert box.exec("sh", "-c", "echo $ONE $PWD $(id -u) $(id -g)", flags=flags).out == "first /home 1000 1000\n"


def test_same_namespaces(box):
    names = "cgroup ipc mnt net pid uts"
    script = f"for name in {names}; do readlink /proc/1/ns/$name; readlink /proc/self/ns/$name; done"
    links = box.exec("sh", "-c", script).out.split()
    assert len(links) == 12
    assert links[::2] == links[1::2]


def test_same_restrictions(box):
    script = "grep -E 'CapBnd|CapEff|Seccomp:|NoNewPrivs' /proc/%s/status"
    assert box.exec("sh", "-c", script % "self").out == box.exec("sh", "-c", script % 1).out


def test_same_cgroup(box):
    assert box.exec("cat", "/proc/self/cgroup").out == box.exec("cat", "/proc/1/cgroup").out


def test_privileged(box):
    words = ["grep", "CapEff", "/proc/self/status"]
    result = box.exec(*words, flags=["--privileged"])
    if result.code != 0:
        box.engine.excuse(lambda reference: reference.start().exec(*words, flags=["--privileged"]))
    assert result.code == 0, result
    assert int(result.out.split()[1], 16) > int(box.exec(*words).out.split()[1], 16)


def test_in_the_background(box):
    assert box.exec("sh", "-c", "sleep 0.2; echo x > /tmp/background", flags=["--detach"]).code == 0
    wait_for(lambda: box.exec("cat", "/tmp/background").out == "x\n", "the file is written")


def test_terminal(box):
    with box.engine.terminal(
        "exec", "--interactive", "--tty", box.name, "sh", "-c", "tty; read word; echo $word"
    ) as tty:
        tty.read("/dev/pts/")
        tty.write("something\n")
        text = tty.read()
    assert text.replace("\r", "").splitlines()[-1] == "something"
    assert tty.process.returncode == 0


def test_exit_status_in_a_terminal(box):
    with box.engine.terminal("exec", "--interactive", "--tty", box.name, "sh", "-c", "exit 9") as tty:
        tty.read()
        assert tty.process.wait(10) == 9


def test_after_the_end(engine):
    container = engine.start("true")
    engine.do("wait", container.name)
    assert container.exec("true").code != 0


def test_many_at_once(box):
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda number: box.exec("echo", str(number)).out, range(8)))
    assert results == [f"{number}\n" for number in range(8)]


def test_nothing_is_left(box):
    """Of all that was executed above."""
    processes = box.exec("ps", "-o", "comm").out.split()[1:]
    assert sorted(processes) == ["ps", "sleep"]
