"""How much of each service passes, over many batches."""

from typing import Any

from google.protobuf.message import Message

from clew_collector.processors.base import Drop
from clew_collector.processors.config import Processors
from tests.collector.otlp_builders import T0_NS, a_log, a_span, logs, traces
from tests.collector.processors.applying import configured, rows_of
from tests.collector.storing import batch_of

SECOND_NS = 1_000_000_000


def limit(records_per_s: float, **more: Any) -> Processors:
    return configured({"type": "rate_limit", "records_per_s": records_per_s, "window_s": 1, **more})


def some_logs(count: int, *, service: str = "shop", at_s: int = 0) -> Message:
    return logs(*(a_log(time_ns=T0_NS + at_s * SECOND_NS + n) for n in range(count)), service=service)


def passing(processors: Processors, *requests: Message, is_stored: bool = True) -> int:
    processed = processors.process(batch_of(*requests, number=1))
    if is_stored:
        processors.settle(processed)
    left = len(rows_of(processed.batch))
    before = len(rows_of(batch_of(*requests, number=1)))
    assert sum(drop.records for drop in processed.drops) == before - left
    return left


def test_under_the_limit_all_pass_and_the_select_is_as_it_was() -> None:
    batch = batch_of(some_logs(5), number=1)

    processed = limit(5).process(batch)

    assert (processed.batch.select, processed.drops) == (batch.select, ())


def test_over_the_limit_the_rest_is_dropped_and_counted() -> None:
    processed = limit(3).process(batch_of(some_logs(5), number=1))

    assert len(rows_of(processed.batch)) == 3
    assert processed.drops == (
        Drop(processor="rate_limit", service="shop", reason="over 3 records a second", records=2),
    )


def test_what_passes_has_the_columns_of_the_table_and_came_first() -> None:
    batch = batch_of(some_logs(4), number=1)

    left = rows_of(limit(2).process(batch).batch)

    assert left == rows_of(batch)[:2]


def test_batches_of_one_second_add_up() -> None:
    processors = limit(5)

    assert [passing(processors, some_logs(3)) for _ in range(3)] == [3, 2, 0]
    assert passing(processors, some_logs(3, at_s=1)) == 3


def test_each_service_and_signal_has_a_limit_of_its_own() -> None:
    processors = limit(2)

    assert passing(processors, some_logs(5), some_logs(5, service="it's another")) == 4
    assert passing(processors, traces(a_span(), a_span(), a_span(), service="shop")) == 2


def test_only_the_services_that_are_named_are_limited() -> None:
    assert passing(limit(1, service="sh*"), some_logs(5), some_logs(5, service="other")) == 6


def test_a_window_lets_a_burst_pass() -> None:
    processors = limit(1, window_s=10)

    assert passing(processors, some_logs(8)) == 8
    assert passing(processors, some_logs(8, at_s=5)) == 2


def test_what_waited_in_the_spool_is_counted_by_its_own_time() -> None:
    assert passing(limit(2), *(some_logs(2, at_s=second) for second in range(60))) == 120


def test_a_batch_that_was_not_stored_is_decided_anew() -> None:
    processors = limit(3)

    assert passing(processors, some_logs(5), is_stored=False) == 3
    assert passing(processors, some_logs(5)) == 3
    assert passing(processors, some_logs(5)) == 0


def test_what_was_dropped_before_does_not_count() -> None:
    drop = {"type": "drop", "when": {"severity_below": "WARN"}}
    processors = configured(drop, {"type": "rate_limit", "records_per_s": 1, "window_s": 1})
    request = logs(a_log(), a_log(), a_log(severity=17), service="shop")

    processed = processors.process(batch_of(request, number=1))

    assert [(drop.processor, drop.records) for drop in processed.drops] == [("drop", 2)]
    assert len(rows_of(processed.batch)) == 1
