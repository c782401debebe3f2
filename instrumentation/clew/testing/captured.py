"""A request as the collector has it, and what a test may claim of it."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

_ERROR: Final = "ERROR"


class Span(NamedTuple):
    """One span, as the collector's JSON has it."""

    trace_id: str
    span_id: str
    parent_span_id: str | None
    service: str
    name: str
    kind: str
    start_ns: int
    duration_ns: int
    status: str
    attributes: Mapping[str, Any]
    links: tuple[Mapping[str, Any], ...]


class Log(NamedTuple):
    """One log line, as the collector's JSON has it."""

    time_ns: int
    level: str
    service: str
    body: str
    trace_id: str | None
    span_id: str | None
    attributes: Mapping[str, Any]


class CapturedRequest:
    """All that arrived of one request until now. A claim that is false raises `AssertionError` with the tree."""

    def __init__(self, correlation_id: str, found: Mapping[str, Any] | None) -> None:
        self.correlation_id = correlation_id
        self.json: Mapping[str, Any] = found or {}
        """The request as the dashboard's JSON gives it; empty if nothing has arrived."""

        self.spans = [_span(values) for values in self.json.get("spans", ())]
        self.logs = [_log(values) for values in self.json.get("logs", ())]

    @property
    def services(self) -> set[str]:
        """The services that took part."""
        return {span.service for span in self.spans} | {log.service for log in self.logs}

    @property
    def orphans(self) -> list[Span]:
        """Spans whose parent has not arrived, in traces that have a first span or another one's child."""
        known = {span.span_id for span in self.spans}
        return [span for span in self.spans if span.parent_span_id and span.parent_span_id not in known]

    @property
    def errors(self) -> list[Span]:
        """Spans that failed."""
        return [span for span in self.spans if span.status.upper() == _ERROR]

    def assert_hop(self, caller: str, callee: str) -> None:
        """A span of `caller` is the direct parent of a span of `callee`, or is linked from it (a queue in between)."""
        spans = {span.span_id: span for span in self.spans}
        for span in self.spans:
            if span.service == callee:
                sources = [span.parent_span_id, *(link.get("span_id") for link in span.links)]
                if any(source in spans and spans[source].service == caller for source in sources if source):
                    return
        raise AssertionError(f"no hop from {caller!r} to {callee!r} in {self}")

    def assert_logged(self, text: str, *, service: str | None = None, level: str | None = None, **fields: Any) -> None:
        """A line contains `text`, and comes from this service, has this level and these fields where they are given."""
        for log in self.logs:
            if (
                text in log.body
                and service in (None, log.service)
                and (level is None or log.level.upper() == level.upper())
                and all(log.attributes.get(name) == value for name, value in fields.items())
            ):
                return
        wanted = {"service": service, "level": level, **fields}
        told = ", ".join(f"{name}={value!r}" for name, value in wanted.items() if value is not None)
        raise AssertionError(f"no line with {text!r}{f' and {told}' if told else ''} in {self}")

    def assert_span(self, name: str, *, service: str | None = None, **attributes: Any) -> None:
        """A span has this name, and this service and these attributes (`.` written as `__`) where they are given."""
        wanted = {key.replace("__", "."): value for key, value in attributes.items()}
        for span in self.spans:
            has_all = all(span.attributes.get(key) == value for key, value in wanted.items())
            if span.name == name and service in (None, span.service) and has_all:
                return
        raise AssertionError(f"no span {name!r} with {wanted} in {self}")

    def no_orphans(self, *, allowed: Iterable[str] = ()) -> None:
        """Every span's parent has arrived, but for parents with the IDs in `allowed`: those of a caller outside."""
        lost = [span for span in self.orphans if span.parent_span_id not in set(allowed)]
        if lost:
            named = ", ".join(f"{span.service} {span.name!r}" for span in lost)
            raise AssertionError(f"the parent of {named} has not arrived: {self}")

    def no_errors(self) -> None:
        """No span failed."""
        if self.errors:
            named = ", ".join(f"{span.service} {span.name!r}" for span in self.errors)
            raise AssertionError(f"{named} failed: {self}")

    def __str__(self) -> str:
        """The request as a tree of text."""
        if not self.spans and not self.logs:
            return f"request {self.correlation_id}: nothing has arrived"
        return "\n".join((f"request {self.correlation_id}:", *self._lines()))

    def _lines(self) -> Iterable[str]:
        known = {span.span_id for span in self.spans}
        children: dict[str | None, list[Span]] = {}
        for span in self.spans:
            children.setdefault(span.parent_span_id if span.parent_span_id in known else None, []).append(span)
        lines: dict[str | None, list[Log]] = {}
        for log in self.logs:
            lines.setdefault(log.span_id if log.span_id in known else None, []).append(log)
        # A stack, because a trace can be deeper than Python's own.
        waiting = [(span, 1) for span in reversed(children.get(None, []))]
        while waiting:
            span, depth = waiting.pop()
            failed = "  FAILED" if span.status.upper() == _ERROR else ""
            yield f"{'  ' * depth}{span.service}: {span.name}  {span.duration_ns / 1e6:.1f} ms{failed}"
            for log in lines.get(span.span_id, ()):
                yield f"{'  ' * depth}  | {log.level} {log.body}"
            waiting += [(child, depth + 1) for child in reversed(children.get(span.span_id, []))]
        for log in lines.get(None, ()):
            yield f"  | {log.service}: {log.level} {log.body}"


def _span(values: Mapping[str, Any]) -> Span:
    return Span(
        trace_id=values["trace_id"],
        span_id=values["span_id"],
        parent_span_id=values["parent_span_id"] or None,
        service=values["service"],
        name=values["name"],
        kind=str(values["kind"]),
        start_ns=values["start_ns"],
        duration_ns=values["duration_ns"],
        status=_status(values["status"]),
        attributes=values["attributes"],
        links=tuple(values["links"]),
    )


def _status(value: object) -> str:
    return str(value.get("code", "")) if isinstance(value, Mapping) else str(value)


def _log(values: Mapping[str, Any]) -> Log:
    body = values["body"]
    return Log(
        time_ns=values["time_ns"],
        level=values["severity_text"] or "",
        service=values["service"],
        body=body if isinstance(body, str) else str(body),
        trace_id=values["trace_id"] or None,
        span_id=values["span_id"] or None,
        attributes=values["attributes"],
    )
