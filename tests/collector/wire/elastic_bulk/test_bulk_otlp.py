"""Documents as OTLP: ECS by its meaning, everything else as it came, and the IDs by which each joins a request."""

import time
from typing import Any

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from clew_collector.wire.elastic_bulk.document import BadDocument
from clew_collector.wire.elastic_bulk.to_otlp import DocumentsRequest
from tests.collector.wire.elastic_bulk.documents import (
    FILEBEAT,
    INDEX,
    RECEIVED_NS,
    SPAN,
    TRACE,
    attributes_of,
    log_of,
    request_of,
    resource_of,
)

NESTED = {
    "@timestamp": "2026-09-21T12:13:20.123456789Z",
    "log": {"level": "error", "logger": "orders.api", "origin": {"file": {"name": "api.py", "line": 7}}},
    "message": "payment failed",
    "service": {"name": "orders", "version": "1.2", "environment": "prod", "node": {"name": "orders-1"}},
    "host": {"name": "web1"},
    "trace": {"id": TRACE},
    "span": {"id": SPAN},
    "correlation": {"id": "order-17"},
    "error": {"type": "Declined", "message": "no money", "stack_trace": "Traceback"},
    "labels": {"customer": "c1"},
    "http": {"response": {"status_code": 502}},
}
DOTTED = {
    "@timestamp": "2026-09-21T12:13:20.123456789Z",
    "log.level": "error",
    "log.logger": "orders.api",
    "log.origin.file.name": "api.py",
    "log.origin.file.line": 7,
    "message": "payment failed",
    "service.name": "orders",
    "service.version": "1.2",
    "service.environment": "prod",
    "service.node.name": "orders-1",
    "host.name": "web1",
    "trace.id": TRACE,
    "span.id": SPAN,
    "correlation.id": "order-17",
    "error.type": "Declined",
    "error.message": "no money",
    "error.stack_trace": "Traceback",
    "labels.customer": "c1",
    "http.response.status_code": 502,
}


@pytest.mark.parametrize("document", [NESTED, DOTTED], ids=["nested", "dotted"])
def test_an_ecs_document_is_a_log_record_by_opentelemetrys_names(document: dict[str, Any]) -> None:
    log = log_of(document)

    assert log.time_unix_nano == 1_789_992_800_123_456_789
    assert log.observed_time_unix_nano == RECEIVED_NS
    assert (log.severity_number, log.severity_text, log.body.string_value) == (17, "error", "payment failed")
    assert (log.trace_id.hex(), log.span_id.hex()) == (TRACE, SPAN)
    assert attributes_of(log) == {
        "correlation.id": "order-17",
        "log.logger": "orders.api",
        "code.file.path": "api.py",
        "code.line.number": 7,
        "exception.type": "Declined",
        "exception.message": "no money",
        "exception.stacktrace": "Traceback",
        "labels.customer": "c1",
        "http.response.status_code": 502,
    }
    assert resource_of(document) == {
        "service.name": "orders",
        "service.version": "1.2",
        "deployment.environment.name": "prod",
        "service.instance.id": "orders-1",
        "host.name": "web1",
    }


def test_what_filebeat_writes_keeps_all_it_says() -> None:
    log = log_of(FILEBEAT)

    assert (log.body.string_value, log.severity_number) == ("no stock", 13)
    assert attributes_of(log) == {
        "log.offset": 120,
        "log.file.path": "/var/log/orders.log",
        "input.type": "filestream",
        "fields.team": "shop",
        "tags": ["a", "b"],
    }
    assert resource_of(FILEBEAT) == {
        "ecs.version": "8.0.0",
        "host.name": "web1",
        "host.ip": ["10.0.0.1", "fe80::1"],
        "host.os.platform": "ubuntu",
        "host.containerized": False,
        "agent.type": "filebeat",
        "agent.version": "9.2.0",
        "agent.name": "web1",
    }


def test_a_plain_document_needs_no_schema() -> None:
    document = {
        "time": 1_789_992_800_123,
        "level": 50,
        "msg": "boom",
        "service": "orders",
        "host": "web1",
        "n": {"x": [1]},
    }

    log = log_of(document)

    assert log.time_unix_nano == 1_789_992_800_123_000_000
    assert (log.severity_number, log.body.string_value) == (17, "boom")
    assert attributes_of(log) == {"n.x": [1]}
    assert resource_of(document) == {"service.name": "orders", "host.name": "web1"}


def test_the_browser_of_an_access_log_is_not_the_shipper() -> None:
    document = {"message": "GET /", "agent": "Mozilla/5.0", "host": "shop.example"}

    assert attributes_of(log_of(document)) == {"agent": "Mozilla/5.0"}
    assert resource_of(document) == {"host.name": "shop.example"}


@pytest.mark.parametrize(
    ("stamp", "time_ns"),
    [
        ("2026-09-21T12:13:20Z", 1_789_992_800_000_000_000),
        ("2026-09-21T14:13:20.5+02:00", 1_789_992_800_500_000_000),
        ("2026-09-21T12:13:20.000000001", 1_789_992_800_000_000_001),
        (1_789_992_800_500, 1_789_992_800_500_000_000),
        ("1789992800500", 1_789_992_800_500_000_000),
    ],
)
def test_times_are_those_of_elasticsearch(stamp: Any, time_ns: int) -> None:
    log = log_of({"@timestamp": stamp, "message": "x"})

    assert (log.time_unix_nano, attributes_of(log)) == (time_ns, {})


def test_a_time_without_a_zone_is_in_utc_wherever_the_collector_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        log = log_of({"@timestamp": "2026-09-21T12:13:21"})
    finally:
        monkeypatch.undo()
        time.tzset()

    assert log.time_unix_nano == 1_789_992_801_000_000_000


@pytest.mark.parametrize("stamp", ["yesterday", "2026-13-01T00:00:00Z", -5, True, ["2026-09-21T12:13:20Z"], str(2**70)])
def test_a_time_that_cannot_be_read_stays_an_attribute(stamp: Any) -> None:
    log = log_of({"@timestamp": stamp, "message": "x"})

    assert log.time_unix_nano == 0
    assert "@timestamp" in attributes_of(log)


def test_a_level_of_ones_own_is_kept_as_text() -> None:
    log = log_of({"log.level": "AUDIT", "message": "x"})

    assert (log.severity_number, log.severity_text) == (0, "AUDIT")


def test_a_message_that_is_an_object_becomes_fields() -> None:
    log = log_of({"message": {"text": "x", "n": 1}})

    assert not log.HasField("body")
    assert attributes_of(log) == {"message.text": "x", "message.n": 1}


def ids_of(log: LogRecord) -> tuple[str, str, object]:
    return log.trace_id.hex(), log.span_id.hex(), attributes_of(log).get("correlation.id")


@pytest.mark.parametrize(
    ("document", "trace", "span", "correlation_id"),
    [
        ({"trace_id": TRACE, "spanId": SPAN, "request_id": "r1"}, TRACE, SPAN, "r1"),
        ({"traceId": SPAN}, SPAN.zfill(32), "", None),
        ({"traceparent": f"00-{TRACE}-{SPAN}-01"}, TRACE, SPAN, None),
        ({"http": {"request": {"id": "r1"}}}, "", "", "r1"),
        ({"http": {"request": {"id": "r1"}}, "correlation": {"id": "c1"}}, "", "", "c1"),
        ({"http": {"request": {"headers": {"x-request-id": ["r1"]}}}}, "", "", "r1"),
        ({"labels": {"request_id": "r1", "trace_id": TRACE}}, TRACE, "", "r1"),
        ({"fields": {"request_id": "shippers"}, "request_id": "own"}, "", "", "own"),
        ({"trace.id": TRACE, "transaction.id": SPAN}, TRACE, SPAN, None),
        ({"trace.id": TRACE, "span.id": SPAN, "transaction.id": "1" * 16}, TRACE, SPAN, None),
        ({"request_id": 17}, "", "", "17"),
        ({"trace.id": "-", "correlation.id": "null"}, "", "", None),
        ({"trace.id": "0" * 32}, "", "", None),
    ],
)
def test_ids_are_found_under_the_names_that_are_in_use(
    document: dict[str, Any], trace: str, span: str, correlation_id: str | None
) -> None:
    assert ids_of(log_of(document)) == (trace, span, correlation_id)


def test_an_id_is_not_kept_a_second_time_but_one_in_a_group_stays_there() -> None:
    log = log_of({"trace_id": TRACE, "request_id": "r1", "http.request.id": "r1", "transaction.id": SPAN})

    assert attributes_of(log) == {"correlation.id": "r1", "http.request.id": "r1", "transaction.id": SPAN}


def test_a_correlation_id_that_is_none_joins_nothing_and_is_kept() -> None:
    assert attributes_of(log_of({"correlation": {"id": "-"}})) == {"labels.correlation.id": "-"}
    assert attributes_of(log_of({"correlation.id": "two words", "request_id": "r1"})) == {
        "labels.correlation.id": "two words",
        "correlation.id": "r1",
    }


@pytest.mark.parametrize(("ids_in_text", "correlation_id"), [(False, None), (True, "r1")])
def test_ids_in_the_text_are_found_only_if_asked_for(ids_in_text: bool, correlation_id: str | None) -> None:
    log = log_of({"message": "no stock request_id=r1"}, ids_in_text=ids_in_text)

    assert ids_of(log)[2] == correlation_id


@pytest.mark.parametrize(
    ("document", "service"),
    [
        ({"service": {"name": "orders"}, "container": {"name": "c"}}, "orders"),
        ({"kubernetes": {"container": {"name": "orders"}}, "container": {"name": "k8s_orders"}}, "orders"),
        ({"container.name": "orders"}, "orders"),
        ({"service": {"name": 5}, "message": "x"}, 5),
        ({"message": "x"}, None),
    ],
)
def test_the_service_is_the_best_name_there_is(document: dict[str, Any], service: object) -> None:
    assert resource_of(document).get("service.name") == service


def test_documents_are_grouped_by_who_wrote_them_in_order() -> None:
    request = request_of(*({"service": {"name": name}, "message": text} for name, text in ("a1", "b2", "a3")))

    bodies = [[log.body.string_value for log in group.scope_logs[0].log_records] for group in request.resource_logs]
    assert bodies == [["1", "3"], ["2"]]


def test_an_id_of_the_senders_own_is_kept() -> None:
    request = DocumentsRequest(received_ns=RECEIVED_NS)
    request.add(b'{"message":"x"}', index=INDEX, id="mine")

    [log] = request.message.resource_logs[0].scope_logs[0].log_records
    assert attributes_of(log) == {"elasticsearch.id": "mine"}


@pytest.mark.parametrize(
    "document",
    [b'{"a":', b'{"host":' + b'{"a":' * 30 + b"1" + b"}" * 31, b'{"host":' + b"[" * 500 + b"]" * 500 + b"}"],
    ids=["not JSON", "a deep host", "a deeper host"],
)
def test_a_bad_document_leaves_the_request_as_it_was(document: bytes) -> None:
    request = DocumentsRequest(received_ns=RECEIVED_NS)
    request.add(b'{"message":"x"}', index=INDEX)
    before = request.message.SerializeToString()

    with pytest.raises(BadDocument):
        request.add(document, index=INDEX)

    assert (request.records, request.message.SerializeToString()) == (1, before)
