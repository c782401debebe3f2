import logging
from collections.abc import Iterator
from typing import Any

import pika
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import UnroutableError

import clew
from clew.messaging.pika import install, processing
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
    eventually,
    produced,
    spans_of_kind,
)


@pytest.fixture
def connection(rabbitmq_url: str) -> Iterator[pika.BlockingConnection]:
    connection = pika.BlockingConnection(pika.URLParameters(rabbitmq_url))
    yield connection
    if connection.is_open:
        connection.close()


@pytest.fixture
def channel(connection: pika.BlockingConnection) -> BlockingChannel:
    return connection.channel()


@pytest.fixture
def queue(channel: BlockingChannel) -> str:
    name = a_name()
    channel.queue_declare(name, exclusive=True)
    return name


def send(channel: BlockingChannel, queue: str, properties: Any = None) -> None:
    channel.basic_publish(exchange="", routing_key=queue, body=b"{}", properties=properties)


def send_raw(channel: BlockingChannel, queue: str, headers: Any) -> None:
    """As somebody sends who knows nothing of clew."""
    with clew_off():
        send(channel, queue, pika.BasicProperties(headers=headers))


def take(channel: BlockingChannel, queue: str) -> Any:
    return eventually(lambda: (found := channel.basic_get(queue, auto_ack=True))[0] and found)


def serve_one(channel: BlockingChannel, queue: str, work: Any = None) -> None:
    """Have a callback process one message."""

    def on_message(channel: Any, method: Any, properties: Any, body: bytes) -> None:
        try:
            if work is not None:
                work(channel, method, properties, body)
        finally:
            channel.basic_ack(method.delivery_tag)
            channel.stop_consuming()

    channel.basic_consume(queue, on_message)
    channel.start_consuming()


class TestSending:
    def test_the_headers_carry_the_ids(self, exported: FakeCollector, channel: BlockingChannel, queue: str) -> None:
        with clew.request("handler", correlation_id="r-1") as request:
            send(channel, queue)
            handler = request.span

        _, properties, _ = take(channel, queue)
        span = produced(exported)
        assert properties.headers["traceparent"] == f"00-{span.trace_id.hex()}-{span.span_id.hex()}-03"
        assert properties.headers["X-Request-ID"] == "r-1"
        assert properties.headers["baggage"] == "correlation.id=r-1"
        assert span.parent_span_id == handler.span_id.to_bytes(8, "big")
        assert correlation_id_of(span) == "r-1"

    def test_its_span_follows_the_conventions(
        self, exported: FakeCollector, channel: BlockingChannel, queue: str, rabbitmq_url: str
    ) -> None:
        send(channel, queue, pika.BasicProperties(message_id="m-1"))

        span = produced(exported)
        attributes = attributes_of(span.attributes)
        assert attributes.pop("correlation.id")
        assert span.name == f"publish {queue}"
        assert attributes == {
            "messaging.system": "rabbitmq",
            "messaging.destination.name": queue,
            "messaging.operation.name": "publish",
            "messaging.operation.type": "send",
            "messaging.rabbitmq.destination.routing_key": queue,
            "messaging.message.id": "m-1",
            "server.address": "127.0.0.1",
            "server.port": pika.URLParameters(rabbitmq_url).port,
        }

    def test_properties_that_are_sent_again_stay_as_they_are(
        self, exported: FakeCollector, channel: BlockingChannel, queue: str
    ) -> None:
        headers = {"tenant": "acme"}
        properties = pika.BasicProperties(headers=headers, correlation_id="reply-7", reply_to="answers", priority=3)

        send(channel, queue, properties)
        send(channel, queue, properties)

        assert properties.headers is headers
        assert headers == {"tenant": "acme"}
        received = [take(channel, queue)[1] for _ in range(2)]
        sent = [span.span_id.hex() for span in spans_of_kind(exported, PRODUCER)]
        assert [one.headers["traceparent"].split("-")[2] for one in received] == sent
        assert {(one.headers["tenant"], one.correlation_id, one.reply_to, one.priority) for one in received} == {
            ("acme", "reply-7", "answers", 3)
        }

    def test_headers_of_a_message_that_is_sent_on_are_replaced(
        self, exported: FakeCollector, channel: BlockingChannel, queue: str
    ) -> None:
        send(channel, queue, pika.BasicProperties(headers={**FOREIGN, "Traceparent": "x", "b3": "0"}))

        _, properties, _ = take(channel, queue)
        span = produced(exported)
        assert properties.headers["traceparent"].split("-")[1] == span.trace_id.hex()
        assert properties.headers["X-Request-ID"] == "theirs"
        assert set(properties.headers) == {"traceparent", "X-Request-ID", "baggage"}

    def test_a_message_that_is_returned_fails_its_span_and_its_sender(
        self, exported: FakeCollector, channel: BlockingChannel
    ) -> None:
        channel.confirm_delivery()

        with pytest.raises(UnroutableError) as raised:
            channel.basic_publish("", a_name("nowhere"), b"", mandatory=True)

        span = produced(exported)
        assert len(raised.value.messages) == 1
        assert span.status.code == Status.STATUS_CODE_ERROR
        assert attributes_of(span.attributes)["error.type"] == "pika.exceptions.UnroutableError"

    def test_an_exchange_is_named_and_a_name_that_the_broker_made_is_not(
        self, exported: FakeCollector, channel: BlockingChannel
    ) -> None:
        reply_queue = channel.queue_declare("", exclusive=True).method.queue
        channel.basic_publish("amq.topic", "orders.created", b"")
        channel.basic_publish("amq.fanout", "", b"")
        channel.basic_publish("", reply_queue, b"")

        names = [span.name for span in spans_of_kind(exported, PRODUCER)]
        assert names == ["publish amq.topic:orders.created", "publish amq.fanout", "publish (anonymous)"]

    def test_switched_off_it_adds_nothing(self, exported: FakeCollector, channel: BlockingChannel, queue: str) -> None:
        clew.configure(service="orders", endpoint=exported.url, enabled=False)
        seen: list[Any] = []

        send(channel, queue)
        serve_one(channel, queue, lambda _c, _m, properties, _b: seen.append((properties.headers, clew.trace_id())))

        assert seen == [(None, None)]

    def test_opentelemetrys_span_for_the_message_is_not_doubled(
        self, exported: FakeCollector, channel: BlockingChannel, queue: str
    ) -> None:
        with clew.get_tracer("opentelemetry.instrumentation.pika").start_as_current_span("publish"):
            send(channel, queue)

        assert spans_of_kind(exported, PRODUCER) == []
        assert take(channel, queue)[1].headers["X-Request-ID"]

    def test_installed_twice_a_message_is_one_span(
        self, exported: FakeCollector, channel: BlockingChannel, queue: str
    ) -> None:
        install()

        send(channel, queue)
        serve_one(channel, queue)

        assert_continues(consumed(exported), produced(exported))


class TestCallback:
    def test_it_runs_in_the_producers_request(
        self, exported: FakeCollector, channel: BlockingChannel, queue: str
    ) -> None:
        with clew.request("handler", correlation_id="r-1"):
            send(channel, queue)
        serve_one(channel, queue, lambda *_: logging.getLogger("orders").warning("processing"))

        span = consumed(exported)
        assert_continues(span, produced(exported))
        log = next(log for log in exported.logs if log.body.string_value == "processing")
        assert (log.trace_id, log.span_id) == (span.trace_id, span.span_id)
        assert attributes_of(log.attributes)["correlation.id"] == "r-1"
        assert clew.correlation_id() is None

    def test_its_span_follows_the_conventions(
        self, exported: FakeCollector, channel: BlockingChannel, queue: str, rabbitmq_url: str
    ) -> None:
        channel.queue_bind(queue, "amq.topic", "orders.#")
        channel.basic_publish("amq.topic", "orders.created", b"")
        serve_one(channel, queue)

        span = consumed(exported)
        attributes = attributes_of(span.attributes)
        assert attributes.pop("correlation.id")
        assert span.name == f"process amq.topic:orders.created:{queue}"
        assert attributes == {
            "messaging.system": "rabbitmq",
            "messaging.destination.name": f"amq.topic:orders.created:{queue}",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.rabbitmq.destination.routing_key": "orders.created",
            "messaging.rabbitmq.message.delivery_tag": 1,
            "server.address": "127.0.0.1",
            "server.port": pika.URLParameters(rabbitmq_url).port,
        }

    def test_its_exception_fails_the_span_and_comes_out_unchanged(
        self, exported: FakeCollector, channel: BlockingChannel, queue: str
    ) -> None:
        failure = RuntimeError("out of stock")

        def fail(*_: Any) -> None:
            raise failure

        send(channel, queue)
        with pytest.raises(RuntimeError) as raised:
            serve_one(channel, queue, fail)

        assert raised.value is failure
        span = consumed(exported)
        assert span.status.code == Status.STATUS_CODE_ERROR
        assert [event.name for event in span.events] == ["exception"]
        assert clew.trace_id() is None

    def test_a_message_that_is_delivered_again_continues_the_same_trace(
        self, exported: FakeCollector, channel: BlockingChannel, queue: str
    ) -> None:
        def on_message(channel: Any, method: Any, properties: Any, body: bytes) -> None:
            if method.redelivered:
                channel.basic_ack(method.delivery_tag)
                channel.stop_consuming()
            else:
                channel.basic_nack(method.delivery_tag, requeue=True)

        send(channel, queue)
        channel.basic_consume(queue, on_message)
        channel.start_consuming()

        first, second = spans_of_kind(exported, CONSUMER)
        for span in (first, second):
            assert_continues(span, produced(exported))
        assert attributes_of(second.attributes)["messaging.message.redelivered"] is True

    def test_what_it_sends_goes_on_in_the_request(
        self, exported: FakeCollector, channel: BlockingChannel, queue: str
    ) -> None:
        send(channel, queue)
        serve_one(channel, queue, lambda channel, *_: channel.basic_publish("amq.topic", "next", b""))

        _, following = spans_of_kind(exported, PRODUCER)
        assert following.parent_span_id == consumed(exported).span_id

    @awkward
    def test_headers_of_which_nothing_can_be_made_begin_a_new_request(
        self, exported: FakeCollector, channel: BlockingChannel, queue: str, headers: Any
    ) -> None:
        send_raw(channel, queue, headers)
        serve_one(channel, queue)

        assert_is_a_root(consumed(exported))

    def test_a_sender_who_is_not_trusted_is_only_linked_to(
        self, exported: FakeCollector, channel: BlockingChannel, queue: str
    ) -> None:
        clew.configure(service="orders", endpoint=exported.url, trust_incoming=False)

        send_raw(channel, queue, FOREIGN)
        serve_one(channel, queue)

        assert_names_its_sender_only(consumed(exported))

    def test_inside_of_opentelemetrys_span_it_has_none_of_its_own(
        self, exported: FakeCollector, channel: BlockingChannel, queue: str
    ) -> None:
        send(channel, queue)
        with clew.get_tracer("opentelemetry.instrumentation.pika").start_as_current_span("process"):
            serve_one(channel, queue)

        assert spans_of_kind(exported, CONSUMER) == []


class TestByHand:
    def test_a_message_of_the_generator_is_entered(
        self, exported: FakeCollector, channel: BlockingChannel, queue: str
    ) -> None:
        with clew.request("handler", correlation_id="r-1"):
            send(channel, queue)

        for method, properties, _body in channel.consume(queue, inactivity_timeout=10):
            with processing(method, properties, queue=queue):
                assert clew.correlation_id() == "r-1"
            channel.basic_ack(method.delivery_tag)
            break
        channel.cancel()

        assert_continues(consumed(exported), produced(exported))

    def test_an_empty_queue_is_nothing_to_enter(
        self, exported: FakeCollector, channel: BlockingChannel, queue: str
    ) -> None:
        method, properties, _ = channel.basic_get(queue)
        with processing(method, properties):
            assert clew.trace_id() is None

        assert spans_of_kind(exported, CONSUMER) == []

    def test_a_message_of_basic_get_is_entered(
        self, exported: FakeCollector, channel: BlockingChannel, queue: str
    ) -> None:
        channel.confirm_delivery()
        send(channel, queue)

        method, properties, _ = channel.basic_get(queue, auto_ack=True)
        with processing(method, properties, queue=queue):
            pass

        assert_continues(consumed(exported), produced(exported))


def test_a_channel_of_callbacks_is_followed_too(exported: FakeCollector, rabbitmq_url: str) -> None:
    queue = a_name()
    seen: list[str | None] = []

    def opened(connection: pika.SelectConnection) -> None:
        connection.channel(on_open_callback=ready)

    def ready(channel: Any) -> None:
        channel.queue_declare(queue, exclusive=True, callback=lambda _frame: declared(channel))

    def declared(channel: Any) -> None:
        channel.basic_consume(queue=queue, on_message_callback=on_message, auto_ack=True)
        with clew.request("handler", correlation_id="r-1"):
            channel.basic_publish("", queue, b"")

    def on_message(channel: Any, method: Any, properties: Any, body: bytes) -> None:
        seen.append(clew.correlation_id())
        channel.connection.close()

    connection = pika.SelectConnection(
        pika.URLParameters(rabbitmq_url),
        on_open_callback=opened,
        on_close_callback=lambda connection, _reason: connection.ioloop.stop(),
    )
    connection.ioloop.start()

    assert seen == ["r-1"]
    assert_continues(consumed(exported), produced(exported))
