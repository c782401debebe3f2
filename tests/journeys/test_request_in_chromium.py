"""The whole way, as a person walks it: the demo shop, a request with a chosen ID, the dashboard in a real browser."""

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.server.running_clew import RunningClew, clew, clew_up

SERVICES = ("gateway", "orders", "inventory", "payments")
CHECKOUT = {"user": "ada", "card": "4000001234567899", "items": [{"product_id": "teapot", "quantity": 1}]}


class Demo:
    """A running demo and where its shop is."""

    def __init__(self, running: RunningClew, gateway_url: str) -> None:
        self.running = running
        self.gateway_url = gateway_url


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    data = tmp_path_factory.mktemp("demo")
    with clew_up(data, "--shop-port", "0", "--rate", "1", command="demo") as running:
        yield Demo(running, running.urls["gateway"])


def check_out(demo: Demo, id: str) -> httpx.Response:
    """Buy something under a chosen request ID."""
    products = httpx.get(f"{demo.gateway_url}/products").json()
    basket = {**CHECKOUT, "items": [{"product_id": products["products"][0]["id"], "quantity": 1}]}
    return httpx.post(f"{demo.gateway_url}/checkout", json=basket, headers={"X-Request-ID": id}, timeout=20)


def test_a_request_with_a_chosen_id_is_found_and_shows_every_service(demo: Demo, page: Page) -> None:
    answer = check_out(demo, "journey-1")
    assert answer.headers["x-request-id"] == "journey-1"

    page.goto(f"{demo.running.dashboard_url}/requests")
    row = page.get_by_role("link", name=re.compile("/checkout")).first
    expect(row).to_be_visible(timeout=20_000)
    page.keyboard.press("/")
    page.keyboard.type("journey-1")
    page.keyboard.press("Enter")

    expect(page).to_have_url(re.compile("/requests/journey-1"), timeout=20_000)
    expect(page.get_by_role("heading", level=1)).to_contain_text("POST /checkout")
    rows = page.get_by_role("treegrid").get_by_role("row")
    for service in SERVICES:
        span = rows.filter(has_text=service).first
        expect(span).to_be_visible()
    form = httpx.get(f"{demo.running.dashboard_url}/requests/journey-1?format=json").json()
    for service in SERVICES:
        assert [span for span in form["spans"] if span["service"] == service], f"no span of {service}"
        lines = [log["body"] for log in form["logs"] if log["service"] == service]
        assert lines, f"no log line of {service}"
        expect(rows.filter(has_text=lines[0]).first).to_be_visible()


def test_a_new_request_comes_up_in_the_open_list_by_itself(demo: Demo, page: Page) -> None:
    page.goto(f"{demo.running.dashboard_url}/requests?id=journey-live")
    expect(page.get_by_text("journey-live").first).to_be_attached()

    check_out(demo, "journey-live")

    expect(page.locator("a[href='/requests/journey-live']").first).to_be_attached(timeout=20_000)


def test_the_request_is_whole_and_every_line_carries_its_ids(demo: Demo) -> None:
    check_out(demo, "journey-2")

    def fetch() -> dict[str, object]:
        return dict(httpx.get(f"{demo.running.dashboard_url}/requests/journey-2?format=json").json())

    form = demo.running.wait_for(fetch, lambda form: len(form.get("services", ())) == len(SERVICES))  # type: ignore[arg-type]

    spans = {span["span_id"]: span for span in form["spans"]}  # type: ignore[attr-defined]
    roots = [span for span in spans.values() if span["parent_span_id"] not in spans]
    assert [root["service"] for root in roots] == ["gateway"]
    assert len(form["trace_ids"]) == 1  # type: ignore[arg-type]
    for record in [*spans.values(), *form["logs"]]:  # type: ignore[misc]
        assert record["correlation_id"] == "journey-2"


def test_the_terminal_prints_it_too(demo: Demo) -> None:
    check_out(demo, "journey-3")
    demo.running.wait_for(
        lambda: clew("request", "journey-3", "--data", str(demo.running.data)).stdout,
        lambda printed: all(service in printed for service in SERVICES),
    )
