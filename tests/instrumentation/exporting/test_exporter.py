import logging
import os
import socket
import threading
import time
import tracemalloc

import pytest

import clew
from clew.exporting import counters
from clew.exporting.endpoints import wants_gzip
from clew.exporting.exporter import THREAD_NAME
from clew.runtime import RUNTIME
from clew.settings import Settings
from tests.instrumentation.fake_collector import FakeCollector, Reply, attributes_of
from tests.instrumentation.scripts import run_script

MAX_QUEUED_RECORDS = Settings().max_queue_records


def make_span(name: str = "work") -> None:
    clew.get_tracer("test").start_span(name).end()


def closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def test_requests_look_as_otlp_says(collector: FakeCollector) -> None:
    clew.configure(
        service="orders",
        version="1.2",
        environment="test",
        endpoint=collector.url + "/base/",
        headers={"x-api-key": "secret"},
    )

    make_span()
    logging.getLogger("shop").warning("hello")
    assert clew.flush()

    assert {path for path, _, _ in collector.requests} == {"/base/v1/traces", "/base/v1/logs"}
    for _, headers, _ in collector.requests:
        assert headers["Content-Type"] == "application/x-protobuf"
        assert headers["x-api-key"] == "secret"
    resource = attributes_of(collector.trace_requests[0].resource_spans[0].resource.attributes)
    assert resource.pop("service.instance.id")
    assert resource == {
        "service.name": "orders",
        "service.version": "1.2",
        "deployment.environment.name": "test",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "clew",
        "telemetry.sdk.version": clew.__version__,
        "host.name": socket.gethostname(),
        "process.pid": os.getpid(),
    }


def test_large_batches_are_compressed_and_share_a_connection(collector: FakeCollector) -> None:
    clew.configure("orders", endpoint=collector.url, compression="gzip")
    for _ in range(1_200):
        make_span()

    assert clew.flush()

    assert len(collector.spans) == 1_200
    assert all(headers.get("Content-Encoding") == "gzip" for _, headers, _ in collector.requests)
    assert collector.connections == 1


def test_nothing_is_compressed_for_a_collector_on_the_same_machine(exported: FakeCollector) -> None:
    for _ in range(600):
        make_span()

    assert clew.flush()

    assert len(exported.spans) == 600
    assert not any("Content-Encoding" in headers for _, headers, _ in exported.requests)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (Settings(), False),
        (Settings(endpoint="http://[::1]:4318"), False),
        (Settings(endpoint="https://collector.example:4318"), True),
        (Settings(traces_endpoint="https://elsewhere.example/v1/traces"), True),
        (Settings(disk_buffer="/var/lib/orders"), True),
        (Settings(compression="gzip"), True),
        (Settings(endpoint="https://collector.example", compression="none"), False),
    ],
)
def test_batches_are_compressed_when_they_travel(settings: Settings, *, expected: bool) -> None:
    assert wants_gzip(settings) is expected


def test_records_are_sent_without_anybody_asking(exported: FakeCollector) -> None:
    make_span()

    exported.wait_for(lambda: exported.spans)


def test_a_full_batch_does_not_wait_for_the_clock(collector: FakeCollector) -> None:
    clew.configure("orders", endpoint=collector.url, batch_delay_s=60, batch_records=512)

    for _ in range(600):
        make_span()

    collector.wait_for(lambda: len(collector.spans) == 512)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_refused_batch_is_sent_again(exported: FakeCollector, status: int) -> None:
    exported.replies = [Reply(status)]

    make_span()
    clew.flush()
    exported.wait_for(lambda: exported.spans)

    assert clew.flush()
    assert len(exported.spans) == 1
    assert counters()["spans"].sent == 1


def test_retry_after_is_honoured(exported: FakeCollector) -> None:
    exported.replies = [Reply(429, (("Retry-After", "2"),))]
    begin_s = time.monotonic()

    make_span()
    clew.flush()
    exported.wait_for(lambda: exported.spans)

    assert time.monotonic() - begin_s >= 1.9


def test_a_rejected_batch_is_dropped_and_counted(exported: FakeCollector) -> None:
    exported.replies = [Reply(400)]

    make_span("bad")
    clew.flush()
    make_span("good")
    clew.flush()

    assert [span.name for span in exported.spans] == ["good"]
    assert counters()["spans"].dropped == {"rejected": 1}


def test_one_signal_being_refused_does_not_stop_the_other(exported: FakeCollector) -> None:
    exported.replies = [Reply(503, (("Retry-After", "30"),))]

    make_span()
    clew.flush()
    logging.getLogger("shop").warning("still here")
    clew.flush()

    assert len(exported.logs) == 1


def test_a_connection_that_the_collector_closed_is_opened_again(exported: FakeCollector) -> None:
    exported.replies = [Reply(200, (("Connection", "close"),))]

    make_span()
    assert clew.flush()
    make_span()
    assert clew.flush()

    assert len(exported.spans) == 2
    assert counters()["spans"].sent == 2


def test_an_outage_is_one_line_that_is_not_exported_itself(
    collector: FakeCollector, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "clew")
    clew.configure(service="orders", endpoint=collector.url)
    collector.replies = [Reply(503)] * 3

    make_span()
    for _ in range(3):
        clew.flush()
    assert clew.flush()

    lines = [record.getMessage() for record in caplog.records if record.name == "clew"]
    assert len(lines) == 2
    assert "does not take" in lines[0]
    assert "takes spans and logs again" in lines[1]
    assert collector.logs == []


def test_too_much_is_dropped_and_counted_without_slowing_the_service() -> None:
    clew.configure(service="orders", endpoint=closed_port())
    make_span()
    clew.flush()

    begin_s = time.monotonic()
    for _ in range(MAX_QUEUED_RECORDS + 100):
        make_span()
    took_s = time.monotonic() - begin_s

    assert took_s < 2
    assert counters()["spans"].dropped["queue_full"] >= 99
    assert counters()["spans"].waiting >= MAX_QUEUED_RECORDS


def test_a_record_that_cannot_be_encoded_does_not_take_the_others_along(exported: FakeCollector) -> None:
    span = clew.get_tracer("test").start_span("broken")
    span.name = None  # type: ignore[attr-defined]
    span.end()
    make_span("whole")

    assert clew.flush()

    assert [span.name for span in exported.spans] == ["whole"]
    assert counters()["spans"].dropped == {"not_encoded": 1}


def test_flush_says_no_when_the_collector_hangs(exported: FakeCollector) -> None:
    exported.replies = [Reply(None)]
    make_span()

    begin_s = time.monotonic()
    flushed = clew.flush(timeout_s=0.2)

    assert not flushed
    assert time.monotonic() - begin_s < 5


def test_shutdown_is_bounded_and_counts_what_was_left(collector: FakeCollector) -> None:
    clew.configure(service="orders", endpoint=collector.url)
    exporter = RUNTIME.exporter
    assert exporter is not None
    collector.replies = [Reply(None)]
    make_span()

    begin_s = time.monotonic()
    clew.shutdown(timeout_s=0.3)

    assert time.monotonic() - begin_s < 5
    assert exporter.counters()["spans"].dropped == {"shut_down": 1}
    make_span()
    assert exporter.counters()["spans"].waiting == 0


def test_many_threads_lose_nothing(exported: FakeCollector) -> None:
    def work() -> None:
        for _ in range(500):
            make_span()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert clew.flush(10)
    assert len({span.span_id for span in exported.spans}) == 4_000


def test_memory_stays_flat_while_the_collector_is_away() -> None:
    clew.configure(service="orders", endpoint=closed_port(), max_queue_bytes=2_000_000, log_format="none")
    logger = logging.getLogger("shop")
    logger.propagate = False

    def log_many() -> int:
        for number in range(10_000):
            logger.warning("%s %d", "x" * 2_000, number)
        clew.flush()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        first_bytes = log_many()
        later_bytes = [log_many() for _ in range(4)]
    finally:
        tracemalloc.stop()
        logger.propagate = True

    assert first_bytes < 8_000_000
    assert max(later_bytes) < first_bytes + 2_000_000
    assert counters()["logs"].dropped["queue_bytes"] > 40_000


def test_settings_can_be_changed_from_several_threads(collector: FakeCollector) -> None:
    """Each time the exporter before gets rid of what it has, and only one is left."""

    def reconfigure(number: int) -> None:
        for round_ in range(5):
            clew.configure("orders", endpoint=collector.url, version=f"{number}.{round_}")
            make_span()

    threads = [threading.Thread(target=reconfigure, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert clew.flush()
    collector.wait_for(lambda: len(collector.spans) == 15)
    assert [thread.name for thread in threading.enumerate()].count(THREAD_NAME) == 1


def test_exporting_begins_again_after_a_shutdown(collector: FakeCollector) -> None:
    for number in range(3):
        clew.configure("orders", endpoint=collector.url)
        make_span(f"span {number}")
        clew.shutdown()
        make_span("lost")

    assert [span.name for span in collector.spans] == ["span 0", "span 1", "span 2"]


def test_the_thread_outlives_a_handler_that_fails(exported: FakeCollector) -> None:
    class Bad(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise SystemExit(1)

    handler = Bad()
    logging.getLogger("clew").addHandler(handler)
    try:
        exported.replies = [Reply(503)]
        make_span()
        assert not clew.flush()
    finally:
        logging.getLogger("clew").removeHandler(handler)

    exported.wait_for(lambda: exported.spans)
    assert clew.flush()


def test_a_handler_may_flush(exported: FakeCollector) -> None:
    class Flushing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            clew.flush(20)

    handler = Flushing()
    logging.getLogger("clew").addHandler(handler)
    try:
        exported.replies = [Reply(503)]
        make_span()
        begin_s = time.monotonic()
        clew.flush(10)
        assert time.monotonic() - begin_s < 5
    finally:
        logging.getLogger("clew").removeHandler(handler)


def test_a_clock_that_jumps_stops_nothing(exported: FakeCollector, monkeypatch: pytest.MonkeyPatch) -> None:
    for clock in (lambda: 0, lambda: 4_000_000_000 * 10**9):
        monkeypatch.setattr("clew.spans.time_ns", clock)
        monkeypatch.setattr("time.time_ns", clock)
        make_span()
        assert clew.flush()

    assert len(exported.spans) == 2


def test_a_batch_fits_into_a_small_queue(collector: FakeCollector) -> None:
    clew.configure("orders", endpoint=collector.url, max_queue_records=10, batch_delay_s=60)
    clew.flush()

    for _ in range(5):
        make_span()

    collector.wait_for(lambda: len(collector.spans) == 5)


def test_import_clew_loads_nothing_that_only_exporting_needs() -> None:
    done = run_script("import sys, clew; print(*sys.modules)")

    loaded = set(done.stdout.split())
    assert not loaded & {"clew.exporting.exporter", "clew.exporting.encoding", "http.client", "urllib.request", "grpc"}
