# kombu is half typed: what it exports lazily is not seen.
# mypy: disable-error-code="no-untyped-call,attr-defined,name-defined"
import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

import kombu
import kombu.pools
import pytest
from kombu.exceptions import OperationalError
from kombu.mixins import ConsumerMixin
from opentelemetry.proto.trace.v1.trace_pb2 import Status

import clew
from clew.messaging.kombu import install, processing
from tests.instrumentation.fake_collector import FakeCollector, attributes_of
from tests.instrumentation.messaging.observed import (
    CONSUMER,
    FOREIGN,
    PRODUCER,
    a_name,
    assert_continues,
    assert_is_a_root,
    assert_names_its_sender_only,
    awkward,
    clew_off,
    consumed,
    correlation_id_of,
    produced,
    spans_of_kind,
)

BROKERS = ["rabbitmq", "redis"]


@pytest.fixture(params=BROKERS)
def broker(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def connection(request: pytest.FixtureRequest, broker: str) -> Iterator[kombu.Connection]:
    with kombu.Connection(request.getfixturevalue(f"{broker}_url")) as connection:
        yield connection


@pytest.fixture
def queue() -> kombu.Queue:
    name = a_name()
    return kombu.Queue(name, kombu.Exchange(a_name("shop")), routing_key="created", auto_delete=True)


def send(connection: kombu.Connection, queue: kombu.Queue, **options: Any) -> None:
    with connection.Producer() as producer:
        producer.publish({"n": 1}, exchange=queue.exchange, routing_key="created", declare=[queue], **options)


def serve(connection: kombu.Connection, queue: kombu.Queue, *callbacks: Callable[..., Any], count: int = 1) -> None:
    """Have callbacks process some messages."""
    done: list[Any] = []

    def count_and_acknowledge(_body: Any, message: Any) -> None:
        done.append(message)
        if not message.acknowledged:
            message.ack()

    with connection.Consumer(queue, callbacks=[*callbacks, count_and_acknowledge]):
        while len(done) < count:
            connection.drain_events(timeout=10)


def take(connection: kombu.Connection, queue: kombu.Queue) -> Any:
    taken: list[Any] = []
    with clew_off():
        serve(connection, queue, lambda _body, message: taken.append(message))
    return taken[0]


def test_callbacks_run_in_the_producers_request(
    exported: FakeCollector, connection: kombu.Connection, queue: kombu.Queue
) -> None:
    seen: list[str | None] = []

    def work(body: Any, message: Any) -> None:
        assert body == {"n": 1}
        seen.append(clew.correlation_id())
        logging.getLogger("orders").warning("processing")

    with clew.request("handler", correlation_id="r-1"):
        send(connection, queue)
    serve(connection, queue, work, work)

    span = consumed(exported)
    assert seen == ["r-1", "r-1"]
    assert_continues(span, produced(exported))
    logs = [log for log in exported.logs if log.body.string_value == "processing"]
    assert [(log.trace_id, log.span_id) for log in logs] == [(span.trace_id, span.span_id)] * 2


def test_the_spans_follow_the_conventions(
    exported: FakeCollector, connection: kombu.Connection, queue: kombu.Queue, broker: str
) -> None:
    send(connection, queue)
    serve(connection, queue)

    sent, received = produced(exported), consumed(exported)
    destination = f"{queue.exchange.name}:created"
    common = {
        "messaging.system": broker,
        "messaging.destination.name": destination,
    }
    sent_attributes, received_attributes = attributes_of(sent.attributes), attributes_of(received.attributes)
    assert sent.name == f"publish {destination}"
    assert received.name == f"process {destination}"
    assert common.items() <= sent_attributes.items()
    assert common.items() <= received_attributes.items()
    assert sent_attributes["messaging.operation.type"] == "send"
    assert received_attributes["messaging.operation.type"] == "process"


@pytest.mark.parametrize("is_positional", [False, True])
def test_headers_that_are_sent_again_stay_as_they_are(
    exported: FakeCollector, connection: kombu.Connection, queue: kombu.Queue, is_positional: bool
) -> None:
    headers = {"tenant": "acme", **FOREIGN}
    before = dict(headers)
    if is_positional:
        defaults = (None, False, False, 0, None, None, None)
        with connection.Producer(exchange=queue.exchange) as producer:
            producer.publish({"n": 1}, "created", *defaults, headers, declare=[queue], correlation_id="reply-7")
    else:
        send(connection, queue, headers=headers, correlation_id="reply-7")

    message = take(connection, queue)
    assert headers == before
    assert message.headers["tenant"] == "acme"
    assert message.headers["traceparent"].split("-")[2] == produced(exported).span_id.hex()
    assert message.headers["X-Request-ID"] == "theirs"
    assert "tracestate" not in message.headers
    assert message.properties["correlation_id"] == "reply-7"


def test_a_callbacks_exception_fails_the_span_and_comes_out_unchanged(
    exported: FakeCollector, connection: kombu.Connection, queue: kombu.Queue
) -> None:
    failure = RuntimeError("out of stock")

    def fail(_body: Any, message: Any) -> None:
        message.ack()
        raise failure

    send(connection, queue)
    with pytest.raises(RuntimeError) as raised:
        serve(connection, queue, fail)

    assert raised.value is failure
    assert consumed(exported).status.code == Status.STATUS_CODE_ERROR
    assert clew.trace_id() is None


def test_a_message_that_is_put_back_continues_the_same_trace(
    exported: FakeCollector, connection: kombu.Connection, queue: kombu.Queue
) -> None:
    def refuse_once(_body: Any, message: Any) -> None:
        if not message.delivery_info.get("redelivered"):
            message.requeue()

    send(connection, queue)
    serve(connection, queue, refuse_once, count=2)

    first, second = spans_of_kind(exported, CONSUMER)
    for span in (first, second):
        assert_continues(span, produced(exported))
    assert attributes_of(second.attributes)["messaging.message.redelivered"] is True


def test_a_mixins_consumer_and_a_pools_producer_are_followed(
    exported: FakeCollector, connection: kombu.Connection, queue: kombu.Queue, broker: str
) -> None:
    class Worker(ConsumerMixin):  # type: ignore[misc]  # kombu's classes are not typed
        def __init__(self) -> None:
            self.connection = connection.clone()

        def get_consumers(self, Consumer: Any, channel: Any) -> list[Any]:  # noqa: N803
            return [Consumer(queue, callbacks=[self.work])]

        def work(self, _body: Any, message: Any) -> None:
            message.ack()
            self.should_stop = True

    with kombu.pools.producers[connection].acquire(block=True) as producer:
        producer.publish({"n": 1}, exchange=queue.exchange, routing_key="created", declare=[queue], retry=True)
    Worker().run()

    assert_continues(consumed(exported), produced(exported))
    assert attributes_of(produced(exported).attributes)["messaging.system"] == broker


def test_a_message_of_a_simple_queue_is_entered_by_hand(exported: FakeCollector, connection: kombu.Connection) -> None:
    simple = connection.SimpleQueue(a_name())
    with clew.request("handler", correlation_id="r-1"):
        simple.put({"n": 1})

    message = simple.get(timeout=10)
    with processing(message):
        assert clew.correlation_id() == "r-1"
        message.ack()
    simple.close()

    assert_continues(consumed(exported), produced(exported))


@awkward
def test_headers_of_which_nothing_can_be_made_begin_a_new_request(
    exported: FakeCollector, connection: kombu.Connection, queue: kombu.Queue, headers: Any, broker: str
) -> None:
    if broker == "redis":  # JSON has no bytes
        headers = {name: value for name, value in headers.items() if not isinstance(value, bytes)}
    with clew_off():
        send(connection, queue, headers=dict(headers))
    serve(connection, queue)

    assert_is_a_root(consumed(exported))


def test_a_sender_who_is_not_trusted_is_only_linked_to(
    exported: FakeCollector, connection: kombu.Connection, queue: kombu.Queue
) -> None:
    clew.configure(service="orders", endpoint=exported.url, trust_incoming=False)

    with clew_off():
        send(connection, queue, headers=dict(FOREIGN))
    serve(connection, queue)

    assert_names_its_sender_only(consumed(exported))


def test_switched_off_it_adds_nothing(
    exported: FakeCollector, connection: kombu.Connection, queue: kombu.Queue
) -> None:
    clew.configure(service="orders", endpoint=exported.url, enabled=False)
    seen: list[Any] = []

    send(connection, queue)
    serve(connection, queue, lambda _body, message: seen.append(("traceparent" in message.headers, clew.trace_id())))

    assert seen == [(False, None)]


def test_installed_twice_a_message_is_one_span(
    exported: FakeCollector, connection: kombu.Connection, queue: kombu.Queue
) -> None:
    install()

    send(connection, queue)
    serve(connection, queue)

    assert_continues(consumed(exported), produced(exported))


def test_a_broker_that_is_not_there_fails_the_span_and_the_sender(exported: FakeCollector) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        address = f"amqp://127.0.0.1:{taken.getsockname()[1]}/"
        connection = kombu.Connection(address, connect_timeout=1, transport_options={"max_retries": 1})
        with pytest.raises(OperationalError):
            kombu.Producer(connection).publish({"n": 1}, routing_key="created", correlation_id="c")

    span = produced(exported)
    assert span.status.code == Status.STATUS_CODE_ERROR
    assert correlation_id_of(span)
    assert len(spans_of_kind(exported, PRODUCER)) == 1
