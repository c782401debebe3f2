"""dramatiq: its own workers as processes of their own, and what only one process can show."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dramatiq
import pytest
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Middleware, SkipMessage
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

import clew
from clew.messaging.dramatiq import OPTION, RequestMiddleware, install
from tests.instrumentation.fake_collector import FakeCollector, attributes_of, running_collector
from tests.instrumentation.messaging.observed import (
    AWKWARD_HEADERS,
    CONSUMER,
    FOREIGN,
    PRODUCER,
    a_name,
    assert_continues,
    assert_is_a_root,
    assert_names_its_sender_only,
    clew_off,
    consumed,
    correlation_id_of,
    eventually,
    produced,
    spans_of_kind,
)
from tests.servers import rabbitmq, redis

ROOT = Path(__file__).parents[3]
APP = "tests.instrumentation.messaging.dramatiq_app"
CLIENT = "tests.instrumentation.messaging.dramatiq_client"
TIMEOUT_S = 40

SENT_AND_RUN = 1 + 2 + 1 + 2 + 2 + 1 + 3 + 3 + 1
"""Messages of the client's requests, with those that actors send and those that are tried again."""


class Ran:
    """What a client and a worker have told a collector until both have ended."""

    def __init__(self, collector: FakeCollector) -> None:
        self.collector = collector

    @property
    def spans(self) -> list[Span]:
        return sorted(self.collector.spans, key=lambda span: span.start_time_unix_nano)

    def of(self, correlation_id: str, kind: int) -> list[Span]:
        return [span for span in self.spans if span.kind == kind and correlation_id_of(span) == correlation_id]

    def one(self, correlation_id: str, kind: int) -> Span:
        (span,) = self.of(correlation_id, kind)
        return span


@pytest.fixture(scope="module", params=["rabbitmq", "redis"])
def ran(request: pytest.FixtureRequest, servers: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    start = {"rabbitmq": rabbitmq.start, "redis": redis.start}[request.param]
    name = {"rabbitmq": "RabbitMQ", "redis": "Redis"}[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    with running_collector() as collector:
        env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "CLEW_"))},
            "SHOP_BROKER": servers.get(name, start).url,
            "SHOP_QUEUE": a_name("shop"),
            "SHOP_FOLDER": str(folder),
            "CLEW_ENDPOINT": collector.url,
        }
        run_options: Any = {"cwd": ROOT, "stderr": subprocess.STDOUT}
        log = folder / "worker.log"
        with (
            log.open("wb") as output,
            subprocess.Popen(
                [sys.executable, "-m", "dramatiq", APP, "-p", "1", "-t", "2"],
                env={**env, "CLEW_SERVICE": "worker"},
                stdout=output,
                **run_options,
            ) as worker,
        ):
            try:
                client = subprocess.run(
                    [sys.executable, "-m", CLIENT],
                    env={**env, "CLEW_SERVICE": "client"},
                    stdout=subprocess.PIPE,
                    text=True,
                    timeout=TIMEOUT_S,
                    **run_options,
                )
                assert client.returncode == 0, client.stdout
                eventually(lambda: "slow one begins" in log.read_text())
                collector.wait_for(lambda: len(_of_tries(collector)) == 4)
                worker.send_signal(signal.SIGTERM)
                worker.wait(TIMEOUT_S)
            except BaseException:
                print(log.read_text())
                raise
            finally:
                worker.kill()
        yield Ran(collector)


def _of_tries(collector: FakeCollector) -> list[Span]:
    return [span for span in collector.spans if span.name in ("process flaky", "process postponed")]


class TestWorker:
    def test_an_actor_continues_its_senders_request(self, ran: Ran) -> None:
        run = ran.one("plain", CONSUMER)

        assert_continues(run, ran.one("plain", PRODUCER))
        log = next(log for log in ran.collector.logs if log.body.string_value == "charging 1")
        assert (log.trace_id, log.span_id) == (run.trace_id, run.span_id)
        assert attributes_of(log.attributes)["correlation.id"] == "plain"

    def test_the_spans_name_the_actor_and_describe_the_message(self, ran: Ran) -> None:
        sent, run = ran.one("plain", PRODUCER), ran.one("plain", CONSUMER)

        sent_attributes, attributes = attributes_of(sent.attributes), attributes_of(run.attributes)
        common = {
            "messaging.system": "dramatiq",
            "messaging.destination.name": attributes["messaging.destination.name"],
            "messaging.message.id": attributes["messaging.message.id"],
            "dramatiq.actor_name": "charge",
            "dramatiq.retries": 0,
            "correlation.id": "plain",
        }
        assert attributes["messaging.destination.name"].startswith("shop-")
        assert (sent.name, run.name) == ("send charge", "process charge")
        sending = {"messaging.operation.name": "send", "messaging.operation.type": "send"}
        processing = {"messaging.operation.name": "process", "messaging.operation.type": "process"}
        assert sent_attributes == {**common, **sending}
        assert attributes == {**common, **processing}

    def test_an_async_actor_and_what_it_sends_are_in_the_request(self, ran: Ran) -> None:
        outer, inner = ran.of("async", CONSUMER)
        first, second = ran.of("async", PRODUCER)

        assert_continues(outer, first)
        assert_continues(inner, second)
        assert second.parent_span_id == outer.span_id
        logs = [log.span_id for log in ran.collector.logs if log.body.string_value == "charging 2"]
        assert logs == [outer.span_id, inner.span_id]

    def test_a_delayed_message_is_sent_once_and_followed(self, ran: Ran) -> None:
        assert_continues(ran.one("delayed", CONSUMER), ran.one("delayed", PRODUCER))

    @pytest.mark.parametrize(
        ("correlation_id", "status"),
        [("retried", Status.STATUS_CODE_ERROR), ("postponed", Status.STATUS_CODE_UNSET)],
    )
    def test_each_try_is_a_run_of_the_same_trace(self, ran: Ran, correlation_id: str, status: Any) -> None:
        sendings, runs = ran.of(correlation_id, PRODUCER), ran.of(correlation_id, CONSUMER)

        for sent, run in zip(sendings, runs, strict=True):
            assert_continues(run, sent)
        assert sendings[1].parent_span_id == runs[0].span_id
        assert [attributes_of(run.attributes)["dramatiq.retries"] for run in runs] == [0, 1]
        assert [run.status.code for run in runs] == [status, Status.STATUS_CODE_UNSET]

    def test_an_exception_is_recorded(self, ran: Ran) -> None:
        run = ran.one("broken", CONSUMER)

        assert run.status.code == Status.STATUS_CODE_ERROR
        assert attributes_of(run.attributes)["error.type"] == "ValueError"
        assert [event.name for event in run.events] == ["exception"]

    def test_dramatiqs_own_lines_carry_the_ids(self, ran: Ran) -> None:
        run = ran.one("broken", CONSUMER)

        failed = next(log for log in ran.collector.logs if log.body.string_value.startswith("Failed to process"))
        assert (failed.trace_id, failed.span_id) in {
            (span.trace_id, span.span_id) for span in [run, *ran.of("retried", CONSUMER)]
        }

    def test_a_pipeline_is_one_trace_step_by_step(self, ran: Ran) -> None:
        sendings, runs = ran.of("pipeline", PRODUCER), ran.of("pipeline", CONSUMER)

        for sent, run in zip(sendings, runs, strict=True):
            assert_continues(run, sent)
        assert [run.name for run in runs] == ["process add", "process add", "process charge"]
        assert [sent.parent_span_id for sent in sendings[1:]] == [run.span_id for run in runs[:-1]]

    def test_a_group_is_one_trace(self, ran: Ran) -> None:
        runs = ran.of("group", CONSUMER)

        assert len(runs) == 3
        assert {run.parent_span_id for run in runs} == {sent.span_id for sent in ran.of("group", PRODUCER)}

    def test_headers_of_which_nothing_can_be_made_begin_a_new_request(self, ran: Ran) -> None:
        runs = [
            span
            for span in ran.spans
            if str(attributes_of(span.attributes).get("messaging.message.id")).startswith("awkward")
        ]

        assert len(runs) == len(AWKWARD_HEADERS) + 3
        for run in runs:
            assert_is_a_root(run)

    def test_a_message_in_work_at_the_end_is_not_lost(self, ran: Ran) -> None:
        assert_continues(ran.one("slow", CONSUMER), ran.one("slow", PRODUCER))

    def test_no_message_is_sent_or_run_in_two_spans(self, ran: Ran) -> None:
        spans = [span for span in ran.spans if not span.name.startswith("handler")]

        assert len([span for span in spans if span.kind == PRODUCER]) == SENT_AND_RUN
        assert {span.kind for span in spans} == {PRODUCER, CONSUMER}, {span.name for span in spans}


class Watching(Middleware):
    """Sees what an actor's caller never does."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def after_process_message(
        self, broker: Any, message: Any, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        self.seen.append((clew.correlation_id(), message.options.get(OPTION), exception))


class Broker:
    """A broker of this process, its worker and one actor."""

    def __init__(self, broker: Any) -> None:
        self.broker = broker
        self.failure: Exception | None = None
        self.seen: list[str | None] = []

        @dramatiq.actor(broker=broker, max_retries=0, queue_name=a_name())
        def see() -> None:
            self.seen.append(clew.correlation_id())
            if self.failure is not None:
                raise self.failure

        self.actor = see

    def work(self) -> None:
        worker = dramatiq.Worker(self.broker, worker_threads=1, worker_timeout=10)
        worker.start()
        self.broker.join(self.actor.queue_name)
        worker.join()
        worker.stop()


@pytest.fixture
def stub(exported: FakeCollector) -> Iterator[Broker]:
    broker = StubBroker()
    yield Broker(broker)
    broker.close()


class TestOneProcess:
    def test_the_middleware_is_the_first_and_there_once(self, exported: FakeCollector) -> None:
        broker = StubBroker()
        dramatiq.set_broker(broker)
        install()

        assert [type(middleware) for middleware in broker.middleware].count(RequestMiddleware) == 1
        assert isinstance(broker.middleware[0], RequestMiddleware)

    def test_a_global_broker_that_was_there_before_has_it_too(self, exported: FakeCollector) -> None:
        broker = StubBroker(middleware=[])
        broker.middleware.clear()
        dramatiq.set_broker(broker)

        install()

        assert [type(middleware) for middleware in broker.middleware] == [RequestMiddleware]

    def test_other_middleware_sees_the_request_and_the_same_exception(
        self, exported: FakeCollector, stub: Broker
    ) -> None:
        watching = Watching()
        stub.broker.add_middleware(watching)
        stub.failure = ValueError("out of stock")

        with clew.request("handler", correlation_id="r-1"):
            stub.actor.send()
        worker = dramatiq.Worker(stub.broker, worker_threads=1, worker_timeout=10)
        worker.start()
        stub.broker.join(stub.actor.queue_name, fail_fast=False)
        worker.stop()

        ((correlation_id, headers, exception),) = watching.seen
        assert correlation_id == "r-1"
        assert headers["X-Request-ID"] == "r-1"
        assert exception is stub.failure

    def test_a_message_that_is_skipped_ends_its_span(self, exported: FakeCollector, stub: Broker) -> None:
        class Skipping(Middleware):
            def before_process_message(self, broker: Any, message: Any) -> None:
                raise SkipMessage("not today")

        stub.broker.add_middleware(Skipping())
        stub.actor.send()
        stub.work()

        assert stub.seen == []
        assert_continues(consumed(exported), produced(exported))

    def test_a_broker_that_is_not_there_fails_the_span_and_the_sender(self, exported: FakeCollector) -> None:
        broker = Broker(RedisBroker(url="redis://127.0.0.1:1"))  # type: ignore[no-untyped-call]

        with pytest.raises(Exception, match="refused"):
            broker.actor.send()

        assert produced(exported).status.code == Status.STATUS_CODE_ERROR
        assert clew.trace_id() is None

    def test_a_sender_who_is_not_trusted_is_only_linked_to(self, exported: FakeCollector, stub: Broker) -> None:
        clew.configure(service="orders", endpoint=exported.url, trust_incoming=False)

        with clew_off():
            stub.broker.enqueue(stub.actor.message_with_options(clew=dict(FOREIGN)))
        stub.work()

        assert_names_its_sender_only(consumed(exported))

    def test_switched_off_it_adds_nothing(self, exported: FakeCollector, stub: Broker) -> None:
        clew.configure(service="orders", endpoint=exported.url, enabled=False)

        message = stub.actor.send()
        stub.work()

        assert OPTION not in message.options
        assert stub.seen == [None]

    def test_installed_twice_a_message_is_one_span(self, exported: FakeCollector, stub: Broker) -> None:
        install()

        stub.actor.send()
        stub.work()

        assert len(spans_of_kind(exported, PRODUCER)) == 1
        assert_continues(consumed(exported), produced(exported))
