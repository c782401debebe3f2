"""Counts of what was sent and of what was not."""

from dataclasses import dataclass, field
from typing import Final

QUEUE_FULL: Final = "queue_full"
"""The queue was full: the collector is down or slower than this process."""

REJECTED: Final = "rejected"
"""The collector answered that it will never take this batch."""

NOT_ENCODED: Final = "not_encoded"
"""A record could not be written as OTLP."""

SHUT_DOWN: Final = "shut_down"
"""The process ended before the collector had taken the batch."""


@dataclass(slots=True)
class Counters:
    """Of one signal, in records."""

    sent: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    """By reason."""
    waiting: int = 0
    """Queued, or in a batch that the collector has not taken yet."""

    def drop(self, reason: str, records: int) -> None:
        """Count records that nobody will see again."""
        if records:
            self.dropped[reason] = self.dropped.get(reason, 0) + records
