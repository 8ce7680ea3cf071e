"""The conversation with init in orders that the scheduler seldom chooses. Init is played by a socket and a process."""

import contextlib
import os
import posix
import signal
import struct
import subprocess
import time

import pytest

from pyruntime.errors import OperationError
from pyruntime.plan.ops import BARRIER_READY, Plan
from pyruntime.run.handshake import Handshake, pair
from pyruntime.run.message import BARRIER, CLONED, ERROR, HEADER, STEP

PID = 4242


@contextlib.contextmanager
def within(seconds):
    """Ends a wait that would never end."""

    def late(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def message(kind, value, op=0, text=b""):
    return struct.pack(HEADER, kind, op, value, len(text)) + text


class Init:
    """The other end: what it says, and the process that is to end with the clone."""

    def __init__(self):
        self.ours, self.socket = pair()
        self.helper = 0
        self.plan = Plan()
        self.plan.init("ready", "", BARRIER_READY)

    def say(self, *args):
        os.write(self.socket, message(*args))

    def process(self, function):
        self.helper = os.fork()
        if self.helper == 0:
            try:
                function()
            finally:
                os._exit(0)

    def handshake(self, observer=None):
        return Handshake(self.plan, self.ours, self.helper, observer)


@pytest.fixture
def init():
    init = Init()
    yield init
    posix.close(init.socket)


def test_the_usual_order(init):
    init.process(lambda: init.say(CLONED, PID))
    handshake = init.handshake()
    with within(5):
        assert handshake.wait_pid() == PID
        init.say(BARRIER, BARRIER_READY)
        handshake.pass_barrier(BARRIER_READY)
    assert os.read(init.socket, 10) == b"\1"
    handshake.close()


def test_init_is_faster_than_who_cloned_it(init):
    """Its first message may come before the one that says its pid."""
    init.say(BARRIER, BARRIER_READY)

    def slow():
        time.sleep(0.1)
        init.say(CLONED, PID)

    init.process(slow)
    handshake = init.handshake()
    with within(5):
        handshake.pass_barrier(BARRIER_READY)
    assert handshake.pid == PID
    assert os.read(init.socket, 10) == b"\1"
    assert os.get_blocking(init.ours)
    handshake.close()


def test_who_cloned_init_is_killed_before_saying_so(init):
    """Init waits for us, and we for a message that never comes: the container's memory limit may have been too small
    for one more process just then."""
    init.process(lambda: os.kill(os.getpid(), signal.SIGKILL))
    init.say(BARRIER, BARRIER_READY)
    handshake = init.handshake()
    with within(5), pytest.raises(OperationError, match="init is gone: it was killed"):
        handshake.wait_pid()
    with within(5):
        handshake.abandon()
    with pytest.raises(BrokenPipeError):  # by which init learns that it is alone
        os.write(init.socket, b"x")


def test_both_are_killed(init):
    init.process(lambda: os.kill(os.getpid(), signal.SIGKILL))
    handshake = init.handshake()
    other = os.dup(init.socket)
    posix.close(init.socket)
    posix.close(other)
    init.socket = os.open("/dev/null", os.O_RDONLY)
    with within(5), pytest.raises(OperationError, match="init is gone: it was killed"):
        handshake.wait_barrier()
    handshake.close()


def test_an_error_before_the_pid(init):
    """The pid is still on its way, and is needed to reap init with."""
    init.say(ERROR, 13, 0, b"chdir")
    child = subprocess.Popen(["sleep", "1000"])
    init.process(lambda: init.say(CLONED, child.pid))
    handshake = init.handshake()
    os.waitid(os.P_PID, init.helper, os.WEXITED | os.WNOWAIT)
    posix.close(init.socket)
    with within(5), pytest.raises(OperationError, match=r"ready.*: chdir: permission denied"):
        handshake.wait_barrier()
    assert handshake.pid == child.pid
    with within(5):
        handshake.abandon()
    assert child.poll() is not None
    init.socket = os.open("/dev/null", os.O_RDONLY)


def test_steps_are_shown_and_answered(init):
    seen = []
    init.process(lambda: init.say(CLONED, PID))
    init.say(STEP, 0)
    init.say(BARRIER, BARRIER_READY)
    handshake = init.handshake(seen.append)
    with within(5):
        handshake.pass_barrier(BARRIER_READY)
    assert [op.name for op in seen] == ["ready"]
    assert os.read(init.socket, 10) == b"\1"
    handshake.close()


def test_another_barrier_than_the_plan_says(init):
    init.process(lambda: init.say(CLONED, PID))
    init.say(BARRIER, 77)
    handshake = init.handshake()
    with within(5), pytest.raises(Exception, match="init is at barrier 77 and not at 3"):
        handshake.pass_barrier(BARRIER_READY)
    handshake.close()
