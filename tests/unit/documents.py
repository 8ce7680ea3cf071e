"""What tests of documents share: which there are, and how to take one apart."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENTS = sorted(
    [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "hooks/README.md")]
    + [path for folder in ("docs", "specs") for path in (ROOT / folder).rglob("*.md")]
)


def read(name):
    """Returns the text of a document, given by its path in the repository."""
    return (ROOT / name).read_text()


def without_code(text):
    """Returns a document without its blocks of code and comments."""
    return re.sub(r"<!--.*?-->", "", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), flags=re.DOTALL)


def blocks(text, language=None):
    """Returns the blocks of code: those of one language, or all."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [block for word, block in found if language in (None, word)]


def section(text, heading):
    """Returns what stands under a heading, up to the next one of its level or above."""
    level = heading.partition(" ")[0]
    start = text.index(f"\n{heading}\n") + len(heading) + 2
    end = re.compile(rf"^#{{1,{len(level)}}} ", re.MULTILINE).search(text, start)
    return text[start : end.start() if end else len(text)]


def rows(text):
    """Returns the rows of all tables as lists of cells; heads and rules are left out."""
    found, lines = [], text.splitlines()
    for at, line in enumerate(lines):
        rule = re.fullmatch(r"\|[-:| ]+\|", line)
        head = at + 1 < len(lines) and re.fullmatch(r"\|[-:| ]+\|", lines[at + 1])
        if line.startswith("|") and not rule and not head:
            found.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return found


def code(cell):
    """Returns what stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)
