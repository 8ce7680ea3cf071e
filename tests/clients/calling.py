"""How the tests call clients."""

import shutil
import subprocess

import pytest

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def need(*programs):
    """Skips the test unless these programs are installed."""
    for name in programs:
        if shutil.which(name, path=PATH) is None:
            pytest.skip(f"{name} is not installed")


def run(*command, **kwargs):
    """Runs a client; its output goes to pipes, since clients give containers pipes of their own."""
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
        env={"PATH": PATH, "HOME": "/root"},
        **kwargs,
    )
    return done.returncode, done.stdout, done.stderr
