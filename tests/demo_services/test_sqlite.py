import threading
from pathlib import Path

import pytest

from clew_demo.sqlite import Database

SCHEMA = "CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL)"


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database(tmp_path / "counters.db", schema=SCHEMA)
    with database.write() as statements:
        statements.execute("INSERT INTO counters VALUES ('a', 0)")
    return database


def value(database: Database) -> int:
    with database.read() as statements:
        return int(statements.execute("SELECT value FROM counters")[0]["value"])


def test_a_block_that_raises_leaves_no_trace(database: Database) -> None:
    def fail_half_way() -> None:
        with database.write() as statements:
            statements.execute("UPDATE counters SET value = 1")
            raise KeyError

    with pytest.raises(KeyError):
        fail_half_way()

    assert value(database) == 0


def test_writers_take_turns(database: Database) -> None:
    def count() -> None:
        for _ in range(50):
            with database.write() as statements:
                read = statements.execute("SELECT value FROM counters")[0]["value"]
                statements.execute("UPDATE counters SET value = :value", {"value": read + 1})

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert value(database) == 200


def test_a_reader_does_not_wait_for_a_writer(database: Database) -> None:
    with database.write() as statements:
        statements.execute("UPDATE counters SET value = 1")

        assert value(database) == 0
