"""Small parts of a file, many of which make one payload."""

from abc import ABC, abstractmethod
from pathlib import PurePath
from typing import Any, ClassVar, Final

import orjson
from google.protobuf.message import Message

from clew_collector.errors import BadPayload
from clew_collector.model import Signal
from clew_collector.wire.file_parts import FilePayload, JsonPart
from clew_collector.wire.jaeger.traces_json import decode_traces
from clew_collector.wire.lines.json_line import decode_json
from clew_collector.wire.lines.line import DecodedLine, Reading
from clew_collector.wire.lines.otlp import LinesRequest, Origin
from clew_collector.wire.otlp.payload import count_records
from clew_collector.wire.zipkin.model import ZipkinSpan
from clew_collector.wire.zipkin.to_otlp import encode_export_request
from clew_collector.wire.zipkin.v1_json import decode_v1_json
from clew_collector.wire.zipkin.v2_json import decode_v2_json

MAX_BYTES: Final = 1 << 20
"""Of a file's text, after which a payload is complete."""

_SPAN_FIELDS: Final = frozenset(
    (
        *("traceId", "id", "parentId", "name", "kind", "timestamp", "duration", "localEndpoint", "remoteEndpoint"),
        *("annotations", "tags", "debug", "shared", "binaryAnnotations"),
    )
)


class Gathered(ABC):
    """Parts of one kind; `places` says where they stood."""

    format: ClassVar[str]
    signal: ClassVar[Signal]

    def __init__(self, *, now_ns: int, path: str) -> None:
        self.places: list[str] = []
        self._now_ns = now_ns
        self._path = path
        self._bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether there is enough for a payload."""
        return self._bytes >= MAX_BYTES

    def add(self, document: Any, part: JsonPart) -> None:
        """Add a part, given as JSON and as text. Raises `BadPayload`, and then adds nothing."""
        self._add(document, part.text)
        self.places.append(part.place)
        self._bytes += len(part.text)

    def payload(self) -> FilePayload:
        """All parts as one payload."""
        request = self._request()
        return FilePayload(
            place=self.places[0] if len(self.places) == 1 else f"{self.places[0]} to {self.places[-1]}",
            signal=self.signal,
            body=request.SerializeToString(),
            records=count_records(request),
            format=self.format,
        )

    @abstractmethod
    def _add(self, document: Any, text: bytes) -> None: ...

    @abstractmethod
    def _request(self) -> Message: ...


class ZipkinSpans(Gathered):
    """Spans, lists of them, and lists of traces; together, so that the two halves of a shared span find each other."""

    format = "Zipkin"
    signal = "traces"

    def __init__(self, *, now_ns: int, path: str) -> None:
        super().__init__(now_ns=now_ns, path=path)
        self._spans: list[ZipkinSpan] = []

    def _add(self, document: Any, text: bytes) -> None:
        spans = _flat(document)
        is_v1 = any(map(_is_v1, spans))
        try:
            written = orjson.dumps(spans)
        except orjson.JSONEncodeError as error:  # it goes less deep than its parser
            raise BadPayload("a span is nested too deeply") from error
        self._spans += (decode_v1_json if is_v1 else decode_v2_json)(written)

    def _request(self) -> Message:
        return encode_export_request(self._spans, now_ns=self._now_ns)


class JaegerTraces(Gathered):
    """Answers of Jaeger's API, traces, and spans by themselves."""

    format = "Jaeger"
    signal = "traces"

    def __init__(self, *, now_ns: int, path: str) -> None:
        super().__init__(now_ns=now_ns, path=path)
        self._all = decode_traces({"spans": []})

    def _add(self, document: Any, text: bytes) -> None:
        self._all.MergeFrom(decode_traces(document))

    def _request(self) -> Message:
        return self._all


class LogLines(Gathered):
    """JSON log lines."""

    format = "JSON log lines"
    signal = "logs"

    def __init__(self, *, now_ns: int, path: str) -> None:
        super().__init__(now_ns=now_ns, path=path)
        self._lines = LinesRequest()
        self._reading = Reading(received_ns=now_ns, ids_in_text=False)
        self._origin = Origin(path=path, name=PurePath(path).name, service="", attributes={})

    def _add(self, document: Any, text: bytes) -> None:
        written = text.decode(errors="replace").strip()
        line = decode_json(written, self._reading)
        if line is None or not _says_something(line, written):
            raise BadPayload("neither OTLP, Zipkin nor Jaeger, nor a log line: no message, time or level in it")
        self._lines.add(line, self._origin, received_ns=self._now_ns)

    def _request(self) -> Message:
        return self._lines.message


def is_zipkin(document: Any) -> bool:
    """Whether a JSON document is a span of Zipkin's, a list of them, or a list of traces."""
    spans = _flat(document)
    return bool(spans) and all(map(_is_span, spans))


def _flat(document: Any) -> list[Any]:
    """The spans in a document; what is nested deeper than a list of traces stays a list."""
    traces = document if isinstance(document, list) else [document]
    return [span for trace in traces for span in (trace if isinstance(trace, list) else [trace])]


def _is_span(form: Any) -> bool:
    return isinstance(form, dict) and {"traceId", "id"} <= form.keys() <= _SPAN_FIELDS


def _is_v1(span: dict[str, Any]) -> bool:
    notes = span.get("annotations")
    return "binaryAnnotations" in span or (
        isinstance(notes, list) and any(isinstance(note, dict) and "endpoint" in note for note in notes)
    )


def _says_something(line: DecodedLine, written: str) -> bool:
    """Whether it looks like a log line: without a message the line is its own body."""
    return bool(line.time_ns or line.severity_text or line.severity_number or line.body != written)
