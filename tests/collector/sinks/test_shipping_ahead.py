"""What is done beside a batch that is on its way: the next one is encoded, the last one forgotten."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from clew_collector.processors.condition import Condition
from clew_collector.processors.config import compose
from clew_collector.processors.filter import FilterConfig
from clew_collector.processors.rate_limit import RateLimitConfig
from clew_collector.sinks.base import Outgoing, RefusedRecord, SinkRejected, SinkUnavailable
from clew_collector.sinks.pacing import BatchBounds
from clew_collector.sinks.shipping import Shipping
from clew_collector.spool import Series, Spool
from tests.collector.sinks.shipment import fill, lines

BOUNDS = BatchBounds(max_records=1_000, max_bytes=1 << 20)
FULL = 10
"""Payloads of a batch."""


class Encoding:
    """A sink that encodes payloads to their numbers, and remembers what it was given with which of them."""

    name = "elasticsearch"

    def __init__(self, *fails: Exception | None) -> None:
        self.given: list[tuple[list[int], list[int] | None]] = []
        self.threads: set[str] = set()
        self.cannot_encode = False
        self._fails = list(fails)

    def encode(self, outgoing: Outgoing) -> Sequence[Any]:
        self.threads.add(threading.current_thread().name)
        if self.cannot_encode:
            raise duckdb.ConversionException("no")
        assert outgoing.table.num_rows == len(outgoing.payloads)
        return [payload.id for payload in outgoing.payloads]

    def write(self, outgoing: Outgoing) -> Sequence[RefusedRecord]:
        encoded = None if outgoing.encoded is None else list(outgoing.encoded)
        self.given.append(([payload.id for payload in outgoing.payloads], encoded))
        if self._fails and (error := self._fails.pop(0)) is not None:
            raise error
        return []

    def close(self) -> None:
        pass


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


def shipped(spool: Spool) -> int:
    return spool.counters()[Series("shipped", "logs", "", "elasticsearch")]


def test_each_batch_of_a_backlog_but_the_first_is_given_with_what_was_encoded_of_it(spool: Spool) -> None:
    fill(spool, *lines(3 * FULL, 100))
    sink = Encoding()

    Shipping("logs", spool, sink, bounds=BOUNDS).drain()

    first, *others = sink.given
    assert first == (list(range(1, 11)), None)
    assert others == [(list(range(start, start + 10)),) * 2 for start in (11, 21)]
    assert sink.threads == {"ahead-logs_0"}


def test_a_batch_that_is_given_again_in_parts_is_given_without_what_was_encoded_of_all(spool: Spool) -> None:
    fill(spool, *lines(2 * FULL, 100))
    sink = Encoding(None, SinkRejected("one of them"))

    Shipping("logs", spool, sink, bounds=BOUNDS).drain()

    assert [encoded for ids, encoded in sink.given if len(ids) < FULL] == [None, None]
    assert shipped(spool) == 2_000


def test_what_was_encoded_before_a_failure_is_not_given_with_another_batch(spool: Spool) -> None:
    fill(spool, *lines(4 * FULL, 100))
    sink = Encoding(None, SinkUnavailable("away"), SinkUnavailable("still away"))
    loop = Shipping("logs", spool, sink, bounds=BOUNDS)

    loop.step()
    for _ in range(2):
        with pytest.raises(SinkUnavailable):
            loop.step()
    loop.drain()

    assert all(encoded in (None, ids) for ids, encoded in sink.given)
    assert (shipped(spool), spool.depth().payloads) == (4_000, 0)


def test_what_cannot_be_encoded_ahead_is_left_to_its_turn(spool: Spool) -> None:
    fill(spool, *lines(2 * FULL, 100))
    sink = Encoding()
    sink.cannot_encode = True

    Shipping("logs", spool, sink, bounds=BOUNDS).drain()

    assert [encoded for _, encoded in sink.given] == [None, None]
    assert shipped(spool) == 2_000


def test_what_processors_make_of_a_batch_is_what_is_encoded(spool: Spool) -> None:
    fill(spool, *lines(2 * FULL, 100))
    selects: list[str] = []

    class Selecting(Encoding):
        def encode(self, outgoing: Outgoing) -> Sequence[Any]:
            selects.append(outgoing.select)
            return super().encode(outgoing)

        def write(self, outgoing: Outgoing) -> Sequence[RefusedRecord]:
            assert outgoing.encoded is None or [outgoing.select] == selects
            return super().write(outgoing)

    sink = Selecting()
    processors = compose([FilterConfig(type="drop", when=Condition(severity_below="INFO"))])

    Shipping("logs", spool, sink, bounds=BOUNDS, processors=processors).drain()

    assert sink.given[1][1] is not None
    assert "WHERE" in selects[0]


def test_with_a_rate_limit_nothing_is_encoded_before_its_turn(spool: Spool) -> None:
    fill(spool, *lines(2 * FULL, 100))
    sink = Encoding()
    processors = compose([RateLimitConfig(type="rate_limit", records_per_s=1e9)])

    Shipping("logs", spool, sink, bounds=BOUNDS, processors=processors).drain()

    assert [encoded for _, encoded in sink.given] == [None, None]


def test_when_the_loop_has_ended_what_was_shipped_is_forgotten_and_its_thread_is_gone(spool: Spool) -> None:
    fill(spool, *lines(2 * FULL, 100))
    stopping = threading.Event()
    before = set(threading.enumerate())

    class Last(Encoding):
        def write(self, outgoing: Outgoing) -> Sequence[RefusedRecord]:
            if len(self.given) == 1:
                stopping.set()
            return super().write(outgoing)

    Shipping("logs", spool, Last(), bounds=BOUNDS).run(stopping)

    assert spool.depth().payloads == 0
    assert set(threading.enumerate()) == before
