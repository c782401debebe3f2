"""The embedded store on a full disk: it refuses, answers what is asked, and goes on by itself once there is room."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest

from clew_collector.batch import Batch
from clew_collector.errors import StoreUnavailable
from clew_collector.stores.duckdb import DuckDBStore
from tests.collector.otlp_builders import a_log, logs
from tests.collector.storing import batch_of
from tests.servers.small_disk import fill

MIB = 1 << 20
RECORDS = 300


@pytest.fixture
def store(small_disk: Path) -> Iterator[DuckDBStore]:
    (small_disk / "data").mkdir()
    store = DuckDBStore(small_disk / "data")
    yield store
    store.close()


def batch(number: int) -> Batch:
    """About 8 KB a record that hardly can be compressed."""
    filled = [a_log(f"{number}-{each}", more={"filler": os.urandom(4000).hex()}) for each in range(RECORDS)]
    return batch_of(logs(*filled), number=number)


@pytest.mark.parametrize("left_bytes", [0, 6 * MIB])
def test_batches_that_find_no_room_are_refused_and_stored_once_when_there_is(
    store: DuckDBStore, small_disk: Path, left_bytes: int
) -> None:
    ballast = small_disk / "ballast"
    store.write(batch(1))
    fill(ballast, leave_bytes=left_bytes)
    refused = 0
    number = 2
    while refused < 3:
        current = batch(number)
        try:
            store.write(current)
        except StoreUnavailable:
            refused += 1
            # What is being refused may be in: only the file knows, and it is asked before it is written again.
            assert store.counts().logs in (RECORDS * (number - 1), RECORDS * number)
            assert store.services()
        else:
            number += 1

    ballast.unlink()
    store.write(current)

    assert store.counts().logs == RECORDS * number
    assert store.last_applied("logs") == number


def test_a_file_that_a_failed_checkpoint_has_closed_is_opened_again_for_all_who_ask_at_once(
    store: DuckDBStore, small_disk: Path
) -> None:
    ballast = small_disk / "ballast"
    store.write(batch(1))
    fill(ballast)
    with pytest.raises(duckdb.Error, match="invalidated"):
        store._root.execute("CHECKPOINT logs_file")

    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda _: store.counts().logs, range(50)))
    ballast.unlink()
    store.write(batch(2))

    assert counts == [RECORDS] * 50
    assert store.counts().logs == 2 * RECORDS
