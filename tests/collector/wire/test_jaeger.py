import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from clew_collector.errors import BadPayload
from clew_collector.wire.jaeger.traces_json import decode_traces, is_jaeger
from clew_collector.wire.otlp.from_json import parse_json
from clew_collector.wire.otlp.payload import count_records, decode, parse
from tests.collector.zipkin_builders import attributes_of

DATA = Path(__file__).parents[2] / "data" / "jaeger"
TRACE = "0af7651916cd43dd8448eb211c80319c"


def a_span(**fields: Any) -> dict[str, Any]:
    return {
        "traceID": TRACE,
        "spanID": "b7ad6b7169203331",
        "operationName": "GET /stock",
        "references": [],
        "startTime": 1_790_000_000_000_000,
        "duration": 5_000,
        "tags": [],
        "logs": [],
        "processID": "p1",
        **fields,
    }


def a_trace(*spans: dict[str, Any]) -> dict[str, Any]:
    host = {"key": "host.name", "type": "string", "value": "h1"}
    processes = {"p1": {"serviceName": "stock", "tags": [host]}}
    return {"data": [{"traceID": TRACE, "spans": list(spans), "processes": processes}]}


def decoded(**fields: Any) -> Span:
    [group] = decode_traces(a_trace(a_span(**fields))).resource_spans
    return group.scope_spans[0].spans[0]


def tag(key: str, value: Any, type_: str | None = "string") -> dict[str, Any]:
    return {"key": key, "type": type_, "value": value}


def test_a_span_has_its_names_times_and_process() -> None:
    [group] = decode_traces(a_trace(a_span())).resource_spans
    [span] = group.scope_spans[0].spans

    assert attributes_of(group.resource) == {"service.name": "stock", "host.name": "h1"}
    assert (span.trace_id.hex(), span.span_id.hex(), span.name) == (TRACE, "b7ad6b7169203331", "GET /stock")
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (1_790_000_000 * 10**9, 1_790_000_000_005_000_000)


def test_tags_keep_their_types_and_odd_ones_stay_as_text() -> None:
    span = decoded(
        tags=[
            *(tag("text", "x"), tag("yes", True, "bool"), tag("written", "true", "bool")),
            *(tag("count", 7, "int64"), tag("large", "9007199254740993", "int64"), tag("huge", str(2**70), "int64")),
            *(tag("ratio", 0.5, "float64"), tag("raw", "AAH/", "binary"), tag("odd", "%", "binary")),
        ]
    )

    assert attributes_of(span) == {
        "text": "x",
        "yes": True,
        "written": True,
        "count": 7,
        "large": 9007199254740993,
        "huge": str(2**70),
        "ratio": 0.5,
        "raw": b"\x00\x01\xff",
        "odd": "%",
    }


@pytest.mark.parametrize(
    ("tags", "code", "message"),
    [
        (
            [tag("error", True, "bool"), tag("otel.status_description", "declined")],
            Status.STATUS_CODE_ERROR,
            "declined",
        ),
        ([tag("otel.status_code", "ERROR")], Status.STATUS_CODE_ERROR, ""),
        ([tag("otel.status_code", "OK")], Status.STATUS_CODE_OK, ""),
        ([tag("error", "true", "bool"), tag("otel.status_code", "OK")], Status.STATUS_CODE_ERROR, ""),
        ([], Status.STATUS_CODE_UNSET, ""),
    ],
)
def test_the_status_is_read_from_tags_which_it_takes_away(tags: list[Any], code: int, message: str) -> None:
    span = decoded(tags=tags)

    assert (span.status.code, span.status.message) == (code, message)
    assert attributes_of(span) == {}


def test_kind_and_scope_are_read_from_tags() -> None:
    span = a_span(tags=[tag("span.kind", "client"), tag("otel.library.name", "lib"), tag("otel.scope.version", "1")])
    scope = decode_traces(a_trace(span)).resource_spans[0].scope_spans[0]

    assert (scope.scope.name, scope.scope.version, scope.spans[0].kind) == ("lib", "1", Span.SPAN_KIND_CLIENT)


def test_the_first_parent_of_the_trace_is_the_parent_and_other_references_are_links() -> None:
    def reference(kind: str, span: str, trace: str = TRACE) -> dict[str, str]:
        return {"refType": kind, "traceID": trace, "spanID": span}

    span = decoded(
        references=[reference("CHILD_OF", "a", "ff"), reference("FOLLOWS_FROM", "b"), reference("CHILD_OF", "c")]
    )
    follower = decoded(references=[reference("FOLLOWS_FROM", "b")])

    assert span.parent_span_id.hex() == "000000000000000c"
    assert [(link.trace_id.hex()[-2:], link.span_id.hex()[-1], attributes_of(link)) for link in span.links] == [
        ("ff", "a", {"opentracing.ref_type": "child_of"}),
        ("9c", "b", {"opentracing.ref_type": "follows_from"}),
    ]
    assert (follower.parent_span_id.hex(), len(follower.links)) == ("000000000000000b", 1)


def test_logs_become_events_and_warnings_are_kept() -> None:
    fields = [tag("event", "retry"), tag("attempt", 2, "int64")]
    span = decoded(logs=[{"timestamp": 1_790_000_000_000_001, "fields": fields}], warnings=["clock skew"])

    [event] = span.events
    assert (event.name, event.time_unix_nano, attributes_of(event)) == (
        "retry",
        1_790_000_000_000_001_000,
        {"attempt": 2},
    )
    assert attributes_of(span) == {"jaeger.warnings": ["clock skew"]}


def test_ids_of_64_bits_have_zeroes_before_them() -> None:
    span = decoded(traceID="8448eb211c80319c", spanID="b")

    assert (span.trace_id.hex(), span.span_id.hex()) == ("8448eb211c80319c".zfill(32), "b".zfill(16))


def test_a_bad_id_is_refused_by_its_place() -> None:
    with pytest.raises(BadPayload, match=r"document.data\[0\].spans\[0\].spanID must be 1 to 16 hex digits"):
        decoded(spanID="span-1")


def test_what_is_nested_too_deeply_is_refused_or_left_out() -> None:
    deep = orjson.loads("[" * 990 + "]" * 990)

    assert attributes_of(decoded(warnings=[deep, "clock skew"])) == {"jaeger.warnings": ["clock skew"]}
    with pytest.raises(BadPayload, match=r"spans\[0\].tags: a value is nested too deeply"):
        decoded(tags=[tag("k", deep)])


@pytest.mark.parametrize(
    "wrap",
    [lambda trace: trace, lambda trace: trace["data"][0], lambda trace: {"data": trace["data"][0]}],
    ids=["the API's answer", "a trace", "an answer with one trace"],
)
def test_each_form_in_which_traces_come_is_told(wrap: Any) -> None:
    document = wrap(a_trace(a_span(), a_span(spanID="2")))

    assert is_jaeger(document)
    assert count_records(decode_traces(document)) == 2


def test_a_real_trace_is_what_it_was_before_it_came_to_jaeger() -> None:
    jaeger = decode_traces(json.loads((DATA / "trace.json").read_bytes()))
    otlp = parse_json("traces", (DATA / "trace.otlp.json").read_bytes())

    assert told_by(jaeger) == told_by(otlp)


def told_by(request: Any) -> list[Any]:
    return sorted(
        (attributes_of(group.resource)["service.name"], scope.scope.name, span.trace_id, span.span_id,
         span.parent_span_id, span.name, span.kind, span.start_time_unix_nano, span.end_time_unix_nano // 1_000)
        for group in request.resource_spans for scope in group.scope_spans for span in scope.spans
    )  # fmt: skip


ODD: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.just([]) | st.just({})
)
IDS = st.sampled_from(["a", "B" * 16, "c" * 32, "0", "", "xyz"]) | ODD
TAGS = (
    st.lists(
        st.fixed_dictionaries(
            {"key": st.sampled_from(["error", "span.kind", "otel.status_code", "otel.scope.name", "event", "k"]) | ODD},
            optional={"type": st.sampled_from(["string", "bool", "int64", "float64", "binary"]) | ODD, "value": ODD},
        ),
        max_size=3,
    )
    | ODD
)
REFERENCES = st.fixed_dictionaries({}, optional={"refType": st.just("CHILD_OF") | ODD, "traceID": IDS, "spanID": IDS})
SPANS = st.fixed_dictionaries(
    {"spanID": IDS},
    optional={
        "traceID": IDS,
        "operationName": ODD,
        "startTime": ODD,
        "duration": ODD,
        "tags": TAGS,
        "warnings": ODD,
        "references": st.lists(REFERENCES | ODD, max_size=3) | ODD,
        "processID": st.just("p1") | ODD,
        "logs": st.lists(st.fixed_dictionaries({}, optional={"timestamp": ODD, "fields": TAGS}) | ODD, max_size=2),
    },
)
TRACES = st.fixed_dictionaries(
    {"traceID": IDS, "spans": st.lists(SPANS | ODD, max_size=3) | ODD},
    optional={"processes": st.dictionaries(st.just("p1"), ODD | st.fixed_dictionaries({"tags": TAGS})) | ODD},
)


@settings(max_examples=400, deadline=None)
@given(st.lists(TRACES | ODD, max_size=2) | ODD)
def test_no_json_makes_the_decoder_fail(data: Any) -> None:
    document = json.loads(json.dumps({"data": data}))
    with suppress(BadPayload):
        encoded = decode_traces(document).SerializeToString()
        assert decode("traces", [encoded]).num_rows == 1
        assert parse("traces", encoded) == decode_traces(document)
