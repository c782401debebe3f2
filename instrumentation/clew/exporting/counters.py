"""Counts of what was sent and of what was not."""

from typing import Final

QUEUE_FULL: Final = "queue_full"
"""`max_queue_records` waited already: the collector is down or slower than this process."""

QUEUE_BYTES: Final = "queue_bytes"
"""`max_queue_bytes` waited already."""

REJECTED: Final = "rejected"
"""The collector answered that it will never take these."""

TOO_LARGE: Final = "too_large"
"""The collector does not take a request with this one record in it."""

NOT_ENCODED: Final = "not_encoded"
"""A record could not be written as OTLP."""

SHUT_DOWN: Final = "shut_down"
"""The process ended before the collector had taken the batch."""

DISK_BUFFER_FULL: Final = "disk_buffer_full"
"""The oldest batches in the folder made room for new ones."""

DISK_BUFFER_CORRUPT: Final = "disk_buffer_corrupt"
"""A batch in the folder was not what had been written."""


class Counters:
    """Of one signal, in records, since `configure()` or the fork."""

    # Not a dataclass: making one takes longer than importing all of this folder's rest that a service imports.
    __slots__ = ("dropped", "sent", "set_aside", "waiting")

    def __init__(self) -> None:
        self.sent = 0
        """Taken by the collector, with those that came out of the disk buffer."""
        self.dropped: dict[str, int] = {}
        """By reason."""
        self.waiting = 0
        """Queued, or in a batch that the collector has not taken yet."""
        self.set_aside = 0
        """Written to the disk buffer. They are sent from there, by this process or by another."""

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"Counters({values})"

    def drop(self, reason: str, records: int) -> None:
        """Count records that nobody will see again."""
        if records:
            self.dropped[reason] = self.dropped.get(reason, 0) + records
