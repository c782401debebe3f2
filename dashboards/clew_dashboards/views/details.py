"""What the panel beside the waterfall says of each row, as plain JSON for the page's script."""

from collections.abc import Iterable
from typing import Any, Final

from clew.fields import EXCEPTION_MESSAGE, EXCEPTION_STACKTRACE, EXCEPTION_TYPE, SERVICE_VERSION
from clew_collector.model import Attributes, LogRecord, Request, Span, SpanEvent, SpanLink, Value
from clew_dashboards.views.axis import Axis
from clew_dashboards.views.tree import Entry
from clew_dashboards.views.values import event_text, type_name, value_text
from clew_dashboards.views.waterfall import Waterfall, severity_label
from clew_dashboards.wording import duration_text, offset_text, utc_text

MAX_VALUE_CHARS: Final = 2_048
"""A longer value is cut; the page gets the rest from the JSON twin when asked to show all."""

_LEAN_VALUE_CHARS = 120
_PAGE_BUDGET_CHARS = 6_000_000
_MAX_ATTRIBUTES = 256

Json = dict[str, Any]
Attribute = list[Any]
"""`[key, type, text]`, and a fourth item, the length of the whole text, if it was cut."""


def details(request: Request, shown: Waterfall) -> Json:
    """One object a row under `rows`; resources, which many rows share, are apart under `resources`."""
    builder = _DetailsBuilder(request, shown.axis)
    rows = [builder.build(entry) for entry in shown.entries]
    return {"rows": rows, "resources": builder.resources}


class _DetailsBuilder:
    """Builds details one after another; remembers resources met and how much text the page holds already."""

    def __init__(self, request: Request, axis: Axis) -> None:
        self._request = request
        self._axis = axis
        self._budget_chars = _PAGE_BUDGET_CHARS
        self._numbers: dict[str, int] = {}
        self.resources: list[list[Attribute]] = []

    def build(self, entry: Entry) -> Json:
        source = entry.source
        if isinstance(source, Span):
            return self._span(source, entry.place[0])
        if isinstance(source, LogRecord):
            return self._log(source, entry.place[0])
        span_index, number = entry.place
        return self._event(source, span_index, number)

    def _span(self, span: Span, index: int) -> Json:
        facts: list[list[str | None]] = [
            ["duration", "no end reported" if span.duration_ns is None else duration_text(span.duration_ns)],
            self._moment("started", span.start_ns),
            ["status", span.status],
            ["span ID", span.span_id],
            ["parent ID", span.parent_span_id],
            ["trace ID", span.trace_id],
            ["scope", span.scope],
        ]
        return {
            "kind": "span",
            "at": ["spans", index],
            "check": ["span_id", span.span_id],
            "title": span.name,
            "subtitle": _subtitle(span),
            "message": self._attribute("message", span.status_message)[2:] if span.status_message else None,
            "failed": span.is_error,
            "facts": [fact for fact in facts if fact[1]],
            "attributes": self._attributes(span.attributes),
            "resource": self._resource(span.resource),
            "events": [self._happening(event, number) for number, event in enumerate(span.events[:_MAX_ATTRIBUTES])],
            "links": [_link(link) for link in span.links[:_MAX_ATTRIBUTES]],
        }

    def _log(self, log: LogRecord, index: int) -> Json:
        severity = log.severity_text or severity_label(log)
        number = f" ({log.severity_number})" if log.severity_number else ""
        facts: list[list[str | None]] = [
            self._moment("written", log.time_ns),
            ["severity", f"{severity}{number}"],
            ["span ID", log.span_id],
            ["trace ID", log.trace_id],
            ["scope", log.scope],
        ]
        return {
            "kind": "log",
            "at": ["logs", index],
            "check": ["time_ns", log.time_ns],
            "title": "Log line",
            "subtitle": log.service,
            "body": self._attribute("body", log.body),
            "failed": log.is_error,
            "facts": [fact for fact in facts if fact[1]],
            "attributes": self._attributes(log.attributes, without=(EXCEPTION_STACKTRACE,)),
            "stack": self._stack(log.attributes),
            "resource": self._resource(log.resource),
        }

    def _event(self, event: SpanEvent, span_index: int, number: int) -> Json:
        span = self._request.spans[span_index]
        return {
            "kind": "event",
            "at": ["spans", span_index, number],
            "check": ["span_id", span.span_id],
            "title": "Exception" if event.name == "exception" else event.name,
            "subtitle": f"{span.service} · event of {span.name}",
            "failed": event.name == "exception",
            "facts": [self._moment("happened", event.time_ns)],
            "attributes": self._attributes(event.attributes, without=(EXCEPTION_STACKTRACE,)),
            "stack": self._stack(event.attributes),
            "resource": self._resource(span.resource),
        }

    def _happening(self, event: SpanEvent, number: int) -> Json:
        hidden = (EXCEPTION_STACKTRACE, EXCEPTION_TYPE, EXCEPTION_MESSAGE)
        failed = event.name == "exception"
        return {
            "number": number,
            "title": event_text(event, max_chars=500),
            "failed": failed,
            "offset": self._moment("", event.time_ns)[1],
            "attributes": self._attributes(event.attributes, without=hidden if failed else ()),
            "stack": self._stack(event.attributes),
        }

    def _moment(self, label: str, time_ns: int) -> list[str | None]:
        if time_ns <= 0:
            return [label, "time unknown"]
        return [label, offset_text(time_ns - self._axis.start_ns), utc_text(time_ns)]

    def _stack(self, attributes: Attributes) -> Attribute | None:
        stack = attributes.get(EXCEPTION_STACKTRACE)
        return self._attribute(EXCEPTION_STACKTRACE, stack) if stack else None

    def _attributes(self, attributes: Attributes, *, without: Iterable[str] = ()) -> list[Attribute]:
        left_out = frozenset(without)
        kept = [(key, value) for key, value in attributes.items() if key not in left_out]
        shown = [self._attribute(key, value) for key, value in kept[:_MAX_ATTRIBUTES]]
        if len(kept) > len(shown):
            shown.append(["…", "more", f"{len(kept) - len(shown):,} more in the JSON of this request"])
        return shown

    def _attribute(self, key: str, value: Value) -> Attribute:
        text = value_text(value)
        limit = MAX_VALUE_CHARS if self._budget_chars > 0 else _LEAN_VALUE_CHARS
        self._budget_chars -= len(key) + min(len(text), limit)
        attribute: Attribute = [key, type_name(value), text[:limit]]
        if len(text) > limit:
            attribute.append(len(text))
        return attribute

    def _resource(self, resource: Attributes) -> int:
        # Told apart by content: each row has a mapping of its own, even where many hold the same.
        identity = repr(resource)
        if identity not in self._numbers:
            self._numbers[identity] = len(self.resources)
            self.resources.append(self._attributes(resource))
        return self._numbers[identity]


def _subtitle(span: Span) -> str:
    version = span.resource.get(SERVICE_VERSION)
    kind = "span" if span.kind == "unspecified" else f"{span.kind} span"
    return " · ".join((f"{span.service} {value_text(version)}" if version else span.service, kind))


def _link(link: SpanLink) -> Json:
    return {"trace_id": link.trace_id, "span_id": link.span_id}
