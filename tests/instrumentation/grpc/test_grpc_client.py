import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from grpc import aio
from opentelemetry import context as otel_context
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

import clew
from clew.clients import grpc as instrumentation
from tests.instrumentation.fake_collector import FakeCollector
from tests.instrumentation.grpc.calls import (
    CLIENT,
    SERVER,
    attributes,
    called,
    path,
    served,
    several,
    spans_of,
    status_code,
)
from tests.instrumentation.grpc.servers import SERVERS, log, sync_server
from tests.instrumentation.messaging.observed import clew_off
from tests.instrumentation.scripts import run_script

DEADLINE_S = 10.0


class Calls:
    """A client of either kind, as a test sees it: what it gets, in a list."""

    def __init__(self, target: str) -> None:
        self.target = target

    def reply(self, method: str, **options: Any) -> list[bytes]:
        raise NotImplementedError

    def count(self, method: str = "Count", **options: Any) -> list[bytes]:
        raise NotImplementedError

    def add(self) -> list[bytes]:
        raise NotImplementedError

    def echo(self) -> list[bytes]:
        raise NotImplementedError

    def cancel(self) -> None:
        raise NotImplementedError


def requests() -> Iterator[bytes]:
    for number in (b"1", b"2", b"3"):
        log.info("requested")
        yield number


class SyncCalls(Calls):
    def _channel(self) -> Any:
        return grpc.insecure_channel(self.target)

    def reply(self, method: str, **options: Any) -> list[bytes]:
        with self._channel() as channel:
            return [channel.unary_unary(path(method))(b"1", **options)]

    def count(self, method: str = "Count", **options: Any) -> list[bytes]:
        with self._channel() as channel:
            return list(channel.unary_stream(path(method))(b"3", **options))

    def add(self) -> list[bytes]:
        with self._channel() as channel:
            return [channel.stream_unary(path("Add"))(requests())]

    def echo(self) -> list[bytes]:
        with self._channel() as channel:
            return list(channel.stream_stream(path("Echo"))(requests()))

    def cancel(self) -> None:
        with self._channel() as channel:
            responses = channel.unary_stream(path("CountForEver"))(b"1")
            next(responses)
            assert responses.cancel()
            assert responses.code() is grpc.StatusCode.CANCELLED


class AioCalls(Calls):
    def _run(self, scenario: Callable[[Any], Awaitable[Any]]) -> Any:
        async def main() -> Any:
            async with aio.insecure_channel(self.target) as channel:
                return await scenario(channel)

        return asyncio.run(main())

    def reply(self, method: str, **options: Any) -> list[bytes]:
        async def scenario(channel: Any) -> list[bytes]:
            return [await channel.unary_unary(path(method))(b"1", **options)]

        return self._run(scenario)  # type: ignore[no-any-return]

    def count(self, method: str = "Count", **options: Any) -> list[bytes]:
        async def scenario(channel: Any) -> list[bytes]:
            return [response async for response in channel.unary_stream(path(method))(b"3", **options)]

        return self._run(scenario)  # type: ignore[no-any-return]

    def add(self) -> list[bytes]:
        async def scenario(channel: Any) -> list[bytes]:
            return [await channel.stream_unary(path("Add"))(requests())]

        return self._run(scenario)  # type: ignore[no-any-return]

    def echo(self) -> list[bytes]:
        async def scenario(channel: Any) -> list[bytes]:
            return [response async for response in channel.stream_stream(path("Echo"))(requests())]

        return self._run(scenario)  # type: ignore[no-any-return]

    def cancel(self) -> None:
        async def scenario(channel: Any) -> None:
            responses = channel.unary_stream(path("CountForEver"))(b"1")
            await responses.read()
            assert responses.cancel()
            assert await responses.code() is grpc.StatusCode.CANCELLED

        self._run(scenario)


KINDS: dict[str, Callable[[str], Calls]] = {"sync client": SyncCalls, "aio client": AioCalls}


@pytest.fixture(params=KINDS)
def calls(request: pytest.FixtureRequest, exported: FakeCollector) -> Iterator[Calls]:
    with sync_server() as target:
        yield KINDS[request.param](target)


@pytest.fixture
def channel(exported: FakeCollector) -> Iterator[grpc.Channel]:
    with sync_server() as target, grpc.insecure_channel(target) as channel:
        yield channel


def request_id_of(span: Span) -> str:
    return str(attributes(span)["correlation.id"])


@pytest.mark.parametrize("client", KINDS)
@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(("kind", "answers"), [("reply", 1), ("count", 3), ("add", 1), ("echo", 3)])
def test_a_request_goes_through_both_sides(
    exported: FakeCollector, client: str, server: str, kind: str, answers: int
) -> None:
    with SERVERS[server]() as target, clew.request("checkout", correlation_id="r-1") as request:
        calls = KINDS[client](target)
        got = calls.reply("Reply") if kind == "reply" else getattr(calls, kind)()

        parent = f"{request.span.span_id:016x}"

    client_span, server_span = called(exported), served(exported)
    assert len(got) == answers
    assert client_span.parent_span_id.hex() == parent
    assert server_span.parent_span_id == client_span.span_id
    assert server_span.trace_id == client_span.trace_id
    assert server_span.name == client_span.name
    assert request_id_of(server_span) == request_id_of(client_span) == "r-1"


class TestClientSpan:
    def test_its_attributes_are_those_of_the_conventions(self, exported: FakeCollector, calls: Calls) -> None:
        calls.reply("Reply")

        host, _, port = calls.target.partition(":")
        described = attributes(called(exported))
        assert described.pop("correlation.id")
        assert described == {
            "rpc.system.name": "grpc",
            "rpc.method": "shop.Orders/Reply",
            "rpc.response.status_code": "OK",
            "server.address": host,
            "server.port": int(port),
        }

    @pytest.mark.parametrize(
        ("method", "code"), [("Abort", "NOT_FOUND"), ("BreakDown", "UNKNOWN"), ("Sing", "UNIMPLEMENTED")]
    )
    def test_a_failure_is_its_status(self, exported: FakeCollector, calls: Calls, method: str, code: str) -> None:
        with pytest.raises(grpc.RpcError) as raised:
            calls.reply(method)

        error: Any = raised.value
        span = called(exported)
        assert error.code().name == code
        assert (status_code(span), attributes(span)["error.type"]) == (code, code)
        assert (span.status.code, span.status.message) == (Status.STATUS_CODE_ERROR, error.details())

    def test_a_stream_that_fails_is_its_status(self, exported: FakeCollector, calls: Calls) -> None:
        with pytest.raises(grpc.RpcError):
            calls.count("CountAndAbort")

        assert status_code(called(exported)) == "RESOURCE_EXHAUSTED"

    def test_a_deadline_is_its_status(self, exported: FakeCollector, calls: Calls) -> None:
        with pytest.raises(grpc.RpcError):
            calls.reply("Linger", timeout=0.2)

        assert status_code(called(exported)) == "DEADLINE_EXCEEDED"

    def test_a_stream_that_is_cancelled_ends_it(self, exported: FakeCollector, calls: Calls) -> None:
        calls.cancel()

        assert status_code(called(exported)) == "CANCELLED"

    def test_nobody_listening_is_its_status(self, exported: FakeCollector) -> None:
        with pytest.raises(grpc.RpcError):
            SyncCalls("127.0.0.1:9").reply("Reply")

        assert status_code(called(exported)) == "UNAVAILABLE"

    def test_requests_are_made_in_the_callers_context(self, exported: FakeCollector, calls: Calls) -> None:
        with clew.request("checkout", correlation_id="r-1"):
            calls.echo()

        clew.flush()
        lines = [line for line in exported.logs if line.body.string_value == "requested"]
        assert {line.trace_id for line in lines} == {called(exported).trace_id}


class TestMetadata:
    def test_a_request_id_of_the_services_choice_stays(self, exported: FakeCollector, calls: Calls) -> None:
        with clew.request("checkout", correlation_id="r-1"):
            answer = calls.reply("SayId", metadata=(("x-request-id", "chosen"), ("own", "1")))

        assert answer == [b"chosen"]

    def test_another_callers_span_is_not_passed_on(self, exported: FakeCollector, calls: Calls) -> None:
        passed_on = [("traceparent", f"00-{'a' * 32}-{'b' * 16}-01"), ("tracestate", "v=1"), ("own-bin", b"\x00")]
        before = list(passed_on)

        calls.reply("Reply", metadata=passed_on)

        assert served(exported).parent_span_id == called(exported).span_id
        assert not served(exported).trace_state
        assert passed_on == before

    def test_aios_own_kind_of_metadata_is_taken(self, exported: FakeCollector, calls: Calls) -> None:
        answer = calls.reply("SayId", metadata=aio.Metadata(("x-request-id", "chosen")))

        assert answer == [b"chosen"]

    def test_what_is_none_is_grpcs_to_refuse(self, exported: FakeCollector, channel: grpc.Channel) -> None:
        with clew_off(), pytest.raises(Exception) as before:  # noqa: PT011
            channel.unary_unary(path("Reply"))(b"1", metadata=17)
        with pytest.raises(type(before.value)):
            channel.unary_unary(path("Reply"))(b"1", metadata=17)

        assert called(exported).status.code == Status.STATUS_CODE_ERROR


class TestWhatACallReturns:
    def test_a_future_is_grpcs_own(self, exported: FakeCollector, channel: grpc.Channel) -> None:
        done: list[Any] = []
        future = channel.unary_unary(path("Reply")).future(b"1", timeout=DEADLINE_S)
        future.add_done_callback(done.append)

        assert future.result() == b"re:1"
        assert future.code() is grpc.StatusCode.OK
        assert isinstance(future, grpc.Call)
        assert isinstance(future, grpc.Future)
        assert status_code(called(exported)) == "OK"

    def test_a_call_beside_its_response_is_grpcs_own(self, exported: FakeCollector, channel: grpc.Channel) -> None:
        response, call = channel.stream_unary(path("Add")).with_call(requests(), timeout=DEADLINE_S)

        assert response == b"6"
        assert call.code() is grpc.StatusCode.OK
        assert status_code(called(exported)) == "OK"

    def test_a_failed_future_is_its_spans_status(self, exported: FakeCollector, channel: grpc.Channel) -> None:
        future = channel.unary_unary(path("Abort")).future(b"1")

        assert future.exception().details() == "no such order"
        assert status_code(called(exported)) == "NOT_FOUND"

    def test_a_stream_that_nobody_holds_any_more_is_cancelled(
        self, exported: FakeCollector, channel: grpc.Channel
    ) -> None:
        responses = channel.unary_stream(path("WaitAfterFirst"))(b"1")
        next(responses)
        del responses
        gc.collect()

        assert status_code(called(exported)) == "CANCELLED"
        assert status_code(served(exported)) == "CANCELLED"

    def test_a_stream_read_without_a_thread_ends_its_span(self, exported: FakeCollector) -> None:
        options = ((grpc.experimental.ChannelOptions.SingleThreadedUnaryStream, 1),)
        with sync_server() as target, grpc.insecure_channel(target, options=options) as channel:
            assert len(list(channel.unary_stream(path("Count"))(b"3"))) == 3
            responses = channel.unary_stream(path("CountForEver"))(b"3")
            next(responses)
            del responses
            gc.collect()

            spans = several(exported, CLIENT, 2)
        assert [status_code(span) for span in spans] == ["OK", "CANCELLED"]

    def test_an_asynchronous_call_is_grpcs_own(self, exported: FakeCollector) -> None:
        async def main(target: str) -> None:
            async with aio.insecure_channel(target) as channel:
                call = channel.unary_unary(path("Reply"))(b"1", timeout=DEADLINE_S)
                assert isinstance(call, aio.UnaryUnaryCall)
                assert await call == b"re:1"
                assert await call.code() is grpc.StatusCode.OK
                stream = channel.stream_stream(path("Echo"))()
                await stream.write(b"1")
                assert await stream.read() == b"1"
                await stream.done_writing()
                assert await stream.read() is aio.EOF

        with sync_server() as target:
            asyncio.run(main(target))

        assert {status_code(span) for span in several(exported, CLIENT, 2)} == {"OK"}

    def test_a_call_that_cannot_begin_is_recorded_and_raised(self, exported: FakeCollector) -> None:
        channel = grpc.insecure_channel("127.0.0.1:9")
        channel.close()

        with pytest.raises(ValueError, match="closed channel"):
            channel.unary_unary(path("Reply"))(b"1")

        described = attributes(called(exported))
        assert described["error.type"] == "ValueError"
        assert "rpc.response.status_code" not in described


class Again(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc]
    """A service's own interceptor, which tries twice."""

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        continuation(client_call_details, request)
        return continuation(client_call_details, request)


class AioAgain(aio.UnaryUnaryClientInterceptor):  # type: ignore[misc]
    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        await (await continuation(client_call_details, request))
        return await continuation(client_call_details, request)


class TestWhatIsTraced:
    def test_each_attempt_of_an_interceptor(self, exported: FakeCollector) -> None:
        async def with_aio(target: str) -> None:
            async with aio.insecure_channel(target, interceptors=[AioAgain()]) as channel:
                await channel.unary_unary(path("Reply"))(b"1")

        with sync_server() as target:
            with grpc.insecure_channel(target) as channel:
                grpc.intercept_channel(channel, Again()).unary_unary(path("Reply"))(b"1")
            asyncio.run(with_aio(target))

        several(exported, CLIENT, 4)

    def test_channels_that_were_there_before(self, collector: FakeCollector) -> None:
        with sync_server() as target:
            run_script(
                """
                import sys
                from grpc import insecure_channel
                import clew
                reply = insecure_channel(sys.argv[1]).unary_unary("/shop.Orders/Reply")
                clew.configure(service="client", endpoint=sys.argv[2])
                assert reply(b"1") == b"re:1"
                """,
                target,
                collector.url,
            )

        assert [span.name for span in collector.spans] == ["shop.Orders/Reply"]

    def test_not_what_exporters_send(self, exported: FakeCollector, calls: Calls) -> None:
        exporter = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
        with grpc.insecure_channel(calls.target) as channel, pytest.raises(grpc.RpcError):
            channel.unary_unary(exporter)(b"")

        assert spans_of(exported, CLIENT) == []

    def test_not_while_instrumentation_is_suppressed(self, exported: FakeCollector, calls: Calls) -> None:
        token = otel_context.attach(otel_context.set_value(otel_context._SUPPRESS_INSTRUMENTATION_KEY, True))
        try:
            assert calls.reply("Reply") == [b"re:1"]
        finally:
            otel_context.detach(token)

        assert spans_of(exported, CLIENT) == []

    def test_not_while_clew_is_off(self, exported: FakeCollector, calls: Calls) -> None:
        with clew_off():
            assert calls.count() == [b"0", b"1", b"2"]

        assert spans_of(exported, CLIENT) == []
        assert spans_of(exported, SERVER) == []

    def test_not_beside_opentelemetrys_own(self, exported: FakeCollector, calls: Calls) -> None:
        with (
            clew.request("checkout", correlation_id="r-1"),
            clew.get_tracer("opentelemetry.instrumentation.grpc").start_as_current_span("shop.Orders/SayId"),
        ):
            assert calls.reply("SayId") == [b"r-1"]

        assert spans_of(exported, CLIENT) == []

    def test_once_when_installed_twice(self, exported: FakeCollector, calls: Calls) -> None:
        for install in (instrumentation.install, instrumentation.install_aio) * 2:
            install()
        calls.reply("Reply")

        called(exported)


def test_generated_code_is_followed(exported: FakeCollector) -> None:
    """As protoc's gRPC plugin writes it: registered methods, a stub, a servicer."""
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue

    class Stub:
        def __init__(self, channel: Any) -> None:
            self.Price = channel.unary_unary(
                "/shop.Prices/Price",
                request_serializer=AnyValue.SerializeToString,
                response_deserializer=AnyValue.FromString,
                _registered_method=True,
            )

    def price(request: AnyValue, context: Any) -> AnyValue:
        return AnyValue(int_value=len(request.string_value))

    method = grpc.unary_unary_rpc_method_handler(price, AnyValue.FromString, AnyValue.SerializeToString)
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Prices", {"Price": method}),))
    server.add_registered_method_handlers("shop.Prices", {"Price": method})
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert Stub(channel).Price(AnyValue(string_value="tea")).int_value == 3
    server.stop(None).wait(10)

    assert served(exported).parent_span_id == called(exported).span_id
