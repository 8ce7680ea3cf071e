"""Further processes of containers: `exec` with what it is told by a file."""

import json
import subprocess
from pathlib import Path

PATH = "PATH=/bin"


class Execution:
    """`exec` in a container of the bundle."""

    def __init__(self, runtime, name, directory):
        self.runtime = runtime
        self.name = name
        self.directory = directory

    def __call__(self, script, *flags, **kwargs):
        """Runs a shell with the process of the bundle and what flags change of it; returns the result."""
        return self.runtime("exec", *flags, self.name, "sh", "-c", script, **kwargs)

    def described(self, process, *flags, **kwargs):
        """Runs what the object describes, a shell's script being enough of args; returns the result."""
        return self.runtime("exec", "--process", self.document(process), *flags, self.name, **kwargs)

    def document(self, process):
        """Writes process.json; returns its path."""
        process = {"cwd": "/", "env": [PATH]} | process
        if isinstance(process.get("args"), str):
            process["args"] = ["sh", "-c", process["args"]]
        path = self.directory / "process.json"
        path.write_text(json.dumps(process))
        return path

    def detached(self, *words, flags=()):
        """Starts a program and leaves it; returns its pid on the host."""
        path = self.directory / "exec.pid"
        self.runtime("exec", "--detach", "--pid-file", path, *flags, self.name, *words)
        return int(path.read_text())

    def fails(self, *words, flags=()):
        """Expects that the program cannot be run and that nothing of it is left; returns the message."""
        path, before = self.directory / "failed.pid", self.pids()
        result = self.runtime("exec", "--pid-file", path, *flags, self.name, *words, check=False)
        assert result.code == 255
        assert not path.exists()
        assert self.pids() == before
        lines = [line for line in result.err.splitlines() if "level=warning" not in line]
        assert len(lines) == 1, result.err
        assert "exec failed: " in lines[0]
        return lines[0]

    def pids(self):
        return json.loads(self.runtime("ps", "--format", "json", self.name).out)

    @property
    def first(self):
        """The pid of the container's first process."""
        return self.runtime.state(self.name)["pid"]

    def popen(self, *words, flags=(), **kwargs):
        return subprocess.Popen(self.runtime.command("exec", *flags, self.name, *words), **kwargs)


def status(pid):
    """Returns /proc/<pid>/status."""
    return parse_status(Path(f"/proc/{pid}/status").read_text())


def parse_status(text):
    return dict(line.split(":\t") for line in text.splitlines() if ":\t" in line)


def namespaces(pid):
    """Returns kind -> namespace, as the links in /proc name it."""
    return {path.name: str(path.readlink()) for path in Path(f"/proc/{pid}/ns").iterdir()}
