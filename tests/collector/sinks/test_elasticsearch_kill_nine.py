"""Killed with -9 at each stage, with a rollover before the next start: everything arrives, once."""

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from clew_collector.spool import Series, Spool
from tests.collector.otlp_builders import a_log, logs
from tests.collector.sinks.elastic_killer import POINTS
from tests.collector.sinks.shipment import Streams, fill, lines, shipping

ROOT = Path(__file__).parents[3]
TIMEOUT_S = 120


@pytest.fixture
def streams(elasticsearch_url: str) -> Streams:
    """With a mapping that not every document fits."""
    streams = Streams(elasticsearch_url)
    streams.logs = f"strict-{streams.logs}"
    size = {"attributes": {"subobjects": False, "properties": {"size": {"type": "long"}}}}
    streams.client.indices.put_index_template(
        name=f"clew-logs-{streams.logs}",
        index_patterns=[streams.logs],
        data_stream={},
        priority=400,
        template={"mappings": {"properties": size}},
    )
    return streams


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_point_and_rolled_over_nothing_is_lost_or_doubled(
    tmp_path: Path, elasticsearch_url: str, streams: Streams, point: str
) -> None:
    spool = Spool(tmp_path / "spool")
    wrong = logs(a_log("good"), a_log("wrong", more={"size": "large"}))
    fill(spool, *lines(9, 100), wrong, *lines(20, 100, start=1_000))
    killer = [sys.executable, "-m", "tests.collector.sinks.elastic_killer"]
    passage = "1" if "letter" in point else "2"

    killed = subprocess.run(
        [*killer, str(tmp_path), elasticsearch_url, streams.logs, point, passage], cwd=ROOT, timeout=TIMEOUT_S
    )
    if streams.documents(streams.logs):
        streams.roll_over()
    with shipping(tmp_path, elasticsearch_url, streams) as loop:
        loop.drain()

    assert killed.returncode == -signal.SIGKILL, "the point was never passed: the test proved nothing"
    numbers = [*range(900), *range(1_000, 3_000)]
    assert streams.messages() == Counter(["good", *(f"line {number}" for number in numbers)])
    assert [letter.records for letter in spool.dead_letters()] == [1]
    counters = spool.counters()
    assert counters[Series("shipped", "logs", "", "elasticsearch")] == 2_901
    assert counters[Series("refused", "logs", "document_parsing_exception", "elasticsearch")] == 1
    assert spool.depth().payloads == 0
