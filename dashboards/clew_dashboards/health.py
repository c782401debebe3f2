"""What the collector says of itself."""

from collections.abc import Mapping
from dataclasses import field

from clew_collector.model import Counts, record


@record
class Health:
    """Counts so far, and what waits in the spool now.

    `accepted` and `duplicate` (sent again, kept once) are by signal, `refused` and `dropped` are by reason.
    `oldest_age_s` is the age of the oldest payload that waits to be stored, `None` when nothing waits.
    """

    stored: Counts
    accepted: Mapping[str, int]
    refused: Mapping[str, int]
    dropped: Mapping[str, int]
    duplicate: Mapping[str, int] = field(default_factory=dict)
    spool_payloads: int = 0
    spool_bytes: int = 0
    oldest_age_s: float | None = None
