"""Records as Python objects: spans, log records and requests.

They exist only at the edges (a page, a test, an answer); between the edges a batch is an Arrow table. Times are
integer nanoseconds since the Unix epoch, UTC. IDs are lower-case hex without a prefix: 32 characters for a trace,
16 for a span.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Literal, TypeVar, dataclass_transform

T = TypeVar("T")

if TYPE_CHECKING:

    @dataclass_transform(frozen_default=True, field_specifiers=(field,))
    def record(cls: type[T]) -> type[T]:
        """Make a value class: typed as frozen, plain slots at run time (a frozen one costs 7 times as much)."""
        ...
else:
    record = dataclass(slots=True)

Value = str | bool | int | float | bytes | list["Value"] | dict[str, "Value"] | None
"""An attribute's value, as OTLP's AnyValue has it; `None` is an AnyValue without a value."""

Attributes = Mapping[str, Value]

Signal = Literal["logs", "traces"]
SIGNALS: tuple[Signal, ...] = ("logs", "traces")

SpanKind = Literal["unspecified", "internal", "server", "client", "producer", "consumer"]
SPAN_KINDS: tuple[SpanKind, ...] = ("unspecified", "internal", "server", "client", "producer", "consumer")
"""Indexed by OTLP's `SpanKind` number."""

SpanStatus = Literal["unset", "ok", "error"]
SPAN_STATUSES: tuple[SpanStatus, ...] = ("unset", "ok", "error")
"""Indexed by OTLP's `StatusCode` number."""

SHARED_SPAN_ID = "zipkin.shared_span_id"
"""Attribute of a span of Zipkin's that came under its caller's ID and was given one of its own: the caller's ID."""

WARN_SEVERITY = 13
ERROR_SEVERITY = 17
"""Lowest `SeverityNumber` of its range (OpenTelemetry logs data model)."""


@record
class SpanEvent:
    """Something that happened at one moment of a span; an exception is one named `exception`."""

    time_ns: int
    name: str
    attributes: Attributes


@record
class SpanLink:
    """A pointer from a span to one that caused it without being its parent."""

    trace_id: str
    span_id: str
    attributes: Attributes


@record
class Span:
    """One operation of one service. `duration_ns` is `None` for a span whose end was never reported."""

    trace_id: str | None
    span_id: str | None
    parent_span_id: str | None
    correlation_id: str | None
    service: str
    name: str
    kind: SpanKind
    start_ns: int
    duration_ns: int | None
    status: SpanStatus
    status_message: str
    attributes: Attributes
    resource: Attributes
    events: tuple[SpanEvent, ...]
    links: tuple[SpanLink, ...]
    scope: str

    @property
    def end_ns(self) -> int:
        """When the span ended; its start where the end is unknown."""
        return self.start_ns + (self.duration_ns or 0)

    @property
    def is_error(self) -> bool:
        """Whether the span reported that it failed."""
        return self.status == "error"


@record
class LogRecord:
    """One log line. `severity_number` is 0 where the sender gave none."""

    time_ns: int
    severity_number: int
    severity_text: str
    service: str
    body: Value
    trace_id: str | None
    span_id: str | None
    correlation_id: str | None
    attributes: Attributes
    resource: Attributes
    scope: str

    @property
    def is_error(self) -> bool:
        """Whether the line was written at ERROR or above."""
        return self.severity_number >= ERROR_SEVERITY


@record
class Request:
    """Everything with one correlation ID: spans in order of start, logs in order of time.

    Without a correlation ID it is one trace. `duration_ns` runs from the first start to the last end or log line.
    `truncated` says that the request has more records than a store hands out at once.
    """

    correlation_id: str | None
    trace_ids: tuple[str, ...]
    services: tuple[str, ...]
    start_ns: int
    duration_ns: int
    error: bool
    spans: tuple[Span, ...]
    logs: tuple[LogRecord, ...]
    truncated: bool = False

    @property
    def id(self) -> str:
        """What the request is called in links: its correlation ID, else its trace ID."""
        return self.correlation_id or (self.trace_ids[0] if self.trace_ids else "")


@record
class RequestSummary:
    """One line of the list of requests.

    `name` is what the request was asked to do (`POST /checkout`, or the root span's name); `route` and
    `status_code` are those of its first server span, `None` where there is none. `duration_ns` is that of the root
    span: the time to the reply. `error` is true if any of its spans failed or any of its lines was an error.
    """

    id: str
    correlation_id: str | None
    trace_id: str | None
    start_ns: int
    duration_ns: int
    service: str
    name: str
    method: str | None
    route: str | None
    status_code: int | None
    services: tuple[str, ...]
    error: bool
    span_count: int
    log_count: int
    error_log_count: int


@record
class Counts:
    """How many records can be asked for now."""

    logs: int
    spans: int


@record
class Page(Generic[T]):
    """A slice of a list, newest first. `next` is given back as `cursor` to get the following slice."""

    items: tuple[T, ...]
    next: str | None = None
