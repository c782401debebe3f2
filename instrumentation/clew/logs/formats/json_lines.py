"""One JSON object a line, with structlog's names: `timestamp`, `level`, `event`, `logger`, then the IDs and fields."""

from clew.freezing import Frozen
from clew.logs.formats.line import Line, as_json, iso_time


def render_json(line: Line) -> str:
    """A line as JSON."""
    return as_json(named_values(line))


def named_values(line: Line) -> dict[str, Frozen]:
    """All of a line in its order. A field by the name of an ID stands for it; by another name in use, it gets a `_`."""
    shown: dict[str, Frozen] = {"timestamp": iso_time(line.time_ns), "level": line.level, "event": line.message}
    if line.logger:
        shown["logger"] = line.logger
    taken = frozenset(shown)
    if line.correlation_id:
        shown["correlation_id"] = line.correlation_id
    if line.trace_id:
        shown["trace_id"], shown["span_id"] = line.trace_id, line.span_id
    for key, value in line.fields.items():
        shown[f"{key}_" if key in taken else key] = value
    return shown
