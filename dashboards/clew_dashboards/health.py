"""What the collector says of itself."""

from collections.abc import Mapping
from dataclasses import field

from clew_collector.model import Counts, record


@record
class SourceHealth:
    """What became of what one receiver was sent; the store, a sink or the spool has `dropped` alone.

    `accepted` and `duplicate` are by signal, `refused` and `dropped` by reason.
    """

    name: str
    accepted: Mapping[str, int] = field(default_factory=dict)
    duplicate: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)


@record
class ServiceHealth:
    """What was accepted of one service."""

    name: str
    logs: int = 0
    spans: int = 0


@record
class ReaderHealth:
    """What waits for the store or a sink.

    `lag_s` is, by signal, how long the last batch took from its receipt until it could be asked for; `stored` is what
    it has taken so far; `outage` is why it takes nothing now.
    """

    name: str
    payloads: int = 0
    bytes: int = 0
    oldest_age_s: float | None = None
    lag_s: Mapping[str, float] = field(default_factory=dict)
    stored: Mapping[str, int] = field(default_factory=dict)
    outage: str | None = None


@record
class DeadLetterHealth:
    """Payloads that could not be stored and wait for a person."""

    count: int = 0
    bytes: int = 0
    oldest_age_s: float | None = None
    last_reason: str | None = None


@record
class Health:
    """Counts so far, and what waits in the spool now.

    `accepted` and `duplicate` (sent again, kept once) are by signal, `refused` and `dropped` are by reason; `left_out`
    is the part of `dropped` that the settings ask for (filters, sampling).
    `oldest_age_s` is the age of the oldest payload that waits to be stored, `None` when nothing waits. `services` are
    those that sent most, the largest first, `other_services` the sum of the rest.
    """

    stored: Counts
    accepted: Mapping[str, int]
    refused: Mapping[str, int]
    dropped: Mapping[str, int]
    duplicate: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    spool_payloads: int = 0
    spool_bytes: int = 0
    oldest_age_s: float | None = None
    sources: tuple[SourceHealth, ...] = ()
    services: tuple[ServiceHealth, ...] = ()
    other_services: ServiceHealth | None = None
    readers: tuple[ReaderHealth, ...] = ()
    dead_letters: DeadLetterHealth = field(default_factory=DeadLetterHealth)
