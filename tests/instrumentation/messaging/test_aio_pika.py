import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
import pika
import pytest
from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import DeliveryError, PublishError
from opentelemetry.proto.trace.v1.trace_pb2 import Status

import clew
from clew.messaging.aio_pika import install, processing
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

CONNECTS = [aio_pika.connect, aio_pika.connect_robust]


@asynccontextmanager
async def a_queue(url: str, connect: Any = aio_pika.connect) -> AsyncIterator[tuple[Any, Any]]:
    """The default exchange, and a queue."""
    async with await connect(url) as connection:
        channel = await connection.channel(on_return_raises=True)
        yield channel.default_exchange, await channel.declare_queue(a_name(), exclusive=True)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def within_deadline() -> None:
        await asyncio.wait_for(scenario(), DEADLINE_S)

    asyncio.run(within_deadline())


async def take(queue: Any) -> Any:
    return await queue.get(timeout=DEADLINE_S)


class Worker:
    """Processes messages by a callback, until it has seen some."""

    def __init__(self, work: Callable[[AbstractIncomingMessage], Awaitable[None]], count: int = 1) -> None:
        self.work = work
        self.count = count
        self.done = asyncio.Event()

    async def __call__(self, message: AbstractIncomingMessage) -> None:
        try:
            await self.work(message)
        finally:
            self.count -= 1
            if not self.count:
                self.done.set()


async def acknowledge(message: AbstractIncomingMessage) -> None:
    await message.ack()


async def serve(queue: Any, work: Any = acknowledge, count: int = 1) -> None:
    worker = Worker(work, count)
    tag = await queue.consume(worker)
    await worker.done.wait()
    await queue.cancel(tag)


@pytest.mark.parametrize("connect", CONNECTS)
def test_a_callback_runs_in_the_producers_request(exported: FakeCollector, rabbitmq_url: str, connect: Any) -> None:
    async def work(message: AbstractIncomingMessage) -> None:
        logging.getLogger("orders").warning("processing")
        await asyncio.sleep(0)
        assert clew.correlation_id() == "r-1"
        await message.ack()

    async def scenario() -> None:
        async with a_queue(rabbitmq_url, connect) as (exchange, queue):
            with clew.request("handler", correlation_id="r-1"):
                await exchange.publish(aio_pika.Message(b"{}"), queue.name)
            await serve(queue, work)
            assert clew.correlation_id() is None

    run(scenario)

    span = consumed(exported)
    assert_continues(span, produced(exported))
    log = next(log for log in exported.logs if log.body.string_value == "processing")
    assert (log.trace_id, log.span_id) == (span.trace_id, span.span_id)


def test_the_spans_follow_the_conventions(exported: FakeCollector, rabbitmq_url: str) -> None:
    async def scenario() -> None:
        async with a_queue(rabbitmq_url) as (exchange, queue):
            names.append(queue.name)
            await exchange.publish(aio_pika.Message(b"{}", message_id="m-1"), queue.name)
            await serve(queue)

    names: list[str] = []
    run(scenario)

    sent, received = attributes_of(produced(exported).attributes), attributes_of(consumed(exported).attributes)
    common = {
        "messaging.system": "rabbitmq",
        "messaging.destination.name": names[0],
        "messaging.rabbitmq.destination.routing_key": names[0],
        "messaging.message.id": "m-1",
        "server.address": "127.0.0.1",
        "server.port": sent["server.port"],
        "correlation.id": sent["correlation.id"],
    }
    sending = {"messaging.operation.name": "publish", "messaging.operation.type": "send"}
    processed = {"messaging.operation.name": "process", "messaging.operation.type": "process"}
    assert produced(exported).name == f"publish {names[0]}"
    assert consumed(exported).name == f"process {names[0]}"
    assert sent == {**common, **sending}
    assert received == {**common, **processed, "messaging.rabbitmq.message.delivery_tag": 1}


def test_a_message_that_is_sent_again_stays_as_it_is(exported: FakeCollector, rabbitmq_url: str) -> None:
    headers: Any = {"tenant": "acme"}
    message = aio_pika.Message(b"{}", headers=headers, correlation_id="reply-7", reply_to="answers", priority=3)
    received: list[Any] = []

    async def scenario() -> None:
        async with a_queue(rabbitmq_url) as (exchange, queue):
            for _ in range(2):
                await exchange.publish(message, queue.name)
            received.extend([await take(queue), await take(queue)])

    run(scenario)

    assert message.headers is headers
    assert headers == {"tenant": "acme"}
    sent = [span.span_id.hex() for span in spans_of_kind(exported, PRODUCER)]
    assert [one.headers["traceparent"].split("-")[2] for one in received] == sent
    assert {(one.headers["tenant"], one.correlation_id, one.reply_to, one.priority) for one in received} == {
        ("acme", "reply-7", "answers", 3)
    }


def test_headers_of_a_message_that_is_sent_on_are_replaced(exported: FakeCollector, rabbitmq_url: str) -> None:
    received: list[Any] = []

    async def scenario() -> None:
        async with a_queue(rabbitmq_url) as (exchange, queue):
            with clew_off():
                await exchange.publish(aio_pika.Message(b"{}", headers=dict(FOREIGN)), queue.name)
            first = await take(queue)
            await exchange.publish(first, queue.name)
            received.append(await take(queue))

    run(scenario)

    span = produced(exported)
    (message,) = received
    assert message.headers["traceparent"].split("-")[2] == span.span_id.hex()
    assert message.headers["X-Request-ID"] == "theirs"
    assert "tracestate" not in message.headers


def test_a_message_that_is_returned_fails_its_span_and_its_sender(exported: FakeCollector, rabbitmq_url: str) -> None:
    async def scenario() -> None:
        async with a_queue(rabbitmq_url) as (exchange, _queue):
            with pytest.raises((PublishError, DeliveryError)):
                await exchange.publish(aio_pika.Message(b"{}"), a_name("nowhere"))

    run(scenario)

    assert produced(exported).status.code == Status.STATUS_CODE_ERROR


class TestProcess:
    def test_a_message_of_the_iterator_is_entered(self, exported: FakeCollector, rabbitmq_url: str) -> None:
        seen: list[str | None] = []

        async def scenario() -> None:
            async with a_queue(rabbitmq_url, aio_pika.connect_robust) as (exchange, queue):
                with clew.request("handler", correlation_id="r-1"):
                    await exchange.publish(aio_pika.Message(b"{}"), queue.name)
                async with queue.iterator() as messages:
                    async for message in messages:
                        async with message.process():
                            seen.append(clew.correlation_id())
                        seen.append(clew.correlation_id())
                        break

        run(scenario)

        assert seen == ["r-1", None]
        assert_continues(consumed(exported), produced(exported))

    def test_in_a_callback_it_is_not_entered_twice(self, exported: FakeCollector, rabbitmq_url: str) -> None:
        async def work(message: AbstractIncomingMessage) -> None:
            async with message.process():
                pass

        async def scenario() -> None:
            async with a_queue(rabbitmq_url) as (exchange, queue):
                await exchange.publish(aio_pika.Message(b"{}"), queue.name)
                await serve(queue, work)

        run(scenario)

        assert_continues(consumed(exported), produced(exported))

    def test_its_exception_fails_the_span_and_comes_out_unchanged(
        self, exported: FakeCollector, rabbitmq_url: str
    ) -> None:
        failure = RuntimeError("out of stock")

        async def scenario() -> None:
            async with a_queue(rabbitmq_url) as (exchange, queue):
                await exchange.publish(aio_pika.Message(b"{}"), queue.name)
                message = await take(queue)
                with pytest.raises(RuntimeError) as raised:
                    async with message.process():
                        raise failure
                assert raised.value is failure
                assert message.processed

        run(scenario)

        span = consumed(exported)
        assert span.status.code == Status.STATUS_CODE_ERROR
        assert attributes_of(span.attributes)["error.type"] == "RuntimeError"

    def test_a_message_that_is_delivered_again_continues_the_same_trace(
        self, exported: FakeCollector, rabbitmq_url: str
    ) -> None:
        async def scenario() -> None:
            async with a_queue(rabbitmq_url) as (exchange, queue):
                await exchange.publish(aio_pika.Message(b"{}"), queue.name)
                for failure in (RuntimeError("once"), None):
                    message = await take(queue)
                    with pytest.raises(RuntimeError) if failure else clew.request("again"):
                        async with message.process(requeue=True):
                            if failure:
                                raise failure

        run(scenario)

        first, second = spans_of_kind(exported, CONSUMER)
        for span in (first, second):
            assert_continues(span, produced(exported))
        assert "messaging.message.redelivered" not in attributes_of(first.attributes)
        assert attributes_of(second.attributes)["messaging.message.redelivered"] is True

    def test_a_cancelled_one_ends_its_span_without_an_error(self, exported: FakeCollector, rabbitmq_url: str) -> None:
        async def scenario() -> None:
            async with a_queue(rabbitmq_url) as (exchange, queue):
                await exchange.publish(aio_pika.Message(b"{}"), queue.name)
                message = await take(queue)
                entered = asyncio.Event()

                async def work() -> None:
                    async with message.process():
                        entered.set()
                        await asyncio.Event().wait()

                task = asyncio.create_task(work())
                await entered.wait()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

        run(scenario)

        assert consumed(exported).status.code == Status.STATUS_CODE_UNSET

    def test_messages_that_are_processed_at_once_do_not_mix(self, exported: FakeCollector, rabbitmq_url: str) -> None:
        seen: set[tuple[str, str | None]] = set()

        async def work(message: AbstractIncomingMessage) -> None:
            async with message.process():
                await asyncio.sleep(0.01)
                seen.add((message.body.decode(), clew.correlation_id()))

        async def scenario() -> None:
            async with a_queue(rabbitmq_url) as (exchange, queue):
                for number in range(20):
                    with clew.request("handler", correlation_id=f"r-{number}"):
                        await exchange.publish(aio_pika.Message(f"r-{number}".encode()), queue.name)
                await serve(queue, work, count=20)

        run(scenario)

        assert seen == {(f"r-{number}", f"r-{number}") for number in range(20)}


def test_a_message_that_is_acknowledged_by_hand_is_entered_by_hand(exported: FakeCollector, rabbitmq_url: str) -> None:
    async def scenario() -> None:
        async with a_queue(rabbitmq_url) as (exchange, queue):
            await exchange.publish(aio_pika.Message(b"{}"), queue.name)
            message = await take(queue)
            with processing(message, queue=queue.name):
                await message.ack()

    run(scenario)

    assert_continues(consumed(exported), produced(exported))


@pytest.mark.filterwarnings("ignore:Function .* returned a non awaitable result")
def test_a_callback_that_is_no_coroutine_function_works_as_before(exported: FakeCollector, rabbitmq_url: str) -> None:
    seen: list[str | None] = []

    async def scenario() -> None:
        async with a_queue(rabbitmq_url) as (exchange, queue):
            done = asyncio.Event()

            def work(message: AbstractIncomingMessage) -> None:
                seen.append(clew.correlation_id())
                done.set()

            with pytest.deprecated_call():
                await queue.consume(work, no_ack=True)
            with clew.request("handler", correlation_id="r-1"):
                await exchange.publish(aio_pika.Message(b"{}"), queue.name)
            await done.wait()

    run(scenario)

    assert seen == ["r-1"]


@awkward
def test_headers_of_which_nothing_can_be_made_begin_a_new_request(
    exported: FakeCollector, rabbitmq_url: str, headers: Any
) -> None:
    async def scenario() -> None:
        async with a_queue(rabbitmq_url) as (_exchange, queue):
            # Another client, which sends bytes too.
            with clew_off(), pika.BlockingConnection(pika.URLParameters(rabbitmq_url)) as connection:
                connection.channel().basic_publish("", queue.name, b"{}", pika.BasicProperties(headers=headers))
            await serve(queue)

    run(scenario)

    assert_is_a_root(consumed(exported))


def test_a_sender_who_is_not_trusted_is_only_linked_to(exported: FakeCollector, rabbitmq_url: str) -> None:
    clew.configure(service="orders", endpoint=exported.url, trust_incoming=False)

    async def scenario() -> None:
        async with a_queue(rabbitmq_url) as (exchange, queue):
            with clew_off():
                await exchange.publish(aio_pika.Message(b"{}", headers=dict(FOREIGN)), queue.name)
            await serve(queue)

    run(scenario)

    assert_names_its_sender_only(consumed(exported))


def test_an_rpc_keeps_its_own_correlation_ids(exported: FakeCollector, rabbitmq_url: str) -> None:
    from aio_pika.patterns import RPC

    async def double(*, number: int) -> tuple[int, str | None]:
        return 2 * number, clew.correlation_id()

    answers: list[Any] = []

    async def scenario() -> None:
        async with await aio_pika.connect(rabbitmq_url) as connection:
            rpc = await RPC.create(await connection.channel())
            name = a_name("double")
            await rpc.register(name, double, auto_delete=True)
            with clew.request("handler", correlation_id="r-1"):
                answers.append(await rpc.call(name, {"number": 4}))

    run(scenario)

    assert answers == [(8, "r-1")]
    assert {correlation_id_of(span) for span in spans_of_kind(exported, CONSUMER)} == {"r-1"}


def test_switched_off_it_adds_nothing(exported: FakeCollector, rabbitmq_url: str) -> None:
    clew.configure(service="orders", endpoint=exported.url, enabled=False)
    seen: list[Any] = []

    async def scenario() -> None:
        async with a_queue(rabbitmq_url) as (exchange, queue):
            await exchange.publish(aio_pika.Message(b"{}"), queue.name)
            message = await take(queue)
            async with message.process():
                seen.append((message.headers, clew.trace_id()))

    run(scenario)

    assert seen == [({}, None)]


def test_opentelemetrys_spans_are_not_doubled(exported: FakeCollector, rabbitmq_url: str) -> None:
    tracer = clew.get_tracer("opentelemetry.instrumentation.aio_pika")

    async def scenario() -> None:
        async with a_queue(rabbitmq_url) as (exchange, queue):
            with tracer.start_as_current_span("publish"):
                await exchange.publish(aio_pika.Message(b"{}"), queue.name)
            message = await take(queue)
            with tracer.start_as_current_span("process"):
                async with message.process():
                    pass

    run(scenario)

    assert spans_of_kind(exported, PRODUCER) == spans_of_kind(exported, CONSUMER) == []


def test_installed_twice_a_message_is_one_span(exported: FakeCollector, rabbitmq_url: str) -> None:
    install()

    async def scenario() -> None:
        async with a_queue(rabbitmq_url) as (exchange, queue):
            await exchange.publish(aio_pika.Message(b"{}"), queue.name)
            await serve(queue)

    run(scenario)

    assert_continues(consumed(exported), produced(exported))
