"""A part of all traces, the same one everywhere."""

from typing import Any

import pytest

from clew_collector.model import LogRecord, Span
from tests.collector.otlp_builders import a_log, a_span, logs, traces
from tests.collector.processors.applying import configured, drops_of, logs_after, spans_after

TRACES = [f"{number:032x}" for number in range(1, 401)]


def sampled(ratio: float, **more: Any) -> dict[str, Any]:
    return {"type": "sample", "ratio": ratio, **more}


def traces_of(records: list[LogRecord] | list[Span]) -> set[str | None]:
    return {record.trace_id for record in records}


def test_logs_and_spans_of_a_trace_are_decided_alike_in_every_process() -> None:
    spans = traces_of(spans_after(traces(*(a_span(trace=trace) for trace in TRACES)), sampled(0.5)))
    of_logs = traces_of(logs_after(logs(*(a_log(trace=trace) for trace in TRACES), service="x"), sampled(0.5)))

    assert spans == of_logs
    # Written down: another version of clew or of DuckDB must decide alike.
    assert [int(trace or "", 16) for trace in sorted(map(str, spans))[:5]] == [4, 6, 8, 10, 11]


@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.5, 1.0])
def test_the_share_is_about_what_was_asked_for(ratio: float) -> None:
    kept = logs_after(logs(*(a_log(trace=trace) for trace in TRACES)), sampled(ratio))

    assert abs(len(kept) - ratio * len(TRACES)) <= (30 if 0 < ratio < 1 else 0)


def test_a_larger_share_holds_the_smaller_one() -> None:
    request = logs(*(a_log(trace=trace) for trace in TRACES))

    assert traces_of(logs_after(request, sampled(0.1))) < traces_of(logs_after(request, sampled(0.3)))


def test_errors_are_kept_unless_they_are_not_asked_for() -> None:
    lines, spans = logs(a_log(), a_log(severity=17)), traces(a_span(), a_span("failed", error="x"))

    assert [log.severity_number for log in logs_after(lines, sampled(0))] == [17]
    assert [span.name for span in spans_after(spans, sampled(0))] == ["failed"]
    assert logs_after(lines, sampled(0, keep_errors=False)) == []


def test_without_a_trace_the_correlation_id_decides_and_without_either_a_record_stays() -> None:
    records = [a_log(trace="", correlation_id=f"req-{number // 2}") for number in range(200)]

    kept = logs_after(logs(*records), sampled(0.5))
    without = logs_after(logs(a_log(trace="", span="")), sampled(0))

    ids = [log.correlation_id for log in kept]
    assert 60 <= len(ids) <= 140
    assert all(ids.count(id) == 2 for id in ids)
    assert len(without) == 1


def test_what_was_not_sampled_is_counted() -> None:
    [drop] = drops_of(logs(a_log(), a_log(), a_log(severity=17), service="shop"), sampled(0))

    assert (drop.processor, drop.service, drop.reason, drop.records) == ("sample", "shop", "not sampled", 2)


@pytest.mark.parametrize("ratio", [-0.1, 1.1, float("nan")])
def test_a_share_is_between_none_and_all(ratio: float) -> None:
    with pytest.raises(ValueError, match="ratio"):
        configured(sampled(ratio))
