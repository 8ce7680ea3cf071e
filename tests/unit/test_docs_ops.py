"""The vocabulary of plans is written down three times: init/ops.def, pyruntime/plan/ops.py, specs/ops.md. They agree.

So do the numbers that C and Python have for the same thing.
"""

import inspect
import re
import sys
from pathlib import Path

import pytest
from documents import ROOT, blocks, code, read, rows, section

from install.generate import op_table
from pyruntime.plan import form, ops
from pyruntime.run import hooks, message
from pyruntime.run.exec import Execution
from pyruntime.run.host import Executor

sys.path.insert(0, str(ROOT / "tests/golden"))

import cases

INIT = ROOT / "init"
PAGE = read("specs/ops.md")
OPS = {name: text for lane in ("init", "host") for name, text in [(lane, section(PAGE, f"# The {lane} lane"))]}


def documented(lane):
    """Returns the ops of a lane as the page has them: name -> (arguments, text)."""
    found = {}
    for part in re.split(r"^### ", OPS[lane], flags=re.MULTILINE)[1:]:
        name, _, text = part.partition("\n")
        (signature,) = re.findall(r"^    (.+)$", text, flags=re.MULTILINE)
        found[name] = ([] if signature == "no arguments" else signature.split(", "), text)
    return found


FLAGS = ("ATTACH_", "SYMLINK_", "DIRECTORY_", "CONSOLE_", "IDMAP_", "FILE_")


def defines():
    """Returns the numbers that init's sources define, by name, for those that are plain numbers."""
    found = {}
    for path in sorted(INIT.glob("*.[ch]")):
        for name, value in re.findall(
            r"^#define (\w+) +\(?(0x[0-9a-f]+|[0-9]+)[uUlL]*(?=[\s;]|$)", path.read_text(), re.MULTILINE
        ):
            number = literal(value)
            assert found.setdefault(name, number) == number, f"{name} has two values"
    return found


def literal(text):
    """Returns the number that C reads: one that begins with 0 is octal."""
    return int(text, 8) if len(text) > 1 and text.isdigit() and text[0] == "0" else int(text, 0)


def enumerations():
    """Returns the members of message_kind in init/init.h."""
    (body,) = re.findall(r"enum message_kind \{([^}]*)\}", (INIT / "init.h").read_text())
    return {name: int(value) for name, value in re.findall(r"(\w+) = (\d+)", body)}


def test_python_has_the_ops_of_c():
    assert list(ops.INIT_OPS) == op_table()


def test_the_table_has_no_line_that_is_passed_over():
    """What reads the table looks for lines of one form: a line of another would have no number in Python."""
    lines = [line for line in (INIT / "ops.def").read_text().splitlines() if line.startswith("OP(")]
    assert len(lines) == len(op_table()) == len(set(op_table()))


def test_the_page_has_the_ops_of_the_init_lane():
    found = [
        (name, "".join(argument.split(" ")[1] for argument in args)) for name, (args, _) in documented("init").items()
    ]
    assert found == list(ops.INIT_OPS)


def test_the_page_has_the_ops_of_the_host_lane():
    assert tuple(documented("host")) == ops.HOST_OPS


def test_arguments_of_the_host_lane():
    """Python's own ops have no signature: what the compiler gives them counts."""
    page = documented("host")
    seen = set()
    for name in cases.CASES:
        for op in cases.plan_of(name).ops:
            if op.lane == ops.HOST:
                assert len(op.args) == len(page[op.name][0]), op.name
                seen.add(op.name)
    assert seen == set(ops.HOST_OPS)


def test_functions_are_where_the_page_says():
    for name, (_, text) in documented("init").items():
        (file,) = re.findall(r"In\s`(init/\w+\.c)`", text)
        assert f"\nint op_{name.replace('-', '_')}(" in read(file), f"{name} is not in {file}"


@pytest.mark.parametrize("lane", [Executor, Execution])
def test_host_ops_are_methods(lane):
    """Each op is carried out by the method of its name, and the class has it, or what the class inherits from."""
    source = "".join(inspect.getsource(kind) for kind in lane.__mro__ if kind is not object)
    for name in ops.HOST_OPS if lane is Executor else lane.operations:
        method = name.replace("-", "_")
        assert f"    def {method}(self, op: Op)" in source, name
        assert lane.operations[name] is getattr(lane, method), name
    assert set(lane.operations) <= set(ops.HOST_OPS)


def test_classes_of_the_host_lane_are_where_the_page_says():
    found = dict(re.findall(r"of\s`([A-Z]\w+)`\sin\s`(pyruntime/run/\w+\.py)`", OPS["host"]))
    assert found.keys() == {"Executor", "Execution", "Lane"}
    for name, file in found.items():
        assert f"\nclass {name}" in read(file), name


def test_exec_can_carry_out_the_ops_that_it_has():
    """Its plans have a part of the host lane; the page says which."""
    found = {
        op.name
        for name in cases.CASES
        if name.startswith("exec-")
        for op in cases.plan_of(name).ops
        if op.lane == ops.HOST
    }
    assert found == Execution.operations.keys()
    (sentence,) = re.findall(r"`exec` has ([^.]*)\.", OPS["host"])
    assert set(code(sentence)) == found


def test_steps_of_the_page_are_steps_of_the_code():
    """In italics stands what an op notes of itself; it ends up in messages."""
    for name, (_, text) in documented("init").items():
        _, _, failures = text.partition("\nFails:")
        sources = "".join(path.read_text() for path in INIT.glob("*.c"))
        for step in re.findall(r"(?<!\*)\*([^*]+)\*(?!\*)", failures.replace("\n", " ")):
            words = step.removesuffix(" PATH")
            assert f'"{words}' in sources, f"{name}: {step}"


def test_numbers_that_both_sides_have():
    both = {name: value for name, value in defines().items() if hasattr(ops, name)}
    for name, value in both.items():
        assert getattr(ops, name) == value, name
    # whoever takes one away on either side should say so here
    assert set(both) == {
        *(
            name
            for name in dir(ops)
            if name.startswith(("ATTACH_", "SYMLINK_", "DIRECTORY_", "CONSOLE_", "IDMAP_", "FILE_"))
        ),
        "PROGRAM_NOWHERE",
    } | ({"PROGRAM_SEARCH", "REMOUNT_FILESYSTEM"} & set(defines()))


@pytest.mark.parametrize("prefix", ["ATTACH_", "SYMLINK_", "PROGRAM_", "DIRECTORY_", "CONSOLE_", "REMOUNT_", "IDMAP_"])
def test_flags_of_the_page(prefix):
    wanted = {name: getattr(ops, name) for name in dir(ops) if name.startswith(prefix)}
    assert wanted
    found = {name: int(value) for name, value in re.findall(rf"`({prefix}\w+)` (\d+)", PAGE)}
    assert found == wanted


def test_flags_are_bits_of_their_own():
    for prefix in ("ATTACH_", "SYMLINK_", "PROGRAM_"):
        values = [getattr(ops, name) for name in dir(ops) if name.startswith(prefix)]
        assert sorted(values) == [1 << bit for bit in range(len(values))]


def test_slots():
    """The last one is for init itself, and a plan may not use it."""
    assert defines()["PLAN_MAX_SLOTS"] - 2 == ops.LAST_SLOT
    assert "#define PLAN_OLD_ROOT (PLAN_MAX_SLOTS - 1)" in read("init/plan.h")
    slots = {name: value for name, value in vars(ops).items() if name.startswith("SLOT_")}
    assert sorted(slots.values()) == list(range(1, ops.FIRST_FREE_SLOT))
    last = ops.FIRST_FREE_SLOT - 1
    (sentence,) = re.findall(rf"Slots 1 to {last} have fixed meanings: (.*?)From {last + 1}", PAGE, flags=re.DOTALL)
    words = re.sub(r"[`\n()]|fifo|socket", " ", sentence)
    found = re.findall(r"(\d) +(\w+)", words)
    assert [(int(number), f"SLOT_{word.upper()}") for number, word in found] == [(v, k) for k, v in slots.items()]
    assert f"{ops.LAST_SLOT + 1} is init's own" in PAGE


def test_barriers():
    (sentence,) = re.findall(r"Numbers: (.*?)\. In `", PAGE, flags=re.DOTALL)
    found = {int(number): words for number, words in re.findall(r"(\d) ([a-z ]+)", sentence.replace("\n", " "))}
    assert found == ops.BARRIER_NAMES


def test_messages():
    names = ("CLONED", "BARRIER", "ERROR", "STEP", "STARTED", "OFFER")
    assert enumerations() == {f"MESSAGE_{name}": getattr(message, name) for name in names}
    (size,) = re.findall(r"char text\[(\d+)\];", read("init/message.c"))
    (noted,) = re.findall(r"char detail_buffer\[(\d+)\];", read("init/init.h"))
    assert int(noted) <= int(size) <= message.MESSAGE_MAX - message.HEADER_SIZE


def test_the_plan_as_bytes():
    """pyruntime/plan/form.py writes what init/plan.h describes."""
    (magic,) = re.findall(r"#define PLAN_MAGIC (0x[0-9a-f]+)ULL", read("init/plan.h"))
    assert int(magic, 16).to_bytes(8, "little") == form.MAGIC
    assert defines()["PLAN_STEP"] == form.STEP
    (body,) = re.findall(r"struct plan_header \{(.*?)\n\};", read("init/plan.h"), flags=re.DOTALL)
    letters = {"u64": "Q", "u32": "I", "i32": "i"}
    fields = [letters[kind] for kind in re.findall(r"^\t(u64|u32|i32) \w+;", body, flags=re.MULTILINE)]
    # the magic is a number in C and eight bytes in Python
    assert "<8s" + "".join(fields[1:]) == form.HEADER
    assert max(len(signature) for _, signature in ops.INIT_OPS) <= defines()["PLAN_MAX_ARGS"]


def test_what_is_kept_of_a_hooks_output():
    """Both lanes run hooks; the page has one number for them."""
    assert defines()["KEPT_OUTPUT"] == hooks.KEPT_OUTPUT
    assert f"Up to {hooks.KEPT_OUTPUT:,} bytes" in documented("init")["hook"][1]


def test_letters_of_the_page():
    letters = {code(cells[0])[0] for cells in rows(section(PAGE, "## How to read this page"))}
    assert letters == set("".join(signature for _, signature in ops.INIT_OPS))
    assert set(re.findall(r"^ \*     (\w) ", read("init/ops.def"), flags=re.MULTILINE)) <= letters


@pytest.mark.parametrize("name", ["init/ops.def", "pyruntime/plan/ops.py"])
def test_both_name_the_page(name):
    assert "specs/ops.md" in read(name)
    assert "test" in read(name)


def test_the_page_names_this_file():
    assert f"tests/unit/{Path(__file__).name}" in PAGE
    assert blocks(PAGE) == []
