"""Syslog's timestamps: RFC 3339, and RFC 3164's `Oct 11 22:14:15` with what devices make of it."""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final

from clew_collector.model import record

_iso = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:[.,](\d+))?([Zz]|[+-]\d\d:?\d\d)?:?(?= |$)", re.ASCII
).match
# Cisco marks a clock that is not set by a star or a dot, puts the year before or after the day, and ends with a colon.
_bsd = re.compile(
    r"[*.]?(?:(\d{4}) )?([A-Za-z]{3}) {1,2}(\d{1,2}) (?:(\d{4}) )?(\d\d):(\d\d):(\d\d)(?:[.,](\d+))?"
    r"(?: (Z|UTC|GMT|[+-]\d\d:?\d\d|[A-Z]{3,5}(?=:)))?:?(?= |$)",
    re.ASCII,
).match
_NAMES: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS: Final = {name: number for number, name in enumerate(_NAMES, start=1)}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_TIME_NS: Final = 2**63 - 1


@record
class Stamp:
    """A timestamp at the start of a text, in nanoseconds since the epoch, and where it ends."""

    time_ns: int
    end: int


def leading_time(text: str, *, at: int = 0, received_ns: int, zone: tzinfo | None = None) -> Stamp | None:
    """The timestamp at a place of a text; `None` if there is none, or one before 1970 or after
    2262; its first moment is none either, as in OTLP.

    A time without a zone is one of `zone`, that of this machine if it is not given. One without a year is in the year
    that brings it nearest to when it was received: a line of December may come in January, and a clock may be ahead.
    """
    if (iso := _iso(text, at)) is not None:
        year, month, day, hour, minute, second, fraction, zone_text = iso.groups()
        times_ns = _times_ns((int(year),), int(month), (day, hour, minute, second), fraction, zone_text, zone)
        return Stamp(times_ns[0], iso.end()) if times_ns else None
    if (bsd := _bsd(text, at)) is not None:
        year_before, name, day, year_after, hour, minute, second, fraction, zone_text = bsd.groups()
        years = _years_near(received_ns) if (year := year_before or year_after) is None else (int(year),)
        month_number = _MONTHS.get(name.lower(), 0)
        times_ns = _times_ns(years, month_number, (day, hour, minute, second), fraction, zone_text, zone)
        return Stamp(min(times_ns, key=lambda ns: abs(ns - received_ns)), bsd.end()) if times_ns else None
    return None


def _years_near(time_ns: int) -> tuple[int, ...]:
    year = (_EPOCH + timedelta(microseconds=time_ns // 1000)).year
    return year - 1, year, year + 1


def _times_ns(
    years: tuple[int, ...],
    month: int,
    rest: tuple[str, ...],
    fraction: str | None,
    zone_text: str | None,
    zone: tzinfo | None,
) -> list[int]:
    """The moments that these fields stand for, one for each year that has such a one."""
    day, hour, minute, second = map(int, rest)
    leap_s = 1 if second == 60 else 0  # RFC 3339 has leap seconds, Python's clock has not
    fraction_ns = int(fraction[:9].ljust(9, "0")) if fraction else 0
    times_ns = []
    for year in years:
        try:
            moment = datetime(year, month, day, hour, minute, second - leap_s, tzinfo=_zone(zone_text) or zone)
            since = (moment.astimezone() if moment.tzinfo is None else moment) - _EPOCH
        except (ValueError, OverflowError, OSError):
            continue
        time_ns = (since.days * 86_400 + since.seconds + leap_s) * 10**9 + fraction_ns
        if 0 < time_ns <= _MAX_TIME_NS:
            times_ns.append(time_ns)
    return times_ns


def _zone(text: str | None) -> tzinfo | None:
    """The zone that a timestamp names by its offset. Raises `ValueError` if there can be no such offset."""
    if text in ("Z", "z", "UTC", "GMT"):
        return UTC
    if text is None or text[0] not in "+-":  # an abbreviation: several zones share each
        return None
    minutes = int(text[-2:])
    if minutes > 59:
        raise ValueError(f"no zone is {text}")
    offset = timedelta(hours=int(text[1:3]), minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)
