"""Trying processors on a file of records, without a collector."""

import time
from collections import Counter
from collections.abc import Iterator
from typing import IO, Any

import duckdb

from clew_collector.batch import Batch
from clew_collector.errors import BadPayload
from clew_collector.json_form import Json, log_to_json, span_to_json
from clew_collector.processors.base import Drop, open_connection
from clew_collector.processors.config import Processors
from clew_collector.stores.duckdb.rows import LOG_COLUMNS, SPAN_COLUMNS, log_of, span_of
from clew_collector.wire.files import FilePayload, Refusal, read_payloads
from clew_collector.wire.otlp.payload import decode
from clew_collector.wire.otlp.select import SELECTS

_ROWS = 1_000


class Trial:
    """What processors make of the OTLP requests in a file; `summary` is complete when `records` is exhausted."""

    def __init__(self, processors: Processors) -> None:
        self._processors = processors
        self._read = 0
        self._kept = 0
        self._drops: Counter[tuple[str, str, str]] = Counter()
        self._refused: list[Refusal] = []

    def records(self, file: IO[bytes]) -> Iterator[Json]:
        """The records that are left, as the pages' JSON, with their `signal`; in the file's order.

        The file is as for `clew import`: a request a line, one JSON document, or protobuf; it must be seekable.
        """
        with open_connection() as connection:
            for number, payload in enumerate(read_payloads(file, now_ns=time.time_ns())):
                if isinstance(payload, Refusal):
                    self._refused.append(payload)
                    continue
                try:
                    yield from self._processed(connection, payload, number)
                except (BadPayload, duckdb.Error) as error:
                    self._refused.append(Refusal(place=payload.place, reason=str(error)))

    def summary(self) -> Json:
        """How many records were read and kept, what was dropped by which processor and why, and what was refused."""
        return {
            "read": self._read,
            "kept": self._kept,
            "dropped": [
                {"processor": processor, "service": service, "reason": reason, "records": records}
                for (processor, service, reason), records in sorted(self._drops.items())
            ],
            "refused": [{"place": refusal.place, "reason": refusal.reason} for refusal in self._refused],
        }

    def _processed(self, connection: duckdb.DuckDBPyConnection, payload: FilePayload, number: int) -> Iterator[Json]:
        table = decode(payload.signal, [payload.body])
        batch = Batch(signal=payload.signal, table=table, select=SELECTS[payload.signal], last_id=number)
        processed = self._processors.process(batch)
        self._processors.settle(processed)
        self._read += payload.records
        self._count(processed.drops)
        for row in _rows(connection, processed.batch):
            self._kept += 1
            form = log_to_json(log_of(row)) if payload.signal == "logs" else span_to_json(span_of(row))
            yield {"signal": payload.signal, **form}

    def _count(self, drops: tuple[Drop, ...]) -> None:
        for drop in drops:
            self._drops[drop.processor, drop.service, drop.reason] += drop.records


def _rows(connection: duckdb.DuckDBPyConnection, batch: Batch) -> Iterator[tuple[Any, ...]]:
    columns = LOG_COLUMNS if batch.signal == "logs" else SPAN_COLUMNS
    connection.register("batch", batch.table)
    result = connection.execute(f"SELECT {columns} FROM ({batch.select})")
    while rows := result.fetchmany(_ROWS):
        yield from rows
