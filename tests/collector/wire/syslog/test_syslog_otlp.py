"""Syslog as OTLP: OpenTelemetry's mapping, and the IDs by which a line belongs to a request."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clew_collector.wire.otlp.payload import decode
from tests.collector.wire.syslog.messages import (
    RECEIVED_NS,
    attributes_of,
    go_syslog_inputs,
    log_of,
    request_of,
    time_ns,
)

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


def test_a_message_becomes_a_log_record() -> None:
    request = request_of('<165>1 2003-08-24T05:14:15Z web1 orders 8710 ID47 [a@1 x="1"][b] text')

    [group] = request.resource_logs
    [scope] = group.scope_logs
    [log] = scope.log_records
    assert {each.key: each.value.string_value for each in group.resource.attributes} == {
        "service.name": "orders",
        "host.name": "web1",
    }
    assert scope.scope.name == "syslog"
    assert (log.severity_number, log.severity_text, log.body.string_value) == (10, "notice", "text")
    assert (log.time_unix_nano, log.observed_time_unix_nano) == (time_ns("2003-08-24T05:14:15+00:00"), RECEIVED_NS)
    assert attributes_of(log) == {
        "syslog.facility": 20,
        "syslog.facility_name": "local4",
        "process.pid": 8710,
        "syslog.msgid": "ID47",
        "syslog.structured_data.a@1.x": "1",
        "syslog.structured_data.b": "",
    }


@pytest.mark.parametrize(("severity", "number"), [(0, 21), (1, 19), (2, 18), (3, 17), (4, 13), (5, 10), (6, 9), (7, 5)])
def test_severities_are_those_of_opentelemetrys_table(severity: int, number: int) -> None:
    assert log_of(f"<{8 + severity}>x").severity_number == number


def test_records_are_grouped_by_host_and_service_in_order() -> None:
    request = request_of("<1>1 - h a - - - 1", "<1>1 - h b - - - 2", "<1>1 - h a - - - 3", "<1>1 - g a - - - 4")

    bodies = [[log.body.string_value for log in group.scope_logs[0].log_records] for group in request.resource_logs]
    assert bodies == [["1", "3"], ["2"], ["4"]]


def test_a_message_without_host_is_from_the_host_that_sent_it() -> None:
    [group] = request_of("<1>x", peer="192.0.2.7").resource_logs

    assert [(each.key, each.value.string_value) for each in group.resource.attributes] == [("host.name", "192.0.2.7")]


def test_what_has_no_place_of_its_own_is_kept() -> None:
    log = log_of('<1>1 2003-09-31T22:14:16Z h a web.3 - [o ip="1" ip="2"]')

    assert log.time_unix_nano == 0
    assert attributes_of(log) == {
        "syslog.facility": 0,
        "syslog.facility_name": "kern",
        "syslog.procid": "web.3",
        "syslog.timestamp": "2003-09-31T22:14:16Z",
        "syslog.structured_data.o.ip": ["1", "2"],
    }


@pytest.mark.parametrize("name", ["trace_id", "traceId", "trace.id", "TraceID", "X-B3-TraceId"])
def test_a_trace_id_in_structured_data_is_the_records(name: str) -> None:
    assert log_of(f'<1>1 - h a - - [x@1 {name}="{TRACE.upper()}"] x').trace_id.hex() == TRACE


@pytest.mark.parametrize("name", ["request_id", "requestId", "X-Request-ID", "correlation_id", "correlation.id"])
def test_a_correlation_id_in_structured_data_is_the_records(name: str) -> None:
    assert attributes_of(log_of(f'<1>1 - h a - - [x@1 {name}="req-1"] x'))["correlation.id"] == "req-1"


def test_span_ids_short_trace_ids_and_traceparent_are_read() -> None:
    short = log_of(f'<1>1 - h a - - [x@1 trace_id="{SPAN}" span_id="{SPAN}"]')
    parent = log_of(f'<1>1 - h a - - [x@1 traceparent="00-{TRACE}-{SPAN}-01"]')

    assert (short.trace_id.hex(), short.span_id.hex()) == ("0" * 16 + SPAN, SPAN)
    assert (parent.trace_id.hex(), parent.span_id.hex()) == (TRACE, SPAN)


@pytest.mark.parametrize("id", ["-", "None", "null", "", "two words", "x" * 129])
def test_what_is_no_correlation_id_joins_nothing(id: str) -> None:
    assert "correlation.id" not in attributes_of(log_of(f'<1>1 - h a - - [x@1 request_id="{id}"]'))


@pytest.mark.parametrize("id", ["0" * 32, "abc", "g" * 32, "-"])
def test_what_is_no_trace_id_is_none(id: str) -> None:
    assert log_of(f'<1>1 - h a - - [x@1 trace_id="{id}"]').trace_id == b""


@pytest.mark.parametrize(
    "text",
    [
        f"trace_id={TRACE} span_id={SPAN} request_id=req-1 stock is low",
        f"stock is low [traceId={TRACE}, spanId={SPAN}, X-Request-ID=req-1]",
        f'{{"trace_id": "{TRACE}", "span.id":"{SPAN}", "correlation_id":"req-1"}}',
        f'level=info trace_id="{TRACE}" span-id=\'{SPAN}\' requestId="req-1"',
        f"stock is low (traceparent: 00-{TRACE}-{SPAN}-01) correlation.id=req-1",
    ],
)
def test_ids_in_the_text_are_found_only_when_asked_for(text: str) -> None:
    line = f"<14>Oct 11 22:14:15 web1 orders[1]: {text}"
    asked, not_asked = log_of(line, ids_in_text=True), log_of(line)

    assert (asked.trace_id.hex(), asked.span_id.hex()) == (TRACE, SPAN)
    assert attributes_of(asked)["correlation.id"] == "req-1"
    assert asked.body.string_value == text
    assert (not_asked.trace_id, "correlation.id" in attributes_of(not_asked)) == (b"", False)


@pytest.mark.parametrize(
    "text", ["request_id=- x", "my_request_id=7", "request_id is 7", "request_id: ", "bad_trace_id="]
)
def test_words_that_are_like_ids_are_left_alone(text: str) -> None:
    assert "correlation.id" not in attributes_of(log_of(f"<14>{text}", ids_in_text=True))


def test_ids_in_fields_come_before_ids_in_the_text() -> None:
    log = log_of('<1>1 - h a - - [x@1 request_id="field"] request_id=text', ids_in_text=True)

    assert attributes_of(log)["correlation.id"] == "field"


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A message of go-syslog's tests with a few bytes changed, cut or repeated."""
    lines = go_syslog_inputs("rfc5424", valid=True) + go_syslog_inputs("rfc3164", valid=True)
    line = bytearray(draw(st.sampled_from(lines)).encode())
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(line) - 1)))
        line[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=3))
    return bytes(line)


@settings(max_examples=500, deadline=None)
@given(lines=st.lists(st.binary(max_size=80) | mutated(), max_size=5))
def test_any_bytes_become_records_that_a_store_can_read(lines: list[bytes]) -> None:
    request = request_of(*lines, ids_in_text=True)

    records = [log for group in request.resource_logs for log in group.scope_logs[0].log_records]
    assert len(records) == len(lines)
    assert decode("logs", [request.SerializeToString()]).num_rows == 1
