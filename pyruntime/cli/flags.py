"""Command line flags as Go programs take them: --flag value, --flag=value, -flag value, -f value.

argparse would cost more than a whole `state`, and its messages are not those that clients look for.
"""

from ..errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Values = dict[str, str | int | bool | list[str]]


class Flag:
    """One flag. `default` gives its type: False a switch, 0 a number, "" a text, [] a text that may be repeated."""

    __slots__ = ("default", "help", "name", "short")

    def __init__(self, name: str, default: "str | int | bool | list[str]", help_text: str, short: str = "") -> None:
        self.name = name
        self.short = short
        self.default = default
        self.help = help_text


HELP = Flag("help", False, "show help", "h")


def parse(argv: "Sequence[str]", flags: "Sequence[Flag]", *, stop_early: bool = False) -> "tuple[Values, list[str]]":
    """Splits a command line into the values of flags and the rest.

    With `stop_early` the first word that is no flag ends the flags, as it does for what stands in front of a command.
    Raises UsageError.
    """
    known = {flag.name: flag for flag in flags} | {flag.short: flag for flag in flags if flag.short}
    values: Values = {flag.name: flag.default for flag in flags}
    values |= {flag.name: [] for flag in flags if isinstance(flag.default, list)}
    rest: list[str] = []
    position = 0
    while position < len(argv):
        word = argv[position]
        position += 1
        if word == "--":
            rest += argv[position:]
            break
        if len(word) < 2 or word[0] != "-" or word == "--":
            rest.append(word)
            if stop_early:
                rest += argv[position:]
                break
            continue
        name, equals, text = word.lstrip("-").partition("=")
        flag = known.get(name)
        if flag is None or word.startswith("---"):
            raise UsageError(f"flag provided but not defined: -{name}")
        if type(flag.default) is bool:
            values[flag.name] = _truth(name, text) if equals else True
            continue
        if not equals:
            if position == len(argv):
                raise UsageError(f"flag needs an argument: -{name}")
            text = argv[position]
            position += 1
        _set(values, flag, text)
    return values, rest


def _set(values: "Values", flag: Flag, text: str) -> None:
    if isinstance(flag.default, list):
        values[flag.name].append(text)  # type: ignore[union-attr]
    elif isinstance(flag.default, int):
        values[flag.name] = number(flag.name, text)
    else:
        values[flag.name] = text


def number(name: str, text: str) -> int:
    """Parses decimal digits and nothing else. Raises UsageError."""
    if not (text.isascii() and text.isdigit()) or len(text) > 10:
        raise UsageError(f'invalid value "{text}" for flag -{name}: not a number')
    return int(text)


def _truth(name: str, text: str) -> bool:
    if text in ("true", "1", "t", "T", "TRUE", "True"):
        return True
    if text in ("false", "0", "f", "F", "FALSE", "False"):
        return False
    raise UsageError(f'invalid boolean value "{text}" for -{name}')


def arguments(command: str, rest: "Sequence[str]", least: int, most: int) -> None:
    """Raises UsageError unless there are as many arguments as the command takes."""
    if least == most and len(rest) != least:
        raise UsageError(f'pyruntime: "{command}" requires exactly {least} argument(s)')
    if len(rest) < least:
        raise UsageError(f'pyruntime: "{command}" requires a minimum of {least} argument(s)')
    if len(rest) > most:
        raise UsageError(f'pyruntime: "{command}" requires a maximum of {most} argument(s)')
