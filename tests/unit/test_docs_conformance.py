"""docs/conformance.md, which conformance/table.py writes: it is about the requirements and tests that there are."""

import ast
import re
import sys
import tomllib

from documents import ROOT, read, rows, section

sys.path.insert(0, str(ROOT / "conformance"))

import demands
from table import NOT_RUN

PAGE = read("docs/conformance.md")


def test_the_number_of_requirements():
    every = demands.requirements().values()
    binding = sum(entry.binds == "runtime" for entry in every)
    assert f"{len(every)} statements, of which {binding} bind a runtime" in PAGE


def test_the_tests_that_fail_are_there():
    """Under the name of their area."""
    part = section(PAGE, "## What fails")
    areas = re.split(r"^### (.*)$", part, flags=re.MULTILINE)[1:]
    assert areas
    for name, table in zip(areas[::2], areas[1::2], strict=True):
        file = ROOT / demands.SUITE / f"test_{name.replace(' ', '_')}.py"
        tests = {node.name for node in ast.parse(file.read_text()).body if isinstance(node, ast.FunctionDef)}
        named = {f"test_{cells[0].replace(' ', '_')}" for cells in rows(table)}
        assert named - tests == set()


def test_pyruntime_fails_where_it_deviates_alone():
    deviating = {
        test.partition("::test_")[2].partition("[")[0].replace("_", " ")
        for entry in demands.requirements().values()
        if entry.deviates
        for test in entry.tests
    }
    assert {cells[0] for cells in rows(section(PAGE, "## What fails")) if "fail" in cells[2]} == deviating


def test_what_is_not_clean_is_explained():
    """Of the official suite, where it was run."""
    part = section(PAGE, "## The official suite")
    if part.rstrip().endswith(NOT_RUN):
        assert not rows(part)
        return
    unclean = {cells[0].strip("`") for cells in rows(part) if cells[1] != "clean"}
    assert unclean == set(tomllib.loads(read("conformance/official.toml")))
