"""Real records go in by file and come out by value; what is expected is read from the files by other means."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clew_collector.query import LogQuery, RequestQuery
from clew_collector.stores.duckdb import DuckDBStore
from tests.server.running_clew import clew

DATA = Path(__file__).parents[1] / "data"
NEZHA = DATA / "nezha"
EXAMPLES = DATA / "otlp-examples"
LARGEST = "6b2b4dcad2925d3cd2f6fe8a3c3c237b"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBStore]:
    directory = tmp_path_factory.mktemp("real")
    files = [*NEZHA.glob("*.gz"), *(EXAMPLES / f"{name}.json" for name in ("trace", "logs", "events"))]
    imported = clew("import", *map(str, files), "--data", str(directory))
    assert imported.returncode == 0, imported.stderr
    store = DuckDBStore(directory)
    yield store
    store.close()


def records(file: Path, groups: str, scopes: str, items: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Service and record of each record in a file, read as plain JSON."""
    with gzip.open(file, "rt") as lines:
        for line in lines:
            for group in json.loads(line)[groups]:
                names = {a["key"]: a["value"] for a in group["resource"]["attributes"]}
                for scope in group[scopes]:
                    for item in scope[items]:
                        yield names["service.name"]["stringValue"], item


def sent_spans() -> list[tuple[str, dict[str, Any]]]:
    return list(records(NEZHA / "traces.otlp.jsonl.gz", "resourceSpans", "scopeSpans", "spans"))


def sent_logs() -> list[tuple[str, dict[str, Any]]]:
    return list(records(NEZHA / "logs.otlp.jsonl.gz", "resourceLogs", "scopeLogs", "logRecords"))


def test_every_record_of_the_minute_is_there(store: DuckDBStore) -> None:
    counts = store.counts()

    assert (counts.spans, counts.logs) == (len(sent_spans()) + 1, len(sent_logs()) + 2)
    assert set(store.services()) == {service for service, _ in sent_spans()} | {"my.service"}


def test_every_request_of_the_minute_is_listed(store: DuckDBStore) -> None:
    listed: list[str] = []
    cursor = None
    while True:
        page = store.search_requests(RequestQuery(from_ns=1_600_000_000_000_000_000, limit=50, cursor=cursor))
        listed += [summary.id for summary in page.items]
        cursor = page.next
        if cursor is None:
            break

    assert len(listed) == len(set(listed))
    assert set(listed) == {span["traceId"] for _, span in sent_spans()} | {log["traceId"] for _, log in sent_logs()}


def test_the_largest_request_comes_back_span_by_span(store: DuckDBStore) -> None:
    found = store.request(LARGEST)

    assert found is not None
    expected = sorted(
        (service, span["spanId"], span.get("parentSpanId"), span["name"], int(span["startTimeUnixNano"]),
         int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"]))
        for service, span in sent_spans() if span["traceId"] == LARGEST
    )  # fmt: skip
    assert len(expected) == 200
    assert expected == sorted(
        (span.service, span.span_id, span.parent_span_id, span.name, span.start_ns, span.duration_ns)
        for span in found.spans
    )  # fmt: skip
    assert len(found.services) == 18


def test_the_largest_request_comes_back_line_by_line(store: DuckDBStore) -> None:
    found = store.request(LARGEST)

    assert found is not None
    expected = sorted(
        (service, int(log["timeUnixNano"]), log["severityNumber"], log["body"]["stringValue"], log["spanId"],
         log["attributes"][0]["value"]["stringValue"])
        for service, log in sent_logs() if log["traceId"] == LARGEST
    )  # fmt: skip
    assert len(expected) == 111
    assert expected == sorted(
        (log.service, log.time_ns, log.severity_number, log.body, log.span_id, log.attributes["code.location"])
        for log in found.logs
    )


def test_the_trace_and_the_log_of_the_specification_come_back_by_value(store: DuckDBStore) -> None:
    found = store.request("5b8efff798038103d269b633813fc60c")

    assert found is not None
    [span], [log] = found.spans, found.logs
    assert (span.name, span.kind, span.duration_ns) == ("I'm a server span", "server", 1_000_000_000)
    assert (span.span_id, span.parent_span_id) == ("eee19b7ec3c1b174", "eee19b7ec3c1b173")
    assert span.attributes == {"my.span.attr": "some value"}
    assert (log.body, log.severity_number, log.severity_text) == ("Example log record", 10, "Information")
    assert log.attributes == {
        "string.attribute": "some string",
        "boolean.attribute": True,
        "int.attribute": 10,
        "double.attribute": 637.704,
        "array.attribute": ["many", "values"],
        "map.attribute": {"some.map.key": "some value"},
    }


def test_the_event_of_the_specification_keeps_its_body_as_a_map(store: DuckDBStore) -> None:
    logs = store.search_logs(LogQuery(service="my.service")).items

    [event] = [log for log in logs if log.trace_id is None]
    assert event.body == {
        "type": 0,
        "url": "https://www.guidgenerator.com/online-guid-generator.aspx",
        "referrer": "https://wwww.google.com",
        "title": "Free Online GUID Generator",
    }
