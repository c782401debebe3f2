"""What the header of a request says, and the list of its services."""

from collections.abc import Callable, Iterable
from typing import Literal

from clew.fields import HTTP_METHOD, HTTP_ROUTE, HTTP_STATUS_CODE, URL_PATH
from clew_collector.model import Request, Span, Value, record
from clew_dashboards.views.values import brief_text
from clew_dashboards.wording import duration_text, utc_text

_USER_ATTRIBUTES = ("user.id", "enduser.id")

Tone = Literal["", "error"]


@record
class ServiceLine:
    """What one service did in a request. `errors` counts failed spans and error lines."""

    name: str
    hue: int
    span_count: int
    log_count: int
    errors: int


@record
class Header:
    """The words above the timeline.

    `reply` is the time to the reply: how long the root span took; empty if that is not known. `last_effect` is the
    time to the last end or line where it came later, or where there is nothing else to say.
    """

    id: str
    name: str
    status: str
    status_tone: Tone
    reply: str
    last_effect: str
    start_utc: str
    user: str
    correlation_id: str | None
    trace_ids: tuple[str, ...]
    span_count: int
    failed_span_count: int
    log_count: int
    error_log_count: int
    services: tuple[ServiceLine, ...]
    truncated: bool


def header(request: Request, *, hue_of: Callable[[str], int]) -> Header:
    """The header of this request."""
    root = root_of(request.spans)
    entry = min((span for span in request.spans if span.kind == "server"), key=_start, default=None)
    status = _status_of(request, entry)
    reply_ns = root.duration_ns if root else None
    effect_ns = request.duration_ns
    return Header(
        id=request.id,
        name=name_of(root, entry),
        status=status,
        status_tone="error" if request.error or status.startswith("5") else "",
        reply="" if reply_ns is None else duration_text(reply_ns),
        last_effect="" if reply_ns is not None and effect_ns <= reply_ns else duration_text(effect_ns),
        start_utc=utc_text(request.start_ns),
        user=_user_of(request.spans),
        correlation_id=request.correlation_id,
        trace_ids=request.trace_ids,
        span_count=len(request.spans),
        failed_span_count=sum(span.is_error for span in request.spans),
        log_count=len(request.logs),
        error_log_count=sum(log.is_error for log in request.logs),
        services=_service_lines(request, hue_of),
        truncated=request.truncated,
    )


def root_of(spans: Iterable[Span]) -> Span | None:
    """The span that stands for the request: one without a parent, else the first that received something."""
    return min(spans, key=lambda span: (_root_rank(span), span.start_ns), default=None)


def name_of(root: Span | None, entry: Span | None) -> str:
    """What the request was asked to do, as the list of requests names it."""
    method = entry.attributes.get(HTTP_METHOD) if entry else None
    where = (entry.attributes.get(HTTP_ROUTE) or entry.attributes.get(URL_PATH)) if entry else None
    if method and where:
        return f"{_short(method)} {_short(where)}"
    return root.name if root and root.name else "log lines only" if root is None else "(no name)"


def _start(span: Span) -> int:
    return span.start_ns


def _root_rank(span: Span) -> int:
    if span.parent_span_id is None:
        return 0
    return 1 if span.kind in ("server", "consumer") else 2


def _status_of(request: Request, entry: Span | None) -> str:
    code = entry.attributes.get(HTTP_STATUS_CODE) if entry else None
    return _short(code) if code is not None else "error" if request.error else ""


def _user_of(spans: Iterable[Span]) -> str:
    for span in spans:
        for name in _USER_ATTRIBUTES:
            if user := span.attributes.get(name):
                return _short(user)
    return ""


def _short(value: Value) -> str:
    return brief_text(value, max_chars=200)


def _service_lines(request: Request, hue_of: Callable[[str], int]) -> tuple[ServiceLine, ...]:
    counts = {service: [0, 0, 0] for service in request.services}
    for span in request.spans:
        count = counts.setdefault(span.service, [0, 0, 0])
        count[0] += 1
        count[2] += span.is_error
    for log in request.logs:
        count = counts.setdefault(log.service, [0, 0, 0])
        count[1] += 1
        count[2] += log.is_error
    return tuple(
        ServiceLine(name=name, hue=hue_of(name), span_count=spans, log_count=logs, errors=errors)
        for name, (spans, logs, errors) in counts.items()
    )
