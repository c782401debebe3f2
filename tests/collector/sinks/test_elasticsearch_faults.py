"""Whatever networks, proxies and Elasticsearch itself do, everything arrives, once."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from clew_collector.sinks.base import SinkUnavailable
from clew_collector.sinks.elasticsearch.cluster import Cluster
from clew_collector.sinks.elasticsearch.config import ElasticsearchConfig
from clew_collector.sinks.pacing import BatchBounds
from clew_collector.sinks.shipping import Shipping
from clew_collector.spool import Series, Spool
from clew_collector.wire.otlp.payload import parse
from tests.collector.otlp_builders import a_log, logs
from tests.collector.sinks.faulty_proxy import NO_ANSWER, NOT_SENT, Fault, FaultyProxy, faulty_proxy
from tests.collector.sinks.shipment import Streams, crash_before_the_cursor_moves, fill, lines, shipping
from tests.servers.processes import free_port
from tests.waiting import wait_until

REJECTED_ITEM = b'{"create":{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"queue full"}}}'
EACH_ONCE = Counter(f"line {number}" for number in range(2_000))


@pytest.fixture
def streams(elasticsearch_url: str) -> Streams:
    return Streams(elasticsearch_url)


@pytest.fixture
def proxy(elasticsearch_url: str) -> Iterator[FaultyProxy]:
    with faulty_proxy(elasticsearch_url) as proxy:
        yield proxy


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path / "spool")
    fill(spool, *lines(20, 100))
    return spool


@contextmanager
def in_a_thread(loop: Shipping) -> Iterator[Shipping]:
    stopping = threading.Event()
    thread = threading.Thread(target=loop.run, args=(stopping,))
    thread.start()
    try:
        yield loop
    finally:
        stopping.set()
        thread.join()


def is_empty(spool: Spool) -> bool:
    return spool.depth().payloads == 0


FAULTS = {
    "the request is lost": NOT_SENT,
    "the answer is lost": NO_ANSWER,
    "a proxy gives up after it was passed on": Fault(is_passed_on=True, status=504, body=b"<html>gateway timeout"),
    "an answer that is no JSON": Fault(is_passed_on=True, status=200, body=b"<html>hello"),
    "a proxy that has no upstream": Fault(is_passed_on=False, status=503, headers={"content-type": "text/html"}),
    "documents are put off": Fault(
        is_passed_on=False, status=200, body=b'{"errors":true,"items":[%s]}' % b",".join([REJECTED_ITEM] * 500)
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_all_arrive_once_after(tmp_path: Path, spool: Spool, proxy: FaultyProxy, streams: Streams, fault: str) -> None:
    proxy.bulk_faults(None, FAULTS[fault], FAULTS[fault])
    with shipping(tmp_path, proxy.url, streams, bounds=BatchBounds(max_records=500, max_bytes=1 << 20)) as loop:
        for _ in range(4):
            with one_line_at_most():
                loop.drain()

    assert streams.messages() == EACH_ONCE
    assert is_empty(spool)
    assert spool.counters()[Series("shipped", "logs", "", "elasticsearch")] == 2_000


@contextmanager
def one_line_at_most() -> Iterator[None]:
    try:
        yield
    except SinkUnavailable as error:
        if "\n" in str(error):
            raise AssertionError("more than a line") from error


def test_a_rollover_after_a_failed_batch_doubles_nothing_of_the_smaller_ones_that_follow(
    tmp_path: Path, spool: Spool, proxy: FaultyProxy, streams: Streams
) -> None:
    proxy.bulk_faults(NO_ANSWER)
    with shipping(tmp_path, proxy.url, streams, bounds=BatchBounds(max_records=2_000, max_bytes=1 << 20)) as loop:
        with pytest.raises(SinkUnavailable):
            loop.step()
        streams.roll_over()
        steps = list(iter(loop.step, 0))

    assert steps == [1_000, 1_000]
    assert streams.messages() == EACH_ONCE


def test_a_batch_that_is_given_again_is_not_doubled(
    tmp_path: Path, spool: Spool, elasticsearch_url: str, streams: Streams
) -> None:
    with crash_before_the_cursor_moves(), shipping(tmp_path, elasticsearch_url, streams) as loop:
        loop.drain()
    assert spool.depth().payloads == 20
    nothing_says_that_it_was_sent = {"sink:elasticsearch:logs": "-1"}
    spool.keep_checkpoints(nothing_says_that_it_was_sent)

    with shipping(tmp_path, elasticsearch_url, streams) as loop:
        loop.drain()

    assert streams.messages() == EACH_ONCE
    assert is_empty(spool)
    assert spool.counters()[Series("shipped", "logs", "", "elasticsearch")] == 2_000


def test_away_at_the_start_is_one_line_and_all_arrive_when_it_comes(
    tmp_path: Path, spool: Spool, proxy: FaultyProxy, streams: Streams
) -> None:
    proxy.fault = lambda _: NOT_SENT

    with capture_logs() as said, shipping(tmp_path, proxy.url, streams) as loop, in_a_thread(loop):
        wait_until(lambda: loop.outage is not None, timeout_s=60, every_s=0.02)
        wait_until(lambda: len(proxy.requests) > 5, timeout_s=60, every_s=0.02)
        proxy.fault = lambda _: None
        wait_until(lambda: is_empty(spool), timeout_s=60, every_s=0.02)
        wait_until(lambda: loop.outage is None, timeout_s=60, every_s=0.02)

    assert streams.messages() == EACH_ONCE
    assert [line["event"].split(",")[0] for line in said if line["event"].startswith("sink")] == [
        "sink unavailable",
        "sink available again",
    ]


def test_that_nobody_listens_is_said_in_plain_words() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    cluster = Cluster(ElasticsearchConfig(type="elasticsearch", urls=(url,)))

    with pytest.raises(SinkUnavailable) as raised:
        cluster.ask("GET", "/")

    assert str(raised.value) == f"{url}: GET /: Failed to establish a new connection: [Errno 111] Connection refused"


def test_the_next_node_is_asked_when_one_is_away(
    tmp_path: Path, spool: Spool, elasticsearch_url: str, streams: Streams
) -> None:
    away = f"http://127.0.0.1:{free_port()}"

    with shipping(tmp_path, (away, elasticsearch_url), streams, connections=1) as loop:
        loop.drain()

    assert streams.messages() == EACH_ONCE


def test_writes_go_on_while_one_node_of_two_is_away_and_it_is_asked_again_when_it_is_back(
    tmp_path: Path, spool: Spool, proxy: FaultyProxy, elasticsearch_url: str, streams: Streams
) -> None:
    few = BatchBounds(max_records=100, max_bytes=1 << 20)
    with (
        faulty_proxy(elasticsearch_url) as other,
        shipping(tmp_path, (proxy.url, other.url), streams, bounds=few) as loop,
    ):
        loop.step()
        proxy.fault = lambda _: NOT_SENT
        for _ in range(8):
            loop.step()
        proxy.fault, other.fault = lambda _: None, lambda _: NOT_SENT
        proxy.requests.clear()
        loop.drain()

    assert streams.messages() == EACH_ONCE
    assert len([line for line in proxy.requests if "_bulk" in line]) >= 11


def test_a_document_that_does_not_fit_the_mapping_is_a_dead_letter_and_the_rest_arrives(
    tmp_path: Path, elasticsearch_url: str, streams: Streams
) -> None:
    mappings = {"properties": {"attributes": {"subobjects": False, "properties": {"size": {"type": "long"}}}}}
    streams.logs = f"strict-{streams.logs}"
    streams.client.indices.put_index_template(
        name=f"clew-logs-{streams.logs}",
        index_patterns=[streams.logs],
        data_stream={},
        priority=400,
        template={"mappings": mappings},
    )
    spool = Spool(tmp_path / "spool")
    wrong = [a_log("wrong 1", more={"size": "large"}), a_log("wrong 2", more={"size": "small"})]
    fill(spool, *lines(2, 10), logs(a_log("good"), wrong[0], a_log("fine"), wrong[1]))

    with shipping(tmp_path, elasticsearch_url, streams) as loop:
        loop.drain()

    [letter] = spool.dead_letters()
    kept = parse("logs", spool.dead_letter_body(letter.id) or b"")
    [group] = kept.resource_logs  # type: ignore[attr-defined]
    assert streams.messages() == Counter({"good", "fine", *(f"line {number}" for number in range(20))})
    assert list(group.scope_logs[0].log_records) == wrong
    assert (letter.records, letter.reader) == (2, "elasticsearch")
    assert letter.reason.startswith("document_parsing_exception: ")
    assert "[attributes.size] of type [long]" in letter.reason
    counters = spool.counters()
    assert counters[Series("refused", "logs", "document_parsing_exception", "elasticsearch")] == 2
    assert counters[Series("shipped", "logs", "", "elasticsearch")] == 22
