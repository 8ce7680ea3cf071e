"""linux.resources.devices: the BPF program and the lines for cgroup v1 both say what the rules say."""

from struct import iter_unpack

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyruntime.errors import ConfigError
from pyruntime.plan import devices

READ, WRITE, MKNOD = devices.READ, devices.WRITE, devices.MKNOD
BITS = {"r": READ, "w": WRITE, "m": MKNOD}
NUMBERS = st.sampled_from([0, 1, 2, 3, 5, 136, 0xFFFFF, 0xFFFFFFFF])


RULES = st.fixed_dictionaries(
    {"allow": st.booleans()},
    optional={
        "type": st.sampled_from(["a", "b", "c"]),
        "major": NUMBERS,
        "minor": NUMBERS,
        "access": st.sampled_from(["r", "w", "m", "rw", "rm", "wm", "rwm"]),
    },
)
requests = st.tuples(st.sampled_from("bc"), NUMBERS, NUMBERS, st.integers(1, 7))


def model(rules, kind, major, minor, access):
    """What config-linux.md says, as plainly as it can be said: each access is decided by the last rule that has it."""
    for bit in BITS.values():
        if not access & bit:
            continue
        allowed = False
        for entry in rules:
            letters = entry.get("access", "rwm")
            if (
                entry.get("type", "a") in ("a", kind)
                and entry.get("major", major) == major
                and entry.get("minor", minor) == minor
                and any(BITS[letter] == bit for letter in letters)
            ):
                allowed = entry["allow"]
        if not allowed:
            return False
    return True


DEFAULTS = [
    {"allow": True, "type": "c", "access": "m"},
    {"allow": True, "type": "b", "access": "m"},
    *({"allow": True, "type": "c", "major": 1, "minor": minor} for minor in (3, 5, 7, 8, 9)),
    *({"allow": True, "type": "c", "major": 5, "minor": minor} for minor in (0, 2)),
    {"allow": True, "type": "c", "major": 136},
]


def execute(program, kind, major, minor, access):
    """Interprets the few instructions that the compiler uses (the kernel's bpf/instruction-set), with its rules:
    32-bit operations clear the upper half, jumps go forward, registers must have been written."""
    memory = {0: access << 16 | (devices.BLOCK if kind == "b" else devices.CHAR), 4: major, 8: minor}
    registers = {1: memory}
    code = list(iter_unpack("<BBhI", program))
    at = 0
    while True:
        opcode, pair, offset, value = code[at]
        target, source = pair & 15, pair >> 4
        at += 1
        match opcode:
            case devices.LDX_W:
                registers[target] = registers[source][offset]
            case devices.MOV32_REG:
                registers[target] = registers[source] & 0xFFFFFFFF
            case devices.MOV64_IMM:
                registers[target] = value
            case devices.AND32_IMM:
                registers[target] = registers[target] & value
            case devices.RSH32_IMM:
                registers[target] = (registers[target] & 0xFFFFFFFF) >> value
            case devices.JEQ32_IMM | devices.JNE32_IMM:
                assert offset >= 0
                if (registers[target] & 0xFFFFFFFF == value) is (opcode == devices.JEQ32_IMM):
                    at += offset
            case devices.EXIT:
                return bool(registers[0])
            case _:
                pytest.fail(f"instruction {opcode:#x}")


@given(st.lists(RULES, max_size=8), requests)
@example([{"allow": True, "access": "r"}, {"allow": True, "access": "w"}], ("b", 8, 0, READ | WRITE))
@example([{"allow": True}, {"allow": False, "access": "w"}], ("b", 8, 0, READ))
def test_program_answers_like_the_rules(rules, request):
    assert execute(devices.program(devices.rules(rules)), *request) == model([*rules, *DEFAULTS], *request)


@given(st.lists(RULES, max_size=60))
def test_program_is_one_the_kernel_takes(rules):
    """Every jump lands inside, every path ends in an exit, and it is short enough for any kernel."""
    code = list(iter_unpack("<BBhI", devices.program(devices.rules(rules))))
    assert len(code) < 4096
    assert code[-1][0] == devices.EXIT
    for at, (opcode, _, offset, _) in enumerate(code):
        if opcode in (devices.JEQ32_IMM, devices.JNE32_IMM):
            assert at + 1 + offset < len(code)


class Kernel:
    """The devices controller of cgroup v1 (security/device_cgroup.c), as far as a single cgroup goes."""

    def __init__(self):
        self.allow = True
        self.exceptions = []

    def write(self, file, line):
        allow = file == "devices.allow"
        if line == "a":
            self.allow = allow
            self.exceptions = []
            return
        kind, numbers, letters = line.split()
        major, minor = (None if number == "*" else int(number) for number in numbers.split(":"))
        access = sum(BITS[letter] for letter in letters)
        if allow == self.allow:
            # taking back: only the very same device
            for entry in self.exceptions:
                if entry[:3] == [kind, major, minor]:
                    entry[3] &= ~access
            self.exceptions = [entry for entry in self.exceptions if entry[3]]
        else:
            for entry in self.exceptions:
                if entry[:3] == [kind, major, minor]:
                    entry[3] |= access
                    return
            self.exceptions.append([kind, major, minor, access])

    def permits(self, kind, major, minor, access):
        def matches(entry):
            return entry[0] == kind and entry[1] in (None, major) and entry[2] in (None, minor)

        if self.allow:  # match_exception_partial: any of it is enough to deny
            return not any(matches(entry) and entry[3] & access for entry in self.exceptions)
        # match_exception: one that has all of it is needed
        return any(matches(entry) and not access & ~entry[3] for entry in self.exceptions)


@given(st.lists(RULES, max_size=8), requests)
def test_lines_for_version_1_answer_like_the_rules(rules, request):
    """Or there are no lines, but an error. The kernel wants one exception to cover all of the access asked for, so
    rules that allow reading and writing of overlapping devices apart may deny more; never may they allow more."""
    try:
        lines = devices.version_1(devices.rules(rules))
    except ConfigError:
        return
    kernel = Kernel()
    for file, line in lines:
        kernel.write(file, line)
    expected = model([*rules, *DEFAULTS], *request)
    answer = kernel.permits(*request)
    assert answer <= expected
    access = request[3]
    if access in BITS.values():
        assert answer == expected


def test_usual_lines_for_version_1():
    """What Docker asks for: nothing, then what every container may."""
    assert devices.version_1(devices.rules([{"allow": False, "access": "rwm"}])) == [
        ("devices.deny", "a"),
        ("devices.allow", "c *:* m"),
        ("devices.allow", "b *:* m"),
        ("devices.allow", "c 1:3 rwm"),
        ("devices.allow", "c 1:5 rwm"),
        ("devices.allow", "c 1:7 rwm"),
        ("devices.allow", "c 1:8 rwm"),
        ("devices.allow", "c 1:9 rwm"),
        ("devices.allow", "c 5:0 rwm"),
        ("devices.allow", "c 5:2 rwm"),
        ("devices.allow", "c 136:* rwm"),
    ]


def test_everything_allowed_and_one_taken_back():
    wanted = [{"allow": True, "access": "rwm"}, {"allow": False, "type": "b", "major": 8, "minor": 0, "access": "w"}]
    assert devices.version_1(devices.rules(wanted)) == [("devices.allow", "a"), ("devices.deny", "b 8:0 w")]


def test_what_version_1_cannot_say_is_an_error():
    wanted = [{"allow": True, "type": "c", "major": 10}, {"allow": False, "type": "c", "major": 10, "minor": 200}]
    with pytest.raises(ConfigError, match=r"cgroup v1 cannot deny c 10:200 as an exception from a wider rule"):
        devices.version_1(devices.rules(wanted))
