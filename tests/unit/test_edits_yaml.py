"""yaml.py reads what CDI files are written in, and refuses the rest of YAML by the number of the line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyruntime.edits.yaml import parse
from pyruntime.errors import CdiError

yaml = pytest.importorskip("yaml", reason="PyYAML, to compare with, is not installed")

GENERATED = """---
cdiVersion: 0.5.0
containerEdits:
  deviceNodes:
  - path: /dev/nvidiactl
  env:
  - NVIDIA_VISIBLE_DEVICES=void
  hooks:
  - args:
    - nvidia-cdi-hook
    - create-symlinks
    - --link
    - ../libnvidia-allocator.so.1::/usr/lib/x86_64-linux-gnu/gbm/nvidia-drm_gbm.so
    hookName: createContainer
    path: /usr/bin/nvidia-cdi-hook
  mounts:
  - containerPath: /run/nvidia-persistenced/socket
    hostPath: /run/nvidia-persistenced/socket
    options:
    - ro
    - nosuid
devices:
- containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
      fileMode: 438
  name: "0"
- containerEdits: {}
  name: GPU-edfee158-11c1-52b8-0517-92f30e7fac88
kind: nvidia.com/gpu
"""


def test_a_generated_file():
    found = parse(GENERATED)
    assert found == yaml.safe_load(GENERATED)
    assert found["cdiVersion"] == "0.5.0"
    assert found["devices"][0] == {
        "containerEdits": {"deviceNodes": [{"path": "/dev/nvidia0", "fileMode": 438}]},
        "name": "0",
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing",
        "a",
        "- a\n- b",
        "-\n  a: 1\n-",
        "a:\nb: ~\nc: null",
        "a: true\nb: False\nc: yes please",
        "a: 0x1F\nb: 0644\nc: -5\nd: 0\ne: 10",
        "a: 1.5\nb: 1.2.3\nc: 0.5.0",
        "a: 'it''s'\nb: \"\\u00e9\\n\"  # comment",
        "a: [x, 'y, z', [1, 2], {k: v, l: }]\nb: {}\nc: []",
        "a: [x, ]",
        "a: b # comment\nc: d#e",
        "'a b': c\n\"d\": e",
        "a:\n- b\n- c:\n    d\n  e: f",
        "a:\n    - b\n    -   c: 1\n        d: 2",
        "- - a\n  - b\n- - c",
        "a: --link\nb: -x\nc: /a:b\nd: x::y",
        "a: b\r\nc: d\r\n",
        "--- # start\na: b\n...\n# end",
        "a: http://x/y#z",
        '{"a": [1, {"b": null}]}',
        "a:    \n   b",
    ],
)
def test_it_reads_what_others_read(text):
    assert parse(text) == yaml.safe_load(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x 1", "line 1: '&x 1' is written in a form that is not supported"),
        ("a: 1\nb: *x", "line 2: '\\*x'"),
        ("a: !!str 1", "line 1: '!!str 1'"),
        ("a: |\n  text", "line 1: '|'"),
        ("a: >-\n  text", "line 1: '>-'"),
        ("a: b\n  c", "line 2: indented"),
        ("a:\n  b\n   c", "line 3: text that goes on"),
        ("a: 1\na: 2", "line 2: the key 'a' occurs twice"),
        ("{a: 1, a: 2}", "occurs twice"),
        ("a:\n\tb: 1", "line 2: a tab"),
        ("a: 1\n---\nb: 2", "line 2: a second document"),
        ("%YAML 1.2\n---\na: 1", "line 1: a directive"),
        ("...\na", "line 2: text behind"),
        ("? a\n: b", "line 1: a key of this form"),
        ("a: b: c", "line 1: a mapping on one line"),
        ("a: 'b", "line 1: a quoted text that does not end"),
        ('a: "b\n  c"', "line 1: a quoted text that does not end"),
        ('a: "\\q"', "an escape that is not known"),
        ('a: "\\ud800"', "an escape that is no character"),
        ("a: [b,\n  c]", "line 1: "),
        ("a: [b", "line 1: a list that does not end"),
        ("a: 'b' c", "line 1: text behind the end of a value: 'c'"),
        ("- a\nb: c", "line 2: indented in a way"),
        ("a: 1\n- b", "line 2: "),
        ("a: @b", "line 1: "),
        ("[" * 100, "line 1: nested too deeply"),
        ("- " * 100 + "a", "line 1: nested too deeply"),
        ("a: <<\n<<: *x", "line 2: "),
    ],
)
def test_what_is_refused(text, message):
    with pytest.raises(CdiError, match=message):
        parse(text)


SCALARS = st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.text(max_size=8)
KEYS = st.text(max_size=8)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=15
)


@given(VALUES)
def test_json_is_yaml(value):
    """Which is why generated files may hold JSON, on one line or on many."""
    assert parse(json.dumps(value, ensure_ascii=False)) == value


@given(VALUES)
def test_what_a_writer_of_yaml_writes(value):
    """Either it is read as it was meant, or refused: never read as something else."""
    text = yaml.safe_dump(value, default_flow_style=False, width=10**6, allow_unicode=False)
    try:
        assert parse(text) == value
    except CdiError:
        assert not is_simple(value)


def is_simple(value):
    if isinstance(value, dict):
        return all(is_simple(key) and is_simple(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(is_simple, value))
    return not isinstance(value, str) or (value.isascii() and value.isalnum())


@given(st.text("ab01 :-#[]{},'\"\n\t&*!|>%~?\\", max_size=40))
def test_any_text(text):
    """What is read, PyYAML reads as the same, where it reads it."""
    try:
        found = parse(text)
    except CdiError:
        return
    try:
        expected = yaml.safe_load(text)
    except yaml.YAMLError:
        return
    assert same(found, expected)


def same(found, expected):
    """Keys are texts to us, and PyYAML's numbers (1:0 is 60) are not those of the core schema."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return len(found) >= len(expected) and all(same(found[key], expected[key]) for key in found.keys() & expected)
    if isinstance(expected, list) and isinstance(found, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    return found == expected or (isinstance(expected, int | float) and isinstance(found, str))
