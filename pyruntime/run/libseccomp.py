"""Compiles linux.seccomp to the kernel's instructions, with libseccomp, bound by cffi when a filter is first needed.

The functions are declared in install/bindings.py, from which the build makes run/_libseccomp.py: so neither a compiler
nor a parser of C is needed at run time.
"""

import posix
from _struct import pack

from ..errors import ConfigError, error_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..config.model import Seccomp, SeccompArg, SeccompRule

LIBRARY = "libseccomp.so.2"
ORIGIN = "linux.seccomp"

# linux/seccomp.h
KILL_THREAD, KILL_PROCESS, TRAP, ERRNO = 0x00000000, 0x80000000, 0x00030000, 0x00050000
NOTIFY, TRACE, LOG, ALLOW = 0x7FC00000, 0x7FF00000, 0x7FFC0000, 0x7FFF0000
ACTIONS = {
    "SCMP_ACT_KILL": KILL_THREAD,
    "SCMP_ACT_KILL_THREAD": KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": KILL_PROCESS,
    "SCMP_ACT_TRAP": TRAP,
    "SCMP_ACT_ERRNO": ERRNO,
    "SCMP_ACT_TRACE": TRACE,
    "SCMP_ACT_LOG": LOG,
    "SCMP_ACT_ALLOW": ALLOW,
    "SCMP_ACT_NOTIFY": NOTIFY,
}
EPERM, EFAULT, EEXIST, ENOSYS = 1, 14, 17, 38
SET_MODE_FILTER = 1
# seccomp_rule_add(3)
COMPARISONS = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}
# config-linux.md, Seccomp
ARCHITECTURES = (
    "SCMP_ARCH_AARCH64",
    "SCMP_ARCH_ARM",
    "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_M68K",
    "SCMP_ARCH_MIPS",
    "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",
    "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PARISC",
    "SCMP_ARCH_PARISC64",
    "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE",
    "SCMP_ARCH_RISCV64",
    "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",
    "SCMP_ARCH_SH",
    "SCMP_ARCH_SHEB",
    "SCMP_ARCH_X32",
    "SCMP_ARCH_X86",
    "SCMP_ARCH_X86_64",
)
# seccomp_attr_set(3)
CTL_NNP, CTL_OPTIMIZE = 3, 8
# from so many rules on a binary tree beats a list; with none at all some versions fail to make one
TREE_RULES = 32


class Filter:
    """A filter in the making. The context of libseccomp belongs to this object; close() frees it."""

    def __init__(self, seccomp: "Seccomp") -> None:
        """Raises ConfigError when the library is not there."""
        self._seccomp = seccomp
        self._ffi, self._library = _load()
        self._default = _action(seccomp["defaultAction"], seccomp.get("defaultErrnoRet"))
        self._context = self._library.seccomp_init(self._default)
        if self._context == self._ffi.NULL:
            raise ConfigError(f"{ORIGIN}.defaultAction", f"libseccomp does not know {seccomp['defaultAction']}")
        self.architectures = {"native": int(self._library.seccomp_arch_native())}

    def close(self) -> None:
        self._library.seccomp_release(self._context)

    def _check(self, result: int, origin: str, what: str) -> None:
        if result < 0:
            raise ConfigError(origin, f"{what}: {error_text(-result)}")

    def build(self) -> None:
        """Adds all that the config asks for. Raises ConfigError."""
        for number, name in enumerate(self._seccomp.get("architectures", ())):
            self._add_architecture(f"{ORIGIN}.architectures[{number}]", name)
        # whether new privileges can be had is for process.noNewPrivileges to say
        self._check(self._library.seccomp_attr_set(self._context, CTL_NNP, 0), ORIGIN, "no_new_privs")
        rules = self._seccomp.get("syscalls", [])
        if sum(len(rule["names"]) for rule in rules) > TREE_RULES:
            # older versions have no such attribute, and need none
            self._library.seccomp_attr_set(self._context, CTL_OPTIMIZE, 2)
        for number, rule in enumerate(rules):
            self._add_rule(f"{ORIGIN}.syscalls[{number}]", rule)

    def _add_architecture(self, origin: str, name: str) -> None:
        token = int(self._library.seccomp_arch_resolve_name(_library_name(name)))
        if token == 0:
            raise ConfigError(origin, f"this version of libseccomp does not know {name}")
        result = self._library.seccomp_arch_add(self._context, token)
        if result != -EEXIST:  # the native one is there from the beginning
            self._check(result, origin, f"error adding architecture {name}")
        if token != self.architectures["native"]:
            self.architectures[name] = token

    def _add_rule(self, origin: str, rule: "SeccompRule") -> None:
        action = _action(rule["action"], rule.get("errnoRet"))
        if action == self._default:
            return  # it says nothing new, and libseccomp refuses it
        conditions = [self._condition(argument) for argument in rule.get("args", ())]
        for name in rule["names"]:
            # one that this library does not know is one that the kernel's default action is for
            number = self._library.seccomp_syscall_resolve_name(name.encode())
            if number == -1:
                continue
            for group in _groups(rule.get("args", ()), conditions):
                arguments = self._ffi.new("struct scmp_arg_cmp[]", group)
                result = self._library.seccomp_rule_add_array(self._context, action, number, len(group), arguments)
                self._check(result, origin, f"error adding seccomp filter rule for syscall {name}")

    def _condition(self, argument: "SeccompArg") -> tuple[int, int, int, int]:
        operator = COMPARISONS[argument["op"]]
        return argument["index"], operator, argument["value"], argument.get("valueTwo", 0)

    def largest(self, token: int) -> int:
        """Returns the largest number that a system call named in the filter has on an architecture; -1 if none has."""
        numbers = [-1]
        for rule in self._seccomp.get("syscalls", ()):
            for name in rule["names"]:
                numbers.append(int(self._library.seccomp_syscall_resolve_name_arch(token, name.encode())))
        return max(numbers)

    def export(self) -> bytes:
        """Returns the instructions."""
        fd = posix.memfd_create("filter", posix.MFD_CLOEXEC)
        try:
            self._check(self._library.seccomp_export_bpf(self._context, fd), ORIGIN, "error exporting the filter")
            return posix.pread(fd, posix.fstat(fd).st_size, 0)
        finally:
            posix.close(fd)


# cffi closes a library that nobody holds any more, and takes away what its functions have returned
_loaded: "dict[str, Any]" = {}


def _load() -> "tuple[Any, Any]":
    try:
        from ._libseccomp import ffi
    except ImportError as error:
        problem = f"a filter needs the Python package cffi, which cannot be imported: {error}"
        raise ConfigError(ORIGIN, problem) from None
    if "library" in _loaded:
        return ffi, _loaded["library"]
    try:
        _loaded["library"] = ffi.dlopen(LIBRARY)
    except OSError as error:
        problem = f"a filter needs libseccomp, which cannot be loaded: {error} (Debian's package is libseccomp2)"
        raise ConfigError(ORIGIN, problem) from None
    return ffi, _loaded["library"]


def version() -> str:
    """Returns the version of libseccomp, as in 2.5.4. Raises ConfigError."""
    found = _load()[1].seccomp_version()
    return f"{found.major}.{found.minor}.{found.micro}"


def architectures() -> list[str]:
    """Returns the names of those that this version of libseccomp knows. Raises ConfigError."""
    resolve = _load()[1].seccomp_arch_resolve_name
    return [name for name in ARCHITECTURES if resolve(_library_name(name))]


def _library_name(architecture: str) -> bytes:
    return architecture.removeprefix("SCMP_ARCH_").lower().encode()


def kernel_takes(flag: int) -> bool:
    """Whether the kernel knows a flag of seccomp(2): with one that it does not know it never looks at the filter."""
    from ..config.kernel import FILTER_NEW_LISTENER, FILTER_WAIT_KILLABLE_RECV

    if flag == FILTER_WAIT_KILLABLE_RECV:
        flag |= FILTER_NEW_LISTENER
    ffi, library = _load()
    number = library.seccomp_syscall_resolve_name(b"seccomp")
    operation, flags = ffi.cast("unsigned int", SET_MODE_FILTER), ffi.cast("unsigned int", flag)
    ffi.dlopen(None).syscall(number, operation, flags, ffi.NULL)
    return bool(ffi.errno == EFAULT)


def _action(name: str, number: int | None) -> int:
    """Returns the value that a filter gives back for an action."""
    action = ACTIONS[name]
    return action | (EPERM if number is None else number) if action in (ERRNO, TRACE) else action


def _groups(
    arguments: "list[SeccompArg] | tuple[()]", conditions: "list[tuple[int, int, int, int]]"
) -> "list[list[tuple[int, int, int, int]]]":
    """Returns the conditions of each rule to add.

    All conditions of an entry have to hold; but two on the same argument are alternatives, as they always were in
    profiles made for runc, and then each makes a rule of its own.
    """
    indexes = [argument["index"] for argument in arguments]
    if len(set(indexes)) < len(indexes):
        return [[condition] for condition in conditions]
    return [conditions]


# ---- in front of it: what the profile cannot know of

# linux/bpf_common.h; the context is struct seccomp_data: nr at 0, arch at 4
LD_ABS, JEQ, JGT, JSET, JA, RET = 0x20, 0x15, 0x25, 0x45, 0x05, 0x06
X32_BIT = 0x40000000
AUDIT_ARCH_X86_64 = 0xC000003E
SCMP_ARCH_X32 = 0x4000003E


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return pack("=HBBI", code, if_true, if_false, value)


RET_ENOSYS = _instruction(RET, ERRNO | ENOSYS)


def newer_calls(largest: dict[int, int]) -> bytes:
    """Returns instructions that answer ENOSYS for system calls newer than a profile.

    `largest` gives for each architecture (as libseccomp numbers them) the largest number that the profile names. A
    program that tries a new call and falls back to an old one looks for ENOSYS; the profile's default, usually EPERM,
    would make it give up. What is not newer goes on to the instructions behind these.
    """
    sections: list[tuple[int, bytes]] = []
    for token, number in largest.items():
        if number < 0 or token == SCMP_ARCH_X32:
            continue
        section = _instruction(LD_ABS, 0)
        if token == AUDIT_ARCH_X86_64:
            # numbers with this bit are those of x32, which has the same architecture
            x32 = largest.get(SCMP_ARCH_X32, -1)
            if x32 >= 0:
                section += _instruction(JSET, X32_BIT, 0, 2) + _instruction(JGT, x32, 2, 3) + _instruction(JA, 2)
                section += _instruction(JGT, number, 0, 1) + RET_ENOSYS
            else:
                section += _instruction(JSET, X32_BIT, 2, 0) + _instruction(JGT, number, 0, 1) + RET_ENOSYS
        else:
            section += _instruction(JGT, number, 0, 1) + RET_ENOSYS
        sections.append((token, section))
    code = _instruction(LD_ABS, 4)
    left = sum(len(section) // 8 + 2 for _, section in sections)
    for token, section in sections:
        size = len(section) // 8
        left -= size + 2
        # the last instruction of a section leads behind all of them
        code += _instruction(JEQ, token, 0, size + 1) + section + _instruction(JA, left)
    return code if sections else b""


def compile_filter(seccomp: "Seccomp") -> bytes:
    """Returns the instructions for linux.seccomp. Raises ConfigError."""
    made = Filter(seccomp)
    try:
        made.build()
        program = made.export()
        answers = _action(seccomp["defaultAction"], seccomp.get("defaultErrnoRet"))
        # where the default is to let calls through, or to ask a tracer, new ones are nothing special
        if answers in (ALLOW, LOG, ERRNO | ENOSYS) or answers & 0x7FFF0000 == TRACE:
            return program
        return newer_calls({token: made.largest(token) for token in made.architectures.values()}) + program
    finally:
        made.close()
