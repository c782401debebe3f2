import io

from rich.console import Console

from clew_collector.model import Request
from clew_server.request_tree import duration_text, request_tree
from tests.dashboards.builders import a_log, a_request, a_span, an_exception

A, B = "a" * 16, "b" * 16


def printed(request: Request) -> list[str]:
    console = Console(file=io.StringIO(), width=200, highlight=False)
    console.print(request_tree(request), soft_wrap=True)
    file = console.file
    assert isinstance(file, io.StringIO)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_lines_stand_under_the_span_that_wrote_them_in_order_of_time() -> None:
    spans = [
        a_span("POST /checkout", span_id=A, service="gateway"),
        a_span("POST /orders", span_id=B, parent=A, service="orders", at_ms=2),
    ]
    logs = [a_log("order created", span_id=B, service="orders", at_ms=3), a_log("checkout started", span_id=A, at_ms=1)]

    rows = printed(a_request(spans, logs))

    order = [next(i for i, row in enumerate(rows) if text in row) for text in
             ("POST /checkout", "checkout started", "POST /orders", "order created")]  # fmt: skip
    assert order == sorted(order)
    assert rows[order[3]].index("INFO") > rows[order[1]].index("INFO")


def test_an_exception_is_one_line_under_its_span() -> None:
    span = a_span("charge", span_id=A, status="error", events=[an_exception("shop.Declined", "no funds")])

    rows = printed(a_request([span], []))

    assert any(row.strip() == "Declined: no funds" for row in rows)


def test_levels_have_the_names_of_opentelemetry() -> None:
    logs = [a_log("one", severity=13), a_log("two", severity=17)]

    rows = printed(a_request([], logs))

    assert any(row.endswith("  one") and "WARN  " in row for row in rows)
    assert any(row.endswith("  two") and "ERROR " in row for row in rows)


def test_a_line_that_no_span_wrote_says_its_service_and_keeps_its_lines_together() -> None:
    rows = printed(a_request([], [a_log("Traceback:\n  at a\n  at b")]))

    first = next(number for number, row in enumerate(rows) if row.endswith("Traceback:"))
    assert rows[first].split()[-2] != "INFO", "the service stands before the body"
    assert [row.strip() for row in rows[first + 1 : first + 3]] == ["at a", "at b"]
    assert all(row.startswith("           ") for row in rows[first + 1 : first + 3])


def test_a_very_deep_tree_and_a_loop_of_parents_are_printed_whole() -> None:
    deep = [
        a_span(f"level {n}", span_id=f"{n + 1:016x}", parent=f"{n:016x}" if n else None, at_ms=n) for n in range(3000)
    ]
    loop = [a_span("chicken", span_id=A, parent=B), a_span("egg", span_id=B, parent=A)]

    rows = printed(a_request([*deep, *loop], []))

    assert sum("level " in row for row in rows) == 3000
    assert sum("chicken" in row or "egg" in row for row in rows) == 2


def test_durations_are_said_as_a_person_would() -> None:
    assert [duration_text(ns) for ns in (640_000, 12_340_000, 2_410_000_000)] == ["640 us", "12.3 ms", "2.41 s"]
