"""A real Elasticsearch that is added after records were stored, and one whose index was lost: all is there, once."""

from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.collector.otlp_builders import T0_NS, a_log, a_span, logs, traces
from tests.collector.sinks.shipment import Streams
from tests.server.running_clew import RunningClew, clew, clew_up
from tests.server.test_sinks import PROTOBUF, configured, readers

pytestmark = pytest.mark.usefixtures("callers_have_no_clew")

RANGE = ("--from", "2026-09-01", "--to", "2026-10-01")  # T0_NS is in it
SPANS = {f"{number:016x}" for number in range(1, 2_001)}
LINES = {f"line {number}" for number in range(3_000)}
TOTALS = {"logs": len(LINES), "traces": len(SPANS)}


def send_all(running: RunningClew) -> None:
    """All records, so that the store has several batches of them."""
    spans = [a_span(span=span, parent="", more={"list": [1, "a"]}, start_ns=T0_NS) for span in sorted(SPANS)]
    lines = [a_log(line, more={"n": 1.5}) for line in sorted(LINES)]
    for start in range(0, len(lines), 500):
        requests = (("logs", logs(*lines[start : start + 500])), ("traces", traces(*spans[start : start + 500])))
        for signal, request in requests:
            body = request.SerializeToString()
            httpx.post(f"{running.otlp_url}/v1/{signal}", content=body, headers=PROTOBUF).raise_for_status()
        stored_at_least(running, start + 500)


def stored_at_least(running: RunningClew, lines: int) -> None:
    running.wait_for(
        lambda: httpx.get(f"{running.dashboard_url}/health?format=json").json()["stored"],
        lambda stored: stored["logs"] >= lines,
    )


def replayed(data: Path) -> None:
    result = clew("sinks", "replay", "elasticsearch", *RANGE, "--yes", "--data", str(data), timeout_s=120)
    assert result.returncode == 0, result.stderr
    assert "3,000 log records and 2,000 spans" in result.stderr


def lose(streams: Streams, stream: str) -> None:
    """The index that all documents are in."""
    [lost] = streams.client.indices.get(index=stream)
    streams.client.indices.rollover(alias=stream)
    streams.client.indices.delete(index=lost)


def check_once(streams: Streams) -> None:
    spans: list[dict[str, Any]] = streams.documents(streams.traces)
    assert Counter(document["span.id"] for document in spans) == Counter(SPANS)
    assert streams.messages() == Counter(LINES)


def test_records_from_before_a_sink_and_those_of_a_lost_index_are_there_once(
    tmp_path: Path, elasticsearch_url: str
) -> None:
    data = tmp_path / "data"
    streams = Streams(elasticsearch_url)
    with clew_up(data, "--config", configured(tmp_path)) as running:
        send_all(running)
        running.wait_for(lambda: readers(running)["store"]["stored"], lambda stored: stored == TOTALS)
    elasticsearch = {"type": "elasticsearch", "urls": [elasticsearch_url]}
    config = configured(tmp_path, {**elasticsearch, "logs": streams.logs, "traces": streams.traces})

    with clew_up(data, "--config", config):
        replayed(data)
        check_once(streams)
        for stream in (streams.logs, streams.traces):
            lose(streams, stream)
        replayed(data)
        check_once(streams)
