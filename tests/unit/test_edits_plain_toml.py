"""What the plain reader of settings takes, it takes as tomllib does; the rest it leaves to tomllib."""

import re
import tomllib

import pytest
from documents import ROOT
from hypothesis import given
from hypothesis import strategies as st

from pyruntime.edits import settings
from pyruntime.edits.plain_toml import parse

DOCUMENTED = "".join(re.findall(r"^    (.*\n)", settings.__doc__, flags=re.MULTILINE))
PIECES = st.sampled_from(
    [
        "[", "]", "a", "b", "nvidia", "enable", "=", " = ", '"', '""', "'", "#", "true", "false", ",", ".", "\n", "\r",
        " ", "\t", "\\", "1", "é", "\x00", "\x7f", "\u2028", "[a]\n", "[b]\n", 'k = "v"\n', "k = true\n",
        'l = ["x", "y"]\n',
    ]
)  # fmt: skip


@given(st.lists(PIECES, max_size=14).map("".join))
def test_it_agrees_with_tomllib(text):
    found = parse(text)
    if found is not None:
        assert found == tomllib.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "[a]", "# x\n\n[a]\nb = true # why\n[c]\n", '[a]\nb = "c#d" # e\nf = ""', '[a]\nb = [ "c" , "d", ] # e',
        "[a]\nb = []", '[ a ]\n\tb="/c"\n',
    ],
)  # fmt: skip
def test_what_it_takes(text):
    assert parse(text) == tomllib.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        "[a]\n[a]", "[a]\nb = true\nb = true", "b = true", "[a.b]", "[[a]]", "[a]\nb = 1", '[a]\nb = """c"""',
        "[a]\nb = 'c'",
        '[a]\nb = "\\n"', '[a]\n"b" = true', "[a]\nb = [\n]", '[a]\nb = "c" d', "[a] # b", "[a]\nb = true\x00",
        "[a]\r\n",
    ],
)  # fmt: skip
def test_what_it_leaves(text):
    assert parse(text) is None


def test_settings_as_they_are_documented():
    """They take the short way."""
    assert parse(DOCUMENTED) == tomllib.loads(DOCUMENTED)
    assert parse(DOCUMENTED).keys() == settings.SECTIONS.keys()
    for name in re.findall(r"```toml\n(.*?)```", (ROOT / "docs/guide/gpu.md").read_text(), flags=re.DOTALL):
        assert parse(name) == tomllib.loads(name)
