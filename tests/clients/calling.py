"""How the tests call programs: with an environment of their own, and into pipes or a terminal."""

import fcntl
import os
import pty
import select
import shutil
import struct
import subprocess
import termios
import time
from typing import NamedTuple

import pytest

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"  # the distribution's clients, not those of /usr/local
ENVIRONMENT = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8"}


class Result(NamedTuple):
    code: int
    out: str
    err: str


def need(*programs):
    """Skips the test unless these programs are installed."""
    lacking = [name for name in programs if shutil.which(name, path=PATH) is None]
    if lacking:
        pytest.skip(f"not installed: {', '.join(lacking)}")


def run(*command, stdin="", timeout=60, env=ENVIRONMENT):
    """Runs a program to its end; its output goes to pipes, since clients give containers pipes of their own."""
    done = subprocess.run(
        list(map(str, command)), input=stdin, capture_output=True, text=True, timeout=timeout, check=False, env=env
    )
    return Result(done.returncode, done.stdout, done.stderr)


class Terminal:
    """A program with a terminal as its standard streams; `with` ends it."""

    def __init__(self, *command):
        self.master, slave = pty.openpty()
        command = ["setsid", "--ctty", *map(str, command)]  # only a controlling terminal sends signals
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=ENVIRONMENT)
        os.close(slave)
        self.text = ""

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def write(self, text):
        os.write(self.master, text.encode())

    def read(self, until=None, seconds=30):
        """Returns what was shown up to now, once `until` is in it, or all of it at the program's end."""
        deadline = time.monotonic() + seconds
        while until is None or until not in self.text:
            assert select.select([self.master], [], [], max(0, deadline - time.monotonic()))[0], self.text
            try:
                self.text += os.read(self.master, 65536).decode(errors="replace")
            except OSError:  # EIO: nobody has the other side any more
                assert until is None, self.text
                break
        return self.text

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)


def wait_for(condition, what, seconds=30):
    """Waits until `condition` returns something true, and returns that."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"never happened: {what() if callable(what) else what}"
        time.sleep(0.05)
    return value
