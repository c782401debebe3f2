"""The table of all settings, made of the code. `python -m tests.docs.settings_page` writes it into the page."""

from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from clew.settings import Settings, variables_of

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"
_BEGIN = "<!-- settings -->\n"
_END = "<!-- end of settings -->"


def table() -> str:
    """A row a setting, in the code's order."""
    rows = ["| setting | default | what it does | variables |", "| --- | --- | --- | --- |"]
    rows += [_row(setting) for setting in fields(Settings)]
    return "\n".join(rows) + "\n"


def written() -> str:
    """The table as the page has it."""
    text = PAGE.read_text()
    return text[text.index(_BEGIN) + len(_BEGIN) : text.index(_END)]


def write() -> None:
    """Put the table into the page."""
    text = PAGE.read_text()
    begin, end = text.index(_BEGIN) + len(_BEGIN), text.index(_END)
    PAGE.write_text(text[:begin] + table() + text[end:])


def _row(setting: "Field[Any]") -> str:
    variables = ", ".join(f"`{variable}`" for variable in variables_of(setting))
    return f"| `{setting.name}` | {''.join(_default(setting))} | {setting.metadata['doc']} | {variables} |"


def _default(setting: "Field[Any]") -> Iterator[str]:
    value = setting.default
    if value is MISSING or value is None or value == ():
        yield "-"
    elif isinstance(value, tuple):
        yield ", ".join(f"`{item}`" for item in value)
    else:
        yield f"`{value}`"


if __name__ == "__main__":
    write()
