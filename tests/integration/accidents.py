"""The installed runtime, and accidents that happen to it at a chosen moment. Test code, of which it knows nothing.

    accidents.py LAUNCHER

To be run by the launcher's own interpreter. Each line on standard input is a command line with an accident, as JSON;
for each a process is forked that has the installed modules already, and the answer is a line with what became of it.

A moment is a number: the events of a command are counted. Those of the ops are "before" and "after" each op of the host
lane and "before" each op of init, which then waits to be told to go on (PLAN_STEP); those of the calls are the system
calls that Python makes, from the first one of the command.
"""

import ast
import json
import os
import signal
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parent))

from remains import processes

# modules whose functions are system calls, and those of them that are none or change nothing that could be left
CALLS = ("posix", "fcntl", "select", "_signal", "_socket")
NO_CALLS = frozenset(
    "_exit fspath fstat getcwd geteuid getpid isatty signal stat strerror uname waitstatus_to_exitcode".split()
)
INJECTED = 5  # EIO, which nothing here gives by itself


class Accident:
    """What is to happen, and when.

    `how`: list (nothing), kill (the runtime), kill init, fail, or stop until the next line on standard input. `where`:
    at ops or at calls.

    `then` is a second one, for which what is counted begins when the first has happened.
    """

    def __init__(self, how, where, number, then=None):
        self.how = how
        self.where = where
        self.number = number
        self.then = then
        self.happened = False
        self.events = []

    def event(self, where, name):
        """Counts an event; returns whether this is the moment to fail."""
        if self.happened and self.then is not None:
            return self.then.event(where, name)
        if where != self.where:
            return False
        self.events.append(name)
        if len(self.events) - 1 != self.number:
            return False
        self.happened = True
        if self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.how == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        elif self.how == "kill init":
            kill_children()
        return self.how == "fail"


def kill_children():
    """Kills init, before and after its clone: both are the runtime's own children."""
    for pid, _, _, parent in processes():
        if parent == os.getpid():
            os.kill(pid, signal.SIGKILL)


def watch_ops(accident):
    """Has the ops of both lanes counted."""
    from pyruntime.cli import create, run
    from pyruntime.run import host

    def observe(op):
        if op.lane == "init":
            accident.event("ops", f"before init {op.name} {op.origin}".strip())

    def wrapped(function):
        def operation(executor, op):
            name = f"{op.name} {op.origin}".strip()
            if accident.event("ops", f"before host {name}"):
                raise OSError(INJECTED, os.strerror(INJECTED))
            function(executor, op)
            accident.event("ops", f"after host {name}")

        return operation

    create.observer = run.observer = lambda _context: observe
    for name, function in host.OPERATIONS.items():
        host.OPERATIONS[name] = wrapped(function)


def watch_calls(accident):
    """Has the system calls of the runtime's own modules counted, also where they have been imported by name."""
    replaced = {}
    for module in [sys.modules[name] for name in CALLS]:
        for name, function in list(vars(module).items()):
            if callable(function) and not isinstance(function, type) and name not in NO_CALLS:
                replaced[function] = watched(accident, f"{module.__name__}.{name}", function)
                setattr(module, name, replaced[function])
    for name, module in list(sys.modules.items()):
        if name.startswith("pyruntime"):
            for own, value in list(vars(module).items()):
                if isinstance(value, type(os.open)) and value in replaced:
                    setattr(module, own, replaced[value])


def watched(accident, name, function):
    def call(*args, **kwargs):
        ours = sys._getframe(1).f_globals.get("__name__", "").startswith("pyruntime")
        fails = ours and accident.event("calls", name)
        # close(2) gives the descriptor up whatever it returns
        result = function(*args, **kwargs) if not fails or name == "posix.close" else None
        if fails:
            raise OSError(INJECTED, os.strerror(INJECTED))
        return result

    return call


def run_command(request):
    """Runs one command line in this process, which ends with it."""
    accident = Accident(*request["then"]) if request["then"] else None
    accident = Accident(request["how"], request["where"], request["number"], accident)
    for stream, path in enumerate(("/dev/null", *request["output"])):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(fd, stream)
        os.close(fd)
    places = (request["where"], accident.then and accident.then.where)
    if "ops" in places:
        watch_ops(accident)
    if "calls" in places:
        watch_calls(accident)
    from pyruntime.cli import main

    leave = main.posix._exit

    def leave_with_events(status):
        if "list" in (accident.how, accident.then and accident.then.how):
            Path(request["events"]).write_text(json.dumps((accident.then or accident).events))
        leave(status)

    main.posix._exit = leave_with_events
    sys.argv[1:] = request["argv"]
    main.entry()


def serve():
    """Answers requests until there are no more."""
    import pyruntime.cli.create
    import pyruntime.cli.delete
    import pyruntime.cli.kill
    import pyruntime.cli.main
    import pyruntime.cli.run
    import pyruntime.cli.start
    import pyruntime.cli.state
    import pyruntime.run.create
    import pyruntime.run.destroy
    import pyruntime.run.foreground
    import pyruntime.run.host  # noqa: F401

    for line in iter(sys.stdin.readline, ""):
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            try:
                run_command(request)
            finally:
                os._exit(99)
        print(json.dumps(await_end(pid, request["seconds"])), flush=True)


def await_end(pid, seconds):
    """Returns the exit status of a process, or None when it takes too long. When it stops the answer is "stopped", and
    it goes on at the next line."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
        if ended and os.WIFSTOPPED(status):
            print(json.dumps("stopped"), flush=True)
            sys.stdin.readline()
            os.kill(pid, signal.SIGCONT)
        elif ended:
            return os.waitstatus_to_exitcode(status)
        else:
            time.sleep(0.0005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


if __name__ == "__main__":
    for text in Path(sys.argv[1]).read_text().splitlines():
        if text.startswith("sys.path += "):
            sys.path += ast.literal_eval(text.removeprefix("sys.path += "))
    serve()
