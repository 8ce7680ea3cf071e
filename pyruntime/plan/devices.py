"""linux.resources.devices: the rules, as lines for cgroup v1 and as a BPF program for v2.

Both start from "nothing is allowed", apply the rules in their order (the last that matches decides), and end with what
every container may use: the default devices, terminals, and making (not opening) any device node.
"""

from _struct import pack

from ..errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..config.model import DeviceRule

ALL = -1

# linux/bpf.h: access bits and device types of struct bpf_cgroup_dev_ctx
MKNOD, READ, WRITE = 1, 2, 4
EVERYTHING = MKNOD | READ | WRITE
LETTERS = (("r", READ), ("w", WRITE), ("m", MKNOD))
BLOCK, CHAR = 1, 2


class Rule:
    """One rule: `kind` is "b" or "c", `major` and `minor` a number or ALL, `access` of MKNOD, READ, WRITE."""

    __slots__ = ("access", "allow", "kind", "major", "minor")

    def __init__(self, allow: bool, kind: str, major: int, minor: int, access: int) -> None:
        self.allow = allow
        self.kind = kind
        self.major = major
        self.minor = minor
        self.access = access

    def is_everything(self) -> bool:
        return self.major == ALL and self.minor == ALL and self.access == EVERYTHING

    def complements(self, other: "Rule") -> bool:
        """Whether the two decide about all devices, and the same."""
        both = self.is_everything() and other.is_everything()
        return both and self.kind != other.kind and self.allow == other.allow


# what runc allows in every container, and its users' images count on
DEFAULT_RULES = (
    Rule(True, "c", ALL, ALL, MKNOD),
    Rule(True, "b", ALL, ALL, MKNOD),
    Rule(True, "c", 1, 3, EVERYTHING),  # null
    Rule(True, "c", 1, 5, EVERYTHING),  # zero
    Rule(True, "c", 1, 7, EVERYTHING),  # full
    Rule(True, "c", 1, 8, EVERYTHING),  # random
    Rule(True, "c", 1, 9, EVERYTHING),  # urandom
    Rule(True, "c", 5, 0, EVERYTHING),  # tty
    Rule(True, "c", 5, 2, EVERYTHING),  # ptmx
    Rule(True, "c", 136, ALL, EVERYTHING),  # pts/*
)


def rules(wanted: "Sequence[DeviceRule]") -> list[Rule]:
    """Returns the config's rules and the default ones. A rule for type "a" becomes one for each type, so that its
    access and numbers hold."""
    result = []
    for rule in wanted:
        letters = rule.get("access") or "rwm"
        access = sum(bit for letter, bit in LETTERS if letter in letters)
        kind = rule.get("type") or "a"
        major, minor = rule.get("major", ALL), rule.get("minor", ALL)
        result += [Rule(rule["allow"], each, major, minor, access) for each in ("bc" if kind == "a" else kind)]
    result.extend(DEFAULT_RULES)
    return result


def version_1(wanted: "Sequence[Rule]") -> list[tuple[str, str]]:
    """Returns what to write: (file, line). See the kernel's cgroup-v1/devices.

    A v1 cgroup has one default and a list of exceptions from it, and taking away an exception takes away exactly what
    was added. Writing the rules one by one would therefore silently lose a denial of part of what is allowed. So the
    rules are worked out here, and what the kernel cannot express is an error.
    """
    state = _Exceptions()
    for index, rule in enumerate(wanted):
        state.apply(rule, wanted[index - 1] if index else None)
    default, other = ("devices.allow", "devices.deny") if state.allow else ("devices.deny", "devices.allow")
    lines = [(default, "a")]
    for (kind, major, minor), access in state.exceptions.items():
        letters = "".join(letter for letter, bit in LETTERS if access & bit)
        numbers = ":".join("*" if number == ALL else str(number) for number in (major, minor))
        lines.append((other, f"{kind} {numbers} {letters}"))
    return lines


class _Exceptions:
    """The kernel's own picture of a v1 devices cgroup: a default, and the exceptions from it."""

    def __init__(self) -> None:
        self.allow = False
        self.exceptions: dict[tuple[str, int, int], int] = {}

    def apply(self, rule: Rule, before: Rule | None) -> None:
        if before is not None and before.complements(rule):
            self.allow = rule.allow
            self.exceptions.clear()
            return
        if rule.allow != self.allow:
            key = (rule.kind, rule.major, rule.minor)
            self.exceptions[key] = self.exceptions.get(key, 0) | rule.access
        else:
            self._take_back(rule)

    def _take_back(self, rule: Rule) -> None:
        for key, access in list(self.exceptions.items()):
            kind, major, minor = key
            overlaps = kind == rule.kind and _overlap(major, rule.major) and _overlap(minor, rule.minor)
            if not (overlaps and access & rule.access):
                continue
            if rule.major not in (ALL, major) or rule.minor not in (ALL, minor):
                what = "allow" if rule.allow else "deny"
                raise ConfigError(
                    "linux.resources.devices",
                    f"cgroup v1 cannot {what} {rule.kind} {rule.major}:{rule.minor} as an exception from a wider rule",
                )
            if access & ~rule.access:
                self.exceptions[key] = access & ~rule.access
            else:
                del self.exceptions[key]


def _overlap(one: int, other: int) -> bool:
    return ALL in (one, other) or one == other


# ---- the BPF program: linux/bpf.h, the kernel's bpf/instruction-set

R0, R1, R2, R3, R4, R5 = range(6)
LDX_W = 0x61  # dst = *(u32 *)(src + offset)
MOV32_REG, MOV64_IMM = 0xBC, 0xB7
AND32_IMM, RSH32_IMM = 0x54, 0x74
JEQ32_IMM, JNE32_IMM = 0x16, 0x56  # the 64-bit forms would extend the sign of a large number
EXIT = 0x95


def _instruction(code: int, dst: int = 0, src: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return pack("<BBhI", code, dst | src << 4, offset, value)


# context: access_type (access << 16 | type), major, minor. R2 type, R3 access, R4 major, R5 minor.
PROLOGUE = (
    _instruction(LDX_W, R2, R1, 0),
    _instruction(AND32_IMM, R2, value=0xFFFF),
    _instruction(LDX_W, R3, R1, 0),
    _instruction(RSH32_IMM, R3, value=16),
    _instruction(LDX_W, R4, R1, 4),
    _instruction(LDX_W, R5, R1, 8),
)


def program(wanted: "Sequence[Rule]") -> bytes:
    """Returns the instructions of a program that answers like the rules.

    For each of reading, writing and making, the last rule that matches decides, so they are tested from the last to
    the first. R3 holds the access that is still to be decided about: a rule that allows takes its own away, and when
    none is left the answer is yes; one that denies any of it is a no.
    """
    blocks = [_block(rule) for rule in reversed(wanted)]
    return b"".join([*PROLOGUE, *blocks, _verdict(False)])


def _verdict(allow: bool) -> bytes:
    return _instruction(MOV64_IMM, R0, value=int(allow)) + _instruction(EXIT)


def _block(rule: Rule) -> bytes:
    """Tests one rule; a test that fails jumps behind the block."""
    # instructions before the jump, jump, register, value
    tests = [(b"", JNE32_IMM, R2, BLOCK if rule.kind == "b" else CHAR)]
    if rule.major != ALL:
        tests.append((b"", JNE32_IMM, R4, rule.major))
    if rule.minor != ALL:
        tests.append((b"", JNE32_IMM, R5, rule.minor))
    if rule.access != EVERYTHING:
        if rule.allow:
            tests.append((_instruction(AND32_IMM, R3, value=EVERYTHING & ~rule.access), JNE32_IMM, R3, 0))
        else:
            part = _instruction(MOV32_REG, R1, R3) + _instruction(AND32_IMM, R1, value=rule.access)
            tests.append((part, JEQ32_IMM, R1, 0))
    verdict = _verdict(rule.allow)
    left = sum(len(before) // 8 + 1 for before, *_ in tests) + len(verdict) // 8
    block = b""
    for before, jump, register, value in tests:
        left -= len(before) // 8 + 1
        block += before + _instruction(jump, register, 0, left, value)
    return block + verdict
