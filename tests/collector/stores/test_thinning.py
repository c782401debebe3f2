"""After thinning a request is whole or gone, everywhere."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import pytest
from google.protobuf.message import Message

from clew_collector.model import Counts, Signal
from clew_collector.query import LogQuery, RequestQuery
from clew_collector.stores.duckdb import DuckDBStore
from clew_collector.stores.duckdb.thin import Thinned, thin
from tests.collector.otlp_builders import T0_NS, a_log, a_span, logs, traces
from tests.collector.storing import batch_of, store_all

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


def at(number: int) -> int:
    """When a request of this number has long been over, and the next one has not begun."""
    return T0_NS + number * SECOND_NS + SECOND_NS // 2


def test_with_a_mark_it_looks_only_at_what_has_changed_since(embedded: DuckDBStore) -> None:
    store_all(embedded, *a_request("kept then", 1), *a_request("new then", 2))
    mark = thinned(embedded, before_ns=at(1), keep_ratio=1.0).mark

    assert thinned(embedded, before_ns=at(2), since=mark).requests == 1

    assert ids(embedded) == ["kept then"]


@pytest.mark.parametrize("error", [None, "no stock"])
def test_what_came_late_for_a_request_is_looked_at_with_all_of_it(embedded: DuckDBStore, error: str | None) -> None:
    store_all(embedded, *a_request("late", 1), *a_request("other", 1))
    mark = thinned(embedded, before_ns=at(2), keep_ratio=1.0).mark
    late = a_span(trace=f"{7:032x}", correlation_id="late", start_ns=T0_NS, duration_ns=1, error=error)
    store_all(embedded, traces(late))

    found = thinned(embedded, before_ns=at(3), since=mark)

    assert (found.requests, ids(embedded)) == ((0, ["late", "other"]) if error else (2, []))


def test_one_that_was_told_to_stop_gives_no_mark_to_go_on_from(embedded: DuckDBStore) -> None:
    store_all(embedded, *a_request("plain", 1))

    assert thinned(embedded, is_stopping=lambda: True).mark is None


def test_step_by_step_it_comes_to_what_it_does_when_it_looks_at_everything(tmp_path: Path) -> None:
    random = Random(17)
    for name in ("stepwise", "whole"):
        (tmp_path / name).mkdir()
    stepwise, whole = DuckDBStore(tmp_path / "stepwise"), DuckDBStore(tmp_path / "whole")
    mark = None
    for turn in range(1, 9):
        # Some late, some whose trace or correlation ID is another's as well.
        messages = [
            message
            for _ in range(4)
            for message in a_request(
                f"req-{random.randint(1, 9)}", random.randint(1, 3 * turn), error=random.choice([None, None, "x"])
            )
        ]
        settings = {"before_ns": at(2 * turn), "keep_ratio": 0.2}
        for store in (stepwise, whole):
            for of_signal in (messages[::4] + messages[1::4], messages[2::4] + messages[3::4]):
                store.write(batch_of(*of_signal, number=turn))
        mark = thinned(stepwise, since=mark, **settings).mark
        thinned(whole, **settings)

        assert (stepwise.counts(), ids(stepwise)) == (whole.counts(), ids(whole))

    assert stepwise.counts().spans > 0
    stepwise.close()
    whole.close()


class Writers:
    """One thread a signal, as the pipelines are, that write requests of which each tenth failed, a few at a time."""

    TURNS = 12
    AT_ONCE = 10

    def __init__(self, store: DuckDBStore) -> None:
        self._store = store
        self.written: dict[Signal, int] = {"logs": 0, "traces": 0}
        self.may_go_on = threading.Semaphore(0)
        """Released for each look at the store, so that no writer is done before anything was thinned."""

    @property
    def whole(self) -> int:
        """Up to which number requests are there with all of their records."""
        return min(self.written.values())

    def write(self, signal: Signal) -> None:
        for turn in range(self.TURNS):
            self.may_go_on.acquire(timeout=30)
            numbers = range(turn * self.AT_ONCE + 1, (turn + 1) * self.AT_ONCE + 1)
            messages = [
                message
                for number in numbers
                for message in a_request(f"req-{number:04}", number, error="x" if number % 10 == 0 else None)
            ]
            of_signal = messages[2::4] + messages[3::4] if signal == "logs" else messages[::4] + messages[1::4]
            self._store.write(batch_of(*of_signal, number=turn))
            self.written[signal] = numbers[-1]


def test_beside_running_writers_each_request_is_whole_or_gone(embedded: DuckDBStore) -> None:
    writers = Writers(embedded)
    mark, deleted, turns = None, 0, 0
    with ThreadPoolExecutor(2) as threads:
        running = [threads.submit(writers.write, signal) for signal in writers.written]
        while not all(each.done() for each in running):
            writers.may_go_on.release(2)
            found = thinned(embedded, before_ns=at(writers.whole), since=mark)
            mark, deleted, turns = found.mark, deleted + found.requests, turns + bool(found.requests)
        for each in running:
            each.result()
    deleted += thinned(embedded, since=mark).requests

    last = writers.TURNS * writers.AT_ONCE
    failed = [f"req-{number:04}" for number in range(10, last + 1, 10)]
    assert turns > 1
    assert (ids(embedded), deleted) == (failed, last - len(failed))
    assert embedded.counts() == Counts(logs=2 * len(failed), spans=2 * len(failed))
