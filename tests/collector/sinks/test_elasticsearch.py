"""What arrives in a real Elasticsearch."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from clew_collector.model import Value
from clew_collector.processors.condition import Condition
from clew_collector.processors.config import compose
from clew_collector.processors.filter import FilterConfig
from clew_collector.sinks.elasticsearch.config import ElasticsearchConfig
from clew_collector.spool import Series, Spool
from tests.collector.otlp_builders import SPAN, T0_NS, TRACE, a_log, a_span, attributes, logs, traces
from tests.collector.sinks.shipment import Streams, fill, lines, shipping

ROOT = Path(__file__).parents[3]
PACKAGED = ROOT / "collector" / "clew_collector" / "sinks" / "elasticsearch" / "templates"
PUBLISHED = ROOT / "elk" / "elasticsearch"


@pytest.fixture
def streams(elasticsearch_url: str) -> Streams:
    return Streams(elasticsearch_url)


def arrived(data: Path, url: str, streams: Streams, *requests: Any, **how: Any) -> list[dict[str, Any]]:
    """The documents of some requests of one signal, after all have been shipped."""
    spool = Spool(data / "spool")
    fill(spool, *requests)
    with shipping(data, url, streams, **how) as loop:
        loop.drain()
    assert spool.dead_letters() == []
    return streams.documents(streams.logs if how.get("signal", "logs") == "logs" else streams.traces)


def test_every_line_arrives_once_and_the_spool_is_empty(
    tmp_path: Path, elasticsearch_url: str, streams: Streams
) -> None:
    arrived(tmp_path, elasticsearch_url, streams, *lines(40, 250))

    spool = Spool(tmp_path / "spool")
    assert streams.messages() == Counter(f"line {number}" for number in range(10_000))
    assert spool.depth().payloads == 0
    assert spool.counters()[Series("shipped", "logs", "", "elasticsearch")] == 10_000


def test_a_log_line_has_the_names_that_kibana_knows(tmp_path: Path, elasticsearch_url: str, streams: Streams) -> None:
    failed = {"exception.type": "CardDeclined", "exception.message": "no", "exception.stacktrace": "at line 1"}
    record = a_log(
        "card declined",
        severity=17,
        time_ns=T0_NS + 123,
        correlation_id="order-17",
        more={**failed, "http.request.method": "POST", "http.response.status_code": 402, "order.id": "A-1"},
    )

    [document] = arrived(tmp_path, elasticsearch_url, streams, logs(record, service="payments", scope="acme.pay"))

    assert document == {
        "@timestamp": "2026-09-21T14:13:20.000000123Z",
        "message": "card declined",
        "log.level": "error",
        "event.severity": 17,
        "error.type": "CardDeclined",
        "error.message": "no",
        "error.stack_trace": "at line 1",
        "service.name": "payments",
        "trace.id": TRACE,
        "span.id": SPAN,
        "correlation.id": "order-17",
        "http.request.method": "POST",
        "http.response.status_code": 402,
        "scope.name": "acme.pay",
        "attributes": {"order.id": "A-1"},
    }


def test_a_span_has_the_names_that_kibana_knows(tmp_path: Path, elasticsearch_url: str, streams: Streams) -> None:
    event = Span.Event(
        time_unix_nano=T0_NS + 5,
        name="exception",
        attributes=attributes({"exception.type": "Timeout", "exception.message": "after 5 s"}),
    )
    link = Span.Link(trace_id=bytes(15) + b"\1", span_id=bytes(7) + b"\2", attributes=attributes({"why": "retry"}))
    span = a_span("GET /stock", error="failed", correlation_id="order-17", events=[event], links=[link])

    [document] = arrived(tmp_path, elasticsearch_url, streams, traces(span), signal="traces")

    assert document == {
        "@timestamp": "2026-09-21T14:13:20Z",
        "span.name": "GET /stock",
        "span.kind": "server",
        "transaction.id": SPAN,
        "event.duration": 5_000_000,
        "event.outcome": "failure",
        "error.type": "Timeout",
        "error.message": "after 5 s",
        "service.name": "inventory",
        "trace.id": TRACE,
        "span.id": SPAN,
        "correlation.id": "order-17",
        "scope.name": "tests",
        "span.events": [
            {
                "@timestamp": "2026-09-21T14:13:20.000000005Z",
                "name": "exception",
                "attributes": {"exception.type": "Timeout", "exception.message": "after 5 s"},
            }
        ],
        "span.links": [{"trace.id": f"{1:032x}", "span.id": f"{2:016x}", "attributes": {"why": "retry"}}],
    }


def test_a_request_is_found_by_its_ids_in_both_streams_in_order_of_nanoseconds(
    tmp_path: Path, elasticsearch_url: str, streams: Streams
) -> None:
    records = [a_log(f"line {n}", time_ns=T0_NS + n, correlation_id="order-17") for n in (2, 0, 1)]
    fill(Spool(tmp_path / "spool"), traces(a_span(correlation_id="order-17")), logs(*records, a_log("of another")))

    for signal in ("logs", "traces"):
        with shipping(tmp_path, elasticsearch_url, streams, signal=signal) as loop:
            loop.drain()
    both = f"{streams.logs},{streams.traces}"
    streams.client.indices.refresh(index=both)
    found = streams.client.search(index=both, query={"term": {"correlation.id": "order-17"}}, sort=["@timestamp"])

    told = [hit["_source"].get("message", hit["_source"].get("span.name")) for hit in found["hits"]["hits"]]
    assert sorted(told[:2]) == ["GET /stock", "line 0"]
    assert told[2:] == ["line 1", "line 2"]


@pytest.mark.parametrize(
    "odd",
    [
        {"": "no name"},
        {".": 1, "..": 2, "a..b": 3, ".a": 4, "a.": 5, " ": 6},
        {"http": "1.1", "http.method": "GET", "http.method.x": 1},
        {"tags": ["a", "b", 3], "nested": {"deep": {"er": [1, {"x": None}]}}, "empty": []},
        {"nan": float("nan"), "infinite": float("-inf"), "large": 2**63 - 1, "nothing": None},
        {'quote"\\\n\u2028\x00': 'quote"\\\n\u2028\x00\U0001f9f6'},
        {"long": "x" * 100_000, "bytes": b"\x00\xff"},
        {f"field {number}": number for number in range(3_000)},
    ],
    ids=["no name", "dots", "clashes", "arrays and maps", "numbers", "quotes", "long", "fields beyond the limit"],
)
def test_no_line_is_refused_for_its_attributes(
    tmp_path: Path, elasticsearch_url: str, streams: Streams, odd: dict[str, Any]
) -> None:
    [document] = arrived(tmp_path, elasticsearch_url, streams, logs(a_log("odd", more=odd)))

    assert len(document["attributes"]) == len(odd)


def test_values_that_clash_in_type_arrive_both(tmp_path: Path, elasticsearch_url: str, streams: Streams) -> None:
    records = [a_log("number", more={"size": 1}), a_log("text", more={"size": "large"}), a_log(more={"size": {"x": 1}})]

    documents = arrived(tmp_path, elasticsearch_url, streams, logs(*records))

    assert [document["attributes"]["size"] for document in documents] == [1, "large", {"x": 1}]


def test_a_body_that_is_no_text_is_a_message_of_json(tmp_path: Path, elasticsearch_url: str, streams: Streams) -> None:
    bodies: list[Value] = [{"event": "paid", "lines": [1, 2]}, ["a", 1], 17, True, None]

    documents = arrived(tmp_path, elasticsearch_url, streams, logs(*(a_log(body) for body in bodies)))

    told = [document["message"] for document in documents]
    assert [json.loads(text) for text in told[:4]] == bodies[:4]
    assert told[4] == ""


def test_of_two_attributes_of_one_name_the_last_holds(tmp_path: Path, elasticsearch_url: str, streams: Streams) -> None:
    record = a_log(more={"order": "A"})
    record.attributes.extend(attributes({"order": "B"}))

    [document] = arrived(tmp_path, elasticsearch_url, streams, logs(record))

    assert document["attributes"] == {"order": "B"}


def test_what_processors_drop_does_not_arrive_and_the_rest_keeps_its_ids(
    tmp_path: Path, elasticsearch_url: str, streams: Streams
) -> None:
    requests = [
        logs(a_log("debug", severity=5), a_log("info"), a_log("debug", severity=5), a_log("error", severity=17))
    ]
    processors = compose([FilterConfig(type="drop", when=Condition(severity_below="INFO"))])

    arrived(tmp_path, elasticsearch_url, streams, *requests, processors=processors)

    found = streams.client.search(index=streams.logs, sort=["_doc"])
    assert [(hit["_source"]["message"], hit["_id"][-8:]) for hit in found["hits"]["hits"]] == [
        ("info", "00000001"),
        ("error", "00000003"),
    ]


def test_templates_are_installed_once_and_what_is_there_stays(
    tmp_path: Path, elasticsearch_url: str, streams: Streams
) -> None:
    streams.logs = f"shop-{streams.logs}"
    streams.client.indices.put_index_template(
        name=f"clew-logs-{streams.logs}", index_patterns=[streams.logs], data_stream={}, priority=400
    )

    arrived(tmp_path, elasticsearch_url, streams, *lines(1, 1))

    kept = streams.client.indices.get_index_template(name=f"clew-logs-{streams.logs}")
    assert kept["index_templates"][0]["index_template"]["priority"] == 400


def test_a_stream_of_any_name_sorts_by_nanoseconds(tmp_path: Path, elasticsearch_url: str, streams: Streams) -> None:
    streams.logs = f"shop-{streams.logs}"

    arrived(tmp_path, elasticsearch_url, streams, *lines(1, 1))

    [index] = streams.client.indices.get_mapping(index=streams.logs).values()
    assert index["mappings"]["properties"]["@timestamp"]["type"] == "date_nanos"


def test_the_published_templates_are_those_of_the_package() -> None:
    packaged = {path.relative_to(PACKAGED): path.read_bytes() for path in PACKAGED.rglob("*.json")}
    published = {path.relative_to(PUBLISHED): path.read_bytes() for path in PUBLISHED.rglob("*.json")}

    assert packaged == published
    assert packaged


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"user": "clew"}, "user and password come together"),
        ({"user": "clew", "password": "x", "api_key": "y"}, "not both"),
        ({"urls": ["http://user:secret@es:9200"]}, "String should match pattern"),
        ({"logs": "Upper"}, "String should match pattern"),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        ElasticsearchConfig.model_validate({"type": "elasticsearch", **wrong})
