import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import MessageSizeTooLargeError
from opentelemetry import context as otel_context
from opentelemetry.proto.trace.v1.trace_pb2 import Status

import clew
from clew.messaging.aiokafka import install, processing, processing_batch, record_headers
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

T = TypeVar("T")
log = logging.getLogger("orders")


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(work, 2 * DEADLINE_S))


@asynccontextmanager
async def a_producer(url: str, **options: Any) -> AsyncIterator[AIOKafkaProducer]:
    async with AIOKafkaProducer(bootstrap_servers=url, **options) as producer:
        yield producer


@asynccontextmanager
async def a_consumer(url: str, topic: str, **options: Any) -> AsyncIterator[AIOKafkaConsumer]:
    options = {"auto_offset_reset": "earliest", **options}
    async with AIOKafkaConsumer(topic, bootstrap_servers=url, **options) as consumer:
        yield consumer


async def send(url: str, topic: str, *values: bytes, **options: Any) -> None:
    async with a_producer(url) as producer:
        for value in values or (b"{}",):
            await producer.send_and_wait(topic, value, **options)


async def read(url: str, topic: str) -> ConsumerRecord[Any, Any]:
    async with a_consumer(url, topic) as consumer:
        return await consumer.getone()


def send_raw(url: str, topic: str, *values: bytes, headers: Any = ()) -> None:
    """As somebody sends who knows nothing of clew."""
    with clew_off():
        pairs = [(name, value if isinstance(value, bytes) else str(value).encode()) for name, value in headers]
        run(send(url, topic, *values, headers=pairs))


@pytest.fixture
def topic() -> str:
    return a_name()


class TestSending:
    def test_a_record_carries_the_request_on(self, exported: FakeCollector, kafka_url: str, topic: str) -> None:
        async def work() -> ConsumerRecord[Any, Any]:
            with clew.request("checkout", correlation_id="r-1"):
                await send(kafka_url, topic, key=b"order-17")
            return await read(kafka_url, topic)

        record = run(work())

        span = produced(exported)
        assert dict(record.headers) == {
            "traceparent": f"00-{span.trace_id.hex()}-{span.span_id.hex()}-03".encode(),
            "baggage": b"correlation.id=r-1",
            "X-Request-ID": b"r-1",
        }
        assert correlation_id_of(span) == "r-1"

    def test_its_span_follows_the_messaging_conventions(
        self, exported: FakeCollector, kafka_url: str, topic: str
    ) -> None:
        run(send(kafka_url, topic, key=b"order-17"))

        span = produced(exported)
        attributes = attributes_of(span.attributes)
        attributes.pop("correlation.id")
        assert span.name == f"send {topic}"
        assert span.status.code == Status.STATUS_CODE_UNSET
        assert attributes == {
            "messaging.system": "kafka",
            "messaging.destination.name": topic,
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
            "messaging.kafka.message.key": "order-17",
            "messaging.destination.partition.id": "0",
            "messaging.kafka.offset": 0,
        }

    def test_the_services_own_headers_stay_and_its_list_is_not_touched(
        self, exported: FakeCollector, kafka_url: str, topic: str
    ) -> None:
        headers = [("kind", b"order"), ("kind", b"express"), ("none", None)]

        async def work() -> ConsumerRecord[Any, Any]:
            async with a_producer(kafka_url) as producer:
                await (await producer.send(topic, b"{}", None, None, None, headers))
            return await read(kafka_url, topic)

        record = run(work())

        assert headers == [("kind", b"order"), ("kind", b"express"), ("none", None)]
        assert list(record.headers)[:3] == headers
        assert "traceparent" in dict(record.headers)

    def test_headers_that_are_passed_on_do_not_pass_on_their_span(
        self, exported: FakeCollector, kafka_url: str, topic: str
    ) -> None:
        headers = [*((name, value.encode()) for name, value in FOREIGN.items()), ("b3", b"0")]

        async def work() -> ConsumerRecord[Any, Any]:
            await send(kafka_url, topic, headers=headers)
            return await read(kafka_url, topic)

        record = run(work())

        names = [name for name, _ in record.headers]
        assert sorted(names) == ["X-Request-ID", "baggage", "traceparent"]
        assert dict(record.headers)["X-Request-ID"] == b"theirs"
        assert dict(record.headers)["traceparent"].split(b"-")[2].decode() == produced(exported).span_id.hex()

    def test_a_record_that_the_broker_refuses_fails_its_span(
        self, exported: FakeCollector, kafka_url: str, topic: str
    ) -> None:
        async def work() -> None:
            async with a_producer(kafka_url, max_request_size=4_000_000) as producer:
                future = await producer.send(topic, b"x" * 2_000_000)
                with pytest.raises(MessageSizeTooLargeError):
                    await future

        run(work())

        span = produced(exported)
        assert span.status.code == Status.STATUS_CODE_ERROR
        assert attributes_of(span.attributes)["error.type"] == "aiokafka.errors.MessageSizeTooLargeError"

    def test_a_failure_that_nobody_looks_at_is_still_reported_by_asyncio(
        self, exported: FakeCollector, kafka_url: str, topic: str
    ) -> None:
        told: list[Any] = []

        async def work() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
            async with a_producer(kafka_url, max_request_size=4_000_000) as producer:
                await producer.send(topic, b"x" * 2_000_000)
                await producer.flush()
            gc.collect()

        run(work())

        assert [type(context["exception"]) for context in told] == [MessageSizeTooLargeError]

    def test_a_record_that_only_its_ids_make_too_large_goes_without_them(
        self, exported: FakeCollector, kafka_url: str, topic: str
    ) -> None:
        async def work() -> ConsumerRecord[Any, Any]:
            async with a_producer(kafka_url, max_request_size=1_100) as producer:
                await producer.send_and_wait(topic, b"x" * 1_000)
                with pytest.raises(MessageSizeTooLargeError):
                    await producer.send_and_wait(topic, b"x" * 2_000)
            return await read(kafka_url, topic)

        assert run(work()).headers == ()

    def test_wrong_arguments_fail_as_without_clew(self, exported: FakeCollector, kafka_url: str, topic: str) -> None:
        async def errors() -> list[str]:
            seen = []
            async with a_producer(kafka_url) as producer:
                for arguments in ({}, {"value": b"", "headers": 17}, {"value": b"", "headers": [("a", 1)]}, {"no": 1}):
                    with pytest.raises(Exception) as caught:  # noqa: PT011  (whatever the library says)
                        await producer.send(topic, **arguments)
                    seen.append(f"{caught.type.__name__}: {caught.value}")
                with pytest.raises(TypeError) as missing:
                    await producer.send()
                seen.append(str(missing.value))
            return seen

        with_clew = run(errors())
        with clew_off():
            assert run(errors()) == with_clew

    def test_a_batch_is_one_span_and_its_records_may_carry_the_ids(
        self, exported: FakeCollector, kafka_url: str, topic: str
    ) -> None:
        async def work() -> ConsumerRecord[Any, Any]:
            async with a_producer(kafka_url) as producer:
                with clew.request("import", correlation_id="r-1"):
                    batch = producer.create_batch()
                    for value in (b"1", b"2"):
                        batch.append(key=None, value=value, timestamp=None, headers=record_headers())
                    await (await producer.send_batch(batch, topic, partition=0))
            return await read(kafka_url, topic)

        record = run(work())

        span = produced(exported)
        assert attributes_of(span.attributes)["messaging.batch.message_count"] == 2
        assert dict(record.headers)["X-Request-ID"] == b"r-1"
        assert dict(record.headers)["traceparent"].split(b"-")[1].decode() == span.trace_id.hex()

    def test_opentelemetrys_own_instrumentation_makes_the_span_and_clew_adds_the_request(
        self, exported: FakeCollector, kafka_url: str, topic: str
    ) -> None:
        theirs = clew.get_tracer("opentelemetry.instrumentation.aiokafka")

        async def work() -> ConsumerRecord[Any, Any]:
            with clew.request("checkout", correlation_id="r-1"), theirs.start_as_current_span("theirs"):
                await send(kafka_url, topic)
            return await read(kafka_url, topic)

        record = run(work())

        assert spans_of_kind(exported, PRODUCER) == []
        assert dict(record.headers) == {"X-Request-ID": b"r-1", "baggage": b"correlation.id=r-1"}

    def test_twice_installed_is_as_once(self, exported: FakeCollector, kafka_url: str, topic: str) -> None:
        install()
        install()

        run(send(kafka_url, topic))

        assert len(spans_of_kind(exported, PRODUCER)) == 1

    def test_nothing_happens_when_clew_is_switched_off(self, collector: FakeCollector, kafka_url: str) -> None:
        topic = a_name()
        clew.configure(service="orders", endpoint=collector.url)
        clew.configure(service="orders", endpoint=collector.url, enabled=False)

        async def work() -> None:
            await send(kafka_url, topic, headers=[("own", b"1")])
            async with a_consumer(kafka_url, topic) as consumer:
                assert aiter(consumer) is consumer
                async for message in consumer:
                    assert message.headers == (("own", b"1"),)
                    with processing(message):
                        assert clew.correlation_id() is None
                    break

        run(work())

        assert collector.requests == []


class TestLoop:
    def test_its_body_is_in_the_messages_request(self, exported: FakeCollector, kafka_url: str, topic: str) -> None:
        async def work() -> None:
            with clew.request("checkout", correlation_id="r-1"):
                await send(kafka_url, topic)
            async with a_consumer(kafka_url, topic) as consumer:
                async for _ in consumer:
                    assert clew.correlation_id() == "r-1"
                    log.warning("reserving")
                    break

        run(work())

        consumer = consumed(exported)
        assert_continues(consumer, produced(exported))
        assert consumer.name == f"process {topic}"
        (line,) = [line for line in exported.logs if line.body.string_value == "reserving"]
        assert line.span_id == consumer.span_id
        assert attributes_of(line.attributes)["correlation.id"] == "r-1"

    def test_each_message_has_its_own_request(self, exported: FakeCollector, kafka_url: str, topic: str) -> None:
        send_raw(kafka_url, topic, b"1", headers=FOREIGN.items())
        send_raw(kafka_url, topic, b"2", b"3")
        seen = []

        async def work() -> None:
            async with a_consumer(kafka_url, topic, group_id=a_name("group")) as consumer:
                async for message in consumer:
                    seen.append(clew.correlation_id())
                    if message.value == b"3":
                        break

        run(work())

        theirs, second, third = spans_of_kind(exported, CONSUMER)
        assert theirs.trace_id.hex() == "a" * 32
        assert seen == [correlation_id_of(span) for span in (theirs, second, third)]
        assert len(set(seen)) == 3
        assert_is_a_root(second)
        assert_is_a_root(third)
        assert theirs.end_time_unix_nano <= second.start_time_unix_nano
        assert attributes_of(second.attributes)["messaging.kafka.offset"] == 1
        assert attributes_of(second.attributes)["messaging.consumer.group.name"].startswith("group-")

    def test_the_context_before_is_back_however_it_ends(
        self, exported: FakeCollector, kafka_url: str, topic: str
    ) -> None:
        send_raw(kafka_url, topic, b"1", b"2")
        failure = RuntimeError("no stock")

        async def first(consumer: AIOKafkaConsumer) -> None:
            async for _ in consumer:
                return

        async def fail(consumer: AIOKafkaConsumer) -> None:
            async for _ in consumer:
                raise failure

        async def until_stopped(consumer: AIOKafkaConsumer) -> None:
            async for _ in consumer:
                await consumer.stop()

        async def work() -> None:
            for leave in (first, fail, until_stopped):
                with clew.request("outer", correlation_id="outer"):
                    async with a_consumer(kafka_url, topic) as consumer:
                        if leave is fail:
                            with pytest.raises(RuntimeError) as caught:
                                await leave(consumer)
                            assert caught.value is failure
                        else:
                            await leave(consumer)
                        assert clew.correlation_id() == "outer"
                assert clew.correlation_id() is None
                assert otel_context.get_current() == {}

        run(work())

        # The last one sees what was fetched already before it hears that it is stopped, or not.
        assert len(spans_of_kind(exported, CONSUMER)) in (3, 4)

    def test_a_cancelled_body_leaves_nothing_behind(self, exported: FakeCollector, kafka_url: str, topic: str) -> None:
        send_raw(kafka_url, topic)

        async def consume(consumer: AIOKafkaConsumer, started: asyncio.Event) -> None:
            try:
                async for _ in consumer:
                    started.set()
                    await asyncio.Event().wait()
            finally:
                assert clew.correlation_id() is None

        async def work() -> None:
            started = asyncio.Event()
            async with a_consumer(kafka_url, topic) as consumer:
                task = asyncio.create_task(consume(consumer, started))
                await started.wait()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

        run(work())

        assert consumed(exported).status.code == Status.STATUS_CODE_UNSET

    def test_tasks_that_its_body_starts_stay_in_the_request(
        self, exported: FakeCollector, kafka_url: str, topic: str
    ) -> None:
        async def handle(go_on: asyncio.Event) -> str | None:
            await go_on.wait()
            with clew.get_tracer("test").start_as_current_span("handle"):
                return clew.correlation_id()

        async def work() -> list[str | None]:
            for correlation_id in ("r-1", "r-2"):
                with clew.request("checkout", correlation_id=correlation_id):
                    await send(kafka_url, topic)
            go_on, tasks = asyncio.Event(), []
            async with a_consumer(kafka_url, topic) as consumer:
                async for _ in consumer:
                    tasks.append(asyncio.create_task(handle(go_on)))
                    if len(tasks) == 2:
                        break
            go_on.set()
            return await asyncio.gather(*tasks)

        assert run(work()) == ["r-1", "r-2"]
        assert clew.flush()
        parents = [span.parent_span_id for span in exported.spans if span.name == "handle"]
        assert parents == [span.span_id for span in spans_of_kind(exported, CONSUMER)]

    def test_two_of_them_in_one_task_do_not_mix(self, exported: FakeCollector, kafka_url: str) -> None:
        orders, stock = a_name(), a_name("stock")
        send_raw(kafka_url, orders, b"1", b"2", headers=[("X-Request-ID", "order")])
        send_raw(kafka_url, stock, b"1", b"2", headers=[("X-Request-ID", "stock")])

        async def work() -> list[str | None]:
            seen = []
            async with a_consumer(kafka_url, orders) as outer, a_consumer(kafka_url, stock) as inner:
                async for message in outer:
                    seen.append(clew.correlation_id())
                    async for _ in inner:
                        seen.append(clew.correlation_id())
                        break
                    seen.append(clew.correlation_id())
                    if message.value == b"2":
                        break
                seen.append(clew.correlation_id())
                first, second = aiter(outer), aiter(inner)
                await outer.seek_to_beginning()
                await inner.seek_to_beginning()
                for iterator in (first, second, first, second):
                    await anext(iterator)
                    seen.append(clew.correlation_id())
                del first, second, iterator
                seen.append(clew.correlation_id())
            return seen

        assert run(work()) == [*["order", "stock", "order"] * 2, None, *["order", "stock"] * 2, None]

    def test_a_generator_around_it_that_is_closed_elsewhere_disturbs_nobody(
        self, exported: FakeCollector, kafka_url: str, topic: str
    ) -> None:
        send_raw(kafka_url, topic)

        async def messages(consumer: AIOKafkaConsumer) -> AsyncIterator[Any]:
            async for message in consumer:
                yield message

        async def work() -> None:
            async with a_consumer(kafka_url, topic) as consumer:
                generator = messages(consumer)
                await anext(generator)
                inside = clew.correlation_id()
                with clew.request("other", correlation_id="other"):
                    await asyncio.create_task(generator.aclose())  # type: ignore[attr-defined]
                    assert clew.correlation_id() == "other"
                assert inside is not None

        run(work())

        assert len(spans_of_kind(exported, CONSUMER)) == 1

    def test_processing_inside_of_it_is_the_same_span_and_fails_it(
        self, exported: FakeCollector, kafka_url: str, topic: str
    ) -> None:
        failure = ValueError("no stock")
        send_raw(kafka_url, topic)

        async def consume() -> None:
            async with a_consumer(kafka_url, topic) as consumer:
                async for message in consumer:
                    before = clew.correlation_id()
                    with processing(message) as work:
                        assert work.correlation_id == clew.correlation_id() == before
                        raise failure

        with pytest.raises(ValueError, match="no stock") as caught:
            run(consume())

        assert caught.value is failure
        span = consumed(exported)
        assert span.status.code == Status.STATUS_CODE_ERROR
        assert attributes_of(span.attributes)["error.type"] == "ValueError"

    def test_processing_in_a_task_lasts_as_long_as_the_task(
        self, exported: FakeCollector, kafka_url: str, topic: str
    ) -> None:
        send_raw(kafka_url, topic, b"1", b"2")

        async def handle(message: Any, entered: asyncio.Event, go_on: asyncio.Event) -> None:
            with processing(message):
                entered.set()
                await go_on.wait()
                clew.current_span().set_attribute("step", message.value.decode())

        async def work() -> None:
            go_on, tasks = asyncio.Event(), []
            async with a_consumer(kafka_url, topic) as consumer:
                async for message in consumer:
                    entered = asyncio.Event()
                    tasks.append(asyncio.create_task(handle(message, entered, go_on)))
                    await entered.wait()
                    if len(tasks) == 2:
                        break
            go_on.set()
            await asyncio.gather(*tasks)

        run(work())

        spans = spans_of_kind(exported, CONSUMER)
        assert [attributes_of(span.attributes)["step"] for span in spans] == ["1", "2"]

    def test_processing_in_a_task_that_begins_late_is_a_span_of_the_same_request(
        self, exported: FakeCollector, kafka_url: str, topic: str
    ) -> None:
        send_raw(kafka_url, topic, b"1", b"2")

        async def handle(message: Any, go_on: asyncio.Event) -> None:
            await go_on.wait()
            before = clew.correlation_id()
            with processing(message) as work:
                assert clew.correlation_id() == before
                work.span.set_attribute("step", message.value.decode())

        async def work() -> None:
            go_on, tasks = asyncio.Event(), []
            async with a_consumer(kafka_url, topic) as consumer:
                async for message in consumer:
                    tasks.append(asyncio.create_task(handle(message, go_on)))
                    if len(tasks) == 2:
                        break
            go_on.set()
            await asyncio.gather(*tasks)

        run(work())

        turns_and_tasks = spans_of_kind(exported, CONSUMER)
        steps = [attributes_of(span.attributes).get("step") for span in turns_and_tasks]
        assert steps == [None, None, "1", "2"]
        ids = [correlation_id_of(span) for span in turns_and_tasks]
        assert ids[:2] == ids[2:]

    @awkward
    def test_headers_of_which_nothing_can_be_made_begin_a_new_request(
        self, exported: FakeCollector, kafka_url: str, topic: str, headers: Any
    ) -> None:
        send_raw(kafka_url, topic, headers=headers.items())

        async def work() -> None:
            async with a_consumer(kafka_url, topic) as consumer:
                async for _ in consumer:
                    break

        run(work())

        assert_is_a_root(consumed(exported))

    def test_a_sender_who_is_not_trusted_is_only_linked_to(self, collector: FakeCollector, kafka_url: str) -> None:
        topic = a_name()
        clew.configure(service="orders", endpoint=collector.url, trust_incoming=False)
        send_raw(kafka_url, topic, headers=FOREIGN.items())

        async def work() -> None:
            async with a_consumer(kafka_url, topic) as consumer:
                async for _ in consumer:
                    break

        run(work())

        assert_names_its_sender_only(consumed(collector))

    def test_commits_and_rebalances_go_on_as_without_clew(
        self, exported: FakeCollector, kafka_url: str, topic: str
    ) -> None:
        group = a_name("group")
        send_raw(kafka_url, topic, *(str(number).encode() for number in range(6)))
        assigned: list[list[TopicPartition]] = []

        class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
            async def on_partitions_revoked(self, revoked: Any) -> None:
                pass

            async def on_partitions_assigned(self, partitions: Any) -> None:
                assigned.append(list(partitions))

        async def take(count: int, **options: Any) -> list[bytes]:
            taken: list[bytes] = []
            async with AIOKafkaConsumer(
                bootstrap_servers=kafka_url, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False
            ) as consumer:
                consumer.subscribe([topic], listener=Listener())
                async for message in consumer:
                    taken.append(message.value)
                    await consumer.commit()
                    if len(taken) == count:
                        return taken
            return taken

        async def work() -> list[bytes]:
            return await take(2) + await take(4)

        assert run(work()) == [b"0", b"1", b"2", b"3", b"4", b"5"]
        assert assigned == [[TopicPartition(topic, 0)]] * 2


class TestProcessing:
    def test_it_is_the_way_for_messages_that_were_got_one_by_one(
        self, exported: FakeCollector, kafka_url: str, topic: str
    ) -> None:
        async def work() -> None:
            with clew.request("checkout", correlation_id="r-1"):
                await send(kafka_url, topic)
            message = await read(kafka_url, topic)
            assert clew.correlation_id() is None
            with processing(message):
                assert clew.correlation_id() == "r-1"

        run(work())

        assert_continues(consumed(exported), produced(exported))

    def test_a_batch_is_linked_to_each_message(self, exported: FakeCollector, kafka_url: str, topic: str) -> None:
        async def work() -> None:
            for correlation_id in ("r-1", "r-2"):
                with clew.request("checkout", correlation_id=correlation_id):
                    await send(kafka_url, topic)
            with clew_off():
                await send(kafka_url, topic)
            async with a_consumer(kafka_url, topic) as consumer:
                got: dict[Any, list[Any]] = {}
                while len(got.get(TopicPartition(topic, 0), ())) < 3:
                    for place, messages in (await consumer.getmany(timeout_ms=1_000)).items():
                        got.setdefault(place, []).extend(messages)
                with processing_batch(got):
                    assert clew.correlation_id() not in ("r-1", "r-2", None)
                with processing_batch(got[TopicPartition(topic, 0)][:1]):
                    pass

        run(work())

        senders = [span.span_id for span in spans_of_kind(exported, PRODUCER)]
        batch, part = spans_of_kind(exported, CONSUMER)
        assert [link.span_id for link in batch.links] == senders
        assert attributes_of(batch.attributes)["messaging.batch.message_count"] == 3
        assert attributes_of(batch.attributes)["messaging.destination.name"] == topic
        assert [link.span_id for link in part.links] == senders[:1]
