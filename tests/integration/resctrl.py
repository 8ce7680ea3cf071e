"""Runs a command line of pyruntime on a host whose resctrl is an ordinary directory: resctrl.py DIRECTORY ARGUMENT ...

There is no processor with it where the tests run. What the kernel would do is done here: a directory that is made gets
its files, and one that is removed loses them. Where pyruntime looks, what it writes, and what it leaves is its own.
"""

import os
import posix
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pyruntime.cli.main import entry
from pyruntime.run import probe

directory = sys.argv.pop(1)
of_mounts, mkdir, rmdir = probe.mountpoint, posix.mkdir, posix.rmdir


def find_mount(kind):
    return directory if kind == "resctrl" else of_mounts(kind)


def make(path, *arguments, **more):
    mkdir(path, *arguments, **more)
    if str(path).startswith(directory):
        for name in ("tasks", "schemata"):
            with open(f"{path}/{name}", "w", encoding="utf-8") as file:
                file.write("    L3:0=fff;1=fff\n    MB:0=100;1=100\n" if name == "schemata" else "")
        if "/mon_groups" not in str(path):
            mkdir(f"{path}/mon_groups")


def remove(path, *arguments, **more):
    if str(path).startswith(directory):
        for name in ("tasks", "schemata"):
            os.unlink(f"{path}/{name}")
        if os.path.isdir(f"{path}/mon_groups"):
            rmdir(f"{path}/mon_groups")
    rmdir(path, *arguments, **more)


probe.mountpoint = find_mount
posix.mkdir, posix.rmdir = make, remove
entry()
