"""The page of faults in a real browser."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.servers.processes import answers_http, free_port
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def control_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The service as a process."""
    url = f"http://127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        [sys.executable, "-m", "clew_demo.control", "--port", url.rpartition(":")[2]],
        env={
            **os.environ,
            "CLEW_DEMO_DATA": str(tmp_path_factory.mktemp("control")),
            "CLEW_DEMO_DASHBOARD_URL": "http://127.0.0.1:8840",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        },
    )
    try:
        wait_until(answers_http(f"{url}/healthz"))
        yield url
    finally:
        process.terminate()
        process.wait(5)


@pytest.fixture(autouse=True)
def _nothing_planted(control_url: str) -> None:
    httpx.post(f"{control_url}/faults/lift-all")


def test_a_click_plants_a_fault_and_another_lifts_it(control_url: str, page: Page) -> None:
    page.goto(control_url)
    expect(page.get_by_role("status")).to_have_text("Nothing is planted: the shop fails only as shops do.")

    page.get_by_role("button", name="Plant slow-database").click()
    expect(page.get_by_role("status")).to_have_text("1 of 14 faults is planted, in inventory.")

    page.get_by_role("button", name="Lift slow-database").click()
    expect(page.get_by_role("status")).to_contain_text("Nothing is planted")


@pytest.mark.parametrize("width_px", [360, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_off(control_url: str, page: Page, width_px: int, scheme: str) -> None:
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": width_px, "height": 900})
    for fault in ("slow-database", "breaker-open"):
        httpx.put(f"{control_url}/faults/{fault}")

    page.goto(control_url)

    assert page.evaluate("document.documentElement.scrollWidth") <= width_px
    assert said == []
    if folder := os.environ.get("CLEW_TEST_PICTURES"):
        page.screenshot(path=Path(folder) / f"faults-{scheme}-{width_px}.png", full_page=True)
