"""What the Health page is told, out of a snapshot; and taking one."""

from pathlib import Path

import pytest

from clew_collector.errors import StoreUnavailable
from clew_collector.payload import Payload, digest_of
from clew_collector.pipeline import Pipeline
from clew_collector.processors.filter import Filter, FilterConfig
from clew_collector.processors.sample import Sample, SampleConfig
from clew_collector.spool import Series, Spool
from clew_collector.stores.duckdb import DuckDBStore
from clew_server.health import MAX_SERVICES, health_of
from clew_server.snapshot import Snapshot, take_snapshot
from tests.collector.otlp_builders import a_log, logs
from tests.server.snapshots import SOME_COUNTERS, a_dead_letter, a_reader, a_snapshot, waiting


def test_totals_are_over_all_receivers_and_services() -> None:
    health = health_of(a_snapshot(counters=SOME_COUNTERS))

    assert health.accepted == {"logs": 7, "traces": 18}
    assert health.duplicate == {"logs": 3}
    assert health.refused == {"logs: bad payload": 4}
    assert health.dropped == {"logs: poison payload": 1}


def test_each_receiver_has_its_own_counts_and_so_has_what_drops_later() -> None:
    sources = {source.name: source for source in health_of(a_snapshot(counters=SOME_COUNTERS)).sources}

    assert sorted(sources) == ["otlp_http", "store", "syslog", "zipkin"]
    assert sources["otlp_http"].accepted == {"logs": 5, "traces": 7}
    assert sources["otlp_http"].refused == {"logs: bad payload": 4}
    assert sources["zipkin"].accepted == {"traces": 11}
    assert sources["store"].dropped == {"logs: poison payload": 1}


def test_services_are_those_that_sent_most_and_the_sum_of_the_rest() -> None:
    names = [f"service-{number:03}" for number in range(MAX_SERVICES + 2)]
    counters = {Series("accepted", "logs", "", "otlp_http", name): 100 - n for n, name in enumerate(names)}

    health = health_of(a_snapshot(counters=counters))

    assert [service.name for service in health.services] == names[:MAX_SERVICES]
    assert health.other_services is not None
    assert (health.other_services.name, health.other_services.logs) == ("2 others", 50 + 49)


def test_readers_and_dead_letters_have_their_ages() -> None:
    readers = (a_reader(waiting=waiting(4, bytes=900, age_s=12.5), logs=0.25, outage="disk full"),)
    letters = (a_dead_letter(1, age_s=60, size_bytes=70), a_dead_letter(2, age_s=5, size_bytes=30, reason="newest"))

    health = health_of(a_snapshot(readers=readers, dead_letters=letters, counters=SOME_COUNTERS))

    [store] = health.readers
    assert (store.payloads, store.bytes, store.oldest_age_s, store.lag_s) == (4, 900, 12.5, {"logs": 0.25})
    assert (store.stored, store.outage) == ({"logs": 6}, "disk full")
    dead = health.dead_letters
    assert (dead.count, dead.bytes, dead.oldest_age_s, dead.last_reason) == (2, 100, 60.0, "newest")


def test_what_processors_leave_out_as_asked_is_told_apart_from_what_is_lost() -> None:
    when = {"error": False}
    filters = [FilterConfig.model_validate({"type": kind, "when": when}) for kind in ("drop", "keep")]
    sample = Sample(SampleConfig.model_validate({"type": "sample", "ratio": 0.1}))
    reasons = [*[Filter(config).reason for config in filters], sample.reason]
    counters = {Series("dropped", "logs", reason, "a processor"): 1 for reason in (*reasons, "over 5 records a second")}

    health = health_of(a_snapshot(counters=counters))

    assert len(health.dropped) == 4
    assert set(health.left_out) == {f"logs: {reason}" for reason in reasons}


def take(store: DuckDBStore, pipelines: list[Pipeline], path: Path, *, now_ns: int = 0) -> Snapshot:
    return take_snapshot(store, path, pipelines, max_spool_bytes=1_000, now_ns=now_ns)


def test_a_snapshot_is_what_store_spool_and_pipelines_say(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    spool, store = Spool(path, clock_ns=lambda: 10**9), DuckDBStore(tmp_path)
    pipeline = Pipeline("logs", spool, store, clock_ns=lambda: 3 * 10**9)
    body = logs(a_log("one")).SerializeToString()
    stored, waits = (Payload("logs", body, 1, digest_of("logs", body + mark)) for mark in (b"1", b"2"))
    spool.append([stored], sources=["syslog"])
    pipeline.drain()
    spool.append([waits], sources=["syslog"])

    snapshot = take(store, [pipeline], path, now_ns=5 * 10**9)

    assert snapshot.stored.logs == 1
    assert snapshot.counters[Series("accepted", "logs", "", "syslog")] == 2
    assert snapshot.age_s(snapshot.spool.oldest_ns) == 4.0
    [reader] = snapshot.readers
    assert (reader.name, reader.waiting.payloads, reader.lag_s) == ("store", 1, {"logs": 2.0})


def test_a_spool_that_cannot_be_read_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    spool, store = Spool(path), DuckDBStore(tmp_path)
    spool._connection.execute("ALTER TABLE counters RENAME TO lost")

    with pytest.raises(StoreUnavailable, match="no such table"):
        take(store, [], path)
