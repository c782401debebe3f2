"""The times that log lines begin with or have in a field: ISO 8601 and its kin, syslog's, Apache's, and epochs."""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Final

from clew_collector.model import Value
from clew_collector.wire.lines.line import Reading
from clew_collector.wire.syslog.timestamp import leading_time

_ENDS: Final = r"[\])]?(?=[\s|,;:\]\[-]|$)"
_ZONE: Final = r"(?: ?(Z|z|UTC|GMT|[+-]\d\d:?\d\d))?"
_CLOCK: Final = r"\d\d:\d\d:\d\d"
# 2026-01-02T03:04:05.678+01:00, Python's 2026-01-02 03:04:05,678, Go's and nginx's 2026/01/02 03:04:05.
_iso = re.compile(rf"[\[(]?(\d{{4}}([-/])\d\d\2\d\d[Tt _]{_CLOCK})(?:[.,](\d+))?{_ZONE}{_ENDS}", re.ASCII).match
# Access logs: 02/Jan/2026:03:04:05 +0100.
_common = re.compile(rf"\[?(\d\d)/([A-Za-z]{{3}})/(\d{{4}}):({_CLOCK}) ([+-]\d{{4}}){_ENDS}", re.ASCII).match
# Apache's error logs and ctime(3): Fri Jan 02 03:04:05.678901 2026.
_ctime = re.compile(
    rf"\[?[A-Z][a-z]{{2}} ([A-Z][a-z]{{2}}) {{1,2}}(\d{{1,2}}) ({_CLOCK})(?:\.(\d+))? (\d{{4}}){_ENDS}", re.ASCII
).match
_epoch = re.compile(rf"\[?(\d{{10}}(?:\.\d{{1,9}})?|\d{{13}}|\d{{16}}|\d{{19}}){_ENDS}", re.ASCII).match
_number = re.compile(r"\d{1,19}(?:\.\d{1,12})?", re.ASCII).fullmatch

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_TIME_NS: Final = 2**63 - 1
_NAMES: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS: Final = {name: f"{number:02}" for number, name in enumerate(_NAMES, start=1)}
_UNITS: Final = ((10**11, 10**9), (10**14, 10**6), (10**17, 10**3), (2**63, 1))
"""Below which number an epoch counts which nanoseconds: seconds until the year 5138, and so on."""


def leading_time_ns(text: str, reading: Reading) -> tuple[int, int] | None:
    """The time that a text begins with, in nanoseconds since the epoch, and where it ends; brackets are part of it.

    `None` if there is none, or one before 1970 or after 2262; its first moment, 0, is none either, as in OTLP.
    """
    if (iso := _iso(text)) is not None:
        return _stamp(_second(iso[1], iso[4], reading.zone), iso[3], iso.end())
    if (common := _common(text)) is not None:
        day, month, year, clock, zone = common.groups()
        return _stamp(_second(_date(year, month, day, clock), zone, None), None, common.end())
    if (ctime := _ctime(text)) is not None:
        month, day, clock, fraction, year = ctime.groups()
        return _stamp(_second(_date(year, month, day, clock), None, reading.zone), fraction, ctime.end())
    if (epoch := _epoch(text)) is not None:
        time_ns = _epoch_ns(epoch[1])
        return None if time_ns is None else (time_ns, epoch.end())
    stamp = leading_time(text, received_ns=reading.received_ns, zone=reading.zone) if text[:1].isalpha() else None
    return None if stamp is None else (stamp.time_ns, stamp.end)


def field_time_ns(value: Value, reading: Reading) -> int | None:
    """The time that a field holds: any of the above as all of its text, or a number since the epoch."""
    if isinstance(value, str):
        found = leading_time_ns(value, reading)
        if found is not None:
            return found[0] if found[1] == len(value) else None
        return _epoch_ns(value) if _number(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return _epoch_ns(str(value) if isinstance(value, int) else f"{value:.6f}")


def _stamp(second: int | None, fraction: str | None, end: int) -> tuple[int, int] | None:
    if second is None:
        return None
    time_ns = second * 10**9 + (int(fraction[:9].ljust(9, "0")) if fraction else 0)
    return (time_ns, end) if 0 < time_ns <= _MAX_TIME_NS else None


def _date(year: str, month: str, day: str, clock: str) -> str:
    return f"{year}-{_MONTHS.get(month.lower(), '00')}-{day:>02}T{clock}"


# Lines come many a second, and the calendar is the dear part.
@lru_cache(maxsize=4096)
def _second(text: str, zone_text: str | None, zone: tzinfo | None) -> int | None:
    """The second since the epoch that `YYYY-MM-DDTHH:MM:SS` is."""
    fields = (text[0:4], text[5:7], text[8:10], text[11:13], text[14:16], text[17:19])
    year, month, day, hour, minute, second = map(int, fields)
    leap_s = 1 if second == 60 else 0
    try:
        moment = datetime(year, month, day, hour, minute, second - leap_s, tzinfo=_offset(zone_text) or zone)
        since = (moment.astimezone() if moment.tzinfo is None else moment) - _EPOCH
    except (ValueError, OverflowError, OSError):
        return None
    seconds = since.days * 86_400 + since.seconds + leap_s
    return seconds if 0 <= seconds <= _MAX_TIME_NS // 10**9 else None


def _offset(text: str | None) -> tzinfo | None:
    """The zone that an offset names. Raises `ValueError` if there can be no such offset."""
    if text is None:
        return None
    if text[0] not in "+-":
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return timezone(-offset if text[0] == "-" else offset)


def _epoch_ns(text: str) -> int | None:
    """A number since the epoch in nanoseconds; how large it is tells its unit."""
    whole, _, fraction = text.partition(".")
    if not whole.isdecimal():
        return None
    number = int(whole)
    unit_ns = next((unit for bound, unit in _UNITS if number < bound), None)
    if unit_ns is None:
        return None
    time_ns = number * unit_ns + int(fraction[:9].ljust(9, "0") or 0) * unit_ns // 10**9
    return time_ns if 0 < time_ns <= _MAX_TIME_NS else None
