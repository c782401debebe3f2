"""The list of requests as a person uses it: live, paused, walked by keys, filtered."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.dashboards.builders import a_request, a_span
from tests.dashboards.memory_store import MemoryStore
from tests.dashboards.serving import served

LIVE_MS = 6_000


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore([a_request([a_span("GET /first", trace_id="1" * 32)], correlation_id="req-1")])


@pytest.fixture
def opened(page: Page, store: MemoryStore) -> Iterator[Page]:
    with served(store) as address:
        page.goto(f"{address}/requests")
        yield page


def add_second(store: MemoryStore) -> None:
    span = a_span("GET /second", service="newcomer", trace_id="2" * 32, at_ms=1000)
    store.add(a_request([span], correlation_id="req-2"))


def test_a_new_request_shows_up_by_itself(opened: Page, store: MemoryStore) -> None:
    add_second(store)

    expect(opened.get_by_role("link", name="GET /second")).to_be_visible(timeout=LIVE_MS)
    expect(opened.get_by_label("Service").get_by_role("option", name="newcomer")).to_have_count(1)


def test_a_paused_list_stays_as_it_is(opened: Page, store: MemoryStore) -> None:
    opened.get_by_role("button", name="Live").click()
    asked: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    add_second(store)
    opened.wait_for_timeout(2_500)

    assert asked == []
    opened.get_by_role("button", name="Paused").click()
    expect(opened.get_by_role("link", name="GET /second")).to_be_visible(timeout=LIVE_MS)


def test_the_focus_stays_on_its_request_when_another_arrives(opened: Page, store: MemoryStore) -> None:
    opened.keyboard.press("j")
    add_second(store)

    expect(opened.get_by_role("link", name="GET /second")).to_be_visible(timeout=LIVE_MS)
    expect(opened.get_by_role("link", name="GET /first")).to_be_focused()


def test_keys_walk_the_list_and_enter_opens(opened: Page) -> None:
    opened.keyboard.press("j")
    opened.keyboard.press("Enter")

    expect(opened).to_have_url(re.compile("/requests/req-1$"))


def test_the_search_box_jumps_to_a_whole_id(opened: Page) -> None:
    opened.keyboard.press("/")
    opened.keyboard.type("1" * 32)
    opened.keyboard.press("Enter")

    expect(opened).to_have_url(re.compile("/requests/req-1$"))


def test_filters_are_in_the_address_and_only_those_given(opened: Page) -> None:
    opened.get_by_label("Route").fill("nowhere")
    opened.keyboard.press("Enter")

    expect(opened).to_have_url(re.compile(r"/requests\?route=nowhere$"))
    expect(opened.get_by_role("heading", name="No request matches")).to_be_visible()

    opened.get_by_role("link", name="Clear the filters").click()
    expect(opened.get_by_role("link", name="GET /first")).to_be_visible()
