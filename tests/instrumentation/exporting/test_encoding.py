"""The encoder against OpenTelemetry's own, over records that hypothesis makes up."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry._logs import LogRecord as SdkLogRecord
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from clew.context import Ids
from clew.exporting.encoding import encode_log, encode_request, encode_resource, encode_span
from clew.freezing import freeze
from clew.logs.record import LogRecord
from clew.runtime import RUNTIME
from clew.settings import Settings
from clew.spans import KIND, LightSpan, Scope

REMOTE_BITS = 0x300


@pytest.fixture(autouse=True, scope="module")
def _nothing_is_redacted() -> Iterator[None]:
    before = RUNTIME.settings
    RUNTIME.go_by(Settings(redact=False), sampler=None, excluded=None)
    yield
    RUNTIME.go_by(before, sampler=None, excluded=None)


text = st.text(max_size=100)
primitives = st.one_of(
    text,
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.binary(max_size=200),
)
# The SDK itself drops attributes without a name.
names = st.text(min_size=1, max_size=100)
values = st.recursive(
    primitives, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4), max_leaves=8
)
attributes = st.dictionaries(names, values, max_size=8)
span_ids = st.integers(1, 2**64 - 1)
trace_ids = st.integers(1, 2**128 - 1)
times_ns = st.integers(0, 2**63)
trace_states = st.none() | st.just("a=1,b@c=x y")
scopes = st.builds(Scope, text, text, text)
span_contexts = st.builds(
    SpanContext, trace_ids, span_ids, st.booleans(), st.builds(TraceFlags, st.integers(0, 3)), st.just(TraceState())
)


@st.composite
def spans(draw: st.DrawFn) -> LightSpan:
    span = LightSpan(draw(scopes), draw(text), KIND[draw(st.sampled_from(SpanKind))], draw(trace_ids))
    span.span_id, span.parent_id = draw(span_ids), draw(st.just(0) | span_ids)
    span.trace_flags, span.trace_state = draw(st.integers(0, 3)), draw(trace_states)
    span.is_parent_remote = bool(span.parent_id) and draw(st.booleans())
    span.start_ns, span.end_ns = draw(times_ns), draw(times_ns)
    span.attributes = {key: freeze(value) for key, value in draw(attributes).items()}
    span.events = draw(st.none() | st.lists(st.tuples(text, times_ns, attributes), max_size=3))
    if span.events is not None:
        span.events = [(name, at_ns, {k: freeze(v) for k, v in own.items()}) for name, at_ns, own in span.events]
    links = draw(st.lists(st.tuples(span_contexts, attributes), max_size=3))
    span.links = [(context, {k: freeze(v) for k, v in own.items()}) for context, own in links]
    span.status = draw(st.sampled_from(StatusCode)).value
    if span.status == StatusCode.ERROR.value:
        span.status_description = draw(st.none() | text)
    span.dropped_attributes, span.dropped_events, span.dropped_links = 0, 0, 0
    return span


def official_span(span: LightSpan, resource: Resource) -> ReadableSpan:
    state = TraceState.from_header([span.trace_state]) if span.trace_state else None
    context = SpanContext(span.trace_id, span.span_id, False, TraceFlags(span.trace_flags), state)
    parent = SpanContext(span.trace_id, span.parent_id, span.is_parent_remote) if span.parent_id else None
    return ReadableSpan(
        name=span.name,
        context=context,
        parent=parent,
        resource=resource,
        attributes=span.attributes,
        events=[Event(name, own, at_ns) for name, at_ns, own in span.events or ()],
        links=[Link(linked, own) for linked, own in span.links or ()],
        kind=SpanKind(span.kind - 1),
        instrumentation_scope=InstrumentationScope(span.scope.name, span.scope.version, span.scope.schema_url),
        status=Status(StatusCode(span.status), span.status_description),
        start_time=span.start_ns,
        end_time=span.end_ns,
    )


def comparable(request: ExportTraceServiceRequest) -> ExportTraceServiceRequest:
    """Without the trace flags: the specification has them in bits 0 to 7, the official encoder leaves them out."""
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                span.flags &= REMOTE_BITS
                for link in span.links:
                    link.flags &= REMOTE_BITS
    return request


@given(st.lists(spans(), min_size=1, max_size=4), attributes)
def test_spans_decode_equal_to_the_official_encoders(made: list[LightSpan], described: dict[str, Any]) -> None:
    frozen = {key: freeze(value) for key, value in described.items()}
    resource = Resource(frozen)

    encoded = encode_request(encode_resource(frozen), [(span.scope, encode_span(span)) for span in made])

    expected = encode_spans([official_span(span, resource) for span in made])
    assert comparable(ExportTraceServiceRequest.FromString(encoded)) == comparable(expected)


@st.composite
def logs(draw: st.DrawFn) -> LogRecord:
    has_trace = draw(st.booleans())
    return LogRecord(
        scope=draw(scopes),
        time_ns=draw(times_ns),
        observed_ns=draw(times_ns),
        severity_number=draw(st.integers(1, 24)),
        severity_text=draw(text),
        body=freeze(draw(values)),
        attributes={key: freeze(value) for key, value in draw(attributes).items()},
        ids=Ids(draw(trace_ids), draw(span_ids), draw(st.integers(0, 3)), None) if has_trace else Ids(0, 0, 0, None),
    )


@given(st.lists(logs(), min_size=1, max_size=4))
def test_logs_decode_equal_to_the_official_encoders(made: list[LogRecord]) -> None:
    resource = Resource({"service.name": "orders"})

    encoded = encode_request(
        encode_resource({"service.name": "orders"}), [(log.scope, encode_log(log)) for log in made]
    )

    expected = encode_logs(
        [
            ReadableLogRecord(
                SdkLogRecord(
                    timestamp=log.time_ns,
                    observed_timestamp=log.observed_ns,
                    trace_id=log.ids.trace_id,
                    span_id=log.ids.span_id,
                    trace_flags=TraceFlags(log.ids.trace_flags),
                    severity_text=log.severity_text,
                    severity_number=SeverityNumber(log.severity_number),
                    body=log.body,
                    attributes=log.attributes,
                ),
                resource,
                InstrumentationScope(log.scope.name, log.scope.version, log.scope.schema_url),
            )
            for log in made
        ]
    )
    assert ExportLogsServiceRequest.FromString(encoded) == expected


def test_the_correlation_id_is_an_attribute_of_spans_and_logs() -> None:
    scope = Scope("s")
    span = LightSpan(scope, "n", 1, 1)
    span.correlation_id = "r-1"
    log = LogRecord(scope, 1, 1, 9, "INFO", "b", {}, Ids(0, 0, 0, "r-1"))

    in_span = ExportTraceServiceRequest.FromString(encode_request(b"", [(scope, encode_span(span))]))
    in_log = ExportLogsServiceRequest.FromString(encode_request(b"", [(scope, encode_log(log))]))

    for record in (
        in_span.resource_spans[0].scope_spans[0].spans[0],
        in_log.resource_logs[0].scope_logs[0].log_records[0],
    ):
        (pair,) = record.attributes
        assert (pair.key, pair.value.string_value) == ("correlation.id", "r-1")


def test_dropped_counts_are_told() -> None:
    span = LightSpan(Scope("s"), "n", 1, 1)
    span.dropped_attributes, span.dropped_events, span.dropped_links = 1, 2, 300

    encoded = encode_request(b"", [(span.scope, encode_span(span))])

    decoded = ExportTraceServiceRequest.FromString(encoded).resource_spans[0].scope_spans[0].spans[0]
    counts = (decoded.dropped_attributes_count, decoded.dropped_events_count, decoded.dropped_links_count)
    assert counts == (1, 2, 300)


def test_half_a_surrogate_pair_becomes_a_question_mark() -> None:
    span = LightSpan(Scope("s"), "n\ud800", 1, 1)

    encoded = encode_request(b"", [(span.scope, encode_span(span))])

    decoded = ExportTraceServiceRequest.FromString(encoded).resource_spans[0].scope_spans[0].spans[0]
    assert decoded.name == "n?"
