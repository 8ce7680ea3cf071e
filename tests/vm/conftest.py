"""What only a host can show that has cgroup v2 alone, with all controllers, and all of root's rights.

`make test-vm` runs these tests in a VM. They run anywhere else as well, and where something is missing they are skipped
and say what. Bundles and all that are those of tests/integration.
"""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

INTEGRATION = Path(__file__).resolve().parent.parent / "integration"
CAP_SYS_RESOURCE = 24


def _load():
    sys.path.insert(0, str(INTEGRATION))
    # by another name: pytest knows this very file as "conftest"
    spec = importlib.util.spec_from_file_location("bundles", INTEGRATION / "conftest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


bundles = _load()
template, bundle, make_bundle = bundles.template, bundles.bundle, bundles.make_bundle
created, make_cgroup, unified = bundles.created, bundles.make_cgroup, bundles.unified
integration_runtime = bundles.runtime


def pytest_collection_modifyitems(items):
    if os.geteuid() != 0:
        for item in items:
            if "vm" in item.path.parts:
                item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.fixture
def runtime(integration_runtime, unified):
    yield from unified.alone(integration_runtime)


@pytest.fixture
def controllers(unified):
    """All controllers that linux.resources knows."""
    unified.need("cpu", "cpuset", "hugetlb", "io", "memory", "pids")


@pytest.fixture
def sys_resource():
    """The capability to raise hard limits."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:") and not int(line[7:], 16) >> CAP_SYS_RESOURCE & 1:
            pytest.skip("root has no CAP_SYS_RESOURCE here: `make test-vm` has it")
