"""Rows of the store as OTLP requests again: what is stored of them is what was stored before."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from clew_collector.model import Signal, Value
from clew_collector.processors.base import open_connection
from clew_collector.wire.otlp.from_rows import RECORD_COLUMNS, cut_rows, encode_rows
from clew_collector.wire.otlp.payload import count_records, decode, parse
from clew_collector.wire.otlp.select import SELECTS
from tests.collector.otlp_builders import a_log, a_span, any_value, attributes, logs, resource, traces

TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
VALUES: st.SearchStrategy[Value] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | TEXTS | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
ATTRIBUTES = st.dictionaries(TEXTS | st.just("correlation.id"), VALUES, max_size=4)
TIMES = st.integers(1, 2**64 - 1)
TRACE_IDS = st.sampled_from([b"", b"\0" * 16, b"short"]) | st.binary(min_size=16, max_size=16)
SPAN_IDS = st.sampled_from([b"", b"\0" * 8, b"odd"]) | st.binary(min_size=8, max_size=8)
SCOPES = st.sampled_from(["", "tests", "http"])


@st.composite
def log_records(draw: st.DrawFn) -> LogRecord:
    return LogRecord(
        time_unix_nano=draw(TIMES),
        observed_time_unix_nano=draw(TIMES | st.just(0)),
        severity_number=draw(st.integers(-1, 300)),  # type: ignore[arg-type]  # any number may come over the wire
        severity_text=draw(TEXTS),
        body=any_value(draw(VALUES)),
        attributes=attributes(draw(ATTRIBUTES)),
        trace_id=draw(TRACE_IDS),
        span_id=draw(SPAN_IDS),
        event_name=draw(TEXTS),
    )


@st.composite
def spans(draw: st.DrawFn) -> Span:
    exception = {"exception.type": "KeyError", "exception.stacktrace": "Traceback\n  at 1"}
    named = st.tuples(TEXTS, ATTRIBUTES) | st.just(("exception", exception))
    return Span(
        trace_id=draw(TRACE_IDS),
        span_id=draw(SPAN_IDS),
        parent_span_id=draw(SPAN_IDS),
        trace_state=draw(TEXTS),
        flags=draw(st.integers(0, 2**32 - 1)),
        name=draw(TEXTS),
        kind=draw(st.integers(-1, 300)),  # type: ignore[arg-type]
        start_time_unix_nano=draw(TIMES | st.just(0)),
        end_time_unix_nano=draw(TIMES | st.just(0)),
        attributes=attributes(draw(ATTRIBUTES)),
        status=Status(code=draw(st.integers(0, 2)), message=draw(TEXTS)),  # type: ignore[arg-type]
        events=[
            Span.Event(time_unix_nano=draw(TIMES), name=name, attributes=attributes(values))
            for name, values in draw(st.lists(named, max_size=2))
        ],
        links=[
            Span.Link(trace_id=draw(TRACE_IDS), span_id=draw(SPAN_IDS), attributes=attributes(draw(ATTRIBUTES)))
            for _ in range(draw(st.integers(0, 2)))
        ],
    )


@st.composite
def log_requests(draw: st.DrawFn) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    for service in draw(st.lists(TEXTS, min_size=1, max_size=2)):
        scopes = []
        for scope in draw(st.lists(SCOPES, min_size=1, max_size=2)):
            scopes.append(ScopeLogs(log_records=draw(st.lists(log_records(), max_size=4))))
            scopes[-1].scope.name = scope
        request.resource_logs.append(ResourceLogs(resource=resource(service, host=draw(VALUES)), scope_logs=scopes))
    return request


@st.composite
def span_requests(draw: st.DrawFn) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    for service in draw(st.lists(TEXTS, min_size=1, max_size=2)):
        scopes = []
        for scope in draw(st.lists(SCOPES, min_size=1, max_size=2)):
            scopes.append(ScopeSpans(spans=draw(st.lists(spans(), max_size=4))))
            scopes[-1].scope.name = scope
        request.resource_spans.append(ResourceSpans(resource=resource(service), scope_spans=scopes))
    return request


@pytest.fixture(scope="module")
def connection() -> Any:
    return open_connection()


def rows_of(connection: Any, signal: Signal, body: bytes) -> pa.RecordBatch:
    """What is stored of a body."""
    connection.register("batch", decode(signal, [body]))
    table = connection.sql(SELECTS[signal]).to_arrow_table()
    return pa.RecordBatch.from_arrays([column.combine_chunks() for column in table.columns], table.column_names)


def read_of(signal: Signal, rows: pa.RecordBatch) -> pa.RecordBatch:
    """The columns that are read again."""
    return rows.select([name.strip() for name in RECORD_COLUMNS[signal].split(",")])


def texts_of(rows: pa.RecordBatch) -> list[str]:
    """As texts, in which NaN is itself; a list that is empty is as good as none."""
    return [
        repr({key: value or None if isinstance(value, list) else value for key, value in row.items()})
        for row in rows.to_pylist()
    ]


def check_round_trip(connection: Any, signal: Signal, body: bytes) -> None:
    stored = rows_of(connection, signal, body)
    again = encode_rows(signal, read_of(signal, stored))

    assert texts_of(rows_of(connection, signal, again)) == texts_of(stored)


SLOW = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@SLOW
@given(request=log_requests())
@example(
    request=logs(a_log({"nested": [b"x", {"y": None}]}, more={"big": 2**63 - 1, "f": float("nan"), "l": [1, "a"]}))
)
def test_log_records_are_stored_from_their_rows_as_they_were(
    connection: Any, request: ExportLogsServiceRequest
) -> None:
    check_round_trip(connection, "logs", request.SerializeToString())


@SLOW
@given(request=span_requests())
@example(request=traces(a_span(error="out of stock", correlation_id="order-17", more={"m": {"k": [True]}})))
def test_spans_are_stored_from_their_rows_as_they_were(connection: Any, request: ExportTraceServiceRequest) -> None:
    check_round_trip(connection, "traces", request.SerializeToString())


def test_the_same_rows_give_the_same_bytes(connection: Any) -> None:
    body = traces(a_span(more={"a": 1}), a_span("b", more={"b": [1.5]})).SerializeToString()
    rows = read_of("traces", rows_of(connection, "traces", body))

    assert encode_rows("traces", rows) == encode_rows("traces", rows)


def test_rows_are_cut_by_count_and_by_size_and_stay_in_order(connection: Any) -> None:
    body = logs(*(a_log(f"{n} {'x' * (5_000 if n == 3 else 5)}") for n in range(9))).SerializeToString()
    rows = read_of("logs", rows_of(connection, "logs", body))

    by_count = list(cut_rows(rows, max_records=4, max_bytes=1 << 20))
    by_size = list(cut_rows(rows, max_records=1_000, max_bytes=4_000))

    for cut in (by_count, by_size):
        assert [text for each in cut for text in each.column("body").to_pylist()] == rows.column("body").to_pylist()
    assert max(each.num_rows for each in by_count) <= 4
    assert [each.num_rows for each in by_size if each.nbytes > 4_000] == [1]
    assert sum(count_records(parse("logs", encode_rows("logs", each))) for each in by_size) == 9
