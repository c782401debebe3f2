"""Rows of the waterfall: places on the axis, tones, links and limits."""

import pytest

from clew_collector.model import Request
from clew_dashboards.views.axis import axis_of, ticks_of
from clew_dashboards.views.waterfall import Waterfall, waterfall
from tests.dashboards.builders import START_NS, a_log, a_request, a_span, an_exception

A = "a" * 16


def shown(request: Request, *, max_rows: int = 5_000) -> Waterfall:
    return waterfall(request, hue_of=lambda service: 1, max_rows=max_rows)


def test_bars_lie_on_the_common_axis() -> None:
    request = a_request([a_span(span_id=A, duration_ms=200), a_span(parent=A, at_ms=50, duration_ms=100)])

    _, child = shown(request).rows

    assert (child.at_percent, child.width_percent) == (25.0, 50.0)


def test_a_request_that_took_no_time_has_an_axis() -> None:
    rows = shown(a_request([a_span(duration_ms=0)])).rows

    assert (rows[0].at_percent, rows[0].width_percent, rows[0].timing) == (0.0, 0.0, "0 ns")


def test_a_span_without_an_end_is_open_to_the_end_of_the_axis() -> None:
    request = a_request([a_span(duration_ms=100), a_span("open", at_ms=25, duration_ms=None)])

    row = shown(request).rows[1]

    assert (row.at_percent, row.width_percent) == (25.0, 75.0)
    assert (row.open_ended, row.timing) == (True, "no end reported")


def test_a_line_of_unknown_time_does_not_stretch_the_axis() -> None:
    request = a_request([a_span(duration_ms=10)], [a_log(at_ms=-START_NS / 1e6)])

    assert axis_of(request).length_ns == 10_000_000
    assert shown(request).rows[1].at_percent is None


def test_tones_come_from_status_and_severity() -> None:
    spans = [a_span(span_id=A, status="error", events=[an_exception("KeyError", "'cart'", at_ms=4)])]
    logs = [a_log(span_id=A, severity=severity, at_ms=at) for at, severity in enumerate((9, 13, 17))]

    rows = shown(a_request(spans, logs)).rows

    assert [(row.label, row.tone) for row in rows] == [
        ("", "error"),
        ("INF", ""),
        ("WRN", "warn"),
        ("ERR", "error"),
        ("EXC", "error"),
    ]
    assert rows[-1].text == "KeyError: 'cart'"


@pytest.mark.parametrize(
    ("severity", "text", "label"),
    [(0, "notice", "NOT"), (0, "", "LOG"), (1, "", "TRC"), (6, "", "DBG"), (24, "x", "FTL")],
)
def test_severities_have_three_letters(severity: int, text: str, label: str) -> None:
    rows = shown(a_request([], [a_log(severity=severity, severity_text=text)])).rows

    assert rows[0].label == label


def test_a_line_shows_its_first_line_and_its_own_attributes() -> None:
    log = a_log("saga started\nmore", attributes={"order": "o-1", "items": 3, "code.filepath": "saga.py"})

    row = shown(a_request([], [log])).rows[0]

    assert row.text == "saga started…"
    assert row.fields == "order=o-1 items=3"


def test_links_to_rows_are_unique_and_survive_a_reload() -> None:
    request = a_request([a_span(span_id=A), a_span(span_id=A, at_ms=1)], [a_log(), a_log()])

    ids = [row.id for row in shown(request).rows]

    assert len(set(ids)) == 4
    assert f"span-{A}" in ids
    assert ids == [row.id for row in shown(request).rows]


def test_rows_beyond_the_limit_are_counted_not_shown() -> None:
    cut = shown(a_request([a_span(at_ms=at) for at in range(12)]), max_rows=10)

    assert (len(cut.rows), cut.total) == (10, 12)


def test_a_new_trace_is_marked() -> None:
    request = a_request([a_span(trace_id="1" * 32), a_span(trace_id="2" * 32, at_ms=5)])

    assert [row.starts_trace for row in shown(request).rows] == [False, True]


@pytest.mark.parametrize(
    ("duration_ms", "labels"),
    [
        (3.1e3, ["0", "1 s", "2 s", "3 s"]),
        (493, ["0", "100 ms", "200 ms", "300 ms", "400 ms"]),
        (0.0002, ["0", "50 ns", "100 ns", "150 ns", "200 ns"]),
        (1, ["0", "200 µs", "400 µs", "600 µs", "800 µs", "1 ms"]),
    ],
)
def test_ticks_are_at_round_times(duration_ms: float, labels: list[str]) -> None:
    axis = axis_of(a_request([a_span(duration_ms=duration_ms)]))

    assert [tick.label for tick in ticks_of(axis)] == labels


def test_an_axis_of_one_nanosecond_has_ticks() -> None:
    assert ticks_of(axis_of(a_request([a_span(duration_ms=0)])))[0].label == "0"
