import asyncio
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import redis.asyncio
from opentelemetry.proto.trace.v1.trace_pb2 import Status

import clew
from clew.messaging import by_hand
from clew.messaging.by_hand import outgoing_headers
from clew.messaging.redis import carry_ids, own_fields, processing
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
    consumed,
    correlation_id_of,
    produced,
    spans_of_kind,
)

log = logging.getLogger("orders")


@pytest.fixture
def plain(redis_url: str) -> Iterator[Any]:
    """A client that was not asked to carry anything."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    with redis.Redis.from_url(redis_url) as client:
        yield carry_ids(client)


@pytest.fixture
def stream() -> str:
    return a_name()


def first_entry(client: Any, stream: str) -> tuple[bytes, dict[bytes, bytes]]:
    ((_, ((message_id, fields),)),) = client.xread({stream: 0}, count=1)
    return message_id, fields


class TestXadd:
    def test_nothing_is_added_for_who_did_not_ask(self, exported: FakeCollector, plain: Any, stream: str) -> None:
        with clew.request("checkout"):
            plain.xadd(stream, {"order": "17"})

        assert first_entry(plain, stream)[1] == {b"order": b"17"}

    def test_an_entry_carries_the_request_on(self, exported: FakeCollector, client: Any, stream: str) -> None:
        fields = {"order": "17"}

        with clew.request("checkout", correlation_id="r-1"):
            message_id = client.xadd(stream, fields)

        span = produced(exported)
        assert isinstance(message_id, bytes)
        assert fields == {"order": "17"}
        assert first_entry(client, stream) == (
            message_id,
            {
                b"order": b"17",
                b"traceparent": f"00-{span.trace_id.hex()}-{span.span_id.hex()}-03".encode(),
                b"x-request-id": b"r-1",
                b"baggage": b"correlation.id=r-1",
            },
        )
        assert span.name == f"xadd {stream}"
        assert attributes_of(span.attributes) == {
            "correlation.id": "r-1",
            "messaging.system": "redis",
            "messaging.destination.name": stream,
            "messaging.operation.name": "xadd",
            "messaging.operation.type": "send",
        }

    def test_it_does_so_with_asyncio(self, exported: FakeCollector, redis_url: str, stream: str) -> None:
        async def work() -> None:
            client: Any
            async with redis.asyncio.Redis.from_url(redis_url) as client:
                carry_ids(client)
                with clew.request("checkout", correlation_id="r-1"):
                    assert isinstance(await client.xadd(stream, {"order": "17"}), bytes)
                ((_, ((message_id, fields),)),) = await client.xread({stream: 0})
                with processing(stream, message_id, fields):
                    assert clew.correlation_id() == "r-1"

        asyncio.run(work())

        assert_continues(consumed(exported), produced(exported))

    def test_it_does_so_in_pipelines(self, exported: FakeCollector, plain: Any, redis_url: str, stream: str) -> None:
        async def send_async() -> None:
            client: Any
            async with redis.asyncio.Redis.from_url(redis_url) as client:
                pipeline = carry_ids(client.pipeline())
                assert pipeline.xadd(stream, {"order": "18"}).xadd(stream, {"order": "19"}) is pipeline
                assert len(await pipeline.execute()) == 2

        with clew.request("checkout", correlation_id="r-1"):
            pipeline = carry_ids(plain.pipeline())
            assert pipeline.xadd(stream, {"order": "17"}) is pipeline
            pipeline.execute()
            asyncio.run(send_async())

        ((_, entries),) = plain.xread({stream: 0})
        assert [fields[b"order"] for _, fields in entries] == [b"17", b"18", b"19"]
        assert {fields[b"x-request-id"] for _, fields in entries} == {b"r-1"}

    def test_a_failure_is_recorded_and_raised_as_it_is(
        self, exported: FakeCollector, client: Any, redis_url: str, stream: str
    ) -> None:
        async def send_async() -> None:
            client: Any
            async with redis.asyncio.Redis.from_url(redis_url) as client:
                await carry_ids(client).xadd(stream, {"order": "17"})

        client.set(stream, "no stream")
        for send in (lambda: client.xadd(stream, {"order": "17"}), lambda: asyncio.run(send_async())):
            with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
                send()

        for span in spans_of_kind(exported, PRODUCER):
            assert span.status.code == Status.STATUS_CODE_ERROR
            assert attributes_of(span.attributes)["error.type"] == "redis.exceptions.ResponseError"

    def test_no_field_of_the_services_own_is_lost(self, exported: FakeCollector, client: Any, stream: str) -> None:
        client.xadd(stream, {"baggage": "2 bags", b"x-request-id": "own", "traceparent": FOREIGN["traceparent"]})

        _, fields = first_entry(client, stream)
        assert fields[b"baggage"] == b"2 bags"
        assert fields[b"x-request-id"] == b"own"
        assert fields[b"traceparent"].split(b"-")[2].decode() == produced(exported).span_id.hex()

    def test_what_redis_refuses_it_still_refuses(self, exported: FakeCollector, client: Any, stream: str) -> None:
        fields: Any
        for fields in ({}, None, [("order", "17")]):
            with pytest.raises(redis.DataError, match="non-empty dict"):
                client.xadd(stream, fields)

    def test_entries_that_are_compared_by_their_fields_get_none_of_ours(self, exported: FakeCollector) -> None:
        sent: list[Any] = []

        class Client:
            def xadd(self, name: Any, fields: Any, *_args: Any, **_options: Any) -> None:
                sent.append(fields)

        client = carry_ids(Client())
        client.xadd("orders", {"order": "17"}, idmpauto="producer")
        client.xadd("orders", {"order": "17"}, "*", None, True, False, None, None, None, "producer")
        client.xadd("orders", {"order": "17"}, "*", None, True, False, None, None, None)

        assert sent[:2] == [{"order": "17"}] * 2
        assert "traceparent" in sent[2]

    def test_asked_twice_is_as_once(self, exported: FakeCollector, client: Any, stream: str) -> None:
        carry_ids(carry_ids(client)).xadd(stream, {"order": "17"})

        assert len(spans_of_kind(exported, PRODUCER)) == 1

    def test_nothing_happens_when_clew_is_switched_off(
        self, collector: FakeCollector, client: Any, stream: str
    ) -> None:
        clew.configure(service="orders", endpoint=collector.url, enabled=False)

        with clew.request("checkout"):
            client.xadd(stream, {"order": "17"})
            assert outgoing_headers() == {}
        message_id, fields = first_entry(client, stream)
        with processing(stream, message_id, fields):
            assert clew.correlation_id() is None

        assert fields == {b"order": b"17"}
        assert collector.requests == []


class TestProcessing:
    def test_a_group_reads_in_the_senders_request(self, exported: FakeCollector, client: Any, stream: str) -> None:
        with clew.request("checkout", correlation_id="r-1"):
            client.xadd(stream, {"order": "17"})

        def consume() -> None:
            client.xgroup_create(stream, "stock", id="0")
            for name, entries in client.xreadgroup("stock", "one", {stream: ">"}):
                for message_id, fields in entries:
                    with processing(name, message_id, fields):
                        assert own_fields(fields) == {b"order": b"17"}
                        log.warning("reserving")
                        client.xack(name, "stock", message_id)

        thread = threading.Thread(target=consume)
        thread.start()
        thread.join()

        span = consumed(exported)
        assert_continues(span, produced(exported))
        assert span.name == f"process {stream}"
        assert attributes_of(span.attributes)["messaging.message.id"] == first_entry(client, stream)[0].decode()
        (line,) = [line for line in exported.logs if line.body.string_value == "reserving"]
        assert line.span_id == span.span_id
        assert client.xpending(stream, "stock")["pending"] == 0

    def test_decoded_answers_will_do(self, exported: FakeCollector, client: Any, redis_url: str, stream: str) -> None:
        client.xadd(stream, {"order": "17"})

        with redis.Redis.from_url(redis_url, decode_responses=True) as decoding:
            message_id, fields = first_entry(decoding, stream)
            with processing(stream, message_id, fields):
                own: dict[Any, Any] = own_fields(fields)
                assert own == {"order": "17"}

        assert_continues(consumed(exported), produced(exported))

    def test_fields_that_only_look_like_ours_stay(self) -> None:
        assert own_fields({"baggage": "2 bags", b"b": 1, 3: None}) == {"baggage": "2 bags", b"b": 1, 3: None}

    @pytest.mark.parametrize("fields", [None, {}, {b"traceparent": b"\xff"}, {1: 2}, [1, 2, (3,)]])
    def test_fields_of_which_nothing_can_be_made_begin_a_new_request(
        self, exported: FakeCollector, fields: Any
    ) -> None:
        with processing("orders", "1-0", fields):
            pass

        assert_is_a_root(consumed(exported))


class TestByHand:
    def test_a_list_carries_the_request_in_its_payload(self, exported: FakeCollector, plain: Any, stream: str) -> None:
        with clew.request("checkout", correlation_id="r-1") as request:
            plain.lpush(stream, json.dumps({"order": 17, "headers": outgoing_headers()}))
            sender = request.span.span_id

        _, payload = plain.brpop(stream)
        with by_hand.processing("redis", stream, json.loads(payload)["headers"]) as work:
            assert work.correlation_id == clew.correlation_id() == "r-1"

        assert [int.from_bytes(link.span_id) for link in consumed(exported).links] == [sender]

    def test_a_channels_subscriber_may_be_a_thread(self, exported: FakeCollector, plain: Any, stream: str) -> None:
        seen: list[str | None] = []
        handled = threading.Event()

        def handle(message: Any) -> None:
            with by_hand.processing("redis", stream, json.loads(message["data"])["headers"]):
                seen.append(clew.correlation_id())
            handled.set()

        subscription = plain.pubsub(ignore_subscribe_messages=True)
        subscription.subscribe(**{stream: handle})
        thread = subscription.run_in_thread(sleep_time=0.01)
        with clew.request("checkout", correlation_id="r-1"):
            plain.publish(stream, json.dumps({"headers": outgoing_headers()}))
        assert handled.wait(10)
        thread.stop()
        thread.join()

        assert seen == ["r-1"]
        assert correlation_id_of(consumed(exported)) == "r-1"

    def test_outside_of_a_request_there_is_nothing_to_carry(self, exported: FakeCollector) -> None:
        assert outgoing_headers() == {}

    def test_a_span_of_another_library_is_carried_too(self, exported: FakeCollector) -> None:
        from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState, use_span

        context = SpanContext(0xA, 0xB, is_remote=True, trace_flags=TraceFlags(1), trace_state=TraceState([("v", "1")]))
        with use_span(NonRecordingSpan(context)):
            headers = outgoing_headers()

        assert headers == {"traceparent": f"00-{0xA:032x}-{0xB:016x}-01", "tracestate": "v=1"}

    def test_a_batch_is_linked_to_each_sender(self, exported: FakeCollector) -> None:
        with by_hand.processing_batch("redis", "orders", [FOREIGN, None, {}, {"traceparent": 17}]):
            pass

        (link,) = consumed(exported).links
        assert link.trace_id.hex() == "a" * 32

    @awkward
    def test_headers_of_which_nothing_can_be_made_begin_a_new_request(
        self, exported: FakeCollector, headers: Any
    ) -> None:
        with by_hand.processing("redis", "orders", headers):
            pass

        assert_is_a_root(consumed(exported))

    def test_a_sender_who_is_not_trusted_is_only_linked_to(self, collector: FakeCollector) -> None:
        clew.configure(service="orders", endpoint=collector.url, trust_incoming=False)

        with by_hand.processing("redis", "orders", FOREIGN):
            pass

        assert_names_its_sender_only(consumed(collector))
        assert len(spans_of_kind(collector, CONSUMER)) == 1
