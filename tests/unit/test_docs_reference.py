"""docs/reference/ says what the code does: flags, members of config.json, hints, the state, system calls."""

import ast
import errno
import re
import sys

import pytest
from documents import ROOT, code, read, rows, section
from valid_configs import PARTS

from pyruntime.cli.help import COMMANDS
from pyruntime.cli.main import GLOBAL_FLAGS, command
from pyruntime.config import names
from pyruntime.plan.ops import HOST_OPS, INIT_OPS
from pyruntime.run import probe
from pyruntime.run.report import HINTS

sys.path.insert(0, str(ROOT / "tests/golden"))

import cases

COMMANDS_PAGE = read("docs/reference/commands.md")
CONFIG_PAGE = read("docs/reference/config.md")
SOURCES = "".join(path.read_text() for path in (ROOT / "pyruntime").rglob("*.py")) + "".join(
    path.read_text() for path in (ROOT / "init").glob("*.c")
)


# ---- commands.md


def flags_of(text):
    """Returns the flags of a section's table: name -> (short form, whether it takes a value, default)."""
    found = {}
    for cells in rows(text):
        words = code(cells[0])
        if words and words[0].startswith("--"):
            name, _, value = words[0].removeprefix("--").partition(" ")
            short = words[1].removeprefix("-").partition(" ")[0] if len(words) > 1 else ""
            assert name not in found
            found[name] = (short, bool(value), cells[1].strip("`"))
    return found


# how the page says what the code has as a default
DEFAULTS = {"False": {"off"}, "[]": {"none"}, "": {"none", "the current directory", "standard error", "/run/pyruntime"}}


def declared(flags):
    """Returns the same of what a command declares, with all defaults that the page may give."""
    return {
        flag.name: (
            flag.short,
            type(flag.default) is not bool,
            DEFAULTS.get(str(flag.default), {str(flag.default)}),
        )
        for flag in flags
    }


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_flags(name):
    """Every flag that there is, and none that there is not; with its short form, its value, and its default."""
    heading = f"## {name}" if name else "## Global options"
    found = flags_of(section(COMMANDS_PAGE, heading))
    wanted = declared(command(name).FLAGS if name else GLOBAL_FLAGS)
    assert list(found) == list(wanted)
    for flag, (short, takes_value, default) in found.items():
        assert (short, takes_value) == wanted[flag][:2], flag
        assert default in wanted[flag][2], flag


@pytest.mark.parametrize("name", COMMANDS)
def test_flags_that_may_be_repeated(name):
    text = section(COMMANDS_PAGE, f"## {name}")
    repeated = {
        code(cells[0])[0].partition(" ")[0].removeprefix("--")
        for cells in rows(text)
        if re.search("may be repeated", cells[2], re.IGNORECASE)
    }
    assert repeated == {flag.name for flag in command(name).FLAGS if isinstance(flag.default, list)}


@pytest.mark.parametrize("name", COMMANDS)
def test_usage(name):
    text = section(COMMANDS_PAGE, f"## {name}")
    module = command(name)
    options = " [options]" if module.FLAGS else ""
    for line in f"pyruntime {name}{options} {module.ARGUMENTS}".splitlines():
        assert f"`{line.strip()}`" in text


def test_no_flag_is_made_up():
    known = {flag.name for name in COMMANDS for flag in command(name).FLAGS} | {flag.name for flag in GLOBAL_FLAGS}
    for word in re.findall(r"(?<![\w-])--([a-z][\w-]*)", COMMANDS_PAGE):
        assert word in known | {"flag"}, word


def test_commands_that_are_not_there():
    """The page lists what runc has and this version has not."""
    (sentence,) = re.findall(r"What is not listed here is not there:(.*?)are\s+unknown", COMMANDS_PAGE, re.DOTALL)
    missing = code(sentence)
    assert missing
    assert not set(missing) & COMMANDS.keys()
    headings = re.findall(r"^## ([a-z]+)$", COMMANDS_PAGE, flags=re.MULTILINE)
    assert sorted(headings) == sorted([*COMMANDS, "help"])


def test_environment():
    """What is read of it, and nothing else; only ps(1) gets it as it is, and finds its PATH there."""
    found = {word for cells in rows(section(COMMANDS_PAGE, "## Environment")) for word in code(cells[0])}
    read_here = set()
    for path in (ROOT / "pyruntime").rglob("*.py"):
        # the child that asks NVML takes all of it away
        text = path.read_text().replace("for name in list(posix.environ):", "")
        names = re.findall(r'posix\.environ\.get\(b"(\w+)"', text)
        if path.name == "ps.py":
            names += re.findall(r'\{b"(\w+)": \w+\} \| posix\.environ$', text, flags=re.MULTILINE)
        read_here |= set(names)
        assert len(names) == len(re.findall(r"\bos\.environ|posix\.environ|getenv", text)), path
    assert found == read_here


def test_global_flags_that_may_come_late():
    (sentence,) = re.findall(r"They stand in front of the command\.(.*?)are also taken", COMMANDS_PAGE, re.DOTALL)
    (late,) = re.findall(r"flag\.name in \(([^)]*)\)", read("pyruntime/cli/main.py"))
    assert {word.removeprefix("--") for word in code(sentence)} == set(re.findall(r'"([\w-]+)"', late))


# ---- config.md


def members():
    """Returns the rows of the page: member -> (text, ops, files)."""
    found = {}
    for cells in rows(CONFIG_PAGE):
        if len(cells) == 4:
            (name,) = code(cells[0])
            assert name not in found, name
            found[name] = (cells[1], code(cells[2]), code(cells[3]))
    return found


def as_written(path):
    """Returns a path of the schema as the page writes it: mounts.*.type -> mounts[].type."""
    return path.replace(".*", "[]").replace(".{}", "{}")


def without_indexes(origin):
    """Returns the origin of an op as the page writes it: mounts[3] (/data) -> mounts."""
    origin = re.sub(r' \(.*\)$|\["[^"]*"\]$', "", origin)
    return re.sub(r"\[\d+\]", "[]", origin).removesuffix("[]")


def test_every_member_has_a_row():
    schema = {
        as_written(f"{path}.{name}" if path else name)
        for path, part in PARTS.items()
        for name in part.get("properties", ())
    }
    assert members().keys() == schema


def unsupported():
    """Returns what the code refuses for want of support: members of the config by their names, flags with dashes."""
    return {name.rstrip(": ") for name in re.findall(r"([^\"'`\n]+) (?:is|are) not supported by this version", SOURCES)}


def test_what_is_refused_is_what_the_code_refuses():
    refused = {name for name, (text, _, _) in members().items() if text.startswith("**refused**")}
    flags = {name for name in unsupported() if name.startswith("--")}
    assert refused == unsupported() - flags
    for name, (text, ops, _) in members().items():
        inside = {other for other in refused if re.match(re.escape(other) + r"[.\[{]", name)}
        assert ("not supported by this version" in text) == bool(inside), name
        assert not (ops and (inside or name in refused)), name
    table = rows(section(COMMANDS_PAGE, "## Global options"))
    said = {code(cells[0])[0] for cells in table if cells[2].startswith("not supported by this version")}
    assert said == flags


def test_members_without_effect():
    """A member either has parts that have one, or is looked at by a module that the page names."""
    for name, (text, _, files) in members().items():
        assert files or re.search(r"\bsee (its members?\b|\[)", text), name


def test_decision_31_lists_the_same():
    text = section(read("specs/decisions/0031-unsupported-is-refused.md"), "## Decision")
    listed = {code(line)[0] for line in re.findall(r"^- (.*)$", text, flags=re.MULTILINE)}
    assert listed
    assert listed == unsupported()


def test_ops_and_files_of_members_exist():
    known = {*HOST_OPS, *(name for name, _ in INIT_OPS)}
    for name, (_, ops, files) in members().items():
        assert set(ops) <= known, name
        assert all((ROOT / file).is_file() for file in files), name
        if ops:
            assert files, name


def test_members_name_every_op_that_comes_from_them():
    """The ops of all golden plans, by their origin: a reader who looks a member up finds all that becomes of it."""
    page = members()
    seen = set()
    for case in cases.CASES:
        for op in cases.plan_of(case).ops:
            if op.origin:
                name = without_indexes(op.origin)
                assert op.name in page[name][1], f"{name} lacks {op.name}"
                seen.add(name)
    assert len(seen) > 40


# ops of which another module makes the content than the one that makes the op
CONTENTS = {
    "write-cgroup": ("Write(", "def version_1("),
    "attach-devices": ("def program(",),
    "map-ids": ("def write_maps(",),
    "run-hook": ("def run(",),
}


def test_ops_of_members_are_made_where_the_page_says():
    """One of the files has to make the op, or what it is given."""
    for name, (_, ops, files) in members().items():
        sources = "".join(read(file) for file in files)
        for op in ops:
            assert any(word in sources for word in (f'"{op}"', *CONTENTS.get(op, ()))), f"{name}: {op}"


def test_options_of_mounts():
    """Every word that is not the file system's own."""
    table = rows(section(CONFIG_PAGE, "### Options of mounts"))
    found = {word for cells in table for word in code(cells[0])}
    plain = {*names.MOUNT_ATTRIBUTES, *names.PROPAGATIONS, *names.SUPERBLOCK_OPTIONS, *names.IGNORED_OPTIONS}
    assert found == plain | {"bind", "rbind", "remount", "tmpcopyup", "idmap", "ridmap", "r", "rro", "rnosuid"}


def test_bounds_of_the_page():
    """Numbers of entries, as the schema has them."""
    for name, (text, _, _) in members().items():
        most = re.findall(r"[Aa]t most ([\d,]+)(?! of|\.\d)", text)
        (part,) = [part for path, part in PARTS.items() if as_written(path) == name] or [{}]
        bound = part.get("maxItems", part.get("maximum"))
        if most:
            assert bound == int(most[0].replace(",", "")), name
        else:
            assert "maxItems" not in part or "not supported" in text, f"{name} has at most {bound} entries"


# ---- errors.md


def test_hints():
    table = rows(section(read("docs/reference/errors.md"), "## Hints"))
    found = {(code(op)[0].replace("*", ""), getattr(errno, number)): text for op, number, text in table}
    assert found == HINTS


# what stands in the messages of the page for something that is different every time
VARIABLE = (
    r"init is gone: |No module named .x.|PATH|…|running$"
    r'|"?/?\bx\b"?|\bX\b|\bN\b|/etc'
    r"|5\.1\d|\[\d\]|\d|(?:hooks\.)?createRuntime"
)


def test_messages_are_in_the_code():
    """The longest piece of each that is the same every time."""
    for cells in rows(section(read("docs/reference/errors.md"), "## Messages of their own")):
        for text in code(cells[0]):
            pieces = re.split(VARIABLE, text)
            longest = max(pieces, key=len).strip(' ":')
            assert longest.removeprefix("stat ") in SOURCES.replace('\\"', '"') or is_errno(longest), text


def is_errno(text):
    """Whether it is what the operating system says."""
    return text.rpartition(": ")[2] in ("no such file or directory", "permission denied", "is a directory")


# ---- state.md


def typed(file, name):
    """Returns the members of a TypedDict that stands below TYPE_CHECKING."""
    for node in ast.walk(ast.parse(read(file))):
        if isinstance(node, ast.ClassDef) and node.name == name:
            return [part.target.id for part in node.body if isinstance(part, ast.AnnAssign)]
    raise AssertionError(name)


def test_members_of_the_state():
    table = rows(section(read("docs/reference/state.md"), "## state.json"))
    assert [code(cells[0])[0] for cells in table] == typed("pyruntime/state.py", "State")


def test_statuses():
    table = rows(section(read("docs/reference/state.md"), "## The status"))
    found = {code(cells[1])[0] for cells in table}
    assert found == {"creating", "created", "running", "paused", "stopped"}
    method = section_of_method(read("pyruntime/state.py"), "status")
    assert {word for word in re.findall(r'"(\w+)"', method) if word in found} == found


def section_of_method(text, name):
    start = text.index(f"    def {name}(")
    return text[start : text.index("\n    def ", start + 1)]


def test_files_of_a_container():
    from pyruntime import state

    table = rows(section(read("docs/reference/state.md"), "## The state directory"))
    assert {word for cells in table for word in code(cells[0])} == {
        state.STATE, state.CONFIG, state.START, state.STARTED, state.NOTIFY,
    }  # fmt: skip


# ---- kernel.md


def test_the_oldest_kernel():
    version = ".".join(map(str, probe.OLDEST_KERNEL))
    for name in ("docs/reference/kernel.md", "docs/design.md", "docs/guide/install.md", "README.md", "SECURITY.md"):
        assert f"Linux {version}" in read(name), name
    newest = max(
        tuple(map(int, cells[1].split(".")))
        for cells in rows(section(read("docs/reference/kernel.md"), "## What is relied on"))
        if len(cells) == 3
        and "without it" not in cells[2]
        and re.fullmatch(r"\d+\.\d+", cells[1])
        and "MFD" not in cells[0]
    )
    assert newest == probe.OLDEST_KERNEL


def test_system_calls():
    """All that init can ask of the kernel, as init/sys.h wraps it."""
    found = [
        word
        for cells in rows(section(read("docs/reference/kernel.md"), "## System calls of init"))
        for word in code(cells[1])
    ]
    wrapped = re.findall(r"^static inline (?:_Noreturn )?\w+ sys_(\w+)\(", read("init/sys.h"), flags=re.MULTILINE)
    assert sorted(found) == sorted(wrapped)
    for name in wrapped:
        assert f"__NR_{name}" in read("init/sys.h")
