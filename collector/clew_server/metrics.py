"""The collector's metrics for Prometheus: what there is, and their values out of a snapshot."""

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Literal

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from clew.version import VERSION
from clew_collector.model import record
from clew_server.process_metrics import process_families
from clew_server.snapshot import Snapshot

Sample = tuple[tuple[str, ...], float]
"""The values of a metric's labels, in their order, and its own."""


@record
class Metric:
    """One metric: its name, the names of its labels, what it says, and where its samples come from."""

    name: str
    kind: Literal["counter", "gauge"]
    labels: tuple[str, ...]
    says: str
    samples: Callable[[Snapshot], Iterable[Sample]]

    def family(self, snapshot: Snapshot) -> Family:
        """Its samples now, as Prometheus's library wants them."""
        family = (CounterMetricFamily if self.kind == "counter" else GaugeMetricFamily)(
            self.name, self.says, labels=self.labels
        )
        for labels, value in self.samples(snapshot):
            family.add_metric(labels, value)
        return family


def exposition(snapshot: Callable[[], Snapshot], *, accept: str) -> tuple[bytes, str]:
    """All metrics as text and its content type: OpenMetrics where `accept` asks for that, else Prometheus's own."""
    registry = CollectorRegistry()
    registry.register(_Everything(snapshot))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Everything(Collector):
    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot

    def describe(self) -> Iterator[Family]:
        """Nothing: without this, registering would take a snapshot."""
        return iter(())

    def collect(self) -> Iterator[Family]:
        """Every family, from one snapshot."""
        snapshot = self._snapshot()
        yield from (metric.family(snapshot) for metric in METRICS)
        yield from process_families()


def _summed(outcome: str, *names: str) -> Callable[[Snapshot], Iterator[Sample]]:
    """The counters of an outcome by these fields of a `Series`, summed over the others."""

    def samples(snapshot: Snapshot) -> Iterator[Sample]:
        tally: Tally[tuple[str, ...]] = Tally()
        for series, count in snapshot.counters.items():
            if series.outcome == outcome:
                tally[tuple(getattr(series, name) for name in names)] += count
        yield from sorted(tally.items())

    return samples


def _lags(snapshot: Snapshot) -> Iterator[Sample]:
    for reader in snapshot.readers:
        yield from (((reader.name, signal), lag_s) for signal, lag_s in sorted(reader.lag_s.items()))


def _stored(snapshot: Snapshot) -> list[Sample]:
    return [(("logs",), snapshot.stored.logs), (("traces",), snapshot.stored.spans)]


METRICS: Final = (
    Metric(
        "clew_accepted_records_total",
        "counter",
        ("receiver", "signal", "service"),
        "Log records and spans that were acknowledged, and are durable.",
        _summed("accepted", "source", "signal", "service"),
    ),
    Metric(
        "clew_duplicate_records_total",
        "counter",
        ("receiver", "signal", "service"),
        "Records that a sender sent again, and that are kept once.",
        _summed("duplicate", "source", "signal", "service"),
    ),
    Metric(
        "clew_refused_total",
        "counter",
        ("receiver", "signal", "reason"),
        "Requests, lines or documents that were refused; the sender was told.",
        _summed("refused", "source", "signal", "reason"),
    ),
    Metric(
        "clew_dropped_records_total",
        "counter",
        ("source", "signal", "reason"),
        "Records that were not stored, by where: a receiver, the spool, a processor, the store or a sink.",
        _summed("dropped", "source", "signal", "reason"),
    ),
    Metric(
        "clew_written_records_total",
        "counter",
        ("reader", "signal"),
        "Records that the store or a sink has taken.",
        _summed("stored", "source", "signal"),
    ),
    Metric(
        "clew_thinned_records_total",
        "counter",
        ("reader", "signal"),
        "Records that were stored, and taken out later because nobody will miss their request.",
        _summed("thinned", "source", "signal"),
    ),
    Metric("clew_stored_records", "gauge", ("signal",), "Records that can be asked for now.", _stored),
    Metric(
        "clew_spool_payloads",
        "gauge",
        (),
        "Payloads that wait for any reader.",
        lambda snapshot: [((), snapshot.spool.payloads)],
    ),
    Metric(
        "clew_spool_bytes",
        "gauge",
        (),
        "Bytes that the spool uses while payloads wait in it.",
        lambda snapshot: [((), snapshot.spool.bytes)],
    ),
    Metric(
        "clew_spool_max_bytes",
        "gauge",
        (),
        "Bytes from which on senders are told to try again later.",
        lambda snapshot: [((), snapshot.max_spool_bytes)],
    ),
    Metric(
        "clew_spool_oldest_age_seconds",
        "gauge",
        (),
        "How long the oldest payload has waited; 0 when none waits.",
        lambda snapshot: [((), snapshot.age_s(snapshot.spool.oldest_ns) or 0.0)],
    ),
    Metric(
        "clew_reader_waiting_payloads",
        "gauge",
        ("reader",),
        "Payloads that wait for the store or for a sink.",
        lambda snapshot: [((reader.name,), reader.waiting.payloads) for reader in snapshot.readers],
    ),
    Metric(
        "clew_reader_lag_seconds",
        "gauge",
        ("reader", "signal"),
        "From receipt until it can be asked for, of the oldest payload in the last batch.",
        _lags,
    ),
    Metric(
        "clew_reader_available",
        "gauge",
        ("reader",),
        "0 while the store or sink takes nothing (disk full, server away), else 1.",
        lambda snapshot: [((reader.name,), reader.outage is None) for reader in snapshot.readers],
    ),
    Metric(
        "clew_dead_letters",
        "gauge",
        (),
        "Payloads that were set aside because they could not be stored.",
        lambda snapshot: [((), len(snapshot.dead_letters))],
    ),
    Metric("clew_build_info", "gauge", ("version",), "Always 1.", lambda _: [((VERSION,), 1)]),
)
