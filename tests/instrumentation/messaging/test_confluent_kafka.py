import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import confluent_kafka
import pytest
from confluent_kafka import (
    Consumer,
    DeserializingConsumer,
    KafkaException,
    Message,
    SerializingProducer,
    TopicPartition,
)
from confluent_kafka.serialization import StringDeserializer, StringSerializer
from opentelemetry.proto.trace.v1.trace_pb2 import Status

import clew
from clew.messaging.confluent_kafka import install, processing, processing_batch
from tests.instrumentation.fake_collector import DEADLINE_S, FakeCollector, attributes_of
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

log = logging.getLogger("orders")


class EarlyProducer(confluent_kafka.Producer):
    """A subclass that was there before clew was configured, with a way of its own."""

    def send_order(self, topic: str) -> None:
        super().produce(topic, b"{}")


@pytest.fixture
def topic() -> str:
    return a_name()


@contextmanager
def a_producer(url: str, **options: Any) -> Iterator[Any]:
    producer = confluent_kafka.Producer({"bootstrap.servers": url, "linger.ms": 0, "log_level": 0, **options})
    yield producer
    assert producer.flush(DEADLINE_S) == 0


@contextmanager
def a_consumer(url: str, topic: str, kind: Any = Consumer, **options: Any) -> Iterator[Any]:
    options = {"group.id": a_name("group"), "auto.offset.reset": "earliest", **options}
    consumer = kind({"bootstrap.servers": url, "log_level": 0, **options})
    consumer.assign([TopicPartition(topic, 0, 0)])
    yield consumer
    consumer.close()


def send(url: str, topic: str, value: Any = b"{}", **options: Any) -> None:
    with a_producer(url) as producer:
        producer.produce(topic, value, **options)


def read(url: str, topic: str) -> Any:
    with a_consumer(url, topic) as consumer:
        message = consumer.poll(DEADLINE_S)
        assert message is not None
        assert message.error() is None
        return message


def send_raw(url: str, topic: str, headers: Any = None) -> None:
    """As somebody sends who knows nothing of clew."""
    with clew_off():
        pairs = [(name, value if isinstance(value, bytes) else str(value)) for name, value in (headers or {}).items()]
        send(url, topic, headers=pairs)


class TestSending:
    def test_a_record_carries_the_request_on(self, exported: FakeCollector, kafka_url: str, topic: str) -> None:
        with clew.request("checkout", correlation_id="r-1"):
            send(kafka_url, topic, key="order-17")

        span = produced(exported)
        assert dict(read(kafka_url, topic).headers()) == {
            "traceparent": f"00-{span.trace_id.hex()}-{span.span_id.hex()}-03".encode(),
            "baggage": b"correlation.id=r-1",
            "X-Request-ID": b"r-1",
        }
        attributes = attributes_of(span.attributes)
        assert span.name == f"produce {topic}"
        assert attributes == {
            "correlation.id": "r-1",
            "messaging.system": "kafka",
            "messaging.destination.name": topic,
            "messaging.operation.name": "produce",
            "messaging.operation.type": "send",
            "messaging.kafka.message.key": "order-17",
        }

    @pytest.mark.parametrize("headers", [{"kind": "order"}, [("kind", "order")]], ids=["dict", "list"])
    def test_the_services_own_headers_stay_and_are_not_touched(
        self, exported: FakeCollector, kafka_url: str, topic: str, headers: Any
    ) -> None:
        before = headers.copy()

        send(kafka_url, topic, headers=headers)

        assert headers == before
        names = [name for name, _ in read(kafka_url, topic).headers()]
        assert names == ["kind", "traceparent", "X-Request-ID", "baggage"]

    def test_headers_that_are_passed_on_do_not_pass_on_their_span(
        self, exported: FakeCollector, kafka_url: str, topic: str
    ) -> None:
        send(kafka_url, topic, headers=FOREIGN)

        headers = read(kafka_url, topic).headers()
        assert sorted(name for name, _ in headers) == ["X-Request-ID", "baggage", "traceparent"]
        assert dict(headers)["X-Request-ID"] == b"theirs"
        assert dict(headers)["traceparent"].split(b"-")[2].decode() == produced(exported).span_id.hex()

    @pytest.mark.parametrize("name", ["callback", "on_delivery"])
    def test_a_delivery_callback_is_called_in_the_senders_request(
        self, exported: FakeCollector, kafka_url: str, topic: str, name: str
    ) -> None:
        seen: list[Any] = []

        def delivered(error: Any, message: Message) -> None:
            seen.append((error, type(message), message.topic(), message.offset(), clew.correlation_id()))

        with clew.request("checkout", correlation_id="r-1"), a_producer(kafka_url) as producer:
            producer.produce(topic, b"{}", **{name: delivered})
            thread = threading.Thread(target=producer.flush, args=(DEADLINE_S,))
            thread.start()
            thread.join()

        assert seen == [(None, Message, topic, 0, "r-1")]

    def test_a_delivery_callbacks_own_failure_comes_out_unchanged(
        self, exported: FakeCollector, kafka_url: str, topic: str
    ) -> None:
        failure = RuntimeError("no stock")

        def delivered(_error: Any, _message: Any) -> None:
            raise failure

        with a_producer(kafka_url) as producer:
            producer.produce(topic, b"{}", on_delivery=delivered)
            with pytest.raises(RuntimeError) as caught:
                producer.flush(DEADLINE_S)

        assert caught.value is failure

    def test_a_failed_delivery_is_a_failed_span_of_the_request(self, exported: FakeCollector) -> None:
        seen: list[Any] = []

        def delivered(error: Any, _message: Any) -> None:
            seen.append(error.name())

        producer = confluent_kafka.Producer(
            {"bootstrap.servers": "127.0.0.1:9", "message.timeout.ms": 50, "log_level": 0}
        )

        producer.produce("orders", b"{}", on_delivery=delivered)
        producer.flush(DEADLINE_S)

        sent, failed = spans_of_kind(exported, PRODUCER)
        assert seen == ["_MSG_TIMED_OUT"]
        assert sent.status.code == Status.STATUS_CODE_UNSET
        assert failed.name == "deliver orders"
        assert failed.status.code == Status.STATUS_CODE_ERROR
        assert (failed.trace_id, failed.parent_span_id) == (sent.trace_id, sent.span_id)
        assert attributes_of(failed.attributes)["error.type"] == "_MSG_TIMED_OUT"
        assert correlation_id_of(failed) == correlation_id_of(sent)

    def test_a_full_queue_is_the_services_matter(self, exported: FakeCollector) -> None:
        options = {"bootstrap.servers": "127.0.0.1:9", "queue.buffering.max.messages": 1, "log_level": 0}
        producer = confluent_kafka.Producer(options)

        producer.produce("orders", b"1")
        with pytest.raises(BufferError, match="Queue full"):
            producer.produce("orders", b"2")

        producer.purge()
        failed = spans_of_kind(exported, PRODUCER)[1]
        assert attributes_of(failed.attributes)["error.type"] == "BufferError"

    def test_a_record_that_only_its_ids_make_too_large_goes_without_them(
        self, exported: FakeCollector, kafka_url: str, topic: str
    ) -> None:
        with a_producer(kafka_url, **{"message.max.bytes": 1_100}) as producer:
            producer.produce(topic, b"x" * 900)
            with pytest.raises(KafkaException, match="MSG_SIZE_TOO_LARGE"):
                producer.produce(topic, b"x" * 2_000)

        assert read(kafka_url, topic).headers() is None

    def test_wrong_arguments_fail_as_without_clew(self, exported: FakeCollector) -> None:
        def errors() -> list[str]:
            producer = confluent_kafka.Producer({"bootstrap.servers": "127.0.0.1:9", "log_level": 0})
            calls: list[Callable[[], None]] = [
                lambda: producer.produce(),  # type: ignore[call-arg]
                lambda: producer.produce(17),  # type: ignore[arg-type]
                lambda: producer.produce("orders", no=1),  # type: ignore[call-arg]
                lambda: producer.produce("orders", topic="orders"),  # type: ignore[misc]
                lambda: producer.produce("orders", headers=17),  # type: ignore[arg-type]
                lambda: producer.produce("orders", headers={"a": 1}),  # type: ignore[dict-item]
                lambda: producer.produce("orders", headers=[["a", "b"]]),  # type: ignore[list-item]
                lambda: producer.produce("orders", b"", b"", -1, None, None, 0, None, 9),  # type: ignore[call-arg]
            ]
            seen = []
            for call in calls:
                with pytest.raises(Exception) as caught:  # noqa: PT011  (whatever the library says)
                    call()
                seen.append(f"{caught.type.__name__}: {caught.value}")
            return seen

        with_clew = errors()
        with clew_off():
            assert errors() == with_clew

    def test_a_serializing_producer_carries_the_request_on(
        self, exported: FakeCollector, kafka_url: str, topic: str
    ) -> None:
        producer = SerializingProducer(
            {"bootstrap.servers": kafka_url, "log_level": 0, "value.serializer": StringSerializer()}
        )

        with clew.request("checkout", correlation_id="r-1"):
            producer.produce(topic, value="{}")
        producer.flush(DEADLINE_S)

        with a_consumer(
            kafka_url, topic, DeserializingConsumer, **{"value.deserializer": StringDeserializer()}
        ) as reader:
            message = reader.poll(DEADLINE_S)
        with processing(message):
            assert clew.correlation_id() == "r-1"
        assert message.value() == "{}"
        assert_continues(consumed(exported), produced(exported))

    def test_a_subclass_that_was_there_before_carries_the_request_on(
        self, exported: FakeCollector, kafka_url: str, topic: str
    ) -> None:
        producer = EarlyProducer({"bootstrap.servers": kafka_url, "log_level": 0})

        with clew.request("checkout", correlation_id="r-1"):
            producer.send_order(topic)
        producer.flush(DEADLINE_S)

        assert isinstance(producer, confluent_kafka.Producer)
        assert correlation_id_of(produced(exported)) == "r-1"

    def test_opentelemetrys_own_instrumentation_makes_the_span_and_clew_adds_the_request(
        self, exported: FakeCollector, kafka_url: str, topic: str
    ) -> None:
        theirs = clew.get_tracer("opentelemetry.instrumentation.confluent_kafka")

        with clew.request("checkout", correlation_id="r-1"), theirs.start_as_current_span("theirs"):
            send(kafka_url, topic)

        assert spans_of_kind(exported, PRODUCER) == []
        assert dict(read(kafka_url, topic).headers()) == {"X-Request-ID": b"r-1", "baggage": b"correlation.id=r-1"}

    def test_twice_installed_is_as_once(self, exported: FakeCollector, kafka_url: str, topic: str) -> None:
        install()
        install()

        send(kafka_url, topic)

        assert len(spans_of_kind(exported, PRODUCER)) == 1

    def test_nothing_happens_when_clew_is_switched_off(self, collector: FakeCollector, kafka_url: str) -> None:
        topic = a_name()
        clew.configure(service="orders", endpoint=collector.url)
        clew.configure(service="orders", endpoint=collector.url, enabled=False)

        send(kafka_url, topic, headers={"own": "1"})
        message = read(kafka_url, topic)
        with processing(message):
            assert clew.correlation_id() is None

        assert message.headers() == [("own", b"1")]
        assert collector.requests == []


EARLY_IMPORTS = """
import sys
import clew
from confluent_kafka import Producer, SerializingProducer
from confluent_kafka import Producer as Sender

class Singleton(type):
    pass

config = {"bootstrap.servers": "127.0.0.1:9", "log_level": 0}
before = Producer(config)
clew.configure(service="orders", endpoint=sys.argv[1])

class Late(Producer, metaclass=Singleton):
    pass

assert Producer is Sender
assert issubclass(SerializingProducer, Producer)
assert Producer.__name__ == "Producer" and "cimpl.Producer" in repr(Producer)
for producer in (Producer(config), Late(config)):
    assert isinstance(producer, Producer) and isinstance(producer, type(before))
    producer.produce("orders", b"{}")
    producer.purge()
before.produce("orders", b"{}")
before.purge()
assert clew.flush()
"""


def test_a_producer_that_was_imported_before_clew_was_configured_is_instrumented(collector: FakeCollector) -> None:
    subprocess.run([sys.executable, "-c", EARLY_IMPORTS, collector.url], check=True, timeout=60)

    assert [span.name for span in collector.spans] == ["produce orders"] * 2


class TestProcessing:
    def test_its_block_is_in_the_messages_request(self, exported: FakeCollector, kafka_url: str, topic: str) -> None:
        with clew.request("checkout", correlation_id="r-1"):
            send(kafka_url, topic)

        def consume() -> None:
            message = read(kafka_url, topic)
            assert clew.correlation_id() is None
            with processing(message):
                log.warning("reserving")
            assert clew.correlation_id() is None

        thread = threading.Thread(target=consume)
        thread.start()
        thread.join()

        span = consumed(exported)
        assert_continues(span, produced(exported))
        (line,) = [line for line in exported.logs if line.body.string_value == "reserving"]
        assert line.span_id == span.span_id
        attributes = attributes_of(span.attributes)
        assert attributes["messaging.kafka.offset"] == 0
        assert attributes["messaging.destination.partition.id"] == "0"

    def test_a_failing_block_fails_its_span(self, exported: FakeCollector, kafka_url: str, topic: str) -> None:
        failure = ValueError("no stock")
        send_raw(kafka_url, topic)
        message = read(kafka_url, topic)

        with pytest.raises(ValueError, match="no stock") as caught, processing(message):
            raise failure

        assert caught.value is failure
        assert consumed(exported).status.code == Status.STATUS_CODE_ERROR

    @awkward
    def test_headers_of_which_nothing_can_be_made_begin_a_new_request(
        self, exported: FakeCollector, kafka_url: str, topic: str, headers: Any
    ) -> None:
        send_raw(kafka_url, topic, headers)

        with processing(read(kafka_url, topic)):
            pass

        assert_is_a_root(consumed(exported))

    def test_an_error_instead_of_a_message_is_not_a_failure_of_ours(self, exported: FakeCollector) -> None:
        with processing(Message(error=confluent_kafka.KafkaError(confluent_kafka.KafkaError._PARTITION_EOF))):
            pass

        assert_is_a_root(consumed(exported))

    def test_a_sender_who_is_not_trusted_is_only_linked_to(self, collector: FakeCollector, kafka_url: str) -> None:
        topic = a_name()
        clew.configure(service="orders", endpoint=collector.url, trust_incoming=False)
        send_raw(kafka_url, topic, FOREIGN)

        with processing(read(kafka_url, topic)):
            pass

        assert_names_its_sender_only(consumed(collector))

    def test_a_batch_is_linked_to_each_message(self, exported: FakeCollector, kafka_url: str, topic: str) -> None:
        for correlation_id in ("r-1", "r-2"):
            with clew.request("checkout", correlation_id=correlation_id):
                send(kafka_url, topic)

        with a_consumer(kafka_url, topic) as consumer:
            messages: list[Any] = []
            while len(messages) < 2:
                messages += consumer.consume(2 - len(messages), timeout=DEADLINE_S)
            with processing_batch(messages):
                pass

        span = consumed(exported)
        assert [link.span_id for link in span.links] == [sent.span_id for sent in spans_of_kind(exported, PRODUCER)]
        assert len(spans_of_kind(exported, CONSUMER)) == 1
