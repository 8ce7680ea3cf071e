"""Plans stay what they are: whoever changes one sees it, for each of the configs in tests/golden/cases.py."""

import sys
from pathlib import Path

import pytest
from valid_configs import CONFIG, PARTS, resolve

from pyruntime.plan.ops import HOST, HOST_OPS, INIT_OPS
from pyruntime.plan.text import DETAILS

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
sys.path.insert(0, str(GOLDEN))

import cases  # noqa: E402 (found through the path above)


@pytest.mark.parametrize("name", cases.CASES)
def test_plan(name):
    assert cases.shown(name) == (GOLDEN / f"{name}.plan").read_text(), "if this is meant: make golden"


def test_every_plan_has_its_case():
    assert {path.stem for path in GOLDEN.glob("*.plan")} == set(cases.CASES)


def members(part, value, path=""):
    """Yields the paths, as PARTS has them, of everything in a config."""
    yield path
    part = resolve(part)
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in part.get("properties", ()):
                yield from members(part["properties"][name], inner, f"{path}.{name}" if path else name)
            else:
                yield from members(part["additionalProperties"], inner, f"{path}.{{}}")
    elif isinstance(value, list):
        for inner in value:
            yield from members(part["items"], inner, f"{path}.*")


def test_every_member_of_the_configuration_occurs():
    """What no plan shows could be left out of all of them."""
    seen = {path for case in cases.CASES.values() for path in members(CONFIG, case[0])}
    # no flag is defined
    assert seen == PARTS.keys() - {"linux.personality.flags.*"}


def test_every_op_occurs():
    """A part of the vocabulary that no case uses is a part that nobody looks at."""
    used = {(op.lane, op.name) for name in cases.CASES for op in cases.plan_of(name).ops}
    assert {name for lane, name in used if lane == HOST} == set(HOST_OPS)
    assert {name for lane, name in used if lane != HOST} == {name for name, _ in INIT_OPS}


def test_every_op_has_words():
    assert set(DETAILS) <= {*HOST_OPS, *(name for name, _ in INIT_OPS)}
    without_arguments = {name for name, signature in INIT_OPS if not signature}
    assert {name for name, _ in INIT_OPS} - set(DETAILS) <= without_arguments | {"wait-start", "barrier", "ready"}
