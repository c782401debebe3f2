"""What is replayed on its way to a sink: beside what arrives, and past the rate limits that it has kept to before."""

from pathlib import Path

import pytest

from clew_collector.model import Signal
from clew_collector.payload import payload_of
from clew_collector.processors.config import compose
from clew_collector.processors.rate_limit import RateLimitConfig
from clew_collector.sinks.shipping import Shipping
from clew_collector.spool import Series, Spool
from tests.collector.sinks.shipment import fill, lines
from tests.collector.sinks.test_shipping import BOUNDS, Remembering

SIGNAL: Signal = "logs"


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


def replay(spool: Spool, start: int) -> None:
    [request] = lines(1, 10, start=start)
    spool.append_replayed(payload_of(SIGNAL, request, digest=b""), reader="elasticsearch")


def test_what_is_replayed_and_what_arrives_are_shipped_in_order_and_apart(spool: Spool) -> None:
    fill(spool, *lines(1, 10))
    replay(spool, 10)
    replay(spool, 20)
    fill(spool, *lines(1, 10, start=30))
    sink = Remembering()

    Shipping(SIGNAL, spool, sink, bounds=BOUNDS).drain()

    assert sink.ids == [[1], [2, 3], [4]]
    assert [[payload.is_replayed for payload in each.payloads] for each in sink.given] == [[False], [True] * 2, [False]]
    assert spool.depth().payloads == 0


def test_a_replay_does_not_count_towards_a_rate_and_is_not_cut_by_it(spool: Spool) -> None:
    limit = RateLimitConfig(type="rate_limit", records_per_s=1, window_s=5)
    loop = Shipping(SIGNAL, spool, Remembering(), bounds=BOUNDS, processors=compose([limit]))
    fill(spool, *lines(1, 3))
    replay(spool, 10)
    fill(spool, *lines(1, 3, start=30))

    loop.drain()

    counters = spool.counters()
    assert counters[Series("shipped", SIGNAL, "", "elasticsearch")] == 5 + 10
    assert sum(count for series, count in counters.items() if series.outcome == "dropped") == 1
