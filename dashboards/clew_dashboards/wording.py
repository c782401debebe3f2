"""How durations, counts and sizes are written for people."""

from datetime import UTC, datetime

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000

_DURATION_UNITS = (
    (1_000, 1, "ns"),
    (NS_PER_MS, 1_000, "µs"),
    (NS_PER_S, NS_PER_MS, "ms"),
    (60 * NS_PER_S, NS_PER_S, "s"),
)
_LONG_UNITS = ((60, "s"), (60, "min"), (24, "h"))
_SIZE_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def duration_text(duration_ns: int) -> str:
    """A duration in the unit that fits, three digits: `812 µs`, `2.41 s`, `3 min 12 s`."""
    if duration_ns < 0:
        return "-" + duration_text(-duration_ns)
    for below_ns, unit_ns, unit in _DURATION_UNITS:
        if duration_ns < below_ns:
            text = _three_digits(duration_ns / unit_ns)
            if float(text) * unit_ns < below_ns:
                return f"{text} {unit}"
    return _long_duration_text(round(duration_ns / NS_PER_S))


def offset_text(offset_ns: int) -> str:
    """Time since the start of a request: `+2.41 s`."""
    return "+0" if offset_ns == 0 else f"{'+' if offset_ns > 0 else ''}{duration_text(offset_ns)}"


def number_text(number: int) -> str:
    """A whole number with its thousands apart: `12,480`."""
    return f"{number:,}"


def count_text(number: int, noun: str, plural: str | None = None) -> str:
    """A number of things: `1 span`, `2,000 spans`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def size_text(size_bytes: int) -> str:
    """A size in the unit that fits: `812 bytes`, `1.2 MB`."""
    size, unit = float(size_bytes), 0
    while size >= 1_000 and unit < len(_SIZE_UNITS) - 1:
        size, unit = size / 1_000, unit + 1
    return f"{size_bytes} {_SIZE_UNITS[0]}" if unit == 0 else f"{_three_digits(size)} {_SIZE_UNITS[unit]}"


def utc_text(time_ns: int) -> str:
    """A moment in ISO 8601, UTC, to the nanosecond; `time unknown` for one that no calendar has."""
    try:
        whole = datetime.fromtimestamp(time_ns // NS_PER_S, UTC)
    except (OverflowError, ValueError, OSError):
        return "time unknown"
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{time_ns % NS_PER_S:09d}Z"


def _three_digits(value: float) -> str:
    text = f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _long_duration_text(seconds: int) -> str:
    parts: list[str] = []
    rest = seconds
    for base, unit in _LONG_UNITS:
        rest, part = divmod(rest, base)
        parts.append(f"{part} {unit}")
    if rest:
        parts.append(f"{rest} d")
    while parts and parts[-1].startswith("0 "):
        parts.pop()
    largest_first = parts[::-1][:2]
    return " ".join(part for part in largest_first if not part.startswith("0 "))
