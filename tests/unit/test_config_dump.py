"""The writer of JSON writes what the json module would."""

import json

from hypothesis import given
from hypothesis import strategies as st

from pyruntime import SPEC_VERSION
from pyruntime.config.dump import dumps, hook_state, pretty
from pyruntime.config.load import parse

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
PRINTABLE = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs", "Cc"])), inner),
)  # fmt: skip


@given(JSON)
def test_compact(value):
    assert dumps(value) == json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@given(JSON, st.sampled_from(["  ", "\t"]))
def test_pretty(value, indent):
    assert pretty(value, indent) == json.dumps(value, ensure_ascii=False, indent=indent)


@given(PRINTABLE)
def test_what_is_written_is_read(value):
    """The state is written by the one and read by the other."""
    assert parse(dumps(value), "x") == value


def test_the_state_that_hooks_get():
    """Compact, in the order of runtime.md: hooks have been seen to take it apart by hand."""
    config = {"ociVersion": "1.0.0", "root": {"path": "r"}, "annotations": {"a": "ü\n"}}
    assert hook_state(config, "web", "/b", "created", 7) == (
        f'{{"ociVersion":"{SPEC_VERSION}","id":"web","status":"created","pid":7,"bundle":"/b",'
        '"annotations":{"a":"ü\\n"}}'
    )
    del config["annotations"]
    assert hook_state(config, "web", "/b", "stopped", None) == (
        f'{{"ociVersion":"{SPEC_VERSION}","id":"web","status":"stopped","bundle":"/b"}}'
    )
