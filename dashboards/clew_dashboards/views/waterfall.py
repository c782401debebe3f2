"""The rows of a request's waterfall: spans, log lines and span events with their places on the time axis."""

from collections import Counter
from collections.abc import Callable
from typing import Final, Literal

from clew_collector.model import ERROR_SEVERITY, WARN_SEVERITY, LogRecord, Request, Span, SpanEvent, record
from clew_dashboards.views.axis import Axis, Tick, axis_of, ticks_of
from clew_dashboards.views.tree import Entry, in_causal_order, is_error, trace_of
from clew_dashboards.views.values import brief_text, event_fields, event_text, log_fields, span_fields
from clew_dashboards.wording import duration_text, offset_text, utc_text

MAX_ROWS: Final = 5_000
"""Rows that a page renders at once; the JSON twin has all."""

_MAX_NAME_CHARS = 300
_MAX_FIELD_CHARS = 240
_LATE_PERCENT = 60
"""A bar without an end that starts after this has no room for words inside."""

_SEVERITIES: Final = ((1, "TRC"), (5, "DBG"), (9, "INF"), (WARN_SEVERITY, "WRN"), (ERROR_SEVERITY, "ERR"), (21, "FTL"))
"""Lowest `SeverityNumber` of each range and the short name of the range."""

Tone = Literal["", "error", "warn"]


@record
class Row:
    """One line of the waterfall.

    `id` is the fragment that links to it, `index` its position, `parent` its parent's. `at_percent` and
    `width_percent` place its bar (of no width: a dot; `at_percent` is `None` where the time is unknown). `size` rows
    and `errors` errors are beneath it. `timing_before` puts its time in words before the bar instead of after it.
    """

    id: str
    index: int
    kind: Literal["span", "log", "event"]
    level: int
    parent: int | None
    size: int
    errors: int
    tone: Tone
    service: str
    hue: int
    label: str
    text: str
    fields: str
    at_percent: float | None
    width_percent: float
    timing: str
    time_utc: str
    open_ended: bool
    timing_before: bool
    starts_trace: bool


@record
class Waterfall:
    """What the timeline shows. `entries` are the records behind `rows`, `total` how many rows there would be."""

    rows: tuple[Row, ...]
    entries: tuple[Entry, ...]
    total: int
    ticks: tuple[Tick, ...]
    axis: Axis
    depth: int
    orphans: int
    loops: int


def waterfall(request: Request, *, hue_of: Callable[[str], int], max_rows: int = MAX_ROWS) -> Waterfall:
    """All that the timeline of a request shows, down to `max_rows` rows."""
    order = in_causal_order(request.spans, request.logs)
    entries = order.entries[:max_rows]
    axis = axis_of(request)
    builder = _RowBuilder(request, axis=axis, hue_of=hue_of)
    return Waterfall(
        rows=tuple(builder.build(index, entry) for index, entry in enumerate(entries)),
        entries=entries,
        total=len(order.entries),
        ticks=ticks_of(axis),
        axis=axis,
        depth=max((entry.level for entry in entries), default=0),
        orphans=order.orphans,
        loops=order.loops,
    )


def severity_label(log: LogRecord) -> str:
    """Three letters for how grave a line is: by number, else from the sender's own word."""
    label = (log.severity_text[:3].upper() or "LOG") if log.severity_number < 1 else ""
    for lowest, name in _SEVERITIES:
        if log.severity_number >= lowest:
            label = name
    return label


def severity_tone(log: LogRecord) -> Tone:
    """The colour of a line."""
    return "error" if log.is_error else "warn" if log.severity_number >= WARN_SEVERITY else ""


class _RowBuilder:
    """Builds rows one after another; remembers which links are taken and which trace it is in."""

    def __init__(self, request: Request, *, axis: Axis, hue_of: Callable[[str], int]) -> None:
        self._request = request
        self._axis = axis
        self._hue_of = hue_of
        self._taken: Counter[str] = Counter()
        self._trace: str | None = None

    def build(self, index: int, entry: Entry) -> Row:
        source = entry.source
        if isinstance(source, Span):
            return self._span_row(index, entry, source)
        if isinstance(source, LogRecord):
            return self._log_row(index, entry, source)
        return self._event_row(index, entry, source)

    def _span_row(self, index: int, entry: Entry, span: Span) -> Row:
        at = self._percent_at(span.start_ns)
        open_ended = span.duration_ns is None
        end = 100.0 if open_ended else self._axis.percent_at(span.end_ns)
        return Row(
            id=self._free_id(f"span-{span.span_id or index}"),
            index=index,
            kind="span",
            level=entry.level,
            parent=entry.parent,
            size=entry.size,
            errors=entry.errors,
            tone="error" if span.is_error else "",
            service=span.service,
            hue=self._hue_of(span.service),
            label="",
            text=span.name[:_MAX_NAME_CHARS] or "(no name)",
            fields=span_fields(span, max_chars=_MAX_FIELD_CHARS),
            at_percent=at,
            width_percent=0.0 if at is None else round(max(0.0, end - at), 4),
            timing="no end reported" if span.duration_ns is None else duration_text(span.duration_ns),
            time_utc=utc_text(span.start_ns),
            open_ended=open_ended,
            timing_before=open_ended and at is not None and at > _LATE_PERCENT,
            starts_trace=self._starts_trace(entry),
        )

    def _log_row(self, index: int, entry: Entry, log: LogRecord) -> Row:
        text = brief_text(log.body, max_chars=_MAX_NAME_CHARS)
        fields = log_fields(log, max_chars=_MAX_FIELD_CHARS)
        return self._line_row(
            index,
            entry,
            kind="log",
            id=self._free_id(f"log-{log.time_ns}"),
            tone=severity_tone(log),
            service=log.service,
            label=severity_label(log),
            text=text or ("" if fields else "(no text)"),
            fields=fields,
            time_ns=log.time_ns,
        )

    def _event_row(self, index: int, entry: Entry, event: SpanEvent) -> Row:
        span_index, number = entry.place
        span = self._request.spans[span_index]
        failed = is_error(event)
        return self._line_row(
            index,
            entry,
            kind="event",
            id=self._free_id(f"event-{span.span_id or span_index}-{number}"),
            tone="error" if failed else "",
            service=span.service,
            label="EXC" if failed else "EVT",
            text=event_text(event, max_chars=_MAX_NAME_CHARS),
            fields=event_fields(event, max_chars=_MAX_FIELD_CHARS),
            time_ns=event.time_ns,
        )

    def _line_row(
        self,
        index: int,
        entry: Entry,
        *,
        kind: Literal["log", "event"],
        id: str,
        tone: Tone,
        service: str,
        label: str,
        text: str,
        fields: str,
        time_ns: int,
    ) -> Row:
        at = self._percent_at(time_ns)
        return Row(
            id=id,
            index=index,
            kind=kind,
            level=entry.level,
            parent=entry.parent,
            size=0,
            errors=0,
            tone=tone,
            service=service,
            hue=self._hue_of(service),
            label=label,
            text=text,
            fields=fields,
            at_percent=at,
            width_percent=0.0,
            timing="time unknown" if at is None else offset_text(time_ns - self._axis.start_ns),
            time_utc=utc_text(time_ns),
            open_ended=False,
            timing_before=False,
            starts_trace=self._starts_trace(entry),
        )

    def _percent_at(self, time_ns: int) -> float | None:
        return round(self._axis.percent_at(time_ns), 4) if time_ns > 0 else None

    def _starts_trace(self, entry: Entry) -> bool:
        if entry.parent is not None:
            return False
        before, self._trace = self._trace, trace_of(entry.source)
        return before is not None and before != self._trace

    def _free_id(self, wished: str) -> str:
        self._taken[wished] += 1
        return wished if self._taken[wished] == 1 else f"{wished}.{self._taken[wished]}"
