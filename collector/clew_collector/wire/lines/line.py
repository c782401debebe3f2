"""What a line of a log file says, and what has to be known to read it."""

from dataclasses import field
from datetime import tzinfo

from clew_collector.model import Value, record
from clew_collector.wire.ids import NO_IDS, Ids


@record
class Reading:
    """How lines are read: when that was, in which zone a time without one is (`None`: this machine's), and whether
    the IDs of a request are looked for in the text, too."""

    received_ns: int
    zone: tzinfo | None = None
    ids_in_text: bool = True


@record
class DecodedLine:
    """A line as the fields of a log record; empty, `None` or 0, what it does not say."""

    body: str
    time_ns: int | None = None
    severity_number: int = 0
    severity_text: str = ""
    service: str = ""
    logger: str = ""
    ids: Ids = field(default_factory=lambda: NO_IDS)
    attributes: dict[str, Value] = field(default_factory=dict)
