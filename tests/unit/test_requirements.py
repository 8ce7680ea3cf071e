"""specs/requirements: complete as to the specification and the schema, and each requirement is held by a test."""

import ast
import json
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "conformance"))

import demands  # noqa: E402 (found through the path above)

DOCUMENTS = demands.load()
REQUIREMENTS = [entry for document in DOCUMENTS for entry in document.requirements]
VERSION, RECORDED = demands.recorded()


@cache
def functions(file):
    """Returns the names of the tests in a file."""
    path = ROOT / file
    if not path.exists():
        return set()
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


@pytest.fixture(scope="session")
def suite():
    return demands.suite()


# ---- the specification


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_no_word_of_demand_is_forgotten(document):
    words = RECORDED[document.name].words
    there = {(line, number) for line, found in words.items() for number in range(1, len(found) + 1)}
    at = [place for entry in document.requirements for place in entry.at]
    at += [place for places, _ in document.passed_over for place in places]
    assert there - set(demands.places(at, words)) == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_places_are_those_of_the_specification(document):
    """Under the heading that the requirement names; a word that has a number is there."""
    recorded = RECORDED[document.name]
    for entry in document.requirements:
        for place in entry.at:
            line, _, number = place.partition(".")
            assert recorded.section(int(line)) == entry.section, f"{entry.id} at {place}"
            assert not number or int(number) <= len(recorded.words.get(int(line), [])), f"{entry.id} at {place}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_levels_are_those_of_the_words(document):
    """A requirement has the level of one of the words that it points to; where there is none it may be any."""
    words = RECORDED[document.name].words
    for entry in document.requirements:
        found = {words[line][number - 1] for line, number in demands.places(entry.at, words)}
        assert not found or entry.level in found, f"{entry.id} is {entry.level}, and the words are {sorted(found)}"


def test_the_documents_are_all_there():
    assert set(RECORDED) == set(demands.DOCUMENTS)
    assert [document.name for document in DOCUMENTS] == list(demands.DOCUMENTS)


def test_a_word_of_demand_is_counted():
    """Longest first, one by one, and not in blocks of code."""
    text = "# Title\nIt MUST NOT be, and SHOULD be.\n```\nMUST\n```\n## <a name='x' />Other\nMUSTER not, REQUIRED.\n"
    found = demands.count(text)
    assert found.words == {2: ["MUST NOT", "SHOULD"], 7: ["REQUIRED"]}
    assert found.section(2) == "Title"
    assert found.section(7) == "Other"


# ---- requirements


def test_ids_are_given_once():
    ids = [entry.id for entry in REQUIREMENTS]
    assert sorted(ids) == sorted(set(ids))


def test_texts_are_our_own_and_not_empty():
    for entry in REQUIREMENTS:
        assert entry.text.endswith("."), entry.id
        assert entry.at, entry.id


def test_decisions_exist():
    pages = {path.name[:4] for path in (ROOT / "specs/decisions").glob("*.md")}
    for entry in REQUIREMENTS:
        assert not entry.decision or entry.decision in pages, entry.id


def test_deviations_have_a_decision():
    for entry in REQUIREMENTS:
        assert not entry.deviates or entry.decision, f"{entry.id} deviates, and no page says why"


# ---- tests


def test_each_requirement_of_the_runtime_has_a_test():
    assert [entry.id for entry in REQUIREMENTS if entry.binds == "runtime" and not entry.tests] == []


def test_the_tests_of_the_suite_are_listed(suite):
    """`conformance/demands.py tests` writes the lists."""
    for entry in REQUIREMENTS:
        listed = [test for test in entry.tests if test.startswith(demands.SUITE)]
        assert listed == demands.holders(suite, entry.id), entry.id


def test_the_suite_names_requirements_that_exist(suite):
    named = {name for names in suite.values() for name in names}
    assert named - {entry.id for entry in REQUIREMENTS} == set()


def test_each_test_of_the_suite_holds_a_requirement(suite):
    assert [name for name, names in suite.items() if not names] == []


def test_tests_exist():
    for entry in REQUIREMENTS:
        for test in entry.tests:
            file, _, name = test.partition("::")
            assert name.partition("[")[0] in functions(file), f"{entry.id}: {test}"


# ---- the schema


def members(schema, place, path=""):
    """Yields the paths of all members; * is an array's items, {} the values of a map."""
    while "$ref" in place:
        place = schema["$defs"][place["$ref"].rpartition("/")[2]]
    for part in place.get("allOf", []):
        yield from members(schema, part, path)
    for name, inner in place.get("properties", {}).items():
        yield (below := f"{path}.{name}".lstrip("."))
        yield from members(schema, inner, below)
    if isinstance(place.get("items"), dict):
        yield from members(schema, place["items"], f"{path}.*")
    if isinstance(place.get("additionalProperties"), dict):
        yield from members(schema, place["additionalProperties"], f"{path}.{{}}")


def test_each_member_of_a_config_belongs_to_a_requirement():
    schema = json.loads((ROOT / "specs/config.schema.json").read_text())
    known = set(members(schema, schema))
    assert {"ociVersion", "mounts.*.options", "linux.resources.rdma.{}.hcaHandles"} <= known
    claimed = {name for entry in REQUIREMENTS for name in entry.members}
    assert known - claimed == set()
    assert claimed - known == set()
