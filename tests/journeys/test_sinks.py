"""From the demo through the collector into a real Elasticsearch and a real Zipkin: one request is whole in both."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.demo_services.watched_shop import WatchedShop, watched_shop
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("callers_have_no_clew")

LATE = {"process notifications.replies", "process accounts.events", "POST /points"}


@pytest.fixture
def shop(tmp_path: Path, elasticsearch_url: str, zipkin_url: str) -> Iterator[WatchedShop]:
    streams = {"logs": "logs-journey-default", "traces": "traces-journey-default"}
    sinks: list[dict[str, Any]] = [
        {"type": "elasticsearch", "urls": [elasticsearch_url], **streams},
        {"type": "zipkin", "url": zipkin_url},
        {"type": "file", "url": str(tmp_path / "archive")},
    ]
    with watched_shop(tmp_path, sinks=sinks) as shop:
        yield shop


def in_elasticsearch(url: str, stream: str, field: str, value: str) -> list[dict[str, Any]]:
    query = {"query": {"term": {field: value}}, "size": 1000}
    httpx.post(f"{url}/{stream}/_refresh")
    answer = httpx.post(f"{url}/{stream}/_search", json=query)
    if answer.status_code == 404:
        return []
    answer.raise_for_status()
    return [hit["_source"] for hit in answer.json()["hits"]["hits"]]


def test_one_request_is_found_with_all_its_spans_and_lines_in_both(
    shop: WatchedShop, elasticsearch_url: str, zipkin_url: str
) -> None:
    request_id = shop.check_out()
    wait_until(lambda: {span["name"] for span in shop.stored(request_id)["spans"]} >= LATE, timeout_s=60)
    wait_until(lambda: not orphans(shop.stored(request_id)), timeout_s=60)
    stored = shop.stored(request_id)
    [trace_id, *_] = stored["trace_ids"]
    spans = {span["span_id"] for span in stored["spans"] if span["trace_id"] == trace_id}
    bodies = sorted(str(log["body"]) for log in stored["logs"])

    def spans_in_elasticsearch() -> set[str]:
        found = in_elasticsearch(elasticsearch_url, "traces-journey-default", "trace.id", trace_id)
        return {document["span"]["id"] if "span" in document else document["span.id"] for document in found}

    def spans_in_zipkin() -> set[str]:
        answer = httpx.get(f"{zipkin_url}/api/v2/trace/{trace_id}")
        return {span["id"] for span in answer.json()} if answer.is_success else set()

    def lines_in_elasticsearch() -> list[str]:
        found = in_elasticsearch(elasticsearch_url, "logs-journey-default", "correlation.id", request_id)
        return sorted(str(document["message"]) for document in found)

    wait_until(lambda: spans_in_elasticsearch() >= spans, timeout_s=60, found=spans_in_elasticsearch)
    wait_until(lambda: spans_in_zipkin() >= spans, timeout_s=60, found=spans_in_zipkin)
    wait_until(lambda: set(lines_in_elasticsearch()) >= set(bodies), timeout_s=60, found=lines_in_elasticsearch)
    assert len(lines_in_elasticsearch()) >= len(bodies)


def orphans(stored: dict[str, Any]) -> set[str]:
    named = {span["parent_span_id"] for span in stored["spans"] if span["parent_span_id"]}
    return named - {span["span_id"] for span in stored["spans"]}
