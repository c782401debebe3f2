"""Files of logs and traces, whatever tool wrote them: told apart by what is in them.

OTLP (see `wire.otlp.files`); Zipkin's JSON, v1 and v2, a list of spans or of traces, or one of either a line; Jaeger's
JSON, as its pages and its API export traces; JSON log lines.
"""

from collections.abc import Iterator
from typing import IO, Any, Final

import orjson

from clew_collector.errors import BadPayload
from clew_collector.wire.file_parts import BinaryPart, FilePayload, JsonPart, Refusal, read_parts
from clew_collector.wire.gathered import Gathered, JaegerTraces, LogLines, ZipkinSpans, is_zipkin
from clew_collector.wire.jaeger.traces_json import is_jaeger
from clew_collector.wire.otlp.files import SIGNAL_OF_KEY, read_json, read_protobuf

__all__ = ["FilePayload", "Refusal", "read_payloads"]

_OTLP_KEYS: Final = frozenset((*SIGNAL_OF_KEY, "resourceMetrics"))


def read_payloads(file: IO[bytes], *, now_ns: int) -> Iterator[FilePayload | Refusal]:
    """What a file holds, in order, as far as it can be read; `file` must be seekable.

    Lines are read one by one, and many small ones make one payload; other files are read whole. `now_ns` is the time
    of what names none. Never raises for what is in the file.
    """
    reading = _Reading(now_ns=now_ns, path=str(getattr(file, "name", "")))
    for part in read_parts(file):
        if isinstance(part, JsonPart):
            yield from reading.read(part)
        elif isinstance(part, BinaryPart):
            yield from read_protobuf(part.data)
        else:
            yield part
    yield from reading.flush()


class _Reading:
    """Gathers small parts of one kind; another kind, or enough of them, make a payload of what there is."""

    def __init__(self, *, now_ns: int, path: str) -> None:
        self._now_ns = now_ns
        self._path = path
        self._gathered: Gathered | None = None

    def read(self, part: JsonPart) -> Iterator[FilePayload | Refusal]:
        try:
            document = orjson.loads(part.text)
        except orjson.JSONDecodeError as error:
            yield Refusal(place=part.place, reason=f"not JSON: {error}")
            return
        kind = _kind_of(document)
        if kind is None:
            yield from self.flush()
            yield read_json(part)
            return
        if self._gathered is not None and (type(self._gathered) is not kind or self._gathered.is_full):
            yield from self.flush()
        if self._gathered is None:
            self._gathered = kind(now_ns=self._now_ns, path=self._path)
        try:
            self._gathered.add(document, part)
        except BadPayload as error:
            yield Refusal(place=part.place, reason=str(error))

    def flush(self) -> Iterator[FilePayload]:
        gathered, self._gathered = self._gathered, None
        if gathered is not None and gathered.places:
            yield gathered.payload()


def _kind_of(document: Any) -> type[Gathered] | None:
    """What gathers documents of this kind; `None` for OTLP and for what is nothing that is known."""
    if is_jaeger(document):
        return JaegerTraces
    if is_zipkin(document):
        return ZipkinSpans
    return LogLines if isinstance(document, dict) and not document.keys() & _OTLP_KEYS else None
