"""What the store holds of a time range, between two processes: `/stored/SIGNAL` and `/stored/SIGNAL/BATCH`.

Only one process can hold the store's files, and making OTLP of their rows takes a Python step a record: so that
process hands the rows out, as they are, and another makes requests of them.
"""

import io
import tempfile
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pyarrow as pa
from fastapi import APIRouter
from starlette.responses import Response, StreamingResponse

from clew_collector.errors import StoreUnavailable
from clew_collector.model import Signal, record
from clew_collector.stores.duckdb import DuckDBStore
from clew_collector.stores.duckdb.ranges import StoredBatch
from clew_dashboards.dashboard import json_answer

STORED_PATH: Final = "/stored"
ARROW_STREAM: Final = "application/vnd.apache.arrow.stream"
_TIMEOUT_S: Final = 60.0
_MAX_MEMORY_BYTES: Final = 16 << 20


@record
class Range:
    """Records of a signal from `from_ns` on and before `to_ns`."""

    signal: Signal
    from_ns: int
    to_ns: int


class StoredRecords:
    """The records in the store of the collector whose dashboard is at `url`. Its methods raise `StoreUnavailable`.

    A batch is fetched whole, into a file if it is large: who reads it slowly keeps no question to the store open.
    """

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=_TIMEOUT_S, headers={"accept": "application/json"})

    def batches(self, asked: Range) -> list[StoredBatch]:
        """The batches with records of a range, in the order in which they were stored."""
        items = self.get(f"{STORED_PATH}/{asked.signal}", asked)["items"]
        return [StoredBatch(*item) for item in items]

    def rows(self, asked: Range, batch_id: int) -> Iterator[pa.RecordBatch]:
        """The records of a batch, in the order in which they were stored, each time the same."""
        with tempfile.SpooledTemporaryFile(max_size=_MAX_MEMORY_BYTES) as file:
            try:
                path = f"{STORED_PATH}/{asked.signal}/{batch_id}"
                with self._client.stream("GET", path, params=_bounds(asked)) as answer:
                    answer.raise_for_status()
                    for piece in answer.iter_bytes():
                        file.write(piece)
            except httpx.HTTPError as error:
                raise StoreUnavailable(f"the running clew does not answer: {error}") from error
            if file.tell():
                file.seek(0)
                yield from pa.ipc.open_stream(file)

    def get(self, path: str, asked: Range | None = None) -> Any:
        """What the collector answers as JSON."""
        try:
            answer = self._client.get(path, params={} if asked is None else _bounds(asked)).raise_for_status()
        except httpx.HTTPError as error:
            raise StoreUnavailable(f"the running clew does not answer: {error}") from error
        return answer.json()

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()


def router(store: DuckDBStore) -> APIRouter:
    """Both routes; `from_ns` and `to_ns` bound the times of the records."""
    routes = APIRouter(prefix=STORED_PATH)

    @routes.get("/{signal}")
    def list_batches(signal: Signal, from_ns: int, to_ns: int) -> Response:
        batches = store.batches_between(signal, from_ns=from_ns, to_ns=to_ns)
        return json_answer({"items": [[batch.id, batch.after_id, batch.records] for batch in batches]})

    # FastAPI asks what it makes of an answer if it knows the type.
    @routes.get("/{signal}/{batch_id}", response_model=None)
    def read_batch(signal: Signal, batch_id: int, from_ns: int, to_ns: int) -> Any:
        rows = store.rows_between(signal, batch_id=batch_id, from_ns=from_ns, to_ns=to_ns)
        return StreamingResponse(_arrow_stream(rows), media_type=ARROW_STREAM)

    return routes


def _bounds(asked: Range) -> dict[str, int]:
    return {"from_ns": asked.from_ns, "to_ns": asked.to_ns}


def _arrow_stream(rows: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
    """Arrow's IPC format, a piece for each batch; nothing where there is none."""
    buffer = io.BytesIO()
    first = next(rows, None)
    if first is None:
        return
    with pa.ipc.new_stream(buffer, first.schema) as writer:
        writer.write_batch(first)
        for batch in rows:
            yield _taken(buffer)
            writer.write_batch(batch)
    yield _taken(buffer)


def _taken(buffer: io.BytesIO) -> bytes:
    piece = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return piece
