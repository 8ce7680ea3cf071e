"""Signals by name (signal(7))."""

from ..errors import PyruntimeError

NAMES = (
    "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG "
    "XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"
).split()
OTHER_NAMES = {"IOT": 6, "CLD": 17, "POLL": 29, "UNUSED": 31}
# as libc counts them: it keeps two real-time signals for itself
SIGRTMIN, SIGRTMAX = 34, 64


def number(text: str) -> int:
    """Returns the number of a signal given by number or name, with or without SIG. Raises PyruntimeError."""
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return int(text)
    name = text.upper().removeprefix("SIG")
    if name in NAMES:
        return NAMES.index(name) + 1
    if name in OTHER_NAMES:
        return OTHER_NAMES[name]
    for base, start, sign in (("RTMIN", SIGRTMIN, "+"), ("RTMAX", SIGRTMAX, "-")):
        offset = name.removeprefix(base)
        digits = offset[1:]
        if offset != name and (not offset or (offset[0] == sign and digits.isascii() and digits.isdigit())):
            value = start + int(sign + (digits[:4] or "0"))
            if SIGRTMIN <= value <= SIGRTMAX:
                return value
    raise PyruntimeError(f'unknown signal "{text}"')
