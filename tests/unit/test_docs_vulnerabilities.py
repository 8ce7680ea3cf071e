"""docs/avoidable-vulnerabilities.md: the tests that it names exist, and those of tests/security are all there."""

import re

import pytest
from documents import ROOT, code, read, rows

PAGE = "docs/avoidable-vulnerabilities.md"
FLAW = re.compile(r"CVE-\d{4}-\d{4,}|GHSA(?:-\w{4}){3}")
ROWS = rows(read(PAGE))


def names_of_tests(path):
    """Returns the names of the tests in a file."""
    return set(re.findall(r"^def (test_\w+)\(", (ROOT / path).read_text(), flags=re.MULTILINE))


@pytest.mark.parametrize(("flaw", "shown"), [(row[0], row[-1]) for row in ROWS])
def test_tests_that_are_named_exist(flaw, shown):
    names = code(shown)
    assert names, f"{flaw}: no test shows it"
    for name in names:
        path, _, test = name.partition("::")
        assert (ROOT / path).is_file(), name
        assert test in names_of_tests(path), name


def test_every_test_is_on_the_page():
    named = {name for row in ROWS for name in code(row[-1])}
    for path in sorted((ROOT / "tests/security").glob("test_*.py")):
        file = str(path.relative_to(ROOT))
        assert {f"{file}::{test}" for test in names_of_tests(file)} - named == set()


def test_every_flaw_that_a_test_names_is_on_the_page():
    listed = {flaw for row in ROWS for flaw in FLAW.findall(row[0])}
    files = [*(ROOT / "tests/security").glob("*.py"), ROOT / "SECURITY.md"]
    files += [ROOT / f"tests/integration/test_{name}.py" for name in ("security", "races")]
    for path in files:
        assert set(FLAW.findall(path.read_text())) - listed == set(), path.name


def test_no_flaw_is_listed_twice():
    listed = [flaw for row in ROWS for flaw in FLAW.findall(row[0])]
    assert len(listed) == len(set(listed))
