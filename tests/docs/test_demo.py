import re
from pathlib import Path

from tests.docs import demo_page

CODE = Path(__file__).parents[2] / "demo_services" / "clew_demo"


def test_the_page_has_every_fault_with_its_truth() -> None:
    assert demo_page.written() == demo_page.table()


def test_the_code_that_the_page_names_is_there() -> None:
    rows = [line.split("|")[2] for line in demo_page.PAGE.read_text().splitlines() if line.count("|") == 4]
    named = [name for row in rows[1:] for name in re.findall(r"`([a-z_]+(?:/[a-z_.]*|\.py))`", row)]

    assert named
    assert [name for name in named if not (CODE / name).exists()] == []
