"""What the Health page shows, out of a snapshot."""

from collections import Counter as Tally
from collections.abc import Mapping
from dataclasses import field
from typing import Final

from clew_collector.model import record
from clew_collector.spool import DeadLetter, Series
from clew_dashboards.health import DeadLetterHealth, Health, ReaderHealth, ServiceHealth, SourceHealth
from clew_server.snapshot import ReaderState, Snapshot

MAX_SERVICES: Final = 50
"""Services that are told by name; the rest are summed."""

ASKED_FOR: Final = frozenset({"matches the condition", "does not match the condition", "not sampled"})
"""Why processors drop what the settings say is not wanted; nobody needs to look into that."""

_UNKNOWN: Final = "unknown"


def health_of(snapshot: Snapshot) -> Health:
    """Counts of records since the data directory was made, and what waits now."""
    totals = _Tallies()
    sources: dict[str, _Tallies] = {}
    services: dict[str, Tally[str]] = {}
    left_out: Tally[str] = Tally()
    for series, count in snapshot.counters.items():
        if series.outcome in ("accepted", "duplicate", "refused", "dropped"):
            totals.add(series, count)
            sources.setdefault(series.source or _UNKNOWN, _Tallies()).add(series, count)
        if series.outcome == "dropped" and series.reason in ASKED_FOR:
            left_out[f"{series.signal}: {series.reason}"] += count
        if series.outcome == "accepted":
            services.setdefault(series.service or _UNKNOWN, Tally())[series.signal] += count
    named, rest = _largest(services)
    return Health(
        stored=snapshot.stored,
        accepted=totals.accepted,
        duplicate=totals.duplicate,
        refused=totals.refused,
        dropped=totals.dropped,
        left_out=left_out,
        spool_payloads=snapshot.spool.payloads,
        spool_bytes=snapshot.spool.bytes,
        oldest_age_s=snapshot.age_s(snapshot.spool.oldest_ns),
        sources=tuple(source.health(name) for name, source in sorted(sources.items())),
        services=named,
        other_services=rest,
        readers=tuple(_reader_health(reader, snapshot) for reader in snapshot.readers),
        dead_letters=_dead_letter_health(snapshot.dead_letters, snapshot),
    )


@record
class _Tallies:
    accepted: Tally[str] = field(default_factory=Tally)
    duplicate: Tally[str] = field(default_factory=Tally)
    refused: Tally[str] = field(default_factory=Tally)
    dropped: Tally[str] = field(default_factory=Tally)

    def add(self, series: Series, count: int) -> None:
        tally: Tally[str] = getattr(self, series.outcome)
        tally[f"{series.signal}: {series.reason}" if series.reason else series.signal] += count

    def health(self, name: str) -> SourceHealth:
        return SourceHealth(
            name=name, accepted=self.accepted, duplicate=self.duplicate, refused=self.refused, dropped=self.dropped
        )


def _largest(services: Mapping[str, Tally[str]]) -> tuple[tuple[ServiceHealth, ...], ServiceHealth | None]:
    """The services that sent most, by name, and all others as one."""
    all_services = [ServiceHealth(name, logs=tally["logs"], spans=tally["traces"]) for name, tally in services.items()]
    all_services.sort(key=lambda service: (-service.logs - service.spans, service.name))
    named, rest = all_services[:MAX_SERVICES], all_services[MAX_SERVICES:]
    if not rest:
        return tuple(named), None
    logs, spans = sum(service.logs for service in rest), sum(service.spans for service in rest)
    return tuple(named), ServiceHealth(f"{len(rest)} others", logs=logs, spans=spans)


def _reader_health(reader: ReaderState, snapshot: Snapshot) -> ReaderHealth:
    stored = {
        series.signal: count
        for series, count in snapshot.counters.items()
        if series.outcome in ("stored", "shipped") and series.source == reader.name
    }
    return ReaderHealth(
        name=reader.name,
        payloads=reader.waiting.payloads,
        bytes=reader.waiting.bytes,
        oldest_age_s=snapshot.age_s(reader.waiting.oldest_ns),
        lag_s={str(signal): lag_s for signal, lag_s in reader.lag_s.items()},
        stored=stored,
        outage=reader.outage,
    )


def _dead_letter_health(letters: tuple[DeadLetter, ...], snapshot: Snapshot) -> DeadLetterHealth:
    if not letters:
        return DeadLetterHealth()
    return DeadLetterHealth(
        count=len(letters),
        bytes=sum(letter.size_bytes for letter in letters),
        oldest_age_s=snapshot.age_s(min(letter.received_ns for letter in letters)),
        last_reason=letters[-1].reason,
    )
