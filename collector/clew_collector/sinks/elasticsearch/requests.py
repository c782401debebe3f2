"""Lines of documents cut into `_bulk` bodies, without a copy before the last one."""

from bisect import bisect_right
from collections.abc import Iterator

import pyarrow as pa

from clew_collector.sinks.elasticsearch.documents import document_id


def cut(rows: pa.RecordBatch, *, max_bytes: int) -> Iterator[pa.RecordBatch]:
    """Slices of rows whose `lines` have so many bytes at most, or that are one row."""
    offsets = _offsets(rows)
    start = 0
    while start < rows.num_rows:
        end = bisect_right(offsets, offsets[start] + max_bytes, start + 1, rows.num_rows + 1) - 1
        end = max(end, start + 1)
        yield rows.slice(start, end - start)
        start = end


def body_of(rows: pa.RecordBatch) -> bytes:
    """The body that creates the documents of these rows."""
    offsets = _offsets(rows)
    _, _, text = rows.column("lines").buffers()
    return bytes(memoryview(text)[offsets[0] : offsets[-1]]) if rows.num_rows else b""


def ids_of(rows: pa.RecordBatch, *, origin: str) -> list[str]:
    """The `_id` of each row."""
    payload_ids, positions = rows.column("payload_id").to_pylist(), rows.column("position").to_pylist()
    return [document_id(origin, *place) for place in zip(payload_ids, positions, strict=True)]


def _offsets(rows: pa.RecordBatch) -> memoryview:
    lines = rows.column("lines")
    _, offsets, _ = lines.buffers()
    return memoryview(offsets).cast("b").cast("i")[lines.offset : lines.offset + rows.num_rows + 1]
