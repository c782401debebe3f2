"""What only a store that is written to can promise."""

from pathlib import Path

import duckdb
import pytest

from clew_collector.errors import ConfigError
from clew_collector.stores.duckdb import DuckDBStore
from tests.collector.otlp_builders import a_log, a_span, logs, traces
from tests.collector.storing import batch_of


def test_a_batch_given_twice_is_stored_once(tmp_path: Path) -> None:
    store = DuckDBStore(tmp_path)
    batch = batch_of(logs(a_log(), a_log()), number=7)

    assert store.write(batch) == 2
    assert store.write(batch) == 0

    assert store.counts().logs == 2


def test_a_number_is_remembered_by_each_signal_for_itself(tmp_path: Path) -> None:
    store = DuckDBStore(tmp_path)

    store.write(batch_of(logs(a_log()), number=9))
    store.write(batch_of(traces(a_span()), number=4))

    assert (store.last_applied("logs"), store.last_applied("traces")) == (9, 4)
    assert store.counts().spans == 1


def test_records_and_numbers_survive_a_restart(tmp_path: Path) -> None:
    store = DuckDBStore(tmp_path)
    store.write(batch_of(logs(a_log(correlation_id="req-1")), number=3))
    store.close()

    again = DuckDBStore(tmp_path)

    assert again.last_applied("logs") == 3
    found = again.request("req-1")
    assert found is not None
    assert [log.body for log in found.logs] == ["stock checked"]


def test_two_stores_cannot_hold_one_directory_and_the_second_is_told_so(tmp_path: Path) -> None:
    first = DuckDBStore(tmp_path)

    with pytest.raises(ConfigError, match=str(tmp_path)):
        DuckDBStore(tmp_path)

    first.close()


def test_data_of_a_newer_version_is_refused_by_name(tmp_path: Path) -> None:
    DuckDBStore(tmp_path).close()
    connection = duckdb.connect(str(tmp_path / "logs.duckdb"))
    connection.execute("UPDATE format SET version = 99")
    connection.close()

    with pytest.raises(ConfigError, match=r"logs.duckdb: written by a newer clew \(format 99"):
        DuckDBStore(tmp_path)


def test_a_file_that_is_no_database_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "logs.duckdb").write_bytes(b"not a database" * 1000)

    with pytest.raises(ConfigError, match="cannot open the data in"):
        DuckDBStore(tmp_path)


def test_files_of_the_first_format_are_brought_up_to_date(tmp_path: Path) -> None:
    DuckDBStore(tmp_path).close()
    old = duckdb.connect(str(tmp_path / "logs.duckdb"))
    old.execute("ALTER TABLE logs RENAME COLUMN observed_delay_ns TO observed_time_ns")
    old.execute("INSERT INTO logs (time_ns, observed_time_ns, body) VALUES (100, 130, 'seen'), (100, 0, 'not seen')")
    old.execute("UPDATE format SET version = 1")
    old.close()

    DuckDBStore(tmp_path).close()

    new = duckdb.connect(str(tmp_path / "logs.duckdb"), read_only=True)
    rows = new.execute("SELECT body, observed_delay_ns FROM logs ORDER BY body").fetchall()
    versions = new.execute("SELECT version FROM format").fetchall()
    new.close()
    assert rows == [("not seen", None), ("seen", 30)]
    assert versions == [(2,)]
