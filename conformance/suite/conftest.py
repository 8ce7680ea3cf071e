"""Tests of the runtime specification that run against any runtime: they call its commands, and look from inside of
containers and at the host. `../run` starts them.

`runtime` is the runtime under test, `bundle` a bundle whose config a test changes before it makes a container of it.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from containers import Bundle, Runtime, make_root
from programs import build


def pytest_addoption(parser):
    parser.addoption("--runtime", default="", help="the runtime to test")
    parser.addoption("--quick", action="store_true", help="of a test with several cases the first and the last")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--quick"):
        return
    cases = {}
    for item in items:
        cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    wanted = {item for found in cases.values() for item in (found[0], found[-1])}
    config.hook.pytest_deselected(items=[item for item in items if item not in wanted])
    items[:] = [item for item in items if item in wanted]


def pytest_configure(config):
    config.addinivalue_line("markers", "requirement(*ids): the requirements of specs/requirements that the test holds")


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    """The folder with the programs of the suite, compiled."""
    return build(tmp_path_factory.mktemp("programs"))


@pytest.fixture(scope="session")
def template(tmp_path_factory, programs):
    """A root directory with busybox and the programs of the suite."""
    return make_root(tmp_path_factory.mktemp("template") / "rootfs", programs)


@pytest.fixture
def runtime(request, tmp_path):
    runtime = Runtime(request.config.getoption("--runtime"), tmp_path)
    yield runtime
    runtime.clean()


@pytest.fixture
def bundle(runtime, tmp_path, template):
    return Bundle(runtime, tmp_path / "bundle", template)


@pytest.fixture
def make_bundle(runtime, tmp_path, template):
    """Makes further bundles."""
    return lambda name: Bundle(runtime, tmp_path / name, template)


@pytest.fixture
def host_mounts(tmp_path):
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


@pytest.fixture(scope="session", autouse=True)
def environment():
    """What a caller has in its environment is not the container's, and what a shell is told by it not the test's."""
    for name in list(os.environ):
        if name not in ("PATH", "HOME", "TMPDIR"):
            del os.environ[name]
