"""docker and podman: the life of a container, from start to removal."""

import pytest
from calling import wait_for
from corner import is_gone

PATIENT = "trap 'echo got TERM; exit 5' TERM; trap 'echo got USR1' USR1; echo ready; while :; do sleep 0.05; done"
COUNTING = "while :; do echo x >> /tmp/count; sleep 0.02; done"


def count(container):
    """Returns how far it has counted; from outside, since it may be paused."""
    with open(f"/proc/{container.pid}/root/tmp/count") as file:
        return len(file.read())


@pytest.fixture
def patient(engine):
    container = engine.start("sh", "-c", PATIENT)
    container.wait_log("ready")
    return container


def test_stop(engine, patient):
    engine.do("stop", "--time", "20", patient.name)
    assert patient.status == "exited"
    assert patient.exit_code == 5
    assert "got TERM" in patient.logs().out


def test_stop_of_one_that_will_not(engine):
    container = engine.start()
    engine.do("stop", "--time", "1", container.name)
    assert container.exit_code == 137


def test_stop_signal(engine):
    script = "trap 'exit 6' USR2; echo ready; while :; do sleep 0.05; done"
    container = engine.start("sh", "-c", script, flags=["--stop-signal", "USR2"])
    container.wait_log("ready")
    engine.do("stop", "--time", "20", container.name)
    assert container.exit_code == 6


def test_kill(engine):
    container = engine.start()
    pid = container.pid
    engine.do("kill", container.name)
    assert engine.do("wait", container.name).split() == ["137"]
    assert container.exit_code == 137
    assert is_gone(pid)


def test_kill_with_another_signal(engine, patient):
    engine.do("kill", "--signal", "USR1", patient.name)
    patient.wait_log("got USR1")
    assert patient.status == "running"


def test_kill_takes_all_processes(engine):
    container = engine.start("sh", "-c", "sleep 1000 & sleep 1000 & wait")
    top = wait_for(
        lambda: [line for line in engine.do("top", container.name).splitlines() if "sleep" in line], "sleeps"
    )
    assert len(top) >= 2
    engine.do("kill", container.name)
    wait_for(lambda: not container.engine.host.cgroups_of(container.inspect("{{.Id}}")), "the cgroups go away")


def test_pause_and_unpause(engine):
    container = engine.start("sh", "-c", COUNTING)
    wait_for(lambda: count(container) > 2, "it counts")
    engine.do("pause", container.name)
    assert container.status == "paused"
    before = count(container)
    with pytest.raises(AssertionError, match="never happened"):
        wait_for(lambda: count(container) > before, "it goes on", 0.5)
    assert container.exec("true").code != 0
    engine.do("unpause", container.name)
    assert container.status == "running"
    wait_for(lambda: count(container) > before, "it goes on")


def test_removal_of_one_that_is_paused(engine):
    container = engine.start()
    pid = container.pid
    engine.do("pause", container.name)
    assert engine.remove(container.name).code == 0
    wait_for(lambda: is_gone(pid), "it ends")


def test_restart(engine):
    container = engine.start()
    before = container.pid
    engine.do("restart", "--time", "0", container.name)
    assert container.status == "running"
    assert container.pid != before
    assert is_gone(before)


def test_restarts_after_failures(engine):
    container = engine.start("sh", "-c", "echo again; exit 3", flags=["--restart", "on-failure:2"])
    wait_for(lambda: container.logs().out.count("again") == 3, "two more attempts")
    wait_for(lambda: container.status == "exited", "it gives up")
    assert container.exit_code == 3


def test_start_again(engine):
    """The root file system and the id are the same, all else is new."""
    container = engine.start("sh", "-c", "cat /tmp/kept 2>/dev/null; echo kept >> /tmp/kept")
    engine.do("wait", container.name)
    engine.do("start", container.name)
    engine.do("wait", container.name)
    assert container.logs().out == "kept\n"


def test_create_then_start(engine):
    container = engine.create("echo", "hello")
    assert container.status == "created"
    assert engine.do("start", "--attach", container.name) == "hello\n"
    assert container.status == "exited"


def test_removal_of_one_that_never_started(engine):
    container = engine.create()
    engine.do("rm", container.name)
    assert engine("inspect", container.name).code != 0


def test_logs(engine):
    container = engine.start("sh", "-c", "echo one; echo two >&2; sleep 0.3; echo three")
    engine.do("wait", container.name)
    logs = container.logs()
    assert logs.out == "one\nthree\n"
    assert logs.err == "two\n"
    assert engine.do("logs", "--tail", "1", container.name) == "three\n"


def test_top(engine, box):
    assert "sleep 1000" in engine.do("top", box.name)


def test_init(engine):
    """The engine's own init is pid 1, and waits for orphans."""
    script = "(sleep 0.1 &); sleep 0.4; cat /proc/1/comm; ps -o stat,comm | grep -c Z; true"
    name, zombies = engine.shell(script, "--init").split()
    assert "init" in name
    assert zombies == "0"


def test_hostname(box):
    assert box.exec("hostname").out == "box\n"


def test_terminal(engine):
    with engine.in_terminal("sh", "-c", "tty; stat -c %F /dev/console; read word; echo got $word; exit 4") as tty:
        tty.read("character special file")
        tty.write("this\n")
        text = tty.read().replace("\r", "")
        assert text.startswith("/dev/pts/0\n")
        assert "got this" in text
        assert tty.process.wait(10) == 4


def test_size_of_the_terminal(engine):
    """The client's size, and the new one when that changes."""
    wait = "while ! stty size | grep '%s'; do sleep 0.05; done; "
    script = wait % "33 99" + "echo first; " + wait % "44 88"
    with engine.in_terminal("sh", "-c", script) as tty:
        tty.resize(33, 99)
        tty.read("first")
        tty.resize(44, 88)
        assert "44 88" in tty.read()
        assert tty.process.wait(10) == 0


def test_interrupt_from_the_keyboard(engine):
    with engine.in_terminal(
        "sh", "-c", "trap 'echo interrupted; exit 3' INT; echo ready; while :; do sleep 0.05; done"
    ) as tty:
        tty.read("ready")
        tty.write("\x03")
        tty.read("interrupted")
        tty.read()
        assert tty.process.wait(10) == 3


def test_attach(engine):
    script = "read word; echo got $word; read word; exit 8"
    container = engine.start("sh", "-c", script, flags=["--interactive"])
    with engine.terminal("attach", container.name) as tty:
        tty.write("this\n")
        tty.read("got this")
        tty.write("\n")
        tty.process.wait(10)
    assert container.exit_code == 8
