"""Lines read as if at a known moment, by a machine in a known zone."""

from datetime import UTC, datetime, timedelta, timezone

from clew_collector.wire.lines.formats import Format, decode_line
from clew_collector.wire.lines.line import DecodedLine, Reading

RECEIVED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ZONE = timezone(timedelta(hours=1))
TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


def read(text: str, format: Format = "auto", *, ids_in_text: bool = True) -> DecodedLine:
    """A line of a format."""
    reading = Reading(received_ns=int(RECEIVED.timestamp()) * 10**9, zone=ZONE, ids_in_text=ids_in_text)
    return decode_line(text, format, reading)


def ns(text: str) -> int:
    """A time in ISO format as nanoseconds since the epoch."""
    moment = datetime.fromisoformat(text)
    return int(moment.timestamp()) * 10**9 + moment.microsecond * 1000
