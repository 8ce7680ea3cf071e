"""What the runtime specification demands, by the tests of conformance/suite, which run against any runtime.

Of a test with several cases these are the first and the last; `make conformance` runs all of them.
"""

import json
import subprocess
import sys
from functools import cache

import pytest
from conftest import ROOT, runtime_path

sys.path.insert(0, str(ROOT / "conformance"))

import demands

AREAS = sorted(path.name for path in (ROOT / demands.SUITE).glob("test_*.py"))
DEVIATIONS = {name for name, entry in demands.requirements().items() if entry.deviates}


@cache
def results(area):
    """Returns what came of each test of an area."""
    command = [sys.executable, ROOT / "conformance/run", "--runtime", runtime_path(), "--json", "--quick", "-k", area]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)["tests"]


def deviates(result):
    return bool(DEVIATIONS.intersection(result["requirements"]))


@pytest.mark.parametrize("area", AREAS)
def test_requirements_are_met(area):
    found = results(area)
    assert found
    failed = {name: result["reason"] for name, result in found.items() if result["outcome"] == "failed"}
    assert {name: reason for name, reason in failed.items() if not deviates(found[name])} == {}


@pytest.mark.parametrize("requirement", sorted(DEVIATIONS))
def test_deviations_are_what_they_are_said_to_be(requirement):
    """One that is met by now needs no decision any more."""
    tests = [test for test in demands.requirements()[requirement].tests if test.startswith(demands.SUITE)]
    for test in tests:
        area = test.removeprefix(demands.SUITE).partition("::")[0]
        outcomes = {
            result["outcome"] for name, result in results(area).items() if test in (name, name.partition("[")[0])
        }
        assert "failed" in outcomes, f"{test} passes"
