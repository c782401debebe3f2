"""Zipkin v2 spans become the OTLP that they stand for."""

from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from clew_collector.errors import BadPayload
from clew_collector.wire.zipkin.to_otlp import encode_export_request
from clew_collector.wire.zipkin.v2_json import decode_v2_json
from tests.collector.zipkin_builders import (
    NOW_NS,
    SPAN,
    T0_US,
    TRACE,
    TRACE_64,
    a_span,
    attributes_of,
    body_of,
    in_otlp,
)


def converted(**fields: Any) -> Span:
    [(_, span)] = in_otlp(decode_v2_json(body_of(a_span(**fields))))
    return span


def test_a_span_with_every_field_is_converted_by_value() -> None:
    form = a_span(
        parentId="b33447baae403ed6",
        kind="CLIENT",
        localEndpoint={"serviceName": "frontend", "ipv4": "192.168.0.10", "port": 8080},
        remoteEndpoint={"serviceName": "stock", "ipv6": "2001:db8::c001", "port": 9000},
        annotations=[{"timestamp": T0_US + 7, "value": "cache miss"}],
        tags={"http.method": "GET", "correlation.id": "req-1"},
        debug=True,
    )

    [(service, span)] = in_otlp(decode_v2_json(body_of(form)))

    assert service == "frontend"
    assert (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()) == (TRACE, SPAN, "b33447baae403ed6")
    assert (span.name, span.kind) == ("get /stock", Span.SPAN_KIND_CLIENT)
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (T0_US * 1000, T0_US * 1000 + 5_000_000)
    assert attributes_of(span) == {
        "http.method": "GET",
        "correlation.id": "req-1",
        "peer.service": "stock",
        "network.peer.address": "2001:db8::c001",
        "network.peer.port": 9000,
        "network.local.address": "192.168.0.10",
        "network.local.port": 8080,
    }
    assert [(event.name, event.time_unix_nano) for event in span.events] == [("cache miss", (T0_US + 7) * 1000)]
    assert span.status == Status()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("CLIENT", 3), ("SERVER", 2), ("PRODUCER", 4), ("CONSUMER", 5), (None, 1)],
)
def test_a_span_without_kind_is_internal(kind: str | None, expected: int) -> None:
    assert converted(kind=kind).kind == expected


def test_spans_are_grouped_by_service_and_scope() -> None:
    body = body_of(
        a_span(id="01", tags={"otel.scope.name": "requests", "otel.scope.version": "2.1"}),
        a_span(id="02", localEndpoint={"serviceName": "orders"}),
        a_span(id="03", tags={"otel.library.name": "requests", "otel.library.version": "2.1"}),
        a_span(id="04", localEndpoint=None),
    )

    request = encode_export_request(decode_v2_json(body), now_ns=NOW_NS)

    found = [
        (
            attributes_of(group.resource),
            scope.scope.name,
            scope.scope.version,
            [span.span_id[-1] for span in scope.spans],
        )
        for group in request.resource_spans
        for scope in group.scope_spans
    ]
    assert found == [
        ({"service.name": "stock"}, "requests", "2.1", [1, 3]),
        ({"service.name": "orders"}, "", "", [2]),
        ({}, "", "", [4]),
    ]


@pytest.mark.parametrize(
    ("tags", "code", "message", "left"),
    [
        ({"error": "no stock"}, "ERROR", "no stock", {}),
        ({"error": ""}, "ERROR", "", {}),
        ({"error": "true"}, "ERROR", "", {}),
        ({"error": "false"}, "UNSET", "", {"error": "false"}),
        ({"otel.status_code": "ERROR", "error": "no stock"}, "ERROR", "no stock", {}),
        ({"otel.status_code": "ERROR", "error": "true", "otel.status_description": "gone"}, "ERROR", "gone", {}),
        ({"otel.status_code": "OK"}, "OK", "", {}),
        ({"otel.status_code": "strange"}, "UNSET", "", {"otel.status_code": "strange"}),
        ({"http.status_code": "500"}, "UNSET", "", {"http.status_code": "500"}),
    ],
    ids=str,
)
def test_status_comes_from_the_tags(tags: dict[str, str], code: str, message: str, left: dict[str, str]) -> None:
    span = converted(tags=tags)

    assert (Status.StatusCode.Name(span.status.code), span.status.message) == (f"STATUS_CODE_{code}", message)
    assert attributes_of(span) == left


def test_a_missing_time_is_that_of_the_first_annotation_or_now() -> None:
    notes = [{"timestamp": T0_US + 9, "value": "late"}, {"timestamp": T0_US + 3, "value": "early"}]

    assert converted(timestamp=None, annotations=notes).start_time_unix_nano == (T0_US + 3) * 1000
    assert converted(timestamp=None).start_time_unix_nano == NOW_NS
    assert converted(timestamp=0, duration=5).end_time_unix_nano == NOW_NS + 5_000


def test_a_missing_duration_is_no_end() -> None:
    assert converted(duration=None).end_time_unix_nano == 0


def test_times_out_of_reach_are_the_last_moment() -> None:
    span = converted(timestamp=2**63, duration=2**63, annotations=[{"timestamp": 2**64 - 1, "value": "x"}])

    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (2**64 - 1, 2**64 - 1)
    assert span.events[0].time_unix_nano == 2**64 - 1


@pytest.mark.parametrize(
    "text",
    [
        '"exception": {"exception.type": "ValueError", "n": 1}',
        '{"exception": {"exception.type": "ValueError", "n": 1}}',
    ],
)
def test_an_event_of_opentelemetrys_exporters_gets_its_attributes_back(text: str) -> None:
    [event] = converted(annotations=[{"timestamp": T0_US, "value": text}]).events

    assert (event.name, attributes_of(event)) == ("exception", {"exception.type": "ValueError", "n": "1"})


DEEP = '{"a": {"b": ' + "[" * 300 + "]" * 300 + "}}"


@pytest.mark.parametrize(
    "text", ['{"a": 1}', '{"a": {}, "b": {}}', '"quoted"', "{broken", "{}", '{"a"}', "[]", "", DEEP]
)
def test_any_other_annotation_is_an_events_name(text: str) -> None:
    [event] = converted(annotations=[{"timestamp": T0_US, "value": text}]).events

    assert (event.name, attributes_of(event)) == (text, {})


def test_tags_that_say_more_than_the_endpoints_hold() -> None:
    span = converted(remoteEndpoint={"serviceName": "db"}, tags={"peer.service": "stock-db"})

    assert attributes_of(span) == {"peer.service": "stock-db"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [("A", "a".zfill(32)), (TRACE_64, TRACE), ("F" * 32, "f" * 32), ("1" + "0" * 16, "1".zfill(16) + "0" * 16)],
)
def test_trace_ids_are_padded_to_128_bits(given: str, expected: str) -> None:
    assert converted(traceId=given).trace_id.hex() == expected


def test_a_span_is_not_its_own_parent() -> None:
    assert converted(parentId=SPAN).parent_span_id == b""
    assert converted(parentId="0" * 16).parent_span_id == b""


def test_numbers_are_understood_as_text_and_with_a_fraction_of_zero() -> None:
    span = converted(
        timestamp=str(T0_US), duration=5e3, tags={"n": 7, "f": 1.5, "yes": True, "none": None, "big": 2**64 - 1}
    )

    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (T0_US * 1000, T0_US * 1000 + 5_000_000)
    assert attributes_of(span) == {"n": 7, "f": 1.5, "yes": True, "big": str(2**64 - 1)}


BAD: dict[str, tuple[Any, str]] = {
    "not a list": ({}, "a JSON list of spans was expected, got an object"),
    "not an object": ([7], "[0] must be an object, got 7"),
    "no trace ID": ([a_span(traceId=None)], "[0].traceId must be 1 to 32 hex digits"),
    "trace ID of zeroes": ([a_span(traceId="0" * 32)], "not all of them 0"),
    "trace ID too long": ([a_span(traceId="1" * 33)], "[0].traceId must be 1 to 32 hex digits"),
    "trace ID not hex": ([a_span(), a_span(traceId="5a ab")], "[1].traceId must be 1 to 32 hex digits, got '5a ab'"),
    "ID a number": ([a_span(id=7)], "[0].id must be 1 to 16 hex digits, got 7"),
    "parent not hex": ([a_span(parentId="xyz")], "[0].parentId must be"),
    "name a list": ([a_span(name=[])], "[0].name must be text, got a list"),
    "unknown kind": ([a_span(kind="ROBOT")], "[0].kind must be CLIENT, SERVER, PRODUCER or CONSUMER, got 'ROBOT'"),
    "time of words": ([a_span(timestamp="noon")], "[0].timestamp must be a whole number, got 'noon'"),
    "time in part": ([a_span(timestamp=1.5)], "[0].timestamp must be a whole number, got 1.5"),
    "duration true": ([a_span(duration=True)], "[0].duration must be a whole number, got True"),
    "endpoint a text": ([a_span(localEndpoint="stock")], "[0].localEndpoint must be an object, got 'stock'"),
    "port too large": ([a_span(remoteEndpoint={"port": 70_000})], "[0].remoteEndpoint.port must be at most 65535"),
    "tags a list": ([a_span(tags=[])], "[0].tags must be an object, got a list"),
    "tag an object": ([a_span(tags={"k": {}})], "[0].tags.k must be text, got an object"),
    "annotations an object": ([a_span(annotations={})], "[0].annotations must be a list, got an object"),
    "annotation empty": ([a_span(annotations=[{}])], "[0].annotations[0].value is missing"),
    "shared in words": ([a_span(shared="yes")], "[0].shared must be true or false, got 'yes'"),
    "a v1 span": ([{**a_span(), "binaryAnnotations": []}], "goes to /api/v1/spans"),
}


@pytest.mark.parametrize(("document", "reason"), BAD.values(), ids=BAD.keys())
def test_what_is_no_span_is_refused_by_name(document: Any, reason: str) -> None:
    body = body_of(*document) if isinstance(document, list) else b"{}"

    with pytest.raises(BadPayload) as refused:
        decode_v2_json(body)

    assert reason in str(refused.value)
