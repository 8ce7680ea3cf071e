"""Both sides of terminals: a terminal to run a command on, and the socket to which a terminal is sent."""

import array
import contextlib
import errno
import fcntl
import os
import pty
import select
import socket
import struct
import subprocess
import termios
import time

import pytest


class Terminal:
    """A command on a terminal of which we are the other side."""

    def __init__(self, command, size=(33, 77), **kwargs):
        self.master, self.slave = pty.openpty()
        self.resize(*size)
        self.before = termios.tcgetattr(self.slave)
        self.output = b""
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), self.slave) | kwargs
        self.process = subprocess.Popen(command, start_new_session=True, preexec_fn=self._take, **streams)

    def _take(self):
        fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)

    def resize(self, rows, columns):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def send(self, data):
        os.write(self.master, data)

    def read(self, seconds=10):
        ready, _, _ = select.select([self.master], [], [], seconds)
        return os.read(self.master, 65536) if ready else b""

    def expect(self, text, seconds=10):
        """Reads until the text has come; returns what came before it, and forgets both."""
        deadline = time.monotonic() + seconds
        while text.encode() not in self.output:
            data = self.read(max(0, deadline - time.monotonic()))
            if not data:
                pytest.fail(f"{text!r} did not come: {self.output!r}")
            self.output += data
        before, _, self.output = self.output.partition(text.encode())
        return before.decode(errors="replace")

    def wait(self, seconds=20):
        """Reads on until the end; returns the exit status."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"still running: {self.output!r}"
            self.output += self.read(0.02)
        while data := self.read(0):
            self.output += data
        return self.process.returncode

    def modes(self):
        return termios.tcgetattr(self.slave)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for fd in (self.master, self.slave):
            with contextlib.suppress(OSError):
                os.close(fd)


class ConsoleSocket:
    """What a client listens on. It takes the connection only when asked to, as containerd does."""

    def __init__(self, path):
        self.path = path
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(path))
        self.listener.listen(1)
        self.master = -1

    def receive(self):
        """Returns the payload, how many messages there were, and the descriptors."""
        self.listener.settimeout(10)
        connection, _ = self.listener.accept()
        messages, fds = [], array.array("i")
        with connection:
            connection.settimeout(10)
            while True:
                data, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(4 * 64))
                if not data:
                    break
                messages.append((data, [(level, kind, len(content)) for level, kind, content in ancillary]))
                for _, _, content in ancillary:
                    fds.frombytes(content)
        self.master = fds[0] if fds else -1
        return messages, list(fds)

    def close(self):
        self.listener.close()
        if self.master >= 0:
            os.close(self.master)


def read_all(fd, seconds=10):
    deadline, output = time.monotonic() + seconds, b""
    while time.monotonic() < deadline:
        ready, _, _ = select.select([fd], [], [], deadline - time.monotonic())
        try:
            data = os.read(fd, 65536) if ready else b""
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return output
        output += data
    pytest.fail(f"no end: {output!r}")
