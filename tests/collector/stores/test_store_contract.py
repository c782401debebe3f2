"""What every store promises, whichever it is."""

import math
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from clew_collector.errors import BadQuery
from clew_collector.model import RequestSummary, Value
from clew_collector.query import LogQuery, RequestQuery
from clew_collector.stores.duckdb import DuckDBStore
from tests.collector.otlp_builders import T0_NS, TRACE, a_log, a_span, attributes, logs, traces
from tests.collector.stores.conftest import StoreOf
from tests.collector.storing import store_all

SECOND_NS = 1_000_000_000
AWKWARD: dict[str, Value] = {
    "text": "naïve ☃ \x00 'quoted' \"twice\"",
    "empty": "",
    "yes": True,
    "no": False,
    "zero": 0,
    "large": 2**63 - 1,
    "negative": -(2**63),
    "one point oh": 1.0,
    "tiny": 5e-324,
    "infinite": math.inf,
    "bytes": b"\x00\xff",
    "list": ["a", 1, True, 2.5, None, b"x", ["deep", {"er": 1}]],
    "nothing in it": [],
    "map": {"k": "v", "n": 1, "inner": {"list": [1]}},
    "nothing": None,
}


def a_request(embedded: DuckDBStore, id: str, *, at_s: int, **span: Any) -> None:
    """Store a request of one span, a trace of its own."""
    more = {"http.request.method": "GET", "http.route": span.pop("route", "/stock"), **span.pop("more", {})}
    if status := span.pop("status", None):
        more["http.response.status_code"] = status
    service = span.pop("service", "inventory")
    trace = f"{at_s + 1:032x}"
    start_ns = T0_NS + at_s * SECOND_NS
    store_all(
        embedded,
        traces(a_span(trace=trace, start_ns=start_ns, correlation_id=id, more=more, **span), service=service),
    )


def ids(page: Any) -> list[str]:
    return [item.id for item in page.items]


def test_a_request_is_found_by_its_correlation_id_and_by_its_trace_id(embedded: DuckDBStore, store_of: StoreOf) -> None:
    store_all(embedded, traces(a_span(correlation_id="req-1")), logs(a_log(correlation_id="req-1")))

    store = store_of(embedded)

    by_correlation, by_trace = store.request("req-1"), store.request(TRACE)
    assert by_correlation is not None
    assert by_correlation == by_trace
    assert by_correlation.correlation_id == "req-1"
    assert by_correlation.trace_ids == (TRACE,)


def test_a_request_without_correlation_id_is_its_trace(embedded: DuckDBStore, store_of: StoreOf) -> None:
    store_all(embedded, traces(a_span()), logs(a_log()))

    found = store_of(embedded).request(TRACE.upper())

    assert found is not None
    assert found.correlation_id is None
    assert found.id == TRACE


def test_a_trace_id_of_64_bits_is_found_as_its_reporters_write_it(embedded: DuckDBStore, store_of: StoreOf) -> None:
    trace = "5aab74dbb904746b"
    store_all(embedded, traces(a_span(trace=trace.zfill(32))), logs(a_log("noted", trace=trace.zfill(32))))
    store = store_of(embedded)

    found = store.request(trace.upper())

    assert found is not None
    assert found.trace_ids == (trace.zfill(32),)
    assert ids(store.search_requests(RequestQuery(id=trace))) == [trace.zfill(32)]
    assert ids(store.search_requests(RequestQuery(id=trace[:9]))) == [trace.zfill(32)]
    assert [log.body for log in store.search_logs(LogQuery(request_id=trace)).items] == ["noted"]


def test_a_request_holds_all_traces_with_its_correlation_id(embedded: DuckDBStore, store_of: StoreOf) -> None:
    retry = "f" * 32
    store_all(
        embedded,
        traces(a_span("first try", correlation_id="req-1")),
        traces(a_span("second try", trace=retry, start_ns=T0_NS + SECOND_NS, correlation_id="req-1")),
        traces(a_span("other", trace="e" * 32, correlation_id="req-2")),
    )

    found = store_of(embedded).request("req-1")

    assert found is not None
    assert [span.name for span in found.spans] == ["first try", "second try"]
    assert found.trace_ids == (TRACE, retry)


def test_records_of_a_trace_that_lost_the_correlation_id_belong_to_the_request(
    embedded: DuckDBStore, store_of: StoreOf
) -> None:
    store_all(
        embedded,
        traces(a_span("with", correlation_id="req-1"), service="gateway"),
        traces(a_span("without", span="c" * 16), service="plain"),
        logs(a_log("nothing but the ID", trace="", span="", correlation_id="req-1"), service="legacy"),
    )

    store = store_of(embedded)

    found = store.request("req-1")
    assert found is not None
    assert {span.service for span in found.spans} == {"gateway", "plain"}
    assert [log.service for log in found.logs] == ["legacy"]
    [summary] = store.search_requests(RequestQuery()).items
    assert summary.services == ("gateway", "legacy", "plain")


def test_an_unknown_id_is_none(embedded: DuckDBStore, store_of: StoreOf) -> None:
    store_all(embedded, traces(a_span(correlation_id="req-1")))

    store = store_of(embedded)

    assert store.request("req") is None
    assert store.request("0" * 32) is None
    assert store.request("../../etc/passwd?x=1#y %2f") is None


def test_an_id_of_awkward_characters_is_found(embedded: DuckDBStore, store_of: StoreOf) -> None:
    awkward = "a/b?c=d&e#f%20+'\";--"
    store_all(embedded, traces(a_span(correlation_id=awkward)))

    found = store_of(embedded).request(awkward)

    assert found is not None
    assert found.correlation_id == awkward


def test_attribute_values_keep_their_types(embedded: DuckDBStore, store_of: StoreOf) -> None:
    event = Span.Event(name="e", time_unix_nano=T0_NS + 5, attributes=attributes(AWKWARD))
    link = Span.Link(trace_id=b"\x01" * 16, span_id=b"\x02" * 8, attributes=attributes(AWKWARD))
    span = a_span(more=AWKWARD, events=[event], links=[link])
    store_all(embedded, traces(span), logs(a_log(more=AWKWARD)))

    found = store_of(embedded).request(TRACE)

    assert found is not None
    [stored], [log] = found.spans, found.logs
    for kept in (stored.attributes, stored.events[0].attributes, stored.links[0].attributes, log.attributes):
        assert repr(dict(kept)) == repr(AWKWARD)  # repr tells 1 from True and 1.0
    assert stored.events[0].time_ns == T0_NS + 5
    assert (stored.links[0].trace_id, stored.links[0].span_id) == ("01" * 16, "02" * 8)


@pytest.mark.parametrize("body", [*AWKWARD.values(), {"message": "m", "user": {"id": 7}}], ids=repr)
def test_a_log_body_of_any_type_is_kept(embedded: DuckDBStore, store_of: StoreOf, body: Any) -> None:
    store_all(embedded, logs(a_log(body)))

    [log] = store_of(embedded).search_logs(LogQuery()).items

    assert repr(log.body) == repr(body)


def test_a_span_is_given_back_as_it_was_sent(embedded: DuckDBStore, store_of: StoreOf) -> None:
    span = a_span("PUT /x", parent="a" * 16, start_ns=T0_NS + 3, duration_ns=17, error="went wrong", kind=3)
    store_all(embedded, traces(span, service="orders", scope="my.lib"))

    found = store_of(embedded).request(TRACE)

    assert found is not None
    [stored] = found.spans
    assert (stored.service, stored.name, stored.kind, stored.scope) == ("orders", "PUT /x", "client", "my.lib")
    assert (stored.start_ns, stored.duration_ns) == (T0_NS + 3, 17)
    assert (stored.status, stored.status_message, stored.is_error) == ("error", "went wrong", True)
    assert (stored.trace_id, stored.span_id, stored.parent_span_id) == (TRACE, "b7ad6b7169203331", "a" * 16)
    assert stored.resource == {"service.name": "orders"}
    assert found.error


def test_a_span_without_end_has_no_duration(embedded: DuckDBStore, store_of: StoreOf) -> None:
    span = a_span()
    span.end_time_unix_nano = 0
    store_all(embedded, traces(span))

    found = store_of(embedded).request(TRACE)

    assert found is not None
    assert found.spans[0].duration_ns is None
    assert found.duration_ns == 0


def test_ids_of_zeroes_or_of_a_wrong_length_are_no_ids(embedded: DuckDBStore, store_of: StoreOf) -> None:
    zero = a_span("zero", trace="00" * 16, span="00" * 8, correlation_id="req-z")
    short = a_span("short", trace="abcd", span="ab", start_ns=T0_NS + 1, correlation_id="req-z")
    store_all(embedded, traces(zero, short))

    found = store_of(embedded).request("req-z")

    assert found is not None
    assert [(span.name, span.trace_id, span.span_id) for span in found.spans] == [
        ("zero", None, None),
        ("short", None, None),
    ]


def test_times_beyond_what_fits_are_kept_as_the_last_moment(embedded: DuckDBStore, store_of: StoreOf) -> None:
    span = a_span(correlation_id="late", start_ns=0)
    span.start_time_unix_nano = span.end_time_unix_nano = 2**64 - 1
    log = a_log("late")
    log.time_unix_nano = 2**64 - 1
    store_all(embedded, traces(span), logs(log))

    store = store_of(embedded)

    assert ids(store.search_requests(RequestQuery())) == ["late"]
    assert store.request("late") is not None
    assert [log.body for log in store.search_logs(LogQuery()).items] == ["late"]


def test_requests_are_listed_newest_first_in_pages_without_gap_or_repeat(
    embedded: DuckDBStore, store_of: StoreOf
) -> None:
    for second in (3, 1, 2, 2, 0):  # two of them at the same time
        a_request(embedded, f"req-{second}-{embedded.counts().spans}", at_s=second)
    store = store_of(embedded)

    first = store.search_requests(RequestQuery(limit=2))
    second_page = store.search_requests(RequestQuery(limit=2, cursor=first.next))
    third = store.search_requests(RequestQuery(limit=2, cursor=second_page.next))

    assert ids(first) + ids(second_page) + ids(third) == ["req-3-0", "req-2-2", "req-2-3", "req-1-1", "req-0-4"]
    assert third.next is None


def test_a_summary_says_what_the_request_was_asked_and_how_it_went(embedded: DuckDBStore, store_of: StoreOf) -> None:
    root = a_span("POST /checkout", correlation_id="req-1", duration_ns=2 * SECOND_NS, more={
        "http.request.method": "POST", "http.route": "/checkout", "http.response.status_code": 502,
    })  # fmt: skip
    child = a_span("charge", span="c" * 16, parent="b7ad6b7169203331", kind=1, error="declined", start_ns=T0_NS + 9)
    store_all(
        embedded,
        traces(child, service="payments"),  # the child comes first: services export when they like
        traces(root, service="gateway"),
        logs(a_log(severity=17), a_log(), service="payments"),
    )

    [summary] = store_of(embedded).search_requests(RequestQuery()).items

    assert summary == RequestSummary(
        id="req-1",
        correlation_id="req-1",
        trace_id=TRACE,
        start_ns=T0_NS,
        duration_ns=2 * SECOND_NS,
        service="gateway",
        name="POST /checkout",
        method="POST",
        route="/checkout",
        status_code=502,
        services=("gateway", "payments"),
        error=True,
        span_count=2,
        log_count=2,
        error_log_count=1,
    )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (RequestQuery(service="orders"), ["slow", "post"]),
        (RequestQuery(route="/ord"), ["slow", "post"]),
        (RequestQuery(route="post /ORDERS"), ["post"]),
        (RequestQuery(status="503"), ["failed"]),
        (RequestQuery(status="2xx"), ["slow", "post"]),
        (RequestQuery(error=True), ["failed"]),
        (RequestQuery(error=False), ["slow", "post", "plain"]),
        (RequestQuery(min_duration_ns=SECOND_NS), ["slow"]),
        (RequestQuery(id="fai"), ["failed"]),
        (RequestQuery(id=f"{4:032x}"[:32]), ["slow"]),
        (RequestQuery(id=f"{4:016x}"), ["slow"]),
        (RequestQuery(from_ns=T0_NS + 1 * SECOND_NS, to_ns=T0_NS + 3 * SECOND_NS), ["failed", "post"]),
        (RequestQuery(service="orders", status="2xx", min_duration_ns=SECOND_NS), ["slow"]),
        (RequestQuery(service="nobody"), []),
    ],
    ids=str,
)
def test_requests_are_filtered(
    embedded: DuckDBStore, store_of: StoreOf, query: RequestQuery, expected: list[str]
) -> None:
    a_request(embedded, "plain", at_s=0)
    a_request(embedded, "post", at_s=1, service="orders", route="/orders", status=201,
              more={"http.request.method": "POST"})  # fmt: skip
    a_request(embedded, "failed", at_s=2, status=503, error="no stock")
    a_request(embedded, "slow", at_s=3, service="orders", route="/orders/{id}", status=200, duration_ns=3 * SECOND_NS)

    found = store_of(embedded).search_requests(query)

    assert ids(found) == expected


def test_a_filter_looks_beyond_the_newest_requests(embedded: DuckDBStore, store_of: StoreOf) -> None:
    a_request(embedded, "old", at_s=0, status=500)
    many = [
        a_span(trace=f"{n + 1:032x}", span=f"{n + 1:016x}", start_ns=T0_NS + SECOND_NS + n, correlation_id=f"new-{n}")
        for n in range(3000)
    ]
    store_all(embedded, traces(*many))

    assert ids(store_of(embedded).search_requests(RequestQuery(status="5xx"))) == ["old"]


@pytest.mark.parametrize("query", [RequestQuery(status="often"), RequestQuery(cursor="x")], ids=str)
def test_what_cannot_be_understood_is_a_bad_query(
    embedded: DuckDBStore, store_of: StoreOf, query: RequestQuery
) -> None:
    with pytest.raises(BadQuery):
        store_of(embedded).search_requests(query)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (LogQuery(), ["late", "Refused: no stock", "early"]),
        (LogQuery(service="orders"), ["late"]),
        (LogQuery(min_severity=13), ["Refused: no stock"]),
        (LogQuery(text="refused: NO"), ["Refused: no stock"]),
        (LogQuery(request_id="req-1"), ["early"]),
        (LogQuery(request_id=TRACE), ["late", "Refused: no stock", "early"]),
        (LogQuery(from_ns=T0_NS + 1, to_ns=T0_NS + 20), ["Refused: no stock"]),
        (LogQuery(text="%"), []),
    ],
    ids=str,
)
def test_logs_are_filtered_and_newest_first(
    embedded: DuckDBStore, store_of: StoreOf, query: LogQuery, expected: list[str]
) -> None:
    store_all(
        embedded,
        logs(a_log("early", time_ns=T0_NS, correlation_id="req-1")),
        logs(a_log("late", time_ns=T0_NS + 20), service="orders"),
        logs(a_log("Refused: no stock", time_ns=T0_NS + 10, severity=17)),
    )

    assert [log.body for log in store_of(embedded).search_logs(query).items] == expected


def test_log_lines_of_one_moment_are_paged_without_gap_or_repeat(embedded: DuckDBStore, store_of: StoreOf) -> None:
    store_all(embedded, logs(*[a_log(f"line {n}", time_ns=T0_NS) for n in range(5)]))
    store = store_of(embedded)

    bodies, cursor = [], None
    for _ in range(3):
        page = store.search_logs(LogQuery(limit=2, cursor=cursor))
        bodies += [log.body for log in page.items]
        cursor = page.next

    assert sorted(map(str, bodies)) == [f"line {n}" for n in range(5)]
    assert cursor is None


def test_services_and_counts_say_what_is_there(embedded: DuckDBStore, store_of: StoreOf) -> None:
    store_all(embedded, traces(a_span(), service="b"), logs(a_log(), a_log(), service="a"))

    store = store_of(embedded)

    assert store.services() == ("a", "b")
    assert (store.counts().logs, store.counts().spans) == (2, 1)


def test_an_empty_store_answers_everything_with_nothing(embedded: DuckDBStore, store_of: StoreOf) -> None:
    store = store_of(embedded)

    assert store.request("x") is None
    assert store.search_requests(RequestQuery()).items == ()
    assert store.search_logs(LogQuery()).items == ()
    assert store.services() == ()
    assert (store.counts().logs, store.counts().spans) == (0, 0)
