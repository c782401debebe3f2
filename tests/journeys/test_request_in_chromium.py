"""The whole way, as a person walks it: the demo shop, a request with a chosen ID, the dashboard in a real browser."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.server.running_clew import RunningClew, clew, clew_up

SERVICES = ("gateway", "accounts", "orders", "inventory", "payments", "shipping", "notifications")
LAST_SPAN = "process notifications.replies"
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
    basket = {**CHECKOUT, "items": [{"product_id": products[0]["id"], "quantity": 1}]}
    token = httpx.post(f"{demo.gateway_url}/login", json={"user": "ada"}).json()["token"]
    headers = {"X-Request-ID": id, "Authorization": f"Bearer {token}"}
    return httpx.post(f"{demo.gateway_url}/checkout", json=basket, headers=headers, timeout=20)


def whole(demo: Demo, id: str) -> dict[str, Any]:
    """The JSON of a checkout, from when all is stored: also what its messages caused."""

    def is_whole(form: dict[str, Any]) -> bool:
        names = {span["name"] for span in form["spans"]}
        wrote = {log["service"] for log in form.get("logs", ())}
        return LAST_SPAN in names and [*map(service_of, roots_of(form))] == ["gateway"] and set(SERVICES) <= wrote

    return demo.running.wait_for(lambda: form_of(demo, id), is_whole, timeout_s=40)


def form_of(demo: Demo, id: str) -> dict[str, Any]:
    """The JSON of a request; without spans until it is known."""
    answer = httpx.get(f"{demo.running.dashboard_url}/requests/{id}?format=json")
    form: dict[str, Any] = answer.json() if answer.is_success else {"spans": []}
    return form


def roots_of(form: dict[str, Any]) -> list[dict[str, Any]]:
    """Spans whose parent is not there. Services export each in their own time: first there are many."""
    known = {span["span_id"] for span in form["spans"]}
    return [span for span in form["spans"] if span["parent_span_id"] not in known]


def service_of(span: dict[str, Any]) -> str:
    return str(span["service"])


def test_a_request_with_a_chosen_id_is_found_and_shows_every_service(demo: Demo, page: Page) -> None:
    answer = check_out(demo, "journey-1")
    assert answer.headers["x-request-id"] == "journey-1"
    form = whole(demo, "journey-1")

    page.goto(f"{demo.running.dashboard_url}/requests")
    row = page.get_by_role("link", name=re.compile("checkout")).first
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

    form = whole(demo, "journey-2")

    assert {service_of(span) for span in form["spans"]} == set(SERVICES)
    assert len(form["trace_ids"]) == 1
    for record in [*form["spans"], *form["logs"]]:
        assert record["correlation_id"] == "journey-2"


def test_the_terminal_prints_it_too(demo: Demo) -> None:
    check_out(demo, "journey-3")
    demo.running.wait_for(
        lambda: clew("request", "journey-3", "--data", str(demo.running.data)).stdout,
        lambda printed: all(service in printed for service in SERVICES),
    )
