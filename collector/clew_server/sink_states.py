"""The store and the sinks at one moment: what each is, where it sends to, how far it is, and what is in the way."""

from collections import Counter as Tally
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from clew_collector.config import CollectorConfig
from clew_collector.model import SIGNALS, Signal, record
from clew_collector.sinks.config import signals_of, target_of
from clew_collector.spool import STORE, Depth, Series
from clew_dashboards.dashboard import json_answer
from clew_server.snapshot import ReaderState, Snapshot

SINKS_PATH = "/sinks"

DESTINATION = {"stored": "shipped", "shipped": "shipped", "refused": "refused", "dropped": "dropped"}
"""What an outcome of the store or a sink is counted as."""


@record
class SinkState:
    """The store or a sink.

    `type` is that of clew.yaml, `store` for the embedded store, empty where no configuration says it; `to` is where it
    writes. `shipped`, `refused` and `dropped` are records since the data directory was made, by signal. `lag_s` is
    how late the last batch was, by signal; `outage` is why nothing is taken now.
    """

    name: str
    type: str
    to: str
    signals: tuple[Signal, ...]
    payloads: int
    bytes: int
    oldest_age_s: float | None
    lag_s: Mapping[Signal, float]
    shipped: Mapping[str, int]
    refused: Mapping[str, int]
    dropped: Mapping[str, int]
    outage: str | None


def router(config: CollectorConfig, take: Callable[[], Snapshot]) -> APIRouter:
    """`/sinks`, as JSON, with the bounds of the spool that they read; `take` is asked anew for each answer."""
    routes = APIRouter()

    @routes.get(SINKS_PATH)
    def show_sinks() -> Response:
        sinks = states_of(config, take())
        limits = config.spool.model_dump(include={"max_bytes", "reserve_bytes"})
        return json_answer({"items": [asdict(sink) for sink in sinks], "spool": limits})

    return routes


def states_of(config: CollectorConfig, snapshot: Snapshot) -> list[SinkState]:
    """The store first, then the sinks in the order of the configuration."""
    states = {reader.name: _state(reader, config, snapshot) for reader in snapshot.readers}
    return [states[name] for name in (STORE, *(sink.name for sink in config.sinks)) if name in states]


def _state(reader: ReaderState, config: CollectorConfig, snapshot: Snapshot) -> SinkState:
    return described(
        reader.name,
        config,
        waiting=reader.waiting,
        counters=snapshot.counters,
        oldest_age_s=snapshot.age_s(reader.waiting.oldest_ns),
        lag_s=reader.lag_s,
        outage=reader.outage,
    )


def described(
    name: str, config: CollectorConfig, *, waiting: Depth, counters: Mapping[Series, int], **now: Any
) -> SinkState:
    """A reader of the spool under this name; `now` is what only a running collector knows."""
    sink = next((sink for sink in config.sinks if sink.name == name), None)
    is_store = name == STORE
    return SinkState(
        name=name,
        type="store" if is_store else "" if sink is None else sink.type,
        to=str(config.data) if is_store else "" if sink is None else target_of(sink),
        signals=SIGNALS if sink is None else signals_of(sink),
        payloads=waiting.payloads,
        bytes=waiting.bytes,
        **_tallies(name, counters),
        **now,
    )


def _tallies(name: str, counters: Mapping[Series, int]) -> dict[str, Any]:
    tallies: dict[str, Tally[str]] = {"shipped": Tally(), "refused": Tally(), "dropped": Tally()}
    for series, count in counters.items():
        if series.source == name and series.outcome in DESTINATION:
            tallies[DESTINATION[series.outcome]][series.signal] += count
    return {name: dict(tally) for name, tally in tallies.items()}
