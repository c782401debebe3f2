"""Celery: workers of each pool as processes of their own, and what only one process can show."""

# mypy: disable-error-code="untyped-decorator"
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.contrib.testing.worker import start_worker
from kombu.exceptions import OperationalError
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

import clew
from clew.messaging import celery as integration
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
    produced,
    spans_of_kind,
)
from tests.servers import rabbitmq, redis

ROOT = Path(__file__).parents[3]
APP = "tests.instrumentation.messaging.celery_app"
CLIENT = "tests.instrumentation.messaging.celery_client"
TIMEOUT_S = 40

POOLS = [("prefork", "rabbitmq"), ("threads", "redis"), ("solo", "rabbitmq")]


class Ran:
    """What a client and a worker have told a collector until both have ended."""

    def __init__(self, pool: str, collector: FakeCollector, printed: str) -> None:
        self.pool = pool
        self.spans = sorted(collector.spans, key=lambda span: span.start_time_unix_nano)
        self.logs = collector.logs
        self.scopes = collector.log_scopes
        self.printed = printed

    def of(self, correlation_id: str, kind: int) -> list[Span]:
        return [span for span in self.spans if span.kind == kind and correlation_id_of(span) == correlation_id]

    def one(self, correlation_id: str, kind: int) -> Span:
        (span,) = self.of(correlation_id, kind)
        return span

    def lines(self, correlation_id: str, text: str) -> list[LogRecord]:
        return [
            log
            for log in self.logs
            if text in log.body.string_value and attributes_of(log.attributes).get("correlation.id") == correlation_id
        ]


@pytest.fixture(scope="module", params=POOLS, ids=[pool for pool, _ in POOLS])
def ran(request: pytest.FixtureRequest, servers: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    pool, broker = request.param
    redis_url = servers.get("Redis", redis.start).url
    broker_url = redis_url if broker == "redis" else servers.get("RabbitMQ", rabbitmq.start).url
    folder = tmp_path_factory.mktemp(pool)
    with running_collector() as collector:
        env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "CLEW_"))},
            "SHOP_BROKER": broker_url,
            "SHOP_BACKEND": redis_url,
            "SHOP_QUEUE": a_name(pool),
            "CLEW_ENDPOINT": collector.url,
        }
        worker_command = [
            sys.executable,
            "-m",
            "celery",
            "-A",
            APP,
            "worker",
            "-P",
            pool,
            "-c",
            "2",
            "-l",
            "INFO",
            "-E",
        ]
        if pool == "prefork":
            worker_command += ["-B", "-s", str(folder / "schedule")]
        log = folder / "worker.log"
        with (
            log.open("wb") as output,
            subprocess.Popen(
                worker_command,
                cwd=ROOT,
                env={**env, "CLEW_SERVICE": "worker"},
                stdout=output,
                stderr=subprocess.STDOUT,
            ) as worker,
        ):
            try:
                client = subprocess.run(
                    [sys.executable, "-m", CLIENT],
                    cwd=ROOT,
                    env={**env, "CLEW_SERVICE": "client"},
                    capture_output=True,
                    text=True,
                    timeout=TIMEOUT_S,
                )
                worker.send_signal(signal.SIGTERM)
                worker.wait(TIMEOUT_S)
            finally:
                worker.kill()
        assert client.returncode == 0, client.stderr + log.read_text()
        assert client.stdout == "failed: out of stock\n"
        yield Ran(pool, collector, log.read_text())


class TestWorker:
    def test_a_run_continues_its_senders_request(self, ran: Ran) -> None:
        sent, run = ran.one("plain", PRODUCER), ran.one("plain", CONSUMER)

        handler = next(span for span in ran.spans if span.name == "handler" and correlation_id_of(span) == "plain")
        assert sent.parent_span_id == handler.span_id
        assert_continues(run, sent)

    def test_the_spans_name_the_task_and_describe_it(self, ran: Ran) -> None:
        sent, run = ran.one("plain", PRODUCER), ran.one("plain", CONSUMER)

        sent_attributes, attributes = attributes_of(sent.attributes), attributes_of(run.attributes)
        assert (sent.name, run.name) == ("apply_async shop.charge", "run shop.charge")
        assert attributes.pop("celery.hostname")
        queue = attributes["messaging.destination.name"]
        common = {
            "messaging.system": "celery",
            "messaging.destination.name": queue,
            "messaging.message.id": attributes["messaging.message.id"],
            "celery.task_name": "shop.charge",
            "celery.retries": 0,
            "correlation.id": "plain",
        }
        assert queue.startswith(ran.pool)
        assert attributes == {
            **common,
            "messaging.operation.name": "run",
            "messaging.operation.type": "process",
            "celery.state": "SUCCESS",
        }
        assert sent_attributes == {
            **common,
            "messaging.operation.name": "apply_async",
            "messaging.operation.type": "send",
        }

    def test_a_task_sent_by_name_with_stale_headers_is_followed(self, ran: Ran) -> None:
        run = ran.one("by-name", CONSUMER)

        assert_continues(run, ran.one("by-name", PRODUCER))
        assert run.trace_state == ""

    def test_a_task_for_later_is_followed(self, ran: Ran) -> None:
        sent = ran.one("later", PRODUCER)

        assert_continues(ran.one("later", CONSUMER), sent)
        assert attributes_of(sent.attributes)["celery.eta"]

    def test_each_try_of_a_task_is_a_run_of_the_same_trace(self, ran: Ran) -> None:
        sendings, runs = ran.of("retried", PRODUCER), ran.of("retried", CONSUMER)

        found = [attributes_of(run.attributes) for run in runs]
        for sent, run in zip(sendings, runs, strict=True):
            assert_continues(run, sent)
        assert [sent.parent_span_id for sent in sendings[1:]] == [run.span_id for run in runs[:-1]]
        assert [run["celery.retries"] for run in found] == [0, 1, 2]
        assert [run["celery.state"] for run in found] == ["RETRY", "RETRY", "SUCCESS"]
        assert "celery.retry.reason" in found[0]
        assert {run.status.code for run in runs} == {Status.STATUS_CODE_UNSET}

    def test_a_chain_is_one_trace_link_by_link(self, ran: Ran) -> None:
        sendings, runs = ran.of("chain", PRODUCER), ran.of("chain", CONSUMER)

        for sent, run in zip(sendings, runs, strict=True):
            assert_continues(run, sent)
        assert [run.name for run in runs] == ["run shop.add", "run shop.add", "run shop.charge"]
        assert [sent.parent_span_id for sent in sendings[1:]] == [run.span_id for run in runs[:-1]]

    def test_a_group_is_one_trace(self, ran: Ran) -> None:
        sendings, runs = ran.of("group", PRODUCER), ran.of("group", CONSUMER)

        assert len(runs) == 3
        assert len({span.trace_id for span in [*sendings, *runs]}) == 1
        assert {run.parent_span_id for run in runs} == {sent.span_id for sent in sendings}

    def test_a_chord_is_one_trace_and_its_last_task_sends_the_body(self, ran: Ran) -> None:
        runs = ran.of("chord", CONSUMER)

        *parts, body = runs
        body_sent = ran.of("chord", PRODUCER)[-1]
        assert len({span.trace_id for span in runs}) == 1
        assert body.name == "run shop.total"
        assert body.parent_span_id == body_sent.span_id
        assert body_sent.parent_span_id in {run.span_id for run in parts}

    def test_a_task_that_a_task_sends_is_under_it(self, ran: Ran) -> None:
        outer, inner = ran.of("nested", CONSUMER)
        sent = ran.of("nested", PRODUCER)[-1]

        assert (outer.name, inner.name) == ("run shop.parent", "run shop.charge")
        assert sent.parent_span_id == outer.span_id
        assert_continues(inner, sent)

    def test_an_exception_is_recorded_with_its_stack(self, ran: Ran) -> None:
        run = ran.one("broken", CONSUMER)

        (event,) = run.events
        recorded = attributes_of(event.attributes)
        assert run.status.code == Status.STATUS_CODE_ERROR
        assert attributes_of(run.attributes)["celery.state"] == "FAILURE"
        assert attributes_of(run.attributes)["error.type"] == "ValueError"
        assert recorded["exception.message"] == "out of stock"
        assert "in broken" in recorded["exception.stacktrace"]

    def test_an_ignored_task_has_not_failed(self, ran: Ran) -> None:
        run = ran.one("ignored", CONSUMER)

        assert run.status.code == Status.STATUS_CODE_UNSET
        assert attributes_of(run.attributes)["celery.state"] == "IGNORED"

    def test_a_task_that_is_put_back_is_run_again_in_the_same_trace(self, ran: Ran) -> None:
        runs = ran.of("refused", CONSUMER)

        found = [attributes_of(run.attributes) for run in runs]
        for run in runs:
            assert_continues(run, ran.one("refused", PRODUCER))
        assert [run["celery.state"] for run in found] == ["REJECTED", "REJECTED"]
        assert [run.get("messaging.message.redelivered") for run in found] == [None, True]
        assert {run.status.code for run in runs} == {Status.STATUS_CODE_UNSET}

    def test_headers_of_which_nothing_can_be_made_begin_a_new_request(self, ran: Ran) -> None:
        runs = [
            span
            for span in ran.spans
            if str(attributes_of(span.attributes).get("messaging.message.id")).startswith("awkward")
        ]

        assert len(runs) == len(AWKWARD_HEADERS)
        for run in runs:
            assert_is_a_root(run)

    def test_nothing_is_sent_twice_and_celerys_own_messages_are_left_alone(self, ran: Ran) -> None:
        spans = [span for span in ran.spans if span.kind in (PRODUCER, CONSUMER)]

        assert {span.name.partition(" ")[0] for span in spans} == {"apply_async", "run"}
        assert len({span.span_id for span in ran.spans}) == len(ran.spans)
        # What its transport asks of Redis, unlike its result backend.
        assert {"LPUSH", "BRPOP", "PUBLISH", "ZADD HSET", "ZREM HDEL"}.isdisjoint(span.name for span in ran.spans)


class TestWorkersLogs:
    def test_celerys_own_lines_carry_the_ids(self, ran: Ran) -> None:
        sent, run = ran.one("plain", PRODUCER), ran.one("plain", CONSUMER)
        (received,) = ran.lines("plain", "received")
        (succeeded,) = ran.lines("plain", "succeeded in")

        assert (received.trace_id, received.span_id) == (run.trace_id, sent.span_id)
        assert (succeeded.trace_id, succeeded.span_id) == (run.trace_id, run.span_id)

    @pytest.mark.parametrize(
        ("correlation_id", "text"),
        [
            ("broken", "raised unexpected"),
            ("retried", "retry: Retry in"),
            ("ignored", "ignored"),
            ("refused", "reject"),
        ],
    )
    def test_its_lines_on_other_outcomes_too(self, ran: Ran, correlation_id: str, text: str) -> None:
        runs = {run.span_id for run in ran.of(correlation_id, CONSUMER)}

        assert {
            log.span_id for log in ran.lines(correlation_id, text) if "received" not in log.body.string_value
        } <= runs
        assert ran.lines(correlation_id, text)

    def test_a_tasks_lines_are_exported_once_whoever_writes_them(self, ran: Ran) -> None:
        run = ran.one("plain", CONSUMER)

        for text in ("charging 1", "charged", "printed while charging"):
            (line,) = ran.lines("plain", text)
            assert line.span_id == run.span_id
        assert set(ran.scopes["celery.redirected"]) == {"printed while charging"}

    def test_what_the_worker_prints_has_them_as_before(self, ran: Ran) -> None:
        assert '"event": "charged"' in ran.printed or '"event":"charged"' in ran.printed
        assert "charging 1" in ran.printed
        assert "Traceback" not in ran.printed.partition("shop.broken")[0]


def test_what_beat_sends_is_a_request_of_its_own(ran: Ran) -> None:
    if ran.pool != "prefork":
        return
    sent = next(span for span in ran.spans if span.name == "apply_async shop.tick")
    run = next(span for span in ran.spans if span.name == "run shop.tick" and span.parent_span_id == sent.span_id)

    assert_is_a_root(sent)
    assert_continues(run, sent)


@pytest.fixture
def app(redis_url: str) -> Iterator[Celery]:
    """An application of this process."""
    app = Celery(a_name("shop"), broker=redis_url, backend=redis_url, set_as_current=False)
    app.conf.update(task_default_queue=a_name("tasks"), broker_connection_retry_on_startup=True)

    @app.task(name="see", shared=False)
    def see() -> tuple[str | None, str | None]:
        return clew.correlation_id(), clew.trace_id()

    @app.task(name="fail", shared=False)
    def fail() -> None:
        raise ValueError("out of stock")

    @app.task(name="again", bind=True, shared=False)
    def again(self: Any) -> int:
        if not self.request.retries:
            raise self.retry(countdown=0)
        return int(self.request.retries)

    yield app
    app.close()


def run_here(app: Celery, **options: Any) -> Any:
    """The result of the task `see`, run by a worker in a thread of this process."""
    with start_worker(app, perform_ping_check=False, pool="solo", loglevel="ERROR", shutdown_timeout=20):
        return app.send_task("see", **options).get(timeout=20)


@pytest.mark.filterwarnings("ignore:Call to deprecated setex")
class TestOneProcess:
    def test_a_sender_who_is_not_trusted_is_only_linked_to(self, exported: FakeCollector, app: Celery) -> None:
        clew.configure(service="orders", endpoint=exported.url, trust_incoming=False)
        with clew_off():
            result = app.send_task("see", headers=dict(FOREIGN))
        with start_worker(app, perform_ping_check=False, pool="solo", loglevel="ERROR", shutdown_timeout=20):
            result.get(timeout=20)

        assert_names_its_sender_only(consumed(exported))

    def test_switched_off_it_adds_nothing(self, exported: FakeCollector, app: Celery) -> None:
        clew.configure(service="orders", endpoint=exported.url, enabled=False)

        assert run_here(app) == [None, None]

    def test_installed_twice_a_task_is_run_in_one_span(self, exported: FakeCollector, app: Celery) -> None:
        integration.install()

        run_here(app)

        assert_continues(consumed(exported), produced(exported))

    def test_opentelemetrys_spans_are_not_doubled(self, exported: FakeCollector, app: Celery) -> None:
        with clew.get_tracer("opentelemetry.instrumentation.celery").start_as_current_span("apply_async/see"):
            app.send_task("see")

        assert spans_of_kind(exported, PRODUCER) == []

    def test_a_broker_that_is_not_there_fails_the_span_and_the_sender(self, exported: FakeCollector) -> None:
        app = Celery("shop", broker="amqp://127.0.0.1:1", set_as_current=False)
        app.conf.broker_transport_options = {"max_retries": 1, "interval_start": 0}

        with pytest.raises(OperationalError):
            app.send_task("see", retry=False, ignore_result=True)

        span = produced(exported)
        assert span.status.code == Status.STATUS_CODE_ERROR
        assert [event.name for event in span.events] == ["exception"]


@pytest.fixture
def eager(app: Celery) -> Celery:
    app.conf.task_always_eager = True
    return app


class TestEager:
    def test_a_task_runs_under_its_callers_span(self, exported: FakeCollector, eager: Celery) -> None:
        with clew.request("handler", correlation_id="r-1") as request:
            seen = eager.tasks["see"].delay().get()
            handler = request.span

        assert seen == ("r-1", f"{handler.trace_id:032x}")
        assert spans_of_kind(exported, PRODUCER) == spans_of_kind(exported, CONSUMER) == []
        run = next(span for span in exported.spans if span.name == "run see")
        assert run.parent_span_id == handler.span_id.to_bytes(8, "big")

    def test_outside_of_a_request_it_is_one_of_its_own(self, exported: FakeCollector, eager: Celery) -> None:
        correlation_id, trace_id = eager.tasks["see"].delay().get()

        assert clew.flush()
        (run,) = exported.spans
        assert (correlation_id_of(run), run.trace_id.hex()) == (correlation_id, trace_id)
        assert clew.trace_id() is None

    @pytest.mark.parametrize("propagates", [True, False])
    def test_its_exception_fails_the_span_and_comes_out(
        self, exported: FakeCollector, eager: Celery, propagates: bool
    ) -> None:
        eager.conf.task_eager_propagates = propagates

        with pytest.raises(ValueError, match="out of stock"):
            eager.tasks["fail"].delay().get()

        assert clew.flush()
        (run,) = exported.spans
        assert run.status.code == Status.STATUS_CODE_ERROR
        assert attributes_of(run.attributes)["error.type"] == "ValueError"
        assert clew.trace_id() is None

    def test_a_retry_is_no_error(self, exported: FakeCollector, eager: Celery) -> None:
        with clew.request("handler"):
            assert eager.tasks["again"].delay().get() == 1

        assert clew.flush()
        runs = [span for span in exported.spans if span.name == "run again"]
        assert sorted(attributes_of(run.attributes)["celery.retries"] for run in runs) == [0, 1]
        assert {run.status.code for run in runs} == {Status.STATUS_CODE_UNSET}

    def test_a_task_that_is_called_like_a_function_has_no_span(self, exported: FakeCollector, eager: Celery) -> None:
        logging.getLogger("orders").info("before")

        assert eager.tasks["see"]() == (None, None)
        assert clew.flush()
        assert exported.spans == []
