"""Hooks in the runtime's namespaces: prestart, createRuntime, poststart, poststop. The others are run by init.

A hook gets the state on its standard input, the environment that its entry gives and no other, and none of our
descriptors. Its deadline holds whatever it does with its pipes; what it prints is kept, up to a point, for the message.
"""

import posix
import select
import time

from ..errors import error_text, os_error
from .descriptors import sweep_descriptors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.model import Hook

KEPT_OUTPUT = 1024
SIGKILL = 9


def run(hook: "Hook", kind: str, index: int, state: str) -> None:
    """Runs one hook to its end, or to that of its time. Raises HookError."""
    try:
        sweep_descriptors()  # those of our caller, in commands that have not done so yet
        problem = _Child(hook).run(state)
    except OSError as error:
        problem = os_error(error)
    if problem:
        from .report import hook_failed

        raise hook_failed(f"hooks.{kind}[{index}]", problem)


class _Child:
    """A hook's process and the pipes to it."""

    def __init__(self, hook: "Hook") -> None:
        self.hook = hook
        self.output = b""
        self.input_fd = self.output_fd = -1

    def run(self, state: str) -> str:
        """Returns what went wrong, "" for nothing."""
        read_end, self.input_fd = posix.pipe()
        self.output_fd, write_end = posix.pipe()
        try:
            pid = self._spawn(read_end, write_end)
        except OSError as error:
            posix.close(read_end)
            posix.close(write_end)
            self._close()
            return f"exec {self.hook['path']}: {error_text(error.errno or 0)}"
        posix.close(read_end)
        posix.close(write_end)
        ended = False
        try:
            ended = self._talk(pid, state.encode())
        finally:  # also when we are interrupted
            self._close()
            if not ended:
                posix.killpg(pid, SIGKILL)  # a session of its own, so a group of its own
            _, status = posix.waitpid(pid, 0)
        return self._judge(ended, status)

    def _spawn(self, read_end: int, write_end: int) -> int:
        actions = [
            (posix.POSIX_SPAWN_DUP2, read_end, 0),
            (posix.POSIX_SPAWN_DUP2, write_end, 1),
            (posix.POSIX_SPAWN_DUP2, write_end, 2),
        ]
        args = self.hook.get("args") or [self.hook["path"]]
        environment = dict(entry.split("=", 1) for entry in self.hook.get("env", ()))
        # Python ignores these two, and what is ignored stays so across exec
        return posix.posix_spawn(
            self.hook["path"], args, environment, file_actions=actions, setsid=True, setsigdef=(13, 25), setsigmask=()
        )

    def _close(self) -> None:
        for fd in (self.input_fd, self.output_fd):
            if fd >= 0:
                posix.close(fd)
        self.input_fd = self.output_fd = -1

    def _talk(self, pid: int, data: bytes) -> bool:
        """Feeds the hook and reads what it prints until it ends; False when its time is over first."""
        timeout = self.hook.get("timeout")
        deadline = time.monotonic() + timeout if timeout else None
        posix.set_blocking(self.input_fd, False)
        posix.set_blocking(self.output_fd, False)
        pidfd = posix.pidfd_open(pid)
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.register(self.output_fd, select.POLLIN)
        poll.register(self.input_fd, select.POLLOUT)
        try:
            while True:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                ready = dict(poll.poll(None if left is None else left * 1000))
                if self.input_fd in ready:
                    data = self._feed(poll, data)
                if self.output_fd in ready:
                    self._drain(poll)
                if pidfd in ready:
                    if self.output_fd >= 0:
                        self._drain(poll)
                    return True
                if left == 0.0:
                    return False
        finally:
            posix.close(pidfd)

    def _feed(self, poll: "select.poll", data: bytes) -> bytes:
        try:
            data = data[posix.write(self.input_fd, data) :]
        except BrokenPipeError:
            data = b""  # it does not want to know
        if not data:
            poll.unregister(self.input_fd)
            posix.close(self.input_fd)
            self.input_fd = -1
        return data

    def _drain(self, poll: "select.poll") -> None:
        try:
            chunk = posix.read(self.output_fd, 65536)
        except BlockingIOError:
            return
        self.output += chunk[: KEPT_OUTPUT - len(self.output)]
        if not chunk:
            poll.unregister(self.output_fd)
            posix.close(self.output_fd)
            self.output_fd = -1

    def _judge(self, ended: bool, status: int) -> str:
        code = posix.waitstatus_to_exitcode(status)
        if ended and code == 0:
            return ""
        problem = "timed out" if not ended else f"exit status {code}" if code > 0 else f"signal {-code}"
        text = self.output.decode("utf-8", "backslashreplace").strip()
        return f"{problem}, output: {text}" if text else problem
