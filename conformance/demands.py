"""The requirements of the runtime specification in specs/requirements, and the tests that hold them.

    python conformance/demands.py record FOLDER  counts the words of demand in a checkout of the specification anew
    python conformance/demands.py tests          writes into the requirements which tests of conformance/suite hold them

What the files hold and mean is in specs/requirements/README.md.
"""

import hashlib
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "specs/requirements"
RECORDED = FOLDER / "specification.toml"
SUITE = "conformance/suite/"
# those that concern a runtime on Linux (spec.md, Platforms), and where the others get their words from
DOCUMENTS = (
    "spec.md",
    "glossary.md",
    "bundle.md",
    "runtime.md",
    "runtime-linux.md",
    "config.md",
    "config-linux.md",
    "features.md",
    "features-linux.md",
)
# RFC 2119. MAY and OPTIONAL demand nothing: what they permit is a requirement only where it binds the runtime
WORDS = ("MUST NOT", "MUST", "SHALL NOT", "SHALL", "SHOULD NOT", "SHOULD", "NOT RECOMMENDED", "RECOMMENDED", "REQUIRED")
WORD = re.compile(rf"\b({'|'.join(WORDS)})\b")
HEADING = re.compile(r"^#+ (?:<a [^>]*/> ?)?(.*)$")


@dataclass
class Requirement:
    """One demand. `at` are places "LINE" or "LINE.NUMBER" (the number of a word of demand in that line, from 1);
    `binds` is who has to meet it, if that is not the runtime; `members` the parts of config.json that it is about;
    `deviates` whether pyruntime does otherwise, for the reasons on the page `decision`."""

    id: str
    level: str
    document: str
    section: str
    text: str
    at: list[str]
    binds: str = "runtime"
    members: list[str] = field(default_factory=list)
    decision: str = ""
    deviates: bool = False
    tests: list[str] = field(default_factory=list)


@dataclass
class Document:
    """What specs/requirements has about one document: requirements, and words that demand nothing of anybody here."""

    name: str
    requirements: list[Requirement]
    # places, and why nothing follows from them
    passed_over: list[tuple[list[str], str]]


def load() -> list[Document]:
    """Reads all documents."""
    found = []
    for name in DOCUMENTS:
        with (FOLDER / name).with_suffix(".toml").open("rb") as file:
            content = tomllib.load(file)
        requirements = [Requirement(document=name, **entry) for entry in content.get("requirement", [])]
        passed_over = [(entry["at"], entry["reason"]) for entry in content.get("passed_over", [])]
        found.append(Document(name, requirements, passed_over))
    return found


def requirements() -> dict[str, Requirement]:
    """Returns all requirements by their ids."""
    return {entry.id: entry for document in load() for entry in document.requirements}


# ---- what the specification has


@dataclass
class Recorded:
    """What was counted in one document: its headings by line, and its words of demand by line."""

    sha256: str
    headings: dict[int, str]
    words: dict[int, list[str]]

    def section(self, line: int) -> str:
        """Returns the heading that a line stands under."""
        above = [start for start in self.headings if start <= line]
        return self.headings[max(above)] if above else ""


def count(text: str) -> Recorded:
    """Finds the headings and words of demand of a document; what stands in blocks of code is an example."""
    headings, words, is_code = {}, {}, False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            is_code = not is_code
        if is_code:
            continue
        if match := HEADING.match(line):
            headings[number] = match[1].strip()
        if found := WORD.findall(line):
            words[number] = found
    return Recorded(hashlib.sha256(text.encode()).hexdigest(), headings, words)


def recorded() -> tuple[str, dict[str, Recorded]]:
    """Returns the version of the specification that was counted, and what was found, by document."""
    with RECORDED.open("rb") as file:
        content = tomllib.load(file)
    documents = {
        name: Recorded(
            entry["sha256"],
            {int(line): heading for line, heading in entry["headings"].items()},
            {int(line): words.split(", ") for line, words in entry["words"].items()},
        )
        for name, entry in content["document"].items()
    }
    return content["version"], documents


def record(folder: Path) -> None:
    """Writes specification.toml from a checkout of the specification."""
    version = subprocess.run(
        ["git", "-C", str(folder), "describe", "--tags", "--exact-match"], capture_output=True, text=True, check=True
    ).stdout.strip()
    lines = [
        "# The words of demand in the specification, by document and line: written by conformance/demands.py",
        f'version = "{version.removeprefix("v")}"',
    ]
    for name in DOCUMENTS:
        found = count((folder / name).read_text())
        lines += ["", f'[document."{name}"]', f'sha256 = "{found.sha256}"', "", f'[document."{name}".headings]']
        lines += [f"{line} = {json.dumps(heading)}" for line, heading in found.headings.items()]
        lines += ["", f'[document."{name}".words]']
        lines += [f'{line} = "{", ".join(words)}"' for line, words in found.words.items()]
    RECORDED.write_text("\n".join(lines) + "\n")


def places(at: list[str], words: dict[int, list[str]]) -> Iterator[tuple[int, int]]:
    """Yields (line, number of the word in it) of all words of demand at some places."""
    for place in at:
        line, _, number = place.partition(".")
        if number:
            yield int(line), int(number)
        else:
            yield from ((int(line), number) for number in range(1, len(words.get(int(line), [])) + 1))


# ---- tests of the suite


def suite() -> dict[str, list[str]]:
    """Returns the requirements that each test of conformance/suite says that it holds, by the test's name."""
    listed = subprocess.run(
        [sys.executable, str(ROOT / "conformance/run"), "--list"], capture_output=True, text=True, check=False
    )
    if listed.returncode:
        raise SystemExit(listed.stdout + listed.stderr)
    found: dict[str, list[str]] = json.loads(listed.stdout)
    return found


def holders(tests: dict[str, list[str]], requirement: str) -> list[str]:
    """Returns the tests that hold a requirement: a function's name where all its cases do."""
    found = []
    functions: dict[str, list[str]] = {}
    for name in tests:
        functions.setdefault(name.partition("[")[0], []).append(name)
    for function, cases in functions.items():
        holding = [case for case in cases if requirement in tests[case]]
        found += [function] if holding == cases else holding
    return found


def write_tests() -> None:
    """Brings the lists of tests up to date, and leaves those of other places alone."""
    tests = suite()
    for name in DOCUMENTS:
        path = (FOLDER / name).with_suffix(".toml")
        if not path.exists():
            continue
        blocks = path.read_text().split("\n[[requirement]]\n")
        for index, block in enumerate(blocks[1:], 1):
            entry = tomllib.loads(block.partition("\n[[")[0])
            others = [test for test in entry.get("tests", []) if not test.startswith(SUITE)]
            blocks[index] = _with_tests(block, holders(tests, entry["id"]) + others)
        path.write_text("\n[[requirement]]\n".join(blocks))


def _with_tests(block: str, tests: list[str]) -> str:
    without = re.sub(r"^tests = \[.*?\]\n", "", block, flags=re.MULTILINE | re.DOTALL)
    if not tests:
        return without
    lines = "".join(f"    {json.dumps(test)},\n" for test in tests)
    head, newline, rest = without.partition("\n\n")
    return f"{head.rstrip()}\ntests = [\n{lines}]\n{newline[1:]}{rest}"


def main() -> int:
    match sys.argv[1:]:
        case ["record", folder]:
            record(Path(folder))
        case ["tests"]:
            write_tests()
        case _:
            raise SystemExit((__doc__ or "").strip())
    return 0


if __name__ == "__main__":
    sys.exit(main())
