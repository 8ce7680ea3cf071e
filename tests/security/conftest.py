"""Flaws that container runtimes have had, each as a check that any runtime can be put to.

The runtime is the one that `make build` installs below build/; RUNTIME names another. Bundles and containers are those
of conformance/suite, which are the same for every runtime. docs/avoidable-vulnerabilities.md says what each check is
about.
"""

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parent.parent.parent / "conformance/suite"))

import containers
from programs import build
from trees import snapshot

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def pytest_collection_modifyitems(items):
    if os.geteuid() != 0:
        for item in items:
            if HERE in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    """The folder with the programs of the conformance suite and with `witness`, compiled."""
    folder = build(tmp_path_factory.mktemp("programs"))
    command = ["cc", "-static", "-Os", "-Wall", "-Wextra", "-Werror", "-o", folder / "witness", HERE / "witness.c"]
    subprocess.run(command, check=True)
    return folder


@pytest.fixture(scope="session")
def template(tmp_path_factory, programs):
    return containers.make_root(tmp_path_factory.mktemp("template") / "rootfs", programs)


def without_hybrid(path, folder):
    """Returns a command that runs a runtime on a host that seems to have cgroups of version 1 alone.

    crun refuses one with controllers in both versions.
    """
    unified = Path("/sys/fs/cgroup/unified")
    command = folder / Path(path).name
    enter = f'exec unshare -m --propagation private sh -c \'umount {unified} && exec {path} "$@"\' sh "$@"'
    command.write_text(f"#!/bin/sh\n{enter}\n")
    command.chmod(0o755)
    controllers = unified / "cgroup.controllers"
    return str(command) if controllers.exists() and controllers.read_text().split() else path


@pytest.fixture
def runtime(tmp_path):
    path = os.environ.get("RUNTIME", str(ROOT / "build/root/sbin/pyruntime"))
    program = shutil.which(path) or path
    runtime = containers.Runtime(program, tmp_path)
    runtime.program = Path(program).resolve()
    if runtime.program.name == "crun":
        (tmp_path / "separate").mkdir()
        runtime.path = without_hybrid(program, tmp_path / "separate")
    yield runtime
    runtime.clean()
    ctypes.CDLL(None).prctl(containers.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


@pytest.fixture
def bundle(runtime, tmp_path, template):
    return containers.Bundle(runtime, tmp_path / "bundle", template)


@pytest.fixture
def make_bundle(runtime, tmp_path, template):
    """Makes further bundles."""
    return lambda name: containers.Bundle(runtime, tmp_path / name, template)


@pytest.fixture
def host_mounts():
    """Mounts file systems on the host for a test, and takes them away again."""
    made = []

    def mount(*words, at):
        Path(at).mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", *map(str, words), str(at)], check=True)
        made.append(at)
        return at

    yield mount
    for place in reversed(made):
        subprocess.run(["umount", "-l", str(place)], check=False, capture_output=True)


@pytest.fixture
def running(bundle):
    """Starts the container of the bundle with a program that does not end by itself; returns it."""

    def start(script="while :; do sleep 1000; done"):
        container = bundle.create(script)
        container.start()
        return container

    return start


@pytest.fixture
def outside(tmp_path):
    """A directory of the host that no link of an image may lead to; looked at again afterwards."""
    path = tmp_path / "outside"
    (path / "pts").mkdir(parents=True)
    for name in ("file", "null", "ptmx", "console", "pts/ptmx"):
        (path / name).write_text("the host's\n")
    before = snapshot(path)
    yield path
    assert snapshot(path) == before
    assert str(path) not in Path("/proc/self/mountinfo").read_text()
