"""The table of the demo's faults, made of the catalogue. `python -m tests.docs.demo_page` writes it into the page."""

from pathlib import Path

from clew_demo.faults.catalogue import FAULTS

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "demo.md"
_BEGIN = "<!-- faults -->\n"
_END = "<!-- end of faults -->"


def table() -> str:
    """A row a fault."""
    rows = ["| fault | service | where it shows | what happens |", "| --- | --- | --- | --- |"]
    rows += [f"| `{each.name}` | {each.service} | `{each.operation}` | {each.effect} |" for each in FAULTS.values()]
    return "\n".join(rows) + "\n"


def written() -> str:
    """The table as the page has it."""
    text = PAGE.read_text()
    return text[text.index(_BEGIN) + len(_BEGIN) : text.index(_END)]


def write() -> None:
    """Put the table into the page."""
    text = PAGE.read_text()
    PAGE.write_text(text.replace(_BEGIN + written(), _BEGIN + table()))


if __name__ == "__main__":
    write()
