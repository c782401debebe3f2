"""Zipkin: spans as v2 JSON, which any server with Zipkin's `/api/v2/spans` takes."""

import gzip
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ClassVar, Final, Literal

import httpx
import pyarrow as pa
from pydantic import Field

from clew_collector.model import Signal
from clew_collector.sinks.base import Outgoing, RefusedRecord, SinkRejected
from clew_collector.sinks.connections import Connections
from clew_collector.sinks.http import HttpTarget, is_here, open_client, post, told, unavailable
from clew_collector.wire.json_texts import attribute_keys, has_nested
from clew_collector.wire.zipkin.to_json import MACROS, encode_v2_json

_JSON: Final = {"content-type": "application/json"}
_GZIP: Final = {"content-encoding": "gzip"}
_GZIP_LEVEL: Final = 1
# What the body itself is to blame for: not understood, too large, not accepted. All else may pass.
_REFUSALS: Final = (400, 413, 422)
_WITHOUT_ID: Final = "no trace or span ID: Zipkin takes none without"
_MAX_REFUSED: Final = 100
"""Beyond so many in one body, each of which took a dozen requests to find, the whole batch is at fault."""


class ZipkinSinkConfig(HttpTarget):
    """`type: zipkin`, an item of `sinks` in clew.yaml."""

    type: Literal["zipkin"] = "zipkin"
    name: str = Field(default="zipkin", pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    """What it is called on the Health page. The queue remembers by it how far it has come."""
    gzip: bool | None = None
    """Whether bodies are compressed. If it is left out they are, but for a Zipkin on this machine."""
    max_body_bytes: int = Field(default=512 << 10, ge=1 << 10, le=64 << 20)
    """Of one request, before it is compressed; a span that is larger by itself is sent by itself."""


class ZipkinSink:
    """Sends spans to Zipkin, several bodies at once; log records it leaves alone.

    Raises `ConfigError` if the certificates of the configuration cannot be used.
    """

    signals: ClassVar[frozenset[Signal]] = frozenset({"traces"})
    """What it takes; of anything else there is nothing to send."""

    def __init__(self, config: ZipkinSinkConfig) -> None:
        self._config = config
        self._url = f"{config.base_url}/api/v2/spans"
        self._compresses = config.gzip if config.gzip is not None else not is_here(self._url)
        self._client = open_client(config)
        self._threads = ThreadPoolExecutor(config.connections, thread_name_prefix=f"sink-{config.name}")
        self._connections = Connections(MACROS)

    @property
    def name(self) -> str:
        """See `Sink.name`."""
        return self._config.name

    def write(self, outgoing: Outgoing) -> Sequence[RefusedRecord]:
        """See `Sink.write`. Zipkin makes one of equal spans with equal IDs, so giving a batch again is safe."""
        if outgoing.signal not in self.signals:
            return []
        under_way: list[Future[list[RefusedRecord]]] = []
        refused: list[RefusedRecord] = []
        try:
            for spans in self._encoded(outgoing) if outgoing.encoded is None else outgoing.encoded:
                refused += spans.without_id()
                for rows in spans.ranges(self._config.max_body_bytes):
                    under_way.append(self._threads.submit(self._send, spans, rows))
            for body in under_way:
                refused += body.result()
        finally:
            for body in under_way:
                body.cancel()
        return refused

    def encode(self, outgoing: Outgoing) -> Sequence["_EncodedSpans"]:
        """See `EncodingSink.encode`."""
        return list(self._encoded(outgoing)) if outgoing.signal in self.signals else []

    def close(self) -> None:
        """See `Sink.close`."""
        self._threads.shutdown(cancel_futures=True)
        self._client.close()

    def _encoded(self, outgoing: Outgoing) -> Iterator["_EncodedSpans"]:
        is_plain = outgoing.is_as_received and not has_nested(outgoing.table)
        keys = attribute_keys(outgoing.table) if is_plain else None
        with self._connections.holding(outgoing) as connection:
            yield from map(_EncodedSpans, encode_v2_json(connection, outgoing.select, keys=keys))

    def _send(self, spans: "_EncodedSpans", rows: range) -> list[RefusedRecord]:
        """Send some rows; halve a body that is refused until the spans at fault stand alone, and tell which and why."""
        refused: list[RefusedRecord] = []
        waiting = [rows]
        while waiting:
            rows = waiting.pop()
            body = spans.body(rows)
            if body is None:
                continue
            response = self._post(body)
            if response.is_success:
                continue
            reason = self._refusal(response)
            if len(rows) == 1:
                refused.append(spans.refused(rows[0], reason))
                if len(refused) > _MAX_REFUSED:
                    raise SinkRejected(f"{self._url}: {reason}")
                continue
            middle = len(rows) // 2
            waiting += [rows[middle:], rows[:middle]]
        return refused

    def _post(self, body: bytes) -> httpx.Response:
        if not self._compresses:
            return post(self._client, self._url, body, _JSON)
        return post(self._client, self._url, gzip.compress(body, _GZIP_LEVEL, mtime=0), _JSON | _GZIP)

    def _refusal(self, response: httpx.Response) -> str:
        if response.status_code not in _REFUSALS:
            raise unavailable(self._url, response)
        return told(response)


class _EncodedSpans:
    """The JSON of a batch's spans, whose bodies are cut out of one piece of memory."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self._texts: Any = table.column("json").cast(pa.large_string()).combine_chunks()
        _, offsets, data = self._texts.buffers()
        self._offsets = memoryview(offsets or b"").cast("B").cast("q")
        self._data = memoryview(data or b"")

    def ranges(self, max_bytes: int) -> Iterator[range]:
        """The rows of one body after the other, each as large as may be and at least one row."""
        first = 0
        while first < len(self._texts):
            end = bisect_right(self._offsets, self._offsets[first] + max_bytes, lo=first + 1) - 1
            yield range(first, max(end, first + 1))
            first = max(end, first + 1)

    def body(self, rows: range) -> bytes | None:
        """A JSON list of some rows; `None` if there is nothing in them."""
        start, end = self._offsets[rows.start], self._offsets[rows.stop]
        return b"".join((b"[", self._data[start : end - 1], b"]")) if end > start else None

    def without_id(self) -> list[RefusedRecord]:
        """The spans that Zipkin would not take, and that have no JSON."""
        if self._texts.null_count == 0:
            return []
        rows = (row for row, is_null in enumerate(self._texts.is_null().to_pylist()) if is_null)
        return [self.refused(row, _WITHOUT_ID) for row in rows]

    def refused(self, row: int, reason: str) -> RefusedRecord:
        """A row as the record that it was."""
        place = self._table.slice(row, 1).select(["payload_id", "position"]).to_pylist()[0]
        return RefusedRecord(reason=reason, **place)
