"""The list of requests: its lines, its filters in words, and its ways on."""

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal
from urllib.parse import urlencode

from clew_collector.model import Page, RequestSummary, record
from clew_dashboards.filters import Filters
from clew_dashboards.wording import NS_PER_MS, count_text, duration_text, number_text, utc_text

_SHOWN_SERVICES = 3
_SHORTEST_MS = 0.1
_LONGEST_MS: Final = 60_000
"""Ends of the scale of the duration bar: fixed, so that bars of two pages can be compared."""

_FILTER_WORDS: Final = {
    "service": "through",
    "route": "route contains",
    "status": "status",
    "min_duration_ms": "at least",
    "id": "ID starts with",
    "from": "since",
    "to": "before",
}


@record
class ServiceMark:
    """A service that took part."""

    name: str
    hue: int


@record
class Line:
    """One request. `bar_percent` is its duration on a logarithmic scale; `more_services` are not shown by name."""

    id: str
    time_utc: str
    name: str
    service: ServiceMark
    status: str
    status_tone: Literal["", "error"]
    duration: str
    bar_percent: float
    services: tuple[ServiceMark, ...]
    more_services: int
    all_services: str
    spans: str
    logs: str
    failed: bool
    errors: str


@record
class RequestList:
    """A slice of the list.

    `narrowing` says each filter in words. `older_href` leads to the next slice and `newest_href` back to the first,
    empty where there is nowhere to go. `live_href` is where newer lines are asked for: empty on a slice further
    down, which must not move under its reader. `seen` changes when anything shown does.
    """

    lines: tuple[Line, ...]
    summary: str
    narrowing: tuple[str, ...]
    older_href: str
    newest_href: str
    live_href: str
    json_href: str
    services: tuple[str, ...]
    nothing_stored: bool
    seen: str


def request_list(
    page: Page[RequestSummary],
    *,
    filters: Filters,
    hue_of: Callable[[str], int],
    services: Sequence[str],
    nothing_stored: bool,
) -> RequestList:
    """What the page of requests shows below its filters."""
    kept = {name: text for name, text in filters.given.items() if name not in ("cursor", "part", "seen", "format")}
    shown = lines(page.items, hue_of=hue_of)
    paged = "cursor" in filters.given
    return RequestList(
        lines=shown,
        summary=_summary(len(shown), filters, more=page.next is not None, paged=paged),
        narrowing=tuple(_narrowing_text(name, text) for name, text in filters.narrowing.items()),
        older_href=_address({**kept, "cursor": page.next}) if page.next else "",
        newest_href=_address(kept) if paged else "",
        live_href="" if paged else _address({**kept, "part": "list"}),
        json_href=_address({**filters.given, "format": "json"}),
        services=tuple(services),
        nothing_stored=nothing_stored,
        seen=f"{zlib.crc32(repr((shown, services, page.next is None, nothing_stored)).encode()):08x}",
    )


def lines(summaries: Sequence[RequestSummary], *, hue_of: Callable[[str], int]) -> tuple[Line, ...]:
    """A line for each request, in the order given."""
    return tuple(_line(summary, hue_of) for summary in summaries)


def _summary(shown: int, filters: Filters, *, more: bool, paged: bool) -> str:
    if not shown:
        return "No requests"
    requests = count_text(shown, "request")
    if filters.narrowing:
        requests += " matches" if shown == 1 else " match"
    if more:
        return (
            f"{requests} shown, there are older ones" if not filters.narrowing else f"{requests} so far, older ones too"
        )
    return f"{requests}, the oldest" if paged else requests


def _narrowing_text(name: str, text: str) -> str:
    if name == "error":
        return "with errors" if text.lower() in ("true", "1", "yes", "on") else "without errors"
    word = _FILTER_WORDS[name]
    return f"{word} {text} ms" if name == "min_duration_ms" else f"{word} {text}"


def _address(parameters: Mapping[str, str]) -> str:
    return f"/requests?{urlencode(parameters)}" if parameters else "/requests"


def _line(summary: RequestSummary, hue_of: Callable[[str], int]) -> Line:
    # The one that took the request first, then the rest by name.
    names = [name for name in summary.services if name == summary.service]
    names += [name for name in summary.services if name != summary.service]
    marks = tuple(ServiceMark(name=name, hue=hue_of(name)) for name in names)
    status = "" if summary.status_code is None else str(summary.status_code)
    return Line(
        id=summary.id,
        time_utc=utc_text(summary.start_ns),
        name=summary.name[:300] or "(no name)",
        service=ServiceMark(name=summary.service, hue=hue_of(summary.service)),
        status=status,
        status_tone="error" if status.startswith("5") else "",
        duration=duration_text(summary.duration_ns),
        bar_percent=_bar_percent(summary.duration_ns),
        services=marks[:_SHOWN_SERVICES],
        more_services=max(0, len(marks) - _SHOWN_SERVICES),
        all_services=", ".join(names),
        spans=number_text(summary.span_count),
        logs=number_text(summary.log_count),
        failed=summary.error,
        errors=_errors_text(summary),
    )


def _errors_text(summary: RequestSummary) -> str:
    if summary.error_log_count:
        return count_text(summary.error_log_count, "error")
    return "failed" if summary.error else ""


def _bar_percent(duration_ns: int) -> float:
    scale = math.log10(_LONGEST_MS / _SHORTEST_MS)
    position = math.log10(max(duration_ns / NS_PER_MS, _SHORTEST_MS) / _SHORTEST_MS)
    return round(min(100.0, max(2.0, position * 100 / scale)), 2)
