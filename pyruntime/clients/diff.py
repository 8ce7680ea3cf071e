"""The unified diff of two texts, as patch(1) takes it."""

MISSING = "/dev/null"


def unified(old: str | None, new: str | None, path: str) -> str:
    """Returns the difference, "" if there is none; None stands for a file that is not there."""
    from difflib import unified_diff

    names = (MISSING if old is None else path, MISSING if new is None else path)
    lines = []
    for line in unified_diff(_lines(old or ""), _lines(new or ""), *names):
        # a carriage return belongs to the line, and the header's lines end with nothing else
        lines.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    return "".join(lines)


def _lines(text: str) -> list[str]:
    """Splits at newlines alone: str.splitlines() knows more ends of lines than patch(1) does."""
    return [f"{line}\n" for line in text.split("\n")[:-1]] + ([rest] if (rest := text.rpartition("\n")[2]) else [])
