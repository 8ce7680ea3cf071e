"""The reader of JSON: what the json module reads, and none of what it lets pass that a runtime must not."""

import json
import math
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyruntime.config import load
from pyruntime.config.load import decode, parse, parse_config, read
from pyruntime.errors import ConfigError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
# what a reader stumbles over, put together by chance
FRAGMENTS = st.lists(
    st.sampled_from(
        ["{", "}", "[", "]", ",", ":", '"', '"a"', "null", "true", "false", "nul", "NaN", "Infinity", "-", "-Infinity",
         "0", "1", "01", "1.", ".5", "1e999", "-1e999", "1e-999", "9" * 5000, "\\", "\\u0000", '"\\u0000"', '"\\ud800"',
         '"\\ud83d\\ude00"', '"\\', "\x00", "\n", " ", "\t", "\x0c", "\ufeff", "/*", "'", "[" * 2000, '{"a":' * 2000],
    ),
    max_size=12,
).map("".join)  # fmt: skip


def without_nulls(value):
    if isinstance(value, dict):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


def clean(value):
    """Whether a document has neither NUL characters nor half surrogates in it."""
    if isinstance(value, dict):
        return all(clean(name) and clean(inner) for name, inner in value.items())
    if isinstance(value, list):
        return all(map(clean, value))
    return not isinstance(value, str) or not any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value)


def same(one, other):
    """Equal, and of equal types: 1, 1.0 and True are not the same."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@given(JSON, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_reads_what_the_json_module_writes(value, indent, ascii_only):
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    value = without_nulls(value)
    if clean(value) and clean(text):
        assert same(parse(text, "x"), value)
        assert same(decode(f" \r\n{text}\t\n".encode(), "x"), value)
    else:
        with pytest.raises(ConfigError, match=r"holds a NUL character|holds half of a surrogate pair|not UTF-8"):
            decode(text.encode("utf-8", "surrogatepass"), "x")


@given(FRAGMENTS | st.text())
def test_any_text_is_read_or_refused(text):
    """Never another exception; and what is read is what the json module reads."""
    try:
        value = parse(text, "config.json")
    except ConfigError as error:
        assert str(error).startswith("config.json") or "NUL" in str(error) or "surrogate" in str(error)
        assert "\n" not in str(error)
    else:
        assert same(value, without_nulls(json.loads(text)))


@given(st.binary() | FRAGMENTS.map(str.encode))
def test_any_bytes_are_read_or_refused(data):
    try:
        decode(data, "config.json")
    except ConfigError as error:
        assert str(error)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_config_or_refused(data):
    try:
        config = parse_config(data)
    except ConfigError as error:
        assert str(error)
    else:
        assert {"ociVersion", "root"} <= config.keys()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "c, line 1, column 1: a value is expected"),
        (" \n\t", "c, line 2, column 2: a value is expected"),
        ("{", "c, line 1, column 2: expecting property name enclosed in double quotes"),
        ('{"a" 1}', "c, line 1, column 6: expecting ':' delimiter"),
        ('{"a":1,\n "b":}', "c, line 2, column 6: a value is expected"),
        ("[1 2]", "c, line 1, column 4: expecting ',' delimiter"),
        ('{"a":1} x', "c, line 1, column 8: there is text behind the end of the document"),
        ('{"a":1}{}', "c, line 1, column 8: there is text behind the end of the document"),
        ('{"a":1}\x00', "c, line 1, column 8: there is text behind the end of the document"),
        ("\x0c{}", "c, line 1, column 1: a value is expected"),
        ('{"a":1,"a":1}', "c: the member 'a' occurs twice in one object"),
        ('{"a":1,"\\u0061":2}', "c: the member 'a' occurs twice in one object"),
        ('{"x":{"b":1,"c":2,"b":null}}', "c: the member 'b' occurs twice in one object"),
        ("NaN", "c: NaN is not a number in JSON"),
        ('{"a":[Infinity]}', "c: Infinity is not a number in JSON"),
        ("-Infinity", "c: -Infinity is not a number in JSON"),
        ("1e999", "c: 1e999 is too large a number"),
        ("-1" + "0" * 400 + ".0", "c: -1000000000000000... is too large a number"),
        ("1" * 5000, "c: a number has too many digits"),
        ('{"a":"\\u0000"}', "a: holds a NUL character"),
        ('{"a":[{"b":"x\\u0000"}]}', "a[0].b: holds a NUL character"),
        ('{"\\u0000":1}', "holds a NUL character"),
        ('["\\ud800"]', "[0]: holds half of a surrogate pair"),
        ('["\\uDFFFx"]', "[0]: holds half of a surrogate pair"),
        ('{"a":"\n"}', "c, line 1, column 7: invalid control character at"),
        ('{"a":"\x00"}', "c, line 1, column 7: invalid control character at"),
        ('{"a":"\\x"}', "c, line 1, column 7: invalid \\escape"),
        ("[" * 100_000, "c: nested too deeply"),
        ('{"a":' * 100_000, "c: nested too deeply"),
    ],
    ids=lambda text: text[:12],
)
def test_what_is_refused_and_where(text, problem):
    with pytest.raises(ConfigError) as caught:
        parse(text, "c")
    # CPython 3.13 words some of its own otherwise
    assert str(caught.value).removesuffix(": ").startswith(problem.partition("expecting property")[0])


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b'{"a":"\xff"}', "c: byte 6 is not UTF-8"),
        (b"\xed\xa0\x80", "c: byte 0 is not UTF-8"),
        (b"\xef\xbb\xbf{}", "c begins with a byte order mark, which JSON does not have"),
        ("{}".encode("utf-16"), "c: byte 0 is not UTF-8"),
        ("{}".encode("utf-16-le"), "c, line 1, column 2: expecting property name"),
        (b"", "c, line 1, column 1: a value is expected"),
    ],
)
def test_bytes_that_are_no_json(data, problem):
    with pytest.raises(ConfigError) as caught:
        decode(data, "c")
    assert str(caught.value).startswith(problem.partition("expecting")[0])


def test_pairs_of_surrogates_are_characters():
    assert parse('"\\ud83d\\ude00"', "c") == "😀"
    assert parse('["\\\\ud800"]', "c") == ["\\ud800"]


def test_numbers_keep_their_types():
    values = parse("[1, 1.0, -0, -0.0, 1e2, 1e-999, 123456789012345678901234567890, true]", "c")
    assert [type(value) for value in values] == [int, float, int, float, float, float, int, bool]
    assert values[6] == 123456789012345678901234567890
    assert math.copysign(1, values[3]) == -1


def test_members_that_are_null_count_as_absent():
    """As they do for Go's clients. In an array they stay: there they are values."""
    assert parse('{"a":null,"b":{"c":null,"d":[null,{"e":null}]}}', "c") == {"b": {"d": [None, {}]}}


def test_files(tmp_path):
    path = tmp_path / "config.json"
    path.write_bytes(b"{}")
    assert read(str(path), "missing") == b"{}"
    path.write_bytes(b"")
    assert read(str(path), "missing") == b""
    (tmp_path / "link").symlink_to(path)
    assert read(str(tmp_path / "link"), "missing") == b""


@pytest.mark.parametrize("kind", ["missing", "loop", "directory", "fifo", "socket", "device", "through a file"])
def test_what_is_no_file(tmp_path, kind):
    """A fifo must not make the runtime wait for a writer."""
    path = tmp_path / "config.json"
    match kind:
        case "loop":
            path.symlink_to(path)
        case "directory":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "socket":
            import socket

            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(path))
        case "device":
            path = "/dev/null"
        case "through a file":
            path.write_bytes(b"")
            path = path / "config.json"
    expected = {
        "missing": "there is none",
        "loop": f"open {path}: too many levels of symbolic links",
        "socket": f"open {path}: no such device or address",
        "through a file": f"open {path}: not a directory",
    }
    with pytest.raises(ConfigError) as caught:
        read(str(path), "there is none")
    assert str(caught.value) == expected.get(kind, f"{path} is not a regular file")


def test_files_of_up_to_16_mib(tmp_path):
    path = tmp_path / "config.json"
    path.write_bytes(b" " * (16 << 20))
    assert len(read(str(path), "missing")) == 16 << 20
    with path.open("ab") as file:
        file.write(b" ")
    with pytest.raises(ConfigError, match=r"config\.json is larger than 16 MiB$"):
        read(str(path), "missing")


def test_files_that_say_they_are_empty():
    """Those of procfs and some file systems have a size of 0 and content all the same."""
    assert read("/proc/version", "missing").startswith(b"Linux")


def test_the_scanner_in_pure_python_is_as_strict():
    """It takes the place of the one in C, should an interpreter not have that."""
    program = """
import sys
sys.modules["_json"] = None
from pyruntime.config.load import make_scanner, parse
from pyruntime.errors import ConfigError
assert make_scanner.__module__ == "pyruntime.config.load"
assert parse('{"a": [1, null, 1.5, "x"], "b": null}', "c") == {"a": [1, None, 1.5, "x"]}
for text in ('{"a":1,"a":2}', "NaN", "1e999", "[1]x", '"\\\\u0000"', "", "[" * 100000, '{"a" 1}', '"\\n"'):
    try:
        parse(text, "c")
    except ConfigError:
        continue
    sys.exit(f"{text[:20]!r} is read")
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=load.__file__.rpartition("/pyruntime/")[0])


def test_a_first_refusal_in_a_bare_interpreter():
    """The C scanner takes its exception from json.decoder, which nothing has imported by then."""
    program = """
import sys
sys.path.insert(0, ".")
from pyruntime.config.load import parse
from pyruntime.errors import ConfigError
assert "json" not in sys.modules
try:
    parse('{"a" 1}', "c")
except ConfigError as error:
    assert str(error).startswith("c, line 1, column 6: expecting"), error
else:
    sys.exit("it is read")
"""
    subprocess.run([sys.executable, "-IS", "-c", program], check=True, cwd=load.__file__.rpartition("/pyruntime/")[0])
