"""What the page of faults shows, from what is planted."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from clew_demo.faults.catalogue import FAULTS, Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One fault."""

    fault: Fault
    since: str | None
    """The time of day when it was planted, and how long ago that is; `None` if it is not."""
    seen_at: str | None
    """Where the dashboard shows the requests that it may be in; `None` if there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """All faults, those that are planted first."""

    sentence: str
    planted: list[Row]
    others: list[Row]
    dashboard_url: str | None


def to_page(planted: Mapping[str, int], *, now_ns: int, dashboard_url: str | None) -> Page:
    """The page for a moment."""
    rows = [_row(fault, planted.get(fault.name), now_ns, dashboard_url) for fault in FAULTS.values()]
    return Page(
        sentence=_sentence([FAULTS[name] for name in planted]),
        planted=[row for row in rows if row.since],
        others=[row for row in rows if not row.since],
        dashboard_url=dashboard_url,
    )


def to_json(planted: Mapping[str, int]) -> dict[str, Any]:
    """All faults with their truth; `since_ns` is null for those that are not planted."""
    return {"faults": [{**asdict(fault), "since_ns": planted.get(name)} for name, fault in FAULTS.items()]}


def _row(fault: Fault, since_ns: int | None, now_ns: int, dashboard_url: str | None) -> Row:
    if since_ns is None:
        return Row(fault=fault, since=None, seen_at=None)
    since = datetime.fromtimestamp(since_ns // 1_000_000_000).astimezone()
    query = urlencode({"service": fault.service, "from": since.isoformat()})
    return Row(
        fault=fault,
        since=f"{since:%H:%M:%S}, {_age((now_ns - since_ns) / 1e9)}",
        seen_at=f"{dashboard_url}/requests?{query}" if dashboard_url else None,
    )


def _sentence(planted: list[Fault]) -> str:
    if not planted:
        return "Nothing is planted: the shop fails only as shops do."
    services = sorted({fault.service for fault in planted})
    where = services[0] if len(services) == 1 else f"{', '.join(services[:-1])} and {services[-1]}"
    return f"{len(planted)} of {len(FAULTS)} faults {'is' if len(planted) == 1 else 'are'} planted, in {where}."


def _age(age_s: float) -> str:
    if age_s < 2:
        return "just now"
    if age_s < 60:
        return f"{age_s:.0f} s ago"
    return f"{age_s / 60:.0f} min ago" if age_s < 3600 else f"{age_s / 3600:.1f} h ago"
