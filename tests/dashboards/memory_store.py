"""A store of a few requests in memory, with the promises of `Store`."""

from collections.abc import Iterable

from clew_collector.errors import BadQuery
from clew_collector.model import Counts, LogRecord, Page, Request, RequestSummary, Span
from clew_collector.query import LogQuery, RequestQuery


class MemoryStore:
    """Answers from the requests it was made with; `add` may be called at any time."""

    def __init__(self, requests: Iterable[Request] = ()) -> None:
        self.requests = list(requests)

    def add(self, request: Request) -> None:
        self.requests.append(request)

    def request(self, id: str) -> Request | None:
        for request in self.requests:
            if id == request.correlation_id or id in request.trace_ids:
                return request
        return None

    def search_requests(self, query: RequestQuery) -> Page[RequestSummary]:
        found = [summary_of(request) for request in self.requests if _starts_with(request, query.id)]
        found = [summary for summary in found if _matches(summary, query)]
        found.sort(key=lambda summary: (-summary.start_ns, summary.id))
        first = _offset(query.cursor)
        last = first + query.limit
        return Page(items=tuple(found[first:last]), next=str(last) if last < len(found) else None)

    def search_logs(self, query: LogQuery) -> Page[LogRecord]:
        logs = sorted((log for request in self.requests for log in request.logs), key=lambda log: -log.time_ns)
        return Page(items=tuple(logs[: query.limit]))

    def services(self) -> tuple[str, ...]:
        return tuple(sorted({service for request in self.requests for service in request.services}))

    def counts(self) -> Counts:
        return Counts(
            logs=sum(len(request.logs) for request in self.requests),
            spans=sum(len(request.spans) for request in self.requests),
        )

    def close(self) -> None:
        self.requests.clear()


def summary_of(request: Request) -> RequestSummary:
    root = next((span for span in request.spans if span.parent_span_id is None), None)
    entry = next((span for span in request.spans if span.kind == "server"), None)
    method, route = _text(entry, "http.request.method"), _text(entry, "http.route")
    status = entry.attributes.get("http.response.status_code") if entry else None
    return RequestSummary(
        id=request.id,
        correlation_id=request.correlation_id,
        trace_id=request.trace_ids[0] if request.trace_ids else None,
        start_ns=request.start_ns,
        duration_ns=request.duration_ns if root is None else root.duration_ns or 0,
        service=root.service if root else request.services[0],
        name=f"{method} {route}" if method and route else root.name if root else "log lines only",
        method=method,
        route=route,
        status_code=status if isinstance(status, int) else None,
        services=request.services,
        error=request.error,
        span_count=len(request.spans),
        log_count=len(request.logs),
        error_log_count=sum(log.is_error for log in request.logs),
    )


def _text(span: Span | None, name: str) -> str | None:
    value = span.attributes.get(name) if span else None
    return value if isinstance(value, str) else None


def _starts_with(request: Request, id: str | None) -> bool:
    ids = (request.correlation_id or "", *request.trace_ids)
    return id is None or any(own.startswith(id) for own in ids)


def _matches(summary: RequestSummary, query: RequestQuery) -> bool:
    checks = (
        query.service is None or query.service in summary.services,
        query.route is None or query.route.lower() in summary.name.lower(),
        query.status is None or _status_matches(summary.status_code, query.status),
        query.error is None or query.error == summary.error,
        query.min_duration_ns is None or summary.duration_ns >= query.min_duration_ns,
        query.from_ns is None or summary.start_ns >= query.from_ns,
        query.to_ns is None or summary.start_ns < query.to_ns,
    )
    return all(checks)


def _status_matches(code: int | None, wanted: str) -> bool:
    return code is not None and (str(code) == wanted or f"{code // 100}xx" == wanted)


def _offset(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not cursor.isdecimal():
        raise BadQuery(f"cursor must be the `next` of an earlier answer, got {cursor!r}")
    return int(cursor)
