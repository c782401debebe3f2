"""The records of a time range, as they were stored: which batches have some, and those of each."""

from typing import Final

import duckdb
import pyarrow as pa

from clew_collector.model import Signal, record
from clew_collector.stores.duckdb.schema import TABLES
from clew_collector.wire.otlp.from_rows import RECORD_COLUMNS

_ROWS_AT_ONCE: Final = 2_048
_TIMES: Final[dict[Signal, str]] = {"logs": "time_ns", "traces": "start_ns"}


@record
class StoredBatch:
    """A batch of the store and how many of its records are in a range.

    It was made of the payloads of its signal whose numbers are above `after_id` and up to its own.
    """

    id: int
    after_id: int
    records: int


def batches_between(
    connection: duckdb.DuckDBPyConnection, signal: Signal, *, from_ns: int, to_ns: int
) -> list[StoredBatch]:
    """The batches with records from `from_ns` on and before `to_ns`, in the order in which they were stored."""
    rows = connection.execute(
        f"""SELECT * FROM (
                SELECT batch_id, lag(batch_id, 1, -1) OVER (ORDER BY batch_id),
                       count(*) FILTER ({_in_range(signal, from_ns, to_ns)}) AS records
                FROM {TABLES[signal]} GROUP BY batch_id)
            WHERE records > 0 ORDER BY batch_id"""
    ).fetchall()
    return [StoredBatch(*row) for row in rows]


def rows_between(
    connection: duckdb.DuckDBPyConnection, signal: Signal, *, batch_id: int, from_ns: int, to_ns: int
) -> pa.RecordBatchReader:
    """The records of a batch in that range, in the columns that `wire.otlp.from_rows.encode_rows` reads.

    They come in the order in which they were stored, each time the same. The connection is taken until all are read.
    """
    return connection.sql(
        f"""SELECT {RECORD_COLUMNS[signal]} FROM {TABLES[signal]}
            WHERE batch_id = {batch_id:d} AND {_in_range(signal, from_ns, to_ns)} ORDER BY rowid"""
    ).to_arrow_reader(_ROWS_AT_ONCE)


def _in_range(signal: Signal, from_ns: int, to_ns: int) -> str:
    return f"{_TIMES[signal]} >= {from_ns:d} AND {_TIMES[signal]} < {to_ns:d}"
