"""The health page as it is left open on a second screen: it renews itself, quietly."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from playwright.sync_api import Page, expect

from clew_collector.model import Counts
from clew_dashboards.app import create_app
from clew_dashboards.health import Health, ReaderHealth, ServiceHealth, SourceHealth
from tests.dashboards.memory_store import MemoryStore

RENEWED_MS = 12_000
LONG_NAME = "a-service-with-a-very-long-name.in.some.namespace.of.a.cluster.example.com"


class Collector:
    """What the health page is told; a test changes it."""

    outage: str | None = None

    def health(self) -> Health:
        return Health(
            stored=Counts(1_000_000, 2),
            accepted={"logs": 1_000_000},
            refused={},
            dropped={},
            sources=(SourceHealth("otlp_http", accepted={"logs": 1_000_000, "traces": 123_456_789}),),
            services=(ServiceHealth(LONG_NAME, logs=1_000_000),),
            readers=(ReaderHealth("store", outage=self.outage),),
        )


@pytest.fixture
def collector() -> Collector:
    return Collector()


@pytest.fixture
def opened(page: Page, collector: Collector) -> Iterator[Page]:
    with served(collector) as address:
        page.goto(f"{address}/health")
        yield page


@contextmanager
def served(collector: Collector) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        app = create_app(MemoryStore(), health=collector.health)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        deadline_s = time.monotonic() + 10
        while not server.started:
            assert time.monotonic() < deadline_s, "the dashboard did not start"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)


def test_trouble_shows_up_by_itself_and_is_said_aloud_once(opened: Page, collector: Collector) -> None:
    expect(opened.get_by_text("All is well")).to_be_visible()
    said = opened.locator("#said")
    expect(said).to_be_empty()

    collector.outage = "disk full"

    expect(opened.locator(".sentence")).to_contain_text("The store takes nothing now", timeout=RENEWED_MS)
    expect(said).to_have_text("The store takes nothing now, and what comes waits in the spool.")
    expect(opened.get_by_role("cell", name="disk full")).to_be_visible()


def test_a_paused_page_asks_nothing(opened: Page) -> None:
    opened.get_by_role("button", name="Live").click()
    asked: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.wait_for_timeout(5_500)

    assert asked == []
    opened.get_by_role("button", name="Paused").click()
    expect(opened.get_by_role("button", name="Live")).to_be_visible()
    assert asked


def test_what_is_being_selected_stays(opened: Page, collector: Collector) -> None:
    opened.get_by_role("rowheader", name="otlp_http").select_text()
    collector.outage = "disk full"
    opened.wait_for_timeout(5_500)

    expect(opened.locator(".sentence")).to_contain_text("All is well")
    assert opened.evaluate("document.getSelection().toString().trim()") == "otlp_http"


@pytest.mark.parametrize("width", [360, 760, 761, 1440])
def test_nothing_is_cut_off_at_any_width(opened: Page, width: int) -> None:
    opened.set_viewport_size({"width": width, "height": 800})

    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    for number in ("123,456,789", "1,000,000"):
        cell = opened.get_by_role("cell", name=number).first
        expect(cell).to_be_visible()
        assert cell.evaluate("cell => cell.scrollWidth <= cell.clientWidth")


def test_tables_are_tables_to_a_reader_of_screens_also_where_they_are_narrow(opened: Page) -> None:
    opened.set_viewport_size({"width": 400, "height": 800})
    receivers = opened.get_by_role("table", name="By receiver")

    expect(receivers.get_by_role("columnheader", name="Sent again")).to_have_count(1)
    expect(receivers.get_by_role("row").filter(has=opened.get_by_role("rowheader", name="otlp_http"))).to_have_count(1)
