"""Documents lead somewhere: every link, anchor and file that they name is there."""

import re

import pytest
from documents import DOCUMENTS, ROOT, blocks, code, read, rows, without_code

LINK = re.compile(r"\]\(([^)\s]+)\)")
# what `make build` and the tests themselves put below the folders that documents name files of
MADE = {"pyruntime/config/verdict.py", "pyruntime/_images", "pyruntime/_init", "pyruntime/_build.py"}
FILE = re.compile(r"^(?:pyruntime|init|specs|tests|conformance|install|docs|bin|hooks|\.ci)/[\w./*-]*$")
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]


def anchors(text):
    """Returns the anchors that a page gets from its headings: lower case, no punctuation, dashes for spaces."""
    found = []
    for heading in re.findall(r"^#+ (.*)$", without_code(text), flags=re.MULTILINE):
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.append(f"{anchor}-{found.count(anchor)}" if anchor in found else anchor)
    return found


def links(name):
    return [link for link in LINK.findall(without_code(read(name))) if "://" not in link]


def test_there_are_the_documents_that_there_should_be():
    assert {"docs/tour.md", "docs/design.md", "docs/performance.md", "docs/guide/README.md"} <= set(NAMES)
    assert {"docs/reference/README.md", "specs/ops.md", "CONTRIBUTING.md", "SECURITY.md"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_links(name):
    for link in links(name):
        path, _, anchor = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), link
        assert target.resolve().is_relative_to(ROOT), link
        assert not path or not target.is_dir(), f"{link} is a folder: its README.md is meant"
        if anchor:
            assert anchor in anchors(target.read_text()), link


@pytest.mark.parametrize("name", NAMES)
def test_files_that_are_named(name):
    for word in code(without_code(read(name))):
        if FILE.match(word) and not any(word.startswith(made) for made in MADE):
            found = list(ROOT.glob(word)) if "*" in word else [ROOT / word]
            assert found, word
            assert all(path.exists() for path in found), word


@pytest.mark.parametrize("folder", ["docs/guide", "docs/reference"])
def test_indexes_list_every_page(folder):
    listed = {link.partition("#")[0] for link in links(f"{folder}/README.md")}
    assert {path.name for path in (ROOT / folder).glob("*.md")} - {"README.md"} <= listed


def test_decisions_are_listed_with_their_titles():
    found = {}
    for number, title in rows(read("specs/decisions/README.md")):
        (link,) = LINK.findall(number)
        assert f"[{link[:4]}]" in number
        found[link] = title
    pages = sorted((ROOT / "specs/decisions").glob("[0-9]*.md"))
    assert list(found) == [path.name for path in pages]
    for path in pages:
        first = path.read_text().splitlines()[0]
        assert first == f"# {int(path.name[:4])}. {found[path.name]}"
        for heading in ("Context", "Decision", "Consequences", "Refused"):
            assert f"\n## {heading}\n" in path.read_text(), path.name


def test_numbers_of_decisions_in_links():
    """[decision 7](…/0007-….md)"""
    for name in NAMES:
        for number, link in re.findall(r"\[(?:decision )?(\d+)\]\(([^)]*\d{4}-[^)]*\.md)\)", read(name)):
            assert int(number) == int(link.rpartition("/")[2][:4]), f"{name}: {link}"


def test_every_page_can_be_reached():
    """From the README, by links alone."""
    reached, todo = set(), ["README.md"]
    while todo:
        name = todo.pop()
        if name in reached:
            continue
        reached.add(name)
        for link in links(name):
            target = ((ROOT / name).parent / link.partition("#")[0]).resolve()
            if target.suffix == ".md" and target.is_file():
                todo.append(str(target.relative_to(ROOT)))
    assert set(NAMES) - reached <= {"hooks/README.md"}


def test_blocks_of_code_are_closed():
    for name in NAMES:
        fences = re.findall(r"^```", read(name), flags=re.MULTILINE)
        assert len(fences) % 2 == 0, name
        assert not blocks(read(name), "python"), f"{name}: code in documents is not tested; name the file"
