import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from clew_collector.batch import Batch
from clew_collector.errors import BadPayload, StoreUnavailable
from clew_collector.model import Signal
from clew_collector.payload import Payload, digest_of
from clew_collector.pipeline import Pipeline
from clew_collector.processors.condition import Condition
from clew_collector.processors.config import compose
from clew_collector.processors.filter import FilterConfig
from clew_collector.spool import Series, Spool
from clew_collector.stores.duckdb import DuckDBStore
from tests.collector.otlp_builders import a_log, a_span, logs, traces
from tests.waiting import wait_until

POISON = b"\x0a\xff\xff\xff"


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


@pytest.fixture
def store(tmp_path: Path) -> DuckDBStore:
    return DuckDBStore(tmp_path)


def spool_bodies(spool: Spool, *bodies: bytes, signal: Signal = "logs") -> None:
    spool.append([Payload(signal=signal, body=body, records=1, digest=digest_of(signal, body)) for body in bodies])


def a_body(text: str) -> bytes:
    return logs(a_log(text)).SerializeToString()


class CrashingStore:
    """A store whose process dies right after a write became durable."""

    def __init__(self, store: DuckDBStore) -> None:
        self.store = store

    def write(self, batch: Batch) -> int:
        self.store.write(batch)
        raise SystemExit("killed")

    def last_applied(self, signal: Signal) -> int:
        return self.store.last_applied(signal)


class UnavailableStore(CrashingStore):
    def write(self, batch: Batch) -> int:
        raise StoreUnavailable("the disk is full")


class PickyStore(CrashingStore):
    """A store that cannot hold one of the payloads, as the decoder sees nothing wrong with it."""

    def write(self, batch: Batch) -> int:
        if any("picky" in str(row) for row in batch.table.to_pylist()):
            raise BadPayload("too picky")
        return self.store.write(batch)


def test_what_is_in_the_spool_gets_into_the_store_and_leaves_the_spool(spool: Spool, store: DuckDBStore) -> None:
    spool_bodies(spool, a_body("one"), a_body("two"))
    spool_bodies(spool, traces(a_span()).SerializeToString(), signal="traces")

    moved = [Pipeline(signal, spool, store).drain() for signal in ("logs", "traces")]

    assert moved == [2, 1]
    assert (store.counts().logs, store.counts().spans) == (2, 1)
    assert spool.depth().payloads == 0


def test_one_bad_payload_does_not_stop_the_others_and_is_set_aside(spool: Spool, store: DuckDBStore) -> None:
    spool_bodies(spool, a_body("one"), POISON, a_body("two"), a_body("three"), POISON + b"\x01")

    Pipeline("logs", spool, store).drain()

    assert store.counts().logs == 3
    assert spool.depth().payloads == 0
    assert [letter.signal for letter in spool.dead_letters()] == ["logs", "logs"]


def test_a_payload_that_the_store_cannot_hold_is_set_aside_alone(spool: Spool, store: DuckDBStore) -> None:
    spool_bodies(spool, a_body("one"), a_body("picky"), a_body("two"))

    Pipeline("logs", spool, PickyStore(store)).drain()

    assert store.counts().logs == 2
    assert [letter.reason for letter in spool.dead_letters()] == ["too picky"]


def test_a_crash_between_store_and_spool_stores_nothing_twice(spool: Spool, store: DuckDBStore) -> None:
    spool_bodies(spool, a_body("one"), a_body("two"))
    with pytest.raises(SystemExit):
        Pipeline("logs", spool, CrashingStore(store)).step()
    assert spool.depth().payloads == 2

    moved = Pipeline("logs", spool, store).drain()

    assert moved == 0
    assert store.counts().logs == 2
    assert spool.depth().payloads == 0


def test_what_an_unavailable_store_refused_stays_in_the_spool(spool: Spool, store: DuckDBStore) -> None:
    spool_bodies(spool, a_body("one"))
    pipeline = Pipeline("logs", spool, UnavailableStore(store))

    with pytest.raises(StoreUnavailable):
        pipeline.step()

    assert spool.depth().payloads == 1
    assert Pipeline("logs", spool, store).drain() == 1


def test_lag_is_from_the_receipt_of_the_oldest_payload_until_it_is_stored(tmp_path: Path, store: DuckDBStore) -> None:
    now_ns = [10**18]
    spool = Spool(tmp_path / "spool", clock_ns=lambda: now_ns[0])
    pipeline = Pipeline("logs", spool, store, clock_ns=lambda: now_ns[0])
    assert pipeline.lag_s is None

    spool_bodies(spool, a_body("one"))
    now_ns[0] += 2 * 10**9
    spool_bodies(spool, a_body("two"))
    now_ns[0] += 10**9
    pipeline.drain()

    assert pipeline.lag_s == 3.0


def test_what_is_stored_is_counted_for_its_reader_and_what_is_set_aside_is_not(
    spool: Spool, store: DuckDBStore
) -> None:
    spool_bodies(spool, a_body("one"), POISON, a_body("two"))

    Pipeline("logs", spool, store).drain()

    assert spool.counters()[Series("stored", "logs", "", "store")] == 2


class RecoveringStore(CrashingStore):
    """A store that refuses a few writes and takes the rest."""

    refusals = 3

    def write(self, batch: Batch) -> int:
        self.refusals -= 1
        if self.refusals >= 0:
            raise StoreUnavailable("the disk is full")
        return self.store.write(batch)


class InterruptedStore(CrashingStore):
    """A store that takes a write, refuses the next, and takes the rest."""

    writes = 0

    def write(self, batch: Batch) -> int:
        self.writes += 1
        if self.writes == 2:
            raise StoreUnavailable("the disk is full")
        return self.store.write(batch)


def test_what_a_processor_drops_is_counted_once_though_half_of_the_batch_is_tried_again(
    spool: Spool, store: DuckDBStore
) -> None:
    spool_bodies(spool, a_body("dropped"), a_body("one"), POISON, a_body("two"))
    processors = compose([FilterConfig(type="drop", when=Condition(body_matches="dropped"))])
    pipeline = Pipeline("logs", spool, InterruptedStore(store), processors=processors)

    with pytest.raises(StoreUnavailable):
        pipeline.step()
    pipeline.drain()

    dropped = {series.source: count for series, count in spool.counters().items() if series.outcome == "dropped"}
    assert dropped == {"drop": 1, "store": 1}


def test_an_outage_is_told_while_it_lasts_and_logged_once(spool: Spool, store: DuckDBStore) -> None:
    spool_bodies(spool, a_body("one"))
    recovering = RecoveringStore(store)
    pipeline, stopping = Pipeline("logs", spool, recovering), threading.Event()
    thread = threading.Thread(target=pipeline.run, args=(stopping,))

    with capture_logs() as lines:
        thread.start()
        wait_until(lambda: pipeline.outage is not None)
        told = pipeline.outage
        wait_until(lambda: pipeline.outage is None)
        stopping.set()
        thread.join()

    assert told == "the disk is full"
    assert recovering.refusals < 0
    assert [line["event"].split(",")[0] for line in lines] == ["store unavailable", "store available again"]
    assert store.counts().logs == 1
