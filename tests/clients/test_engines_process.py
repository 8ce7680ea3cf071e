"""docker and podman: the process, its exit status, streams, environment, directory and user."""

import pytest


@pytest.mark.parametrize("code", [0, 7])
def test_exit_status(engine, code):
    assert engine.run("sh", "-c", f"exit {code}").code == code


@pytest.mark.parametrize(
    ("program", "code"),
    [("nosuch", 127), ("/nosuch", 127), ("/etc", 126), ("/etc/plain", 126)],
)
def test_exit_status_of_what_cannot_run(engine, program, code):
    """The clients make it of the words of the runtime's error."""
    assert engine.run(program).code == code


def test_exit_status_of_a_client_that_gives_up(engine):
    assert engine("run", "--no-such-flag", "box").code == 125


def test_standard_streams(engine):
    result = engine.run("sh", "-c", "echo to out; echo to err >&2")
    assert (result.out, result.err) == ("to out\n", "to err\n")


def test_standard_input(engine):
    assert engine.run("cat", flags=["--interactive"], stdin="some words\n").out == "some words\n"


def test_environment(engine):
    out = engine.out("env", flags=["--env", "ONE=first", "--env", "TWO=a b=c"]).splitlines()
    assert "ONE=first" in out
    assert "TWO=a b=c" in out
    assert any(line.startswith("PATH=") for line in out)


def test_directory(engine):
    assert engine.out("pwd", flags=["--workdir", "/home"]) == "/home\n"


@pytest.mark.parametrize(
    ("user", "ids"),
    [("1000:1000", "1000 1000"), ("user", "1000 1000 2000"), ("123:45", "123 45")],
)
def test_user(engine, user, ids):
    out = engine.shell("echo $(id -u) $(id -G)", "--user", user)
    assert sorted(set(out.split())) == sorted(set(ids.split()))
