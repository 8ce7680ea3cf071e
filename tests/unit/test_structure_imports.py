"""The import budget: what commands load on their way to success, against tests/budget/imports/.

`make budget` records the lists anew. tests/integration/test_imports.py has the commands that need a container.
"""

import json
import os

import pytest

from pyruntime import state
from pyruntime.cli.help import COMMANDS
from tests.budget.record import imported, lists, without_root

# each costs milliseconds of every command, where all of `state` has two
HEAVY = {
    "argparse", "asyncio", "collections", "contextlib", "ctypes", "dataclasses", "enum", "functools", "glob", "hashlib",
    "importlib", "inspect", "json", "jsonschema", "logging", "os", "pathlib", "platform", "re", "selectors", "shlex",
    "shutil", "signal", "site", "socket", "stat", "string", "subprocess", "tempfile", "textwrap", "threading",
    "tomllib", "traceback", "types", "typing",
}  # fmt: skip
# what explains failures has no place on the way to success
FOR_FAILURES = {
    "pyruntime.cli.help",
    "pyruntime.cli.log",
    "pyruntime.config.explain",
    "pyruntime.config.where",
    "pyruntime.run.report",
}


def test_every_command_has_a_list():
    assert lists().keys() == COMMANDS.keys()


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_nothing_heavy_is_recorded(command):
    """The lists are made by a program: whoever records anew may not see what slipped in."""
    modules = set(lists()[command])
    assert not {name.partition(".")[0] for name in modules} & HEAVY
    assert not modules & FOR_FAILURES
    assert "pyruntime.config.model" not in modules
    # made for one command: process attributes, which only a foreground run has use for
    assert not modules & {"prctl", "_prctl"} or command == "run"
    assert [name for name in modules if name.startswith("pyruntime.cli.")]
    if command in ("state", "list", "start", "kill", "delete"):
        assert not [name for name in modules if name.startswith("pyruntime.plan")]


def test_imports_of_commands_that_need_no_container(tmp_path):
    for command, modules in without_root(tmp_path).items():
        assert modules == lists()[command], command


@pytest.mark.parametrize("command", ["state", "list"])
def test_imports_of_commands_that_read_the_state(command, tmp_path):
    root = tmp_path / "state"
    container = state.create(str(root), "web")
    pid = os.getpid()
    container.store(
        {
            "id": "web", "pid": pid, "startTime": state.process_start(pid), "bootId": state.boot_id(),
            "status": "created", "bundle": "/b", "rootfs": "/b/rootfs", "created": "2026-01-01T00:00:00.5Z",
            "annotations": {}, "cgroups": [], "cgroupsMade": [], "freezer": "", "ownPidNamespace": True,
        }
    )  # fmt: skip
    container.close()
    argv = ["--root", str(root), command, *(["web"] if command == "state" else [])]
    assert imported(tmp_path, *argv) == lists()[command]
    shown = (tmp_path / "out").read_text()
    assert "web" in shown
    if command == "state":
        assert json.loads(shown)["status"] == "running"


def test_the_recorder_notices_an_import(tmp_path):
    """What compares lists must see a difference: --debug brings the log with it."""
    (tmp_path / "target").mkdir()
    found = imported(tmp_path, "--log", str(tmp_path / "log"), "spec", "-b", str(tmp_path / "target"))
    assert set(found) - set(lists()["spec"]) == {"pyruntime.cli.log"}


def test_the_recorder_reports_a_command_that_fails(tmp_path):
    with pytest.raises(RuntimeError, match="exit status 1"):
        imported(tmp_path, "spec", "-b", str(tmp_path / "missing"))
