"""After thinning a request is whole or gone, everywhere."""

from typing import Any

import pytest
from google.protobuf.message import Message

from clew_collector.model import Counts
from clew_collector.query import LogQuery, RequestQuery
from clew_collector.stores.duckdb import DuckDBStore
from clew_collector.stores.duckdb.thin import Thinned, thin
from tests.collector.otlp_builders import T0_NS, a_log, a_span, logs, traces
from tests.collector.storing import store_all

SECOND_NS = 1_000_000_000
LATER_NS = T0_NS + 3600 * SECOND_NS


def a_request(id: str, number: int, *, error: str | None = None, duration_ns: int = 5_000_000) -> list[Message]:
    """Two services' spans and two lines: the second service does not know the correlation ID."""
    trace = f"{number:032x}"
    start_ns = T0_NS + number * SECOND_NS
    times: dict[str, Any] = {"start_ns": start_ns, "duration_ns": duration_ns}
    return [
        traces(a_span(trace=trace, correlation_id=id, **times), service="gateway"),
        traces(a_span(trace=trace, span="c" * 16, parent="b7ad6b7169203331", error=error, **times), service="stock"),
        logs(a_log(trace=trace, time_ns=start_ns, correlation_id=id), service="gateway"),
        logs(a_log(trace=trace, time_ns=start_ns + 1), service="stock"),
    ]


def thinned(store: DuckDBStore, **settings: Any) -> Thinned:
    settings = {"before_ns": LATER_NS, "slow_ns": SECOND_NS, "keep_ratio": 0.0, **settings}
    return store._ask(lambda connection: thin(connection, **settings))


def ids(store: DuckDBStore) -> list[str]:
    return sorted(item.id for item in store.search_requests(RequestQuery(limit=1000)).items)


def test_what_was_neither_failed_nor_slow_nor_chosen_is_gone_whole(embedded: DuckDBStore) -> None:
    store_all(embedded, *a_request("plain", 1), *a_request("failed", 2, error="no stock"))
    store_all(embedded, *a_request("slow", 3, duration_ns=SECOND_NS))

    assert thinned(embedded) == Thinned(requests=1, logs=2, spans=2)

    assert ids(embedded) == ["failed", "slow"]
    assert embedded.request("plain") is None
    assert embedded.request(f"{1:032x}") is None
    assert embedded.search_logs(LogQuery(request_id="plain")).items == ()
    assert embedded.counts() == Counts(logs=4, spans=4)


def test_what_stays_is_whole_and_the_list_agrees(embedded: DuckDBStore) -> None:
    store_all(embedded, *a_request("plain", 1), *a_request("failed", 2, error="no stock"))
    before = embedded.request("failed"), embedded.search_requests(RequestQuery(error=True))

    thinned(embedded)

    assert (embedded.request("failed"), embedded.search_requests(RequestQuery(error=True))) == before
    found = before[0]
    assert found is not None
    assert (len(found.spans), len(found.logs)) == (2, 2)


def test_a_line_at_error_keeps_its_request(embedded: DuckDBStore) -> None:
    store_all(embedded, *a_request("plain", 1), logs(a_log("broke", trace=f"{1:032x}", severity=17)))

    assert thinned(embedded).requests == 0

    assert embedded.counts() == Counts(logs=3, spans=2)


def test_a_share_is_chosen_by_its_id_and_always_the_same(embedded: DuckDBStore) -> None:
    for number in range(1, 61):
        store_all(embedded, *a_request(f"req-{number}", number))

    first = thinned(embedded, keep_ratio=0.5)
    left = ids(embedded)
    again = thinned(embedded, keep_ratio=0.5)

    assert 10 < len(left) < 50
    assert first.requests == 60 - len(left)
    assert again == Thinned(requests=0, logs=0, spans=0)
    assert embedded.counts() == Counts(logs=2 * len(left), spans=2 * len(left))


def test_a_request_of_which_something_is_new_waits(embedded: DuckDBStore) -> None:
    store_all(embedded, *a_request("plain", 1), logs(a_log(trace="", time_ns=LATER_NS, correlation_id="plain")))

    assert thinned(embedded).requests == 0
    assert thinned(embedded, before_ns=LATER_NS + 1).requests == 1


def test_a_retry_goes_or_stays_with_its_request(embedded: DuckDBStore) -> None:
    store_all(embedded, *a_request("retried", 1), *a_request("retried", 2, error="no stock"), *a_request("plain", 3))

    thinned(embedded)

    found = embedded.request("retried")
    assert found is not None
    assert (len(found.trace_ids), len(found.spans)) == (2, 4)
    assert ids(embedded) == ["retried"]


def test_a_request_that_shares_a_trace_with_a_failed_one_stays_with_it(embedded: DuckDBStore) -> None:
    store_all(embedded, *a_request("consumed", 1), *a_request("batch", 1, error="no stock"), *a_request("plain", 2))

    thinned(embedded)

    assert ids(embedded) == ["batch", "consumed"]


def test_lines_without_an_id_stay(embedded: DuckDBStore) -> None:
    store_all(embedded, logs(a_log("started", trace="", span="")), *a_request("plain", 1))

    thinned(embedded)

    assert [log.body for log in embedded.search_logs(LogQuery()).items] == ["started"]


def test_a_request_without_correlation_id_is_thinned_as_its_trace(embedded: DuckDBStore) -> None:
    store_all(embedded, traces(a_span()), logs(a_log()))

    assert thinned(embedded) == Thinned(requests=1, logs=1, spans=1)


@pytest.mark.parametrize("max_step_records", [1, 5, 1000])
def test_small_steps_delete_what_one_would(embedded: DuckDBStore, max_step_records: int) -> None:
    for number in range(1, 11):
        store_all(embedded, *a_request(f"req-{number}", number, error="x" if number % 5 == 0 else None))

    assert thinned(embedded, max_step_records=max_step_records) == Thinned(requests=8, logs=16, spans=16)

    assert ids(embedded) == ["req-10", "req-5"]


def test_when_it_is_to_stop_it_has_deleted_the_oldest_whole(embedded: DuckDBStore) -> None:
    for number in range(1, 6):
        store_all(embedded, *a_request(f"req-{number}", number))
    answers = iter([False, False, True])

    assert thinned(embedded, max_step_records=4, is_stopping=lambda: next(answers)).requests == 2

    assert ids(embedded) == ["req-3", "req-4", "req-5"]


def test_what_was_deleted_stays_so_after_a_restart_and_new_batches_are_taken(embedded: DuckDBStore) -> None:
    store_all(embedded, *a_request("plain", 1))
    thinned(embedded)
    embedded.close()

    again = DuckDBStore(embedded.directory)
    store_all(again, *a_request("next", 2))

    assert ids(again) == ["next"]
    assert again.counts() == Counts(logs=2, spans=2)
    again.close()
