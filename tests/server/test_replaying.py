"""Ranges of what is stored, put into the queue again for one sink."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from clew_collector.model import Signal
from clew_collector.payload import digest_of, payload_of
from clew_collector.pipeline import Pipeline
from clew_collector.spool import STORE, Spool, Spooled
from clew_collector.stores.duckdb import DuckDBStore
from clew_collector.stores.duckdb.ranges import StoredBatch
from clew_collector.wire.otlp.payload import parse
from clew_server.replaying import Plan, Replay
from clew_server.stored_records import Range
from tests.collector.otlp_builders import T0_NS, a_log, logs

SINK = "archive"
EVER = Range("logs", 0, 2**63 - 1)
EVERYTHING = {"max_records": 1_000_000, "max_bytes": 1 << 30}


class OfStore:
    """The records of a store in this process."""

    def __init__(self, store: DuckDBStore) -> None:
        self._store = store

    def batches(self, asked: Range) -> list[StoredBatch]:
        return self._store.batches_between(asked.signal, from_ns=asked.from_ns, to_ns=asked.to_ns)

    def rows(self, asked: Range, batch_id: int) -> Iterator[pa.RecordBatch]:
        return self._store.rows_between(asked.signal, batch_id=batch_id, from_ns=asked.from_ns, to_ns=asked.to_ns)


class Setting:
    """A spool that the store reads, and from `add_sink` on a sink as well."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "spool.sqlite"
        self.spool = Spool(self.path)
        self.store = DuckDBStore(folder)
        self.spool.register([STORE])
        self._pipelines = Pipeline("logs", self.spool, self.store), Pipeline("traces", self.spool, self.store)

    def receive(self, *texts: str, minute: int = 0) -> None:
        request = logs(*(a_log(text, time_ns=T0_NS + minute * 60 * 10**9) for text in texts))
        self.spool.append([payload_of("logs", request, digest=digest_of("logs", request.SerializeToString()))])

    def keep(self) -> None:
        """Store what waits, as a batch."""
        for pipeline in self._pipelines:
            pipeline.drain()

    def add_sink(self) -> None:
        self.spool.register([STORE, SINK])

    def ship(self) -> list[str]:
        """What the sink is given now; it takes all of it."""
        texts: list[str] = []
        while taken := self._next():
            texts += texts_of(taken)
            self.spool.advance("logs", taken[-1].id, reader=SINK)
        return texts

    def replay(self, **how: int) -> Replay:
        return Replay(OfStore(self.store), self.spool, SINK, sleep=lambda _: None, **how)

    def _next(self) -> list[Spooled]:
        return self.spool.take("logs", after_id=self.spool.cursor(SINK, "logs"), reader=SINK, **EVERYTHING)

    def close(self) -> None:
        self.store.close()
        self.spool.close()


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Setting]:
    setting = Setting(tmp_path)
    yield setting
    setting.close()


def texts_of(taken: list[Spooled]) -> list[str]:
    signal: Signal = "logs"
    requests = [parse(signal, spooled.body) for spooled in taken]
    return [
        record.body.string_value
        for request in requests
        for group in request.resource_logs  # type: ignore[attr-defined]
        for scope in group.scope_logs
        for record in scope.log_records
    ]


def sent(replay: Replay, plan: Plan) -> int:
    return sum(replay.send(plan))


def test_a_sink_that_was_added_late_gets_what_is_stored_and_nobody_else_does(setting: Setting) -> None:
    setting.receive("a", "b")
    setting.receive("c", minute=1)
    setting.keep()
    setting.add_sink()
    replay = setting.replay()

    assert sent(replay, replay.plan(EVER)) == 3

    assert setting.spool.take("logs", after_id=-1, reader=STORE, **EVERYTHING) == []
    assert sorted(setting.ship()) == ["a", "b", "c"]
    assert sum(count for series, count in setting.spool.counters().items() if series.outcome == "accepted") == 3


def test_only_records_of_the_range_are_sent(setting: Setting) -> None:
    for minute in range(4):
        setting.receive(f"minute {minute}", minute=minute)
    setting.keep()
    setting.add_sink()
    minute_ns = 60 * 10**9
    plan = setting.replay().plan(Range("logs", T0_NS + minute_ns, T0_NS + 3 * minute_ns))

    assert (plan.records, sent(setting.replay(), plan)) == (2, 2)

    assert setting.ship() == ["minute 1", "minute 2"]


def test_a_replay_that_was_interrupted_goes_on_and_sends_each_record_once(setting: Setting) -> None:
    lines = [f"{number} {'x' * 2_000}" for number in range(5_000)]
    for start in (0, 2_500):
        setting.receive(*lines[start : start + 2_500])
        setting.keep()
    setting.add_sink()
    replay = setting.replay()
    steps = replay.send(replay.plan(EVER))

    first = sum(next(steps) for _ in range(3))
    del steps
    plan = setting.replay().plan(EVER)
    second = sent(setting.replay(), plan)

    assert 0 < first < 5_000
    assert (plan.is_begun, plan.records, second) == (True, 5_000 - first, 5_000 - first)
    assert Counter(setting.ship()) == Counter(lines)


def test_a_range_that_was_sent_is_sent_again_only_once_that_is_forgotten(setting: Setting) -> None:
    setting.receive("a")
    setting.keep()
    setting.add_sink()
    replay = setting.replay()
    sent(replay, replay.plan(EVER))

    assert sent(replay, replay.plan(EVER)) == 0
    replay.forget(EVER)
    assert sent(replay, replay.plan(EVER)) == 1


def test_it_waits_for_the_sink_and_leaves_room_for_what_arrives(setting: Setting) -> None:
    lines = [f"{number} {'x' * 2_000}" for number in range(6_000)]
    setting.receive(*lines)
    setting.keep()
    setting.add_sink()
    replay = setting.replay(max_waiting_bytes=3 << 20)
    shipped: list[str] = []
    waited = most = 0

    for step in replay.send(replay.plan(EVER)):
        most = max(most, setting.spool.replayed_bytes(SINK))
        if step == 0:
            waited += 1
            shipped += setting.ship()

    assert waited > 0
    assert most < 6 << 20  # of 12: the bound, and the payload that went over it
    assert Counter(shipped + setting.ship()) == Counter(lines)


def test_it_goes_on_when_a_full_spool_has_room_again(setting: Setting) -> None:
    setting.receive("a")
    setting.keep()
    setting.add_sink()
    small = Spool(setting.path, max_bytes=1)
    steps = (replay := Replay(OfStore(setting.store), small, SINK, sleep=lambda _: None)).send(replay.plan(EVER))

    assert [next(steps), next(steps)] == [0, 0]
    setting.receive("what arrives is still taken")
    small.max_bytes = 1 << 30

    assert sum(steps) == 1
    assert setting.ship() == ["what arrives is still taken", "a"]
    small.close()


def test_what_still_waits_for_the_sink_is_left_out_for_it_comes_anyway(setting: Setting) -> None:
    setting.receive("stored before")
    setting.keep()
    setting.add_sink()
    setting.receive("waits")
    setting.receive("waits, too", minute=1)
    setting.keep()
    replay = setting.replay()
    plan = replay.plan(EVER)

    assert (plan.records, plan.left_out, sent(replay, plan)) == (1, 2, 1)

    assert sorted(setting.ship()) == ["stored before", "waits", "waits, too"]
