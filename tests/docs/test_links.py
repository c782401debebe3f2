"""Every page can be reached from the README, and no link of a page is dead."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.docs.pages import DOCS

ROOT = DOCS.parent
README = ROOT / "README.md"
PAGES = [README, ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]

_fence = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_link = re.compile(r"\]\(([^)\s]+)\)")
_heading = re.compile(r"^#+ (.+)$", re.MULTILINE)


def prose(page: Path) -> str:
    """A page without its blocks of code, in which brackets are no links and hashes no headings."""
    return _fence.sub("", page.read_text())


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """The file and the anchor of each link that stays in the repository; a folder is its README."""
    for target in _link.findall(prose(page)):
        if not re.match(r"[a-z]+:", target):
            name, _, anchor = target.partition("#")
            path = (page.parent / name).resolve() if name else page
            yield (path / "README.md" if (path / "README.md").exists() else path), anchor


def anchors(page: Path) -> set[str]:
    """The anchors of its headings, as GitHub makes them."""
    titles = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title) for title in _heading.findall(prose(page))]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def reachable(start: Path) -> set[Path]:
    """The pages that links lead to, one after the other."""
    seen, waiting = {start}, [start]
    while waiting:
        for path, _ in links(waiting.pop()):
            if path.suffix == ".md" and path.exists() and path not in seen:
                seen.add(path)
                waiting.append(path)
    return seen


def test_no_link_is_dead() -> None:
    dead = [
        f"{page.relative_to(ROOT)}: {path.name}#{anchor}"
        for page in PAGES
        for path, anchor in links(page)
        if not path.exists() or (anchor and anchor not in anchors(path))
    ]

    assert dead == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    assert set(PAGES) - reachable(README) == set()
