import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest

from clew_collector.errors import ConfigError, SpoolFull, StoreUnavailable
from clew_collector.model import Signal
from clew_collector.payload import Payload, digest_of
from clew_collector.spool import DIGEST_MEMORY_S, Series, Spool

ALL: dict[str, Any] = {"after_id": -1, "max_records": 1000, "max_bytes": 1 << 20}


def a_payload(body: bytes = b"body", *, signal: Signal = "logs", records: int = 1) -> Payload:
    return Payload(signal=signal, body=body, records=records, digest=digest_of(signal, body))


def test_what_was_appended_is_there_after_a_restart(tmp_path: Path) -> None:
    Spool(tmp_path / "spool").append([a_payload(b"one"), a_payload(b"two", records=7)])

    taken = Spool(tmp_path / "spool").take("logs", **ALL)

    assert [(spooled.body, spooled.records) for spooled in taken] == [(b"one", 1), (b"two", 7)]


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.append([a_payload()])

    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}

    assert modes["spool"] == modes["spool-wal"] == 0o600


def test_signals_are_taken_each_for_itself_in_order(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.append([a_payload(b"l1"), a_payload(b"t1", signal="traces"), a_payload(b"l2")])

    assert [spooled.body for spooled in spool.take("logs", **ALL)] == [b"l1", b"l2"]
    assert [spooled.body for spooled in spool.take("traces", **ALL)] == [b"t1"]


def test_taking_stops_at_the_bounds_but_gives_at_least_one(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.append([a_payload(bytes([n]) * 10, records=10) for n in range(5)])

    by_records = spool.take("logs", after_id=-1, max_records=25, max_bytes=1 << 20)
    by_bytes = spool.take("logs", after_id=-1, max_records=1000, max_bytes=30)
    one = spool.take("logs", after_id=-1, max_records=1, max_bytes=1)

    assert (len(by_records), len(by_bytes), len(one)) == (2, 3, 1)


def test_a_number_is_never_given_twice_even_when_the_spool_was_empty(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.append([a_payload(b"one")])
    [first] = spool.take("logs", **ALL)
    spool.advance("logs", first.id)
    spool.close()

    again = Spool(tmp_path / "spool")
    again.append([a_payload(b"two")])

    [second] = again.take("logs", **ALL)
    assert second.id > first.id


def test_a_body_sent_again_is_kept_once_and_counted(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")

    new = spool.append([a_payload(b"one", records=5), a_payload(b"one", records=5)])
    new += spool.append([a_payload(b"one", records=5)])

    assert new == [True, False, False]
    assert spool.counters() == {Series("accepted", "logs"): 5, Series("duplicate", "logs"): 10}
    assert len(spool.take("logs", **ALL)) == 1


def test_the_same_bytes_as_logs_and_as_traces_are_two_payloads(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")

    assert spool.append([a_payload(b"x"), a_payload(b"x", signal="traces")]) == [True, True]


def test_a_body_is_forgotten_after_its_time(tmp_path: Path) -> None:
    now_ns = 10**18
    spool = Spool(tmp_path / "spool", clock_ns=lambda: now_ns)
    spool.append([a_payload(b"one")])

    now_ns += (DIGEST_MEMORY_S + 1) * 10**9
    spool.append([])

    assert spool.append([a_payload(b"one")]) == [True]


def test_a_full_spool_takes_nothing_and_has_room_again_after_deletion(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", max_bytes=1_000_000)
    spool.append([a_payload(b"x" * 500_000)])

    with pytest.raises(SpoolFull):
        spool.append([a_payload(b"y" * 600_000)])
    [spooled] = spool.take("logs", **ALL)
    spool.advance("logs", spooled.id)

    assert spool.append([a_payload(b"y" * 600_000)]) == [True]


def test_a_payload_set_aside_is_a_dead_letter_with_its_reason_and_counted_as_dropped(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.append([a_payload(b"bad", records=3)])
    [spooled] = spool.take("logs", **ALL)

    spool.set_aside("logs", spooled, "cannot be read")
    spool.set_aside("logs", spooled, "cannot be read")  # as after a crash before the cursor moved
    spool.advance("logs", spooled.id)

    assert spool.take("logs", **ALL) == []
    assert [(letter.signal, letter.records, letter.reason) for letter in spool.dead_letters()] == [
        ("logs", 3, "cannot be read")
    ]
    assert spool.counters()[Series("dropped", "logs", "poison payload", "store")] == 3


def test_depth_says_how_much_waits_and_since_when(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", clock_ns=lambda: 42)
    assert spool.depth().payloads == 0

    spool.append([a_payload(b"x" * 50_000)])

    depth = spool.depth()
    assert (depth.payloads, depth.oldest_ns) == (1, 42)
    assert depth.bytes >= 50_000


def test_a_failing_disk_keeps_nothing_of_the_group_and_says_so(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool._connection.execute("PRAGMA max_page_count = 30")  # SQLite's own way of a full disk

    with pytest.raises(StoreUnavailable, match="full"):
        spool.append([a_payload(b"small"), a_payload(b"x" * 1_000_000)])

    assert spool.take("logs", **ALL) == []
    assert spool.append([a_payload(b"small")]) == [True]


def test_a_spool_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    Spool(tmp_path / "spool").close()
    connection = sqlite3.connect(tmp_path / "spool")
    connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(ConfigError, match="written by a newer clew"):
        Spool(tmp_path / "spool")


def test_a_file_that_is_no_spool_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("something else entirely, and long enough to be a header" * 10)

    with pytest.raises(ConfigError, match="cannot be used as the spool"):
        Spool(tmp_path / "spool")
