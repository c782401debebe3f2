"""The causal order of a request's records, on shapes that real and hostile senders make."""

from clew_collector.model import LogRecord, Span
from clew_dashboards.views.tree import Order, in_causal_order
from tests.dashboards.builders import a_log, a_span, an_event, an_exception

A, B, C = "a" * 16, "b" * 16, "c" * 16


def outline(order: Order) -> list[tuple[int, str]]:
    """Level and name of each entry."""
    return [
        (entry.level, str(entry.source.body) if isinstance(entry.source, LogRecord) else entry.source.name)
        for entry in order.entries
    ]


def test_children_come_under_their_parent_by_start() -> None:
    spans = [
        a_span("root", span_id=A),
        a_span("late", parent=A, at_ms=5),
        a_span("early", span_id=B, parent=A, at_ms=2),
        a_span("inner", parent=B, at_ms=3),
    ]

    order = in_causal_order(spans, [])

    assert outline(order) == [(1, "root"), (2, "early"), (3, "inner"), (2, "late")]


def test_a_child_whose_clock_is_behind_stays_under_its_parent() -> None:
    spans = [a_span("child", parent=A, at_ms=0), a_span("root", span_id=A, at_ms=50)]

    assert outline(in_causal_order(spans, [])) == [(1, "root"), (2, "child")]


def test_lines_and_events_are_interleaved_by_time_under_their_span() -> None:
    spans = [a_span("root", span_id=A, events=[an_event("miss", at_ms=4)]), a_span("child", parent=A, at_ms=3)]
    logs = [a_log("first", span_id=A, at_ms=1), a_log("last", span_id=A, at_ms=9)]

    order = in_causal_order(spans, logs)

    assert outline(order) == [(1, "root"), (2, "first"), (2, "child"), (2, "miss"), (2, "last")]


def test_a_line_of_an_unknown_span_goes_under_the_root_of_its_trace() -> None:
    order = in_causal_order([a_span("root", span_id=A)], [a_log("lost", span_id=B), a_log("bare", at_ms=2)])

    assert outline(order) == [(1, "root"), (2, "lost"), (2, "bare")]


def test_a_line_without_a_trace_goes_among_the_roots_by_time() -> None:
    spans = [a_span("root", trace_id="1" * 32), a_span("retry", trace_id="2" * 32, at_ms=100)]
    logs = [a_log("between", trace_id=None, at_ms=50), a_log("named", trace_id=None, span_id=spans[1].span_id)]

    order = in_causal_order(spans, logs)

    assert outline(order) == [(1, "root"), (1, "between"), (1, "retry"), (2, "named")]


def test_a_trace_with_lines_only_has_its_own_place() -> None:
    order = in_causal_order([a_span("root", at_ms=10)], [a_log("before", trace_id="9" * 32, at_ms=1)])

    assert outline(order) == [(1, "before"), (1, "root")]


def test_traces_follow_one_another_by_first_start() -> None:
    spans = [
        a_span("second", trace_id="1" * 32, at_ms=20),
        a_span("first", trace_id="2" * 32, at_ms=10),
        a_span("orphan of the first", trace_id="2" * 32, parent=C, at_ms=30),
    ]

    assert [name for _, name in outline(in_causal_order(spans, []))] == ["first", "orphan of the first", "second"]


def test_orphans_are_roots_and_counted() -> None:
    order = in_causal_order([a_span("lost", parent=C), a_span("root")], [])

    assert order.orphans == 1
    assert {level for level, _ in outline(order)} == {1}


def test_parents_are_sought_in_the_same_trace() -> None:
    spans = [a_span("root", span_id=A, trace_id="1" * 32), a_span("other", parent=A, trace_id="2" * 32, at_ms=1)]

    assert in_causal_order(spans, []).orphans == 1


def test_a_span_that_is_its_own_parent_is_a_root() -> None:
    order = in_causal_order([a_span("self", span_id=A, parent=A)], [])

    assert outline(order) == [(1, "self")]
    assert order.loops == 1


def test_a_loop_is_cut_at_its_earliest_span_and_nothing_is_lost() -> None:
    spans = [
        a_span("three", span_id=C, parent=B, at_ms=3),
        a_span("one", span_id=A, parent=C, at_ms=1),
        a_span("two", span_id=B, parent=A, at_ms=2),
        a_span("beside", parent=B, at_ms=9),
    ]

    order = in_causal_order(spans, [])

    assert outline(order) == [(1, "one"), (2, "two"), (3, "three"), (3, "beside")]
    assert order.loops == 1


def test_spans_with_one_id_are_all_kept_and_the_first_holds_it() -> None:
    spans = [a_span("first", span_id=A), a_span("again", span_id=A, at_ms=1), a_span("child", parent=A, at_ms=2)]

    assert outline(in_causal_order(spans, [])) == [(1, "first"), (2, "child"), (1, "again")]


def test_the_server_half_of_a_shared_span_is_the_clients_child() -> None:
    client = a_span("call", span_id=B, parent=A, kind="client", at_ms=1)
    server = a_span("serve", span_id=B, parent=A, kind="server", at_ms=2)
    others = [a_span("root", span_id=A), a_span("query", parent=B, at_ms=3)]
    expected = [(1, "root"), (2, "call"), (3, "serve"), (4, "query")]

    assert outline(in_causal_order([*others, client, server], [])) == expected
    assert outline(in_causal_order([*others, server, client], [])) == expected


def test_what_names_the_id_that_a_server_half_came_under_goes_under_that_half() -> None:
    client = a_span("call", span_id=B, service="orders", kind="client", at_ms=1)
    half = a_span("serve", span_id=C, parent=B, service="stock", kind="server", at_ms=2,
                  attributes={"zipkin.shared_span_id": B})  # fmt: skip
    query = a_span("query", parent=B, service="stock", at_ms=3)
    resolve = a_span("resolve", parent=B, service="orders", at_ms=4)
    line = a_log("in stock", span_id=B, service="stock", at_ms=5)

    order = in_causal_order([client, half, query, resolve], [line])
    without_client = in_causal_order([half, query], [line])

    assert outline(order) == [(1, "call"), (2, "serve"), (3, "query"), (3, "in stock"), (2, "resolve")]
    assert outline(without_client) == [(1, "serve"), (2, "query"), (2, "in stock")]
    assert (order.orphans, without_client.orphans) == (0, 1)


def test_thousands_of_levels_are_walked() -> None:
    spans = [
        a_span(f"level {level}", span_id=f"{level:016x}", parent=f"{level - 1:016x}" if level else None)
        for level in range(20_000)
    ]

    order = in_causal_order(spans, [])

    assert order.entries[-1].level == 20_000
    assert order.entries[0].size == 19_999


def test_sizes_and_errors_count_all_beneath() -> None:
    spans = [
        a_span("root", span_id=A),
        a_span("failed", span_id=B, parent=A, status="error", events=[an_exception()]),
    ]

    root, failed, *_ = in_causal_order(spans, [a_log(span_id=B, severity=17, at_ms=2)]).entries

    assert (root.size, root.errors) == (3, 3)
    assert (failed.size, failed.errors) == (2, 2)


def test_nothing_gives_nothing() -> None:
    assert in_causal_order([], []).entries == ()


def test_every_record_is_there_once() -> None:
    spans = [a_span(span_id=None, trace_id=None), a_span(span_id=A, parent=A), a_span(span_id=A, parent=B)]
    logs = [a_log(trace_id=None, span_id=C), a_log(span_id=A)]

    sources = [entry.source for entry in in_causal_order(spans, logs).entries]

    assert sum(isinstance(source, Span) for source in sources) == 3
    assert sum(isinstance(source, LogRecord) for source in sources) == 2
