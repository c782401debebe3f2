"""A spool with payloads in it, shipped into a real Elasticsearch, and what is found there."""

import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from elasticsearch.helpers import scan
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from clew_collector.model import Signal
from clew_collector.payload import digest_of, payload_of
from clew_collector.processors.config import Processors
from clew_collector.sinks.elasticsearch.config import ElasticsearchConfig
from clew_collector.sinks.elasticsearch.sink import ElasticsearchSink
from clew_collector.sinks.pacing import BackOff, BatchBounds
from clew_collector.sinks.shipping import Shipping
from clew_collector.spool import Spool
from tests.collector.otlp_builders import a_log, logs


def fill(spool: Spool, *requests: Message) -> None:
    """Append each request as a payload."""
    spool.register(["elasticsearch"])
    for request in requests:
        signal: Signal = "logs" if isinstance(request, ExportLogsServiceRequest) else "traces"
        spool.append([payload_of(signal, request, digest=digest_of(signal, request.SerializeToString()))])


def lines(payloads: int, each: int, *, start: int = 0) -> list[ExportLogsServiceRequest]:
    """Payloads of log lines that are numbered through."""
    return [
        logs(*(a_log(f"line {number}") for number in range(first, first + each)))
        for first in range(start, start + payloads * each, each)
    ]


class Streams:
    """Two data streams that no other test has, and what is in them."""

    def __init__(self, url: str, **client: Any) -> None:
        self.client = Elasticsearch(url, request_timeout=60, **client)
        mark = uuid.uuid4().hex[:12]
        self.logs, self.traces = f"logs-clew-{mark}", f"traces-clew-{mark}"

    def documents(self, stream: str) -> list[dict[str, Any]]:
        self.client.indices.refresh(index=stream, ignore_unavailable=True)
        found = scan(self.client, index=stream, query={"query": {"match_all": {}}}, ignore_unavailable=True)
        return [hit["_source"] for hit in found]

    def messages(self) -> Counter[str]:
        """How often each line is there."""
        return Counter(document["message"] for document in self.documents(self.logs))

    def roll_over(self) -> None:
        self.client.indices.rollover(alias=self.logs)


@contextmanager
def shipping(
    data: Path,
    url: str | tuple[str, ...],
    streams: Streams,
    *,
    signal: Signal = "logs",
    bounds: BatchBounds | None = None,
    processors: Processors | None = None,
    **settings: Any,
) -> Iterator[Shipping]:
    """The loop over the spool in a folder, as one process has it; failures are tried again at once."""
    urls = (url,) if isinstance(url, str) else url
    named = {"type": "elasticsearch", "urls": urls, "logs": streams.logs, "traces": streams.traces, "timeout_s": 20}
    config = ElasticsearchConfig.model_validate({**named, **settings})
    spool = Spool(data / "spool")
    sink = ElasticsearchSink(config, origin=spool.origin())
    bounds = bounds or BatchBounds(max_records=config.max_batch_records, max_bytes=config.max_batch_bytes)
    try:
        yield Shipping(signal, spool, sink, bounds=bounds, processors=processors, back_off=NoWait())
    finally:
        sink.close()
        spool.close()


@contextmanager
def crash_before_the_cursor_moves() -> Iterator[None]:
    """What is shipped in here is shipped again afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Spool, "note_advance", lambda *_, **__: None)
        yield


class NoWait(BackOff):
    def next_wait_s(self, *, asked_for_s: float | None = None) -> float:
        return 0.01
