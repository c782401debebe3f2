"""The request page as a person uses it: keys, folding, the panel, copying, links to rows."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.dashboards.builders import a_log, a_request, a_span, an_exception
from tests.dashboards.memory_store import MemoryStore
from tests.dashboards.serving import served

ROOT, ORDERS, PAY = "a" * 16, "b" * 16, "c" * 16
BODY = "x" * 1_000_000


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A dashboard with one request: a root with two children, one of which failed."""
    spans = [
        a_span("POST /checkout", span_id=ROOT, service="gateway", duration_ms=100),
        a_span("POST /orders", span_id=ORDERS, parent=ROOT, at_ms=5, duration_ms=20, attributes={"body": BODY}),
        a_span(
            "POST /pay",
            span_id=PAY,
            parent=ROOT,
            service="payments",
            at_ms=30,
            duration_ms=50,
            status="error",
            events=[
                an_exception("Declined", "card 4 declined", at_ms=70, stack="Traceback\nDeclined: card 4 declined")
            ],
        ),
    ]
    logs = [
        a_log("order saved", span_id=ORDERS, at_ms=10, attributes={"order.id": "o-1"}),
        a_log("card declined", span_id=PAY, service="payments", at_ms=60, severity=17),
    ]
    with served(MemoryStore([a_request(spans, logs, correlation_id="req-1")])) as served_address:
        yield served_address


@pytest.fixture
def opened(page: Page, address: str) -> Page:
    page.goto(f"{address}/requests/req-1")
    return page


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def test_keys_walk_the_rows_and_the_panel_follows(opened: Page) -> None:
    press(opened, "j", "j")

    expect(opened.locator("[aria-selected=true]")).to_contain_text("POST /orders")
    expect(opened.locator("#panel h2:visible")).to_have_text("POST /orders")

    press(opened, "k")
    expect(opened.locator("#panel h2:visible")).to_have_text("POST /checkout")


def test_folding_hides_what_is_beneath_and_says_how_much(opened: Page) -> None:
    press(opened, "j", "h")

    root = opened.locator(f"#span-{ROOT}")
    expect(root).to_have_attribute("aria-expanded", "false")
    expect(root).to_contain_text("+5")
    expect(opened.get_by_role("row").filter(visible=True)).to_have_count(1)

    press(opened, "l")
    expect(opened.get_by_role("row").filter(visible=True)).to_have_count(6)


def test_the_next_error_is_found_though_it_is_folded_away(opened: Page) -> None:
    press(opened, "H", "e")
    expect(opened.locator("[aria-selected=true]")).to_contain_text("POST /pay")

    press(opened, "e")
    expect(opened.locator("[aria-selected=true]")).to_contain_text("card declined")

    press(opened, "E")
    expect(opened.locator("[aria-selected=true]")).to_contain_text("POST /pay")


def test_a_line_leads_to_its_span(opened: Page) -> None:
    opened.get_by_text("order saved").click()
    expect(opened.locator("#panel")).to_contain_text("order.id")

    opened.locator("#panel .ways a").first.click()

    expect(opened.locator("#panel h2:visible")).to_have_text("POST /orders")


def test_the_panel_shows_the_stack_trace(opened: Page) -> None:
    opened.locator(f"#span-{PAY}").click()

    expect(opened.locator("#panel .stack")).to_contain_text("Declined: card 4 declined")


def test_a_long_value_is_shown_whole_when_asked(opened: Page) -> None:
    opened.locator(f"#span-{ORDERS}").click()
    opened.get_by_role("button", name="… show all 1,000,000 characters").click()

    expect(opened.locator("#panel .pair dd", has_text="xxx")).to_have_text(BODY)


def test_the_selected_row_is_in_the_address_and_opens_again(opened: Page) -> None:
    opened.locator(f"#span-{PAY}").click()
    assert opened.url.endswith(f"#span-{PAY}")

    opened.reload()

    expect(opened.locator(f"#span-{PAY}")).to_have_attribute("aria-selected", "true")
    press(opened, "Escape")
    expect(opened.get_by_role("heading", name="Services")).to_be_visible()


def test_lines_can_be_left_out(opened: Page) -> None:
    opened.get_by_label("logs").uncheck()
    expect(opened.get_by_text("order saved")).to_be_hidden()

    press(opened, "t")
    expect(opened.get_by_text("order saved")).to_be_visible()


def test_finding_marks_and_walks_the_matches(opened: Page) -> None:
    press(opened, "f")
    opened.keyboard.type("card")
    expect(opened.locator(".row.match")).to_have_count(2)

    press(opened, "Enter")
    expect(opened.locator("[aria-selected=true]")).to_contain_text("card declined")


def test_the_id_is_copied_with_a_word(opened: Page) -> None:
    opened.context.grant_permissions(["clipboard-read", "clipboard-write"])

    opened.get_by_role("button", name="req-1").click()

    expect(opened.locator("#said")).to_have_text("Copied")
    assert opened.evaluate("navigator.clipboard.readText()") == "req-1"


def test_the_keys_are_listed(opened: Page) -> None:
    press(opened, "?")
    expect(opened.get_by_role("dialog")).to_contain_text("next, previous error")

    press(opened, "Escape")
    expect(opened.get_by_role("dialog")).to_be_hidden()


def test_nothing_is_refused_or_thrown(page: Page, address: str) -> None:
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda said: troubles.append(said.text) if said.type == "error" else None)

    page.goto(f"{address}/requests")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("treegrid")).to_be_visible()
    press(page, "j", "j", "e", "H", "L", "f")

    assert troubles == []
