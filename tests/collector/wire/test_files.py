import gzip
import io
import json
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from clew_collector.wire.files import FilePayload, Refusal, read_payloads
from clew_collector.wire.otlp.payload import decode
from tests.collector.otlp_builders import a_log, logs
from tests.collector.wire.test_jaeger import a_span as a_jaeger_span
from tests.collector.wire.test_jaeger import a_trace
from tests.collector.zipkin_builders import NOW_NS, SPAN, attributes_of
from tests.collector.zipkin_builders import a_span as a_zipkin_span

DATA = Path(__file__).parents[2] / "data"
LOG_LINE = {
    "time": "2026-09-21T14:13:20Z",
    "level": "error",
    "message": "no stock",
    "trace_id": "0af7651916cd43dd8448eb211c80319c",
    "request_id": "order-17",
    "service": "orders",
}


def read(*lines: Any) -> tuple[list[FilePayload], list[Refusal]]:
    """What is read from a file with these JSON documents, one a line."""
    return read_bytes("\n".join(map(json.dumps, lines)).encode())


def read_bytes(data: bytes) -> tuple[list[FilePayload], list[Refusal]]:
    items = list(read_payloads(io.BytesIO(data), now_ns=NOW_NS))
    return (
        [item for item in items if isinstance(item, FilePayload)],
        [item for item in items if isinstance(item, Refusal)],
    )


def told(payloads: list[FilePayload]) -> list[tuple[str, str, int]]:
    return [(payload.format, payload.signal, payload.records) for payload in payloads]


def test_real_files_are_told_apart_by_what_is_in_them() -> None:
    files = {path: read_bytes(path.read_bytes()) for folder in DATA.iterdir() for path in folder.glob("*.json")}

    counted = {f"{path.parent.name}/{path.stem}": told(payloads) for path, (payloads, _) in files.items()}
    assert {name: found for name, found in counted.items() if not name.startswith("otlp")} == {
        "zipkin/ascend": [("Zipkin", "traces", 8)],
        "zipkin/messaging2": [("Zipkin", "traces", 11)],
        "zipkin/skew": [("Zipkin", "traces", 4)],
        "zipkin/yelp": [("Zipkin", "traces", 16)],
        "train-ticket-zipkin/booking": [("Zipkin", "traces", 13)],  # seven spans of v1, which hold both sides
        "jaeger/trace": [("Jaeger", "traces", 4)],
        "jaeger/trace.otlp": [("OTLP", "traces", 4)],
    }
    assert [path.name for path, (_, refused) in files.items() if refused] == ["metrics.json"]


def test_zipkin_comes_as_a_span_a_trace_or_a_list_of_traces_a_line() -> None:
    one, two = a_zipkin_span(id="1"), a_zipkin_span(id="2")

    for lines in ([one, two], [[one, two]], [[[one], [two]]], [[one], [two]]):
        payloads, refused = read(*lines)
        assert (told(payloads), refused) == ([("Zipkin", "traces", 2)], [])


def test_halves_of_a_shared_span_find_each_other_over_lines() -> None:
    [payload], _ = read(a_zipkin_span(kind="CLIENT"), a_zipkin_span(kind="SERVER", shared=True))

    request = ExportTraceServiceRequest.FromString(payload.body)
    client, server = request.resource_spans[0].scope_spans[0].spans
    assert (client.span_id.hex(), server.parent_span_id.hex()) == (SPAN, SPAN)
    assert server.span_id != client.span_id


def test_jaeger_traces_may_come_one_a_line() -> None:
    payloads, refused = read(a_trace(a_jaeger_span()), a_trace(a_jaeger_span(spanID="2"))["data"][0])

    assert (told(payloads), refused) == ([("Jaeger", "traces", 2)], [])
    assert payloads[0].place == "line 1 to line 2"


def test_a_log_line_keeps_its_time_level_and_ids() -> None:
    [payload], _ = read(LOG_LINE)

    [group] = ExportLogsServiceRequest.FromString(payload.body).resource_logs
    [log] = group.scope_logs[0].log_records
    assert attributes_of(group.resource)["service.name"] == "orders"
    assert (log.body.string_value, log.severity_number, log.time_unix_nano) == ("no stock", 17, 1_790_000_000 * 10**9)
    assert log.trace_id.hex() == LOG_LINE["trace_id"]
    assert attributes_of(log)["correlation.id"] == "order-17"


def test_many_lines_make_few_payloads_without_waiting_for_the_end() -> None:
    line = json.dumps(LOG_LINE).encode() + b"\n"
    file = io.BytesIO(line * 30_000)

    payloads = read_payloads(file, now_ns=NOW_NS)
    first = next(payloads)
    at = file.tell()
    others = list(payloads)

    assert at < len(line) * 10_000
    assert len(others) < 10
    assert sum(payload.records for payload in [first, *others] if isinstance(payload, FilePayload)) == 30_000


def test_a_bad_line_is_refused_by_itself() -> None:
    payloads, refused = read_bytes(
        b"\n".join([json.dumps(LOG_LINE).encode(), b"{oops", b'{"a": 1}', b"7", json.dumps(LOG_LINE).encode()])
    )

    assert told(payloads) == [("JSON log lines", "logs", 1), ("JSON log lines", "logs", 1)]
    assert [refusal.place for refusal in refused] == ["line 2", "line 3", "line 4"]
    assert "no message, time or level" in refused[1].reason


def test_lines_that_are_nested_too_deeply_are_refused_by_themselves() -> None:
    deep = b"[" * 400 + b"]" * 400
    lines = (
        b"[" * 900 + b"]" * 900,
        b'{"traceId": "a", "id": "a", "tags": {"k": %b}}' % deep,
        b'{"traceID": "a", "spans": [{"spanID": "a", "process": {"x": %b}}]}' % deep,
    )

    payloads, refused = read_bytes(b"\n".join([*lines, json.dumps(LOG_LINE).encode()]))

    assert told(payloads) == [("JSON log lines", "logs", 1)]
    assert [refusal.place for refusal in refused] == ["line 1", "line 2", "line 3"]


def test_a_gzip_file_that_is_damaged_within_is_refused() -> None:
    header = gzip.compress(b"")[:10]

    payloads, [refusal] = read_bytes(header + b"\xff" * 50)

    assert payloads == []
    assert refusal.reason.startswith("not whole gzip")


def test_formats_may_take_turns() -> None:
    otlp = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": "one"}}]}]}]}

    payloads, _ = read(LOG_LINE, otlp, a_zipkin_span(), LOG_LINE)

    assert [payload.format for payload in payloads] == ["JSON log lines", "OTLP", "Zipkin", "JSON log lines"]


def test_protobuf_is_taken_as_before() -> None:
    payloads, refused = read_bytes(gzip.compress(logs(a_log(), a_log()).SerializeToString()))

    assert (told(payloads), refused) == ([("OTLP", "logs", 2)], [])


ODD: st.SearchStrategy[Any] = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
DOCUMENTS = st.recursive(
    ODD | st.sampled_from([LOG_LINE, a_zipkin_span(), a_jaeger_span(), a_trace(a_jaeger_span())]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "spans", "traceID", "traceId", "id", "message", "time", "resourceLogs"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(DOCUMENTS, max_size=4))
def test_no_json_makes_the_reader_fail(documents: list[Any]) -> None:
    payloads, _ = read(*documents)

    for payload in payloads:
        assert decode(payload.signal, [payload.body]).num_rows == 1


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_fail(data: bytes) -> None:
    read_bytes(data)
    read_bytes(b"{}\n" + data)
