"""Several readers with a cursor each, checkpoints, dead letters, and files of an older format."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from clew_collector.errors import StoreUnavailable
from clew_collector.model import SIGNALS
from clew_collector.payload import Payload, digest_of
from clew_collector.spool import Series, Spool
from clew_collector.spool.counters import MAX_SERVICES, OTHER_SERVICES

ALL: dict[str, Any] = {"after_id": -1, "max_records": 1000, "max_bytes": 1 << 20}
FORMAT_1 = """
CREATE TABLE payloads (id INTEGER PRIMARY KEY AUTOINCREMENT, signal TEXT NOT NULL, received_ns INTEGER NOT NULL,
    records INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE digests (digest BLOB PRIMARY KEY, received_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE dead_letters (id INTEGER PRIMARY KEY, signal TEXT NOT NULL, received_ns INTEGER NOT NULL,
    records INTEGER NOT NULL, reason TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE counters (outcome TEXT NOT NULL, signal TEXT NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (outcome, signal, reason)) WITHOUT ROWID;
INSERT INTO payloads VALUES (7, 'logs', 1, 2, x'616263');
INSERT INTO dead_letters VALUES (3, 'traces', 1, 5, 'unreadable', x'00');
INSERT INTO counters VALUES ('accepted', 'logs', '', 12);
PRAGMA user_version = 1;
"""


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


def a_payload(body: bytes = b"body", **more: Any) -> Payload:
    given = {"signal": "logs", "records": 1, "digest": digest_of("logs", body), **more}
    return Payload(body=body, **given)


def bodies(spool: Spool, **how: Any) -> list[bytes]:
    return [spooled.body for spooled in spool.take("logs", **{**ALL, **how})]


def test_a_payload_stays_until_the_slowest_reader_has_it(spool: Spool) -> None:
    spool.register(["store", "elasticsearch"])
    spool.append([a_payload(b"one"), a_payload(b"two")])
    one, two = spool.take("logs", **ALL)

    spool.advance("logs", two.id, reader="store")
    after_the_store = bodies(spool)
    spool.advance("logs", one.id, reader="elasticsearch")
    after_both = bodies(spool)

    assert (after_the_store, after_both) == ([b"one", b"two"], [b"two"])
    assert spool.cursor("store", "logs") == two.id


def test_a_reader_that_is_left_out_holds_nothing_back(spool: Spool) -> None:
    spool.register(["store", "zipkin"])
    spool.append([a_payload()])
    [spooled] = spool.take("logs", **ALL)
    spool.advance("logs", spooled.id, reader="store")

    spool.register(["store"])

    assert bodies(spool) == []


def test_a_reader_of_one_signal_holds_nothing_of_the_other_back(spool: Spool) -> None:
    spool.register(["store", "zipkin"], only={"zipkin": ["traces"]})
    spool.append([a_payload(b"log"), a_payload(b"span", signal="traces")])
    for signal in SIGNALS:
        spool.advance(signal, 2, reader="store")

    assert bodies(spool) == []
    assert [spooled.body for spooled in spool.take("traces", **ALL)] == [b"span"]


def test_what_waits_for_a_reader_is_beyond_its_cursor(spool: Spool) -> None:
    spool.register(["store", "zipkin"])
    spool.append([a_payload(b"one"), a_payload(b"three")])
    one, _ = spool.take("logs", **ALL)

    spool.advance("logs", one.id, reader="store")

    assert (spool.depth(reader="store").payloads, spool.depth(reader="zipkin").payloads) == (1, 2)
    assert spool.depth(reader="store").bytes == len(b"three")


def test_what_a_broken_deletion_leaves_is_never_taken_again_and_goes_the_next_time(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.append([a_payload(b"%d" % number) for number in range(40)])
    last_id = spool.take("logs", **ALL)[-1].id

    def break_off() -> None:
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(spool, "_let_others_in", break_off)
    spool.advance("logs", last_id, counts={Series("stored", "logs"): 40})
    broken = spool.depth()
    monkeypatch.undo()
    spool.advance("logs", last_id)

    assert (broken.payloads, spool.depth().payloads) == (24, 0)
    assert spool.cursor("store", "logs") == last_id
    assert spool.counters()[Series("stored", "logs")] == 40


def test_checkpoints_are_there_with_their_payload_and_not_without_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.append([a_payload(b"one", checkpoints={"tail:a": "10", "kafka:b": "3"})])
    spool._connection.execute("PRAGMA max_page_count = 30")  # SQLite's own way of a full disk

    with pytest.raises(Exception, match="full"):
        spool.append([a_payload(b"x" * (4 << 20), checkpoints={"tail:a": "20"})])

    assert Spool(tmp_path / "spool").checkpoints("tail:") == {"tail:a": "10"}


def test_a_checkpoint_moves_without_records_and_an_empty_one_is_forgotten(spool: Spool) -> None:
    spool.append([a_payload(b"", records=0, checkpoints={"tail:a": "10", "tail:b": "1"})])
    spool.append([a_payload(b"", records=0, digest=b"other", checkpoints={"tail:b": ""})])

    assert spool.checkpoints("tail:") == {"tail:a": "10"}
    assert (bodies(spool), spool.counters()) == ([], {})


def test_a_replayed_dead_letter_comes_to_the_reader_that_set_it_aside_alone(spool: Spool) -> None:
    spool.register(["store", "zipkin"])
    spool.append([a_payload(b"odd")])
    [spooled] = spool.take("logs", **ALL)
    spool.set_aside("logs", spooled, "refused", reader="zipkin")
    for reader in ("store", "zipkin"):
        spool.advance("logs", spooled.id, reader=reader)
    [letter] = spool.dead_letters()

    assert spool.replay(letter.id)

    assert bodies(spool, after_id=spooled.id, reader="zipkin") == [b"odd"]
    assert bodies(spool, after_id=spooled.id, reader="store") == []
    assert spool.dead_letters() == []
    assert not spool.replay(letter.id)


def test_a_replayed_payload_goes_when_its_reader_has_it_whatever_the_others_do(spool: Spool) -> None:
    spool.register(["store", "zipkin"])
    spool.append([a_payload(b"odd"), a_payload(b"good")])
    odd, _ = spool.take("logs", **ALL)
    spool.set_aside("logs", odd, "refused", reader="zipkin")
    spool.replay(spool.dead_letters()[0].id)
    [*_, again] = spool.take("logs", **ALL, reader="zipkin")

    spool.advance("logs", again.id, reader="zipkin")

    assert bodies(spool, reader="zipkin") == [b"odd", b"good"]  # the store has not taken them yet
    assert spool.depth(reader="zipkin").payloads == 0


def test_counters_are_by_receiver_and_service(spool: Spool) -> None:
    spool.append([a_payload(b"1", records=3, services={"orders": 2, "cart": 1})], sources=["otlp_http"])

    assert spool.counters() == {
        Series("accepted", "logs", "", "otlp_http", "orders"): 2,
        Series("accepted", "logs", "", "otlp_http", "cart"): 1,
    }


def test_services_beyond_a_thousand_are_counted_as_one(spool: Spool) -> None:
    names = [f"service-{number}" for number in range(MAX_SERVICES + 100)]
    spool.append([a_payload(services=dict.fromkeys(names, 1), records=len(names))])

    counters = spool.counters()

    assert len(counters) <= MAX_SERVICES + 1
    assert counters[Series("accepted", "logs", "", "", OTHER_SERVICES)] >= 100
    assert sum(counters.values()) == len(names)


def test_what_is_older_than_allowed_is_dropped_and_counted(tmp_path: Path) -> None:
    now_ns = [0]
    spool = Spool(tmp_path / "spool", clock_ns=lambda: now_ns[0])
    spool.append([a_payload(b"old", records=4)])
    now_ns[0] = 61 * 10**9
    spool.append([a_payload(b"new")])

    spool.expire(max_age_s=60)

    assert bodies(spool) == [b"new"]
    assert spool.counters()[Series("dropped", "logs", "waited too long", "spool")] == 4


def test_a_file_of_the_first_format_is_brought_up_to_date_with_all_that_is_in_it(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "spool")
    old.executescript(FORMAT_1)
    old.close()

    spool = Spool(tmp_path / "spool")

    assert [(spooled.id, spooled.body) for spooled in spool.take("logs", **ALL)] == [(7, b"abc")]
    assert [(letter.id, letter.reader, letter.reason) for letter in spool.dead_letters()] == [
        (3, "store", "unreadable")
    ]
    assert spool.counters() == {Series("accepted", "logs"): 12}
    assert Spool(tmp_path / "spool").counters() == {Series("accepted", "logs"): 12}
