"""From click to paint: the page of the largest request in the data, against the same trace in Zipkin's UI.

Both are opened by a click on a link, in the same Chromium, warm: the files that a page needs are in the browser's
cache. The clock starts at the click and stops in the frame after all spans are in the page.
"""

import gzip
import json
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.table import print_table, spread
from tests.server.running_clew import clew, clew_up
from tests.servers import chromium, zipkin

DATA = Path(__file__).parents[1] / "tests" / "data" / "nezha"
TRACE = "6b2b4dcad2925d3cd2f6fe8a3c3c237b"
SPANS = 200
ROUNDS = 9
VIEWPORT = {"width": 1440, "height": 900}

# Both pages draw a bar a span: clew a row, Zipkin a rectangle in its overview and then its rows.
WATCH = """([selector, expected]) => new Promise(resolve => {
  const look = () => document.querySelectorAll(selector).length >= expected
    ? requestAnimationFrame(() => setTimeout(() => resolve(performance.timeOrigin + performance.now())))
    : requestAnimationFrame(look);
  look();
})"""
CLICK = """href => {
  const link = Object.assign(document.createElement('a'), {href});
  document.body.append(link);
  const now = performance.timeOrigin + performance.now();
  link.click();
  return now;
}"""


def main() -> None:
    took_ms: dict[str, list[float]] = {"clew": [], "zipkin": []}
    with (
        tempfile.TemporaryDirectory() as data,
        clew_up(Path(data)) as ours,
        zipkin.start() as theirs,
        sync_playwright() as playwright,
    ):
        imported = clew("import", *map(str, sorted(DATA.glob("*.gz"))), "--data", data)
        assert imported.returncode == 0, imported.stderr
        _post_to_zipkin(theirs.url)
        time.sleep(3)
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=list(chromium.FLAGS))
        pages = {
            "clew": (f"{ours.dashboard_url}/requests", f"/requests/{TRACE}", "#rows .row.span"),
            "zipkin": (f"{theirs.url}/zipkin/", f"/zipkin/traces/{TRACE}", "rect"),
        }
        open_pages = {name: _page(browser) for name in pages}
        for number in range(ROUNDS + 1):
            for name, (start, href, selector) in pages.items():
                took = _click_to_paint(open_pages[name], start, href, selector)
                if number > 0:  # the first fills the browser's cache
                    took_ms[name].append(took)
        browser.close()
    ratio = statistics.median(took_ms["zipkin"]) / statistics.median(took_ms["clew"])
    print_table(
        f"Click to paint, ms: a request of {SPANS} spans over 18 services (median of {ROUNDS})",
        ["clew, with its 111 log lines", "Zipkin, spans only", "Zipkin / clew"],
        [[spread(took_ms["clew"], 0), spread(took_ms["zipkin"], 0), f"{ratio:.1f}"]],
    )


def _page(browser: Browser) -> Page:
    return browser.new_context(viewport=VIEWPORT).new_page()  # type: ignore[arg-type]  # a TypedDict of these two


def _click_to_paint(page: Page, start: str, href: str, selector: str) -> float:
    page.goto(start)
    page.wait_for_load_state("networkidle")
    clicked_ms = float(page.evaluate(CLICK, href))
    page.wait_for_url(f"**{href}", wait_until="commit")
    return float(page.evaluate(WATCH, [selector, SPANS])) - clicked_ms


def _post_to_zipkin(url: str) -> None:
    body = json.dumps(list(_zipkin_spans())).encode()
    headers = {"content-type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(f"{url}/api/v2/spans", data=body, headers=headers)).close()


def _zipkin_spans() -> Iterator[dict[str, Any]]:
    with gzip.open(DATA / "traces.otlp.jsonl.gz", "rt") as lines:
        for line in lines:
            for group in json.loads(line)["resourceSpans"]:
                names = {a["key"]: a["value"]["stringValue"] for a in group["resource"]["attributes"]}
                for span in (span for scope in group["scopeSpans"] for span in scope["spans"]):
                    if span["traceId"] == TRACE:
                        start_us, end_us = (int(span[f"{side}TimeUnixNano"]) // 1000 for side in ("start", "end"))
                        yield {
                            "traceId": TRACE,
                            "id": span["spanId"],
                            "name": span["name"],
                            "timestamp": start_us,
                            "duration": max(1, end_us - start_us),
                            "localEndpoint": {"serviceName": names["service.name"]},
                            **({"parentId": span["parentSpanId"]} if "parentSpanId" in span else {}),
                        }
