"""Messages about a config name the line: found again in the text, since the parsed config has none."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyruntime.config.explain import pointer
from pyruntime.config.where import line, parts, point_out
from pyruntime.errors import ConfigError, OperationError

TEXT = """{
  "process": {"args": ["a{", "]"],
    "rlimits": [
      {"type": "RLIMIT_X"},
      {
        "type": "x"}]},

  "linux": {"sysctl": {"net.ipv4.x": "1",
    "a\\"b": "2"},
    "a": [[1,
      2], []]},
  "ü": {}, "mounts": [
  {"destination": "/data (x)"}]
}"""


@pytest.mark.parametrize(
    ("origin", "number"),
    [
        ("process", 2),
        ("process.args", 2),
        ("process.rlimits", 3),
        ("process.rlimits[0].type", 4),
        ("process.rlimits[1]", 5),
        ("process.rlimits[1].type", 6),
        ("process.rlimits[1] (RLIMIT_NOFILE)", 5),
        ('linux.sysctl["net.ipv4.x"]', 8),
        ('linux.sysctl["a\\"b"]', 9),
        ("linux.a[0][1]", 11),
        ("linux.a[1]", 11),
        ("mounts[0] (/data (x))", 13),
        ("mounts[0].destination", 13),
        # the nearest one above that there is: what is missing is missing there
        ("root", 1),
        ("process.cwd", 2),
        ("process.rlimits[1].soft", 5),
        ("process.rlimits[7].soft", 3),
        ("process.args.x", 2),
        ("process[0]", 2),
        ("ü", 12),
        ("", 1),
    ],
)
def test_lines(origin, number):
    assert line(TEXT, origin) == number


@given(st.lists(st.text() | st.integers(0, 10**6), min_size=1))
@example(["A\u00b7"])  # a word to Python, and none to a regular expression
def test_what_messages_write_is_understood(path):
    """Whatever the names of members are: origins are written by explain.py and read by where.py."""
    assert parts(pointer(path)) == path
    assert parts(f"{pointer(path)} (what is for people)") == path


DOCUMENTS = st.recursive(
    st.integers() | st.text(max_size=3), lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner)
)


@given(DOCUMENTS, st.data())
def test_every_value_is_found_on_its_line(document, data):
    """A marker is put somewhere; its line in the text is the line that is found."""
    path, marker = [], "the marker"
    holder = [document]
    place, last = holder, 0
    while (value := place[last]) and isinstance(value, list | dict) and data.draw(st.booleans()):
        place = value
        last = data.draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
        path.append(last)
    place[last] = marker
    text = json.dumps(holder[0], indent=1)
    assert line(text, pointer(path)) == text[: text.index(marker)].count("\n") + 1


@given(st.text(), st.text())
def test_anything_has_a_line_or_none(text, origin):
    """It is a failure that is being reported: the search for a line must not become another."""
    assert 0 <= line(text, origin) <= text.count("\n") + 1


def test_messages():
    source = TEXT.encode()
    assert point_out(ConfigError("process.rlimits[1].type", "bad"), source) == (
        "process.rlimits[1].type: bad (config.json, line 6)"
    )
    assert point_out(OperationError("mount x: no", "mounts[0] (/data)"), source) == "mount x: no (config.json, line 13)"
    assert point_out(OperationError("clone: no"), source) == "clone: no"
    assert point_out(ConfigError("x", "bad"), b"\xff") == "x: bad"
    assert point_out(ConfigError("x", "bad"), b"[\n" * 100_000) == "x: bad (config.json, line 1)"
    assert point_out(ConfigError("x", "bad"), b'{"x": 1}') == "x: bad"
