"""The loop around a sink: what moves the cursor, what is set aside, and how long it waits."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import pytest
from google.protobuf.message import Message

from clew_collector.model import SIGNALS, Signal
from clew_collector.payload import Payload, digest_of
from clew_collector.processors.condition import Condition
from clew_collector.processors.config import compose
from clew_collector.processors.filter import FilterConfig
from clew_collector.sinks.base import Outgoing, RefusedRecord, SinkRejected, SinkUnavailable
from clew_collector.sinks.connections import Connections
from clew_collector.sinks.pacing import BackOff, BatchBounds, BatchSize
from clew_collector.sinks.shipping import Shipping
from clew_collector.spool import Series, Spool
from clew_collector.wire.otlp.payload import count_records, parse
from tests.collector.otlp_builders import a_log, a_span, logs, traces
from tests.collector.sinks.outgoing import outgoing
from tests.collector.sinks.shipment import fill, lines

BOUNDS = BatchBounds(max_records=1_000, max_bytes=1 << 20)
POISON = b"\x0a\xff\xff\xff"

Answer = Callable[[Outgoing], Sequence[RefusedRecord]]


class Remembering:
    """A sink that remembers what it was given, and answers as it was told to."""

    name = "elasticsearch"

    def __init__(self, *answers: Answer) -> None:
        self.given: list[Outgoing] = []
        self._answers = list(answers)

    def write(self, outgoing: Outgoing) -> Sequence[RefusedRecord]:
        self.given.append(outgoing)
        return self._answers.pop(0)(outgoing) if self._answers else []

    def close(self) -> None:
        pass

    @property
    def ids(self) -> list[list[int]]:
        return [[payload.id for payload in each.payloads] for each in self.given]


def away(_: Outgoing) -> Sequence[RefusedRecord]:
    raise SinkUnavailable("away")


def ends(_: Outgoing) -> Sequence[RefusedRecord]:
    raise SystemExit("killed")


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


def test_a_sink_moves_its_own_cursor_and_nobody_elses(spool: Spool) -> None:
    fill(spool, *lines(2, 10))
    spool.register(["elasticsearch", "store"])

    Shipping("logs", spool, Remembering(), bounds=BOUNDS).drain()

    assert (spool.depth(reader="elasticsearch").payloads, spool.depth(reader="store").payloads) == (0, 2)
    assert spool.counters()[Series("shipped", "logs", "", "elasticsearch")] == 20


def test_a_batch_that_was_not_taken_stays_and_the_next_is_half_as_large(spool: Spool) -> None:
    fill(spool, *lines(10, 100))
    sink = Remembering(away)
    loop = Shipping("logs", spool, sink, bounds=BOUNDS)

    with pytest.raises(SinkUnavailable):
        loop.step()
    loop.drain()

    assert [len(ids) for ids in sink.ids] == [10, 5, 5]
    assert spool.depth().payloads == 0


def test_what_may_have_been_given_before_is_said_until_it_is_past(spool: Spool) -> None:
    fill(spool, *lines(10, 100))
    sink = Remembering(away)
    loop = Shipping("logs", spool, sink, bounds=BOUNDS)

    with pytest.raises(SinkUnavailable):
        loop.step()
    loop.drain()
    fill(spool, *lines(1, 100, start=1_000))
    loop.drain()

    assert [(ids[0], each.attempted_id) for ids, each in zip(sink.ids, sink.given, strict=True)] == [
        (1, -1),
        (1, 10),
        (6, 10),
        (11, 10),
    ]


def test_what_a_killed_process_may_have_given_is_known_to_the_next(tmp_path: Path, spool: Spool) -> None:
    fill(spool, *lines(3, 100))
    with pytest.raises(SystemExit):
        Shipping("logs", spool, Remembering(ends), bounds=BOUNDS).step()
    fill(spool, *lines(1, 100, start=1_000))
    sink = Remembering()

    Shipping("logs", Spool(tmp_path / "spool"), sink, bounds=BOUNDS).drain()

    assert [each.attempted_id for each in sink.given] == [3]
    assert sink.ids == [[1, 2, 3, 4]]


def takes(_: Outgoing) -> Sequence[RefusedRecord]:
    return []


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_a_failure_neither_loses_nor_repeats_what_was_taken_ahead(spool: Spool, failing: int) -> None:
    fill(spool, *lines(40, 100))
    sink = Remembering(*[takes] * failing, away)
    loop = Shipping("logs", spool, sink, bounds=BOUNDS)

    with pytest.raises(SinkUnavailable):
        loop.drain()
    loop.drain()

    given = [id for number, ids in enumerate(sink.ids) if number != failing for id in ids]
    assert given == list(range(1, 41))
    assert (len(sink.ids[failing]), len(sink.ids[failing + 1])) == (10, 5)


def test_the_next_batch_is_decoded_while_one_is_written_and_what_cannot_be_read_in_it_is_set_aside(
    spool: Spool,
) -> None:
    before = set(threading.enumerate())

    def sees_it_decoded(_: Outgoing) -> Sequence[RefusedRecord]:
        assert any(thread.name.startswith("ahead-logs") for thread in set(threading.enumerate()) - before)
        return []

    fill(spool, *lines(15, 100))
    spool.append([Payload(signal="logs", body=POISON, records=1, digest=digest_of("logs", POISON))])
    fill(spool, *lines(4, 100, start=1_500))

    Shipping("logs", spool, Remembering(sees_it_decoded), bounds=BOUNDS).drain()

    assert [letter.records for letter in spool.dead_letters()] == [1]
    assert spool.counters()[Series("shipped", "logs", "", "elasticsearch")] == 1_900


def test_what_was_only_taken_ahead_counts_as_never_given(tmp_path: Path, spool: Spool) -> None:
    fill(spool, *lines(20, 100))
    with pytest.raises(SystemExit):
        Shipping("logs", spool, Remembering(ends), bounds=BOUNDS).step()
    sink = Remembering()

    Shipping("logs", Spool(tmp_path / "spool"), sink, bounds=BOUNDS).drain()

    assert [(ids[0], each.attempted_id) for ids, each in zip(sink.ids, sink.given, strict=True)] == [(1, 10), (11, 10)]


def rejecting(*at_fault: int) -> Answer:
    def answer(outgoing: Outgoing) -> Sequence[RefusedRecord]:
        if any(payload.id in at_fault for payload in outgoing.payloads):
            raise SinkRejected("no such thing")
        return []

    return answer


def test_a_rejected_batch_is_halved_until_the_payload_at_fault_stands_alone(spool: Spool) -> None:
    fill(spool, *lines(8, 10))
    sink = Remembering(*[rejecting(3)] * 20)

    Shipping("logs", spool, sink, bounds=BOUNDS).drain()

    [letter] = spool.dead_letters()
    assert (letter.records, letter.reason, letter.reader) == (10, "no such thing", "elasticsearch")
    assert sink.ids == [[1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 3, 4], [1, 2], [3, 4], [3], [4], [5, 6, 7, 8]]
    assert all(each.attempted_id >= each.payloads[-1].id for each in sink.given[1:])
    counters = spool.counters()
    assert counters[Series("dropped", "logs", "poison payload", "elasticsearch")] == 10
    assert counters[Series("shipped", "logs", "", "elasticsearch")] == 70


def test_a_payload_that_cannot_be_read_is_a_dead_letter_and_the_rest_is_shipped(spool: Spool) -> None:
    fill(spool, *lines(1, 10))
    spool.append([Payload(signal="logs", body=POISON, records=1, digest=digest_of("logs", POISON))])
    fill(spool, *lines(1, 10, start=10))

    Shipping("logs", spool, Remembering(), bounds=BOUNDS).drain()

    assert [letter.records for letter in spool.dead_letters()] == [1]
    assert spool.counters()[Series("shipped", "logs", "", "elasticsearch")] == 20


FIVE: dict[Signal, Message] = {
    "logs": logs(*(a_log(str(number)) for number in range(5))),
    "traces": traces(*(a_span(str(number)) for number in range(5))),
}


@pytest.mark.parametrize("signal", SIGNALS)
def test_refused_records_are_a_dead_letter_without_the_others(spool: Spool, signal: Signal) -> None:
    request = type(FIVE[signal])()
    for _ in range(2):
        request.MergeFrom(FIVE[signal])
    fill(spool, request)
    refused = [RefusedRecord(payload_id=1, position=position, reason=f"odd: {position}") for position in (7, 1)]

    Shipping(signal, spool, Remembering(lambda _: refused), bounds=BOUNDS).drain()

    [letter] = spool.dead_letters()
    body = spool.dead_letter_body(letter.id) or b""
    kept = parse(letter.signal, body)
    assert (count_records(kept), letter.records, letter.reason) == (2, 2, "odd: 1 (and 1 more of this payload)")
    assert [text in str(kept) for text in ('"0"', '"1"', '"2"', '"3"')] == [False, True, True, False]
    counters = spool.counters()
    assert counters[Series("refused", signal, "odd", "elasticsearch")] == 2
    assert counters[Series("shipped", signal, "", "elasticsearch")] == 8


def test_processors_decide_what_is_shipped_and_their_drops_are_counted(spool: Spool) -> None:
    fill(spool, logs(a_log("debug", severity=5), a_log("info")))
    sink = Remembering()
    processors = compose([FilterConfig(type="drop", when=Condition(severity_below="INFO"))])

    Shipping("logs", spool, sink, bounds=BOUNDS, processors=processors).drain()

    counters = spool.counters()
    assert not sink.given[0].is_as_received
    assert counters[Series("shipped", "logs", "", "elasticsearch")] == 1
    assert counters[Series("dropped", "logs", "matches the condition", "elasticsearch", "inventory")] == 1


@pytest.mark.parametrize(
    ("error", "raised"), [(duckdb.OutOfMemoryException, SinkUnavailable), (duckdb.ConversionException, None)]
)
def test_a_machine_without_memory_is_waited_for_and_a_value_that_cannot_be_encoded_is_set_aside(
    spool: Spool, error: type[duckdb.Error], raised: type[Exception] | None
) -> None:
    def fails(_: Outgoing) -> Sequence[RefusedRecord]:
        raise error("no")

    fill(spool, *lines(1, 1))
    loop = Shipping("logs", spool, Remembering(fails), bounds=BOUNDS)

    if raised is not None:
        with pytest.raises(raised):
            loop.step()
    else:
        loop.step()

    assert len(spool.dead_letters()) == (0 if raised else 1)


def test_a_record_keeps_its_place_whatever_batch_it_comes_in() -> None:
    first, second = logs(a_log("a"), a_log("b")), logs(a_log("c"), a_log("d"))
    second.MergeFrom(logs(a_log("e"), service="cart"))

    def places(batch: Outgoing) -> list[tuple[str, int, int]]:
        with Connections().holding(batch) as connection:
            return connection.sql(f"SELECT body, payload_id, position FROM ({batch.select})").fetchall()

    together = places(outgoing(first, logs(), second, first_id=7))

    assert together == [("a", 7, 0), ("b", 7, 1), ("c", 9, 0), ("d", 9, 1), ("e", 9, 2)]
    assert places(outgoing(second, first_id=9)) == together[2:]


def test_waits_double_up_to_a_minute_and_honour_what_was_asked_for() -> None:
    back_off = BackOff(chance=lambda: 0.0)

    waits = [back_off.next_wait_s() for _ in range(9)]
    asked_for = back_off.next_wait_s(asked_for_s=90)
    back_off.reset()

    assert waits == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    assert asked_for == 90
    assert back_off.next_wait_s() == 0.5
    assert BackOff(chance=lambda: 1.0).next_wait_s() == 0.25


def test_a_batch_shrinks_to_a_sixty_fourth_and_grows_back_to_its_bounds() -> None:
    size = BatchSize(BatchBounds(max_records=6_400, max_bytes=640_000))

    for _ in range(20):
        size.shrink()
    smallest = (size.records, size.bytes)
    for _ in range(20):
        size.grow()

    assert smallest == (100, 10_000)
    assert (size.records, size.bytes) == (6_400, 640_000)


def test_what_the_other_side_says_it_dropped_is_counted_and_not_as_shipped(spool: Spool) -> None:
    class Dropping(Remembering):
        def take_dropped(self, signal: Signal) -> dict[str, int]:
            return {"left out by the receiver": 2}

    fill(spool, *lines(1, 5))

    Shipping("logs", spool, Dropping(), bounds=BOUNDS).drain()

    assert spool.counters()[Series("dropped", "logs", "left out by the receiver", "elasticsearch")] == 2
    assert spool.counters()[Series("shipped", "logs", "", "elasticsearch")] == 3
