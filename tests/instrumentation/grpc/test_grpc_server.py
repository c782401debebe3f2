import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from grpc import aio
from opentelemetry import context as otel_context
from opentelemetry.proto.trace.v1.trace_pb2 import Status

import clew
from clew.frameworks import grpc as instrumentation
from tests.instrumentation.fake_collector import FakeCollector
from tests.instrumentation.grpc.calls import (
    SERVER,
    attributes,
    log_ids,
    metadata_of,
    path,
    served,
    several,
    spans_of,
    status_code,
)
from tests.instrumentation.grpc.servers import SERVERS, aio_server, sync_server
from tests.instrumentation.scripts import run_script

TRACE, PARENT = "a" * 32, "b" * 16
SENT = (("traceparent", f"00-{TRACE}-{PARENT}-01"), ("x-request-id", "r-1"))


@pytest.fixture
def _uninstrumented_client(exported: FakeCollector) -> Iterator[None]:
    """This test's own calls are those of a client that knows nothing of clew."""
    token = otel_context.attach(otel_context.set_value(otel_context._SUPPRESS_INSTRUMENTATION_KEY, True))
    yield
    otel_context.detach(token)


@pytest.fixture(params=SERVERS)
def channel(request: pytest.FixtureRequest, _uninstrumented_client: None) -> Iterator[grpc.Channel]:
    """To a server of either kind."""
    with SERVERS[request.param]() as target, grpc.insecure_channel(target) as channel:
        yield channel


@pytest.fixture
def aio_channel(_uninstrumented_client: None) -> Iterator[grpc.Channel]:
    with aio_server() as target, grpc.insecure_channel(target) as channel:
        yield channel


def failed(channel: grpc.Channel, method: str, *, timeout: float = 10) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary(path(method))(b"1", metadata=SENT, timeout=timeout)
    return raised.value


class TestServerSpan:
    def test_it_continues_its_callers_trace(self, exported: FakeCollector, channel: grpc.Channel) -> None:
        channel.unary_unary(path("Reply"))(b"1", metadata=SENT)

        span = served(exported)
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
        assert span.name == "shop.Orders/Reply"
        assert attributes(span) == {
            "rpc.system.name": "grpc",
            "rpc.method": "shop.Orders/Reply",
            "rpc.response.status_code": "OK",
            "client.address": "127.0.0.1",
            "correlation.id": "r-1",
        }
        assert span.status.code == Status.STATUS_CODE_UNSET

    @pytest.mark.parametrize("method", ["Reply", "Count", "Add", "Echo"])
    def test_each_kind_of_method_runs_in_its_context(
        self, exported: FakeCollector, channel: grpc.Channel, method: str
    ) -> None:
        answers = call_any(channel, method)

        span = served(exported)
        line = {"Reply": "replied", "Count": "counted", "Add": "added", "Echo": "echoed"}[method]
        assert (
            answers
            == {"Reply": [b"re:3"], "Count": [b"0", b"1", b"2"], "Add": [b"6"], "Echo": [b"1", b"2", b"3"]}[method]
        )
        assert log_ids(exported, line) == {(span.trace_id, span.span_id, "r-1")}
        assert status_code(span) == "OK"

    def test_an_abort_is_its_status_and_no_exception(self, exported: FakeCollector, channel: grpc.Channel) -> None:
        failed(channel, "Abort")

        span = served(exported)
        assert status_code(span) == "NOT_FOUND"
        assert span.status.code == Status.STATUS_CODE_UNSET
        assert not span.events

    def test_an_abort_between_responses_is_its_status(self, exported: FakeCollector, channel: grpc.Channel) -> None:
        with pytest.raises(grpc.RpcError):
            list(channel.unary_stream(path("CountAndAbort"))(b"1"))

        assert status_code(served(exported)) == "RESOURCE_EXHAUSTED"
        assert not served(exported).events

    def test_an_exception_is_recorded(self, exported: FakeCollector, channel: grpc.Channel) -> None:
        error: Any = failed(channel, "BreakDown")

        span = served(exported)
        assert status_code(span) == "UNKNOWN" == error.code().name
        assert span.status.code == Status.STATUS_CODE_ERROR
        assert attributes(span)["error.type"].endswith("servers.AuthError")
        assert [event.name for event in span.events] == ["exception"]

    def test_an_exception_between_responses_is_recorded(self, exported: FakeCollector, channel: grpc.Channel) -> None:
        with pytest.raises(grpc.RpcError):
            list(channel.unary_stream(path("CountAndBreak"))(b"1"))

        assert status_code(served(exported)) == "UNKNOWN"
        assert [event.name for event in served(exported).events] == ["exception"]

    def test_a_code_that_was_set_is_its_status(self, exported: FakeCollector, channel: grpc.Channel) -> None:
        failed(channel, "SetCode")

        span = served(exported)
        assert (status_code(span), attributes(span)["error.type"]) == ("INTERNAL", "INTERNAL")
        assert (span.status.code, span.status.message) == (Status.STATUS_CODE_ERROR, "set, not raised")

    def test_a_deadline_is_its_status(self, exported: FakeCollector, channel: grpc.Channel) -> None:
        failed(channel, "Linger", timeout=0.3)

        span = served(exported)
        assert status_code(span) == "DEADLINE_EXCEEDED"
        assert span.status.code == Status.STATUS_CODE_ERROR

    def test_a_client_that_cancels_is_its_status(self, exported: FakeCollector, channel: grpc.Channel) -> None:
        responses = channel.unary_stream(path("CountForEver"))(b"1", metadata=SENT)
        next(responses)
        responses.cancel()

        span = served(exported)
        assert status_code(span) == "CANCELLED"
        assert span.status.code == Status.STATUS_CODE_UNSET

    def test_a_stream_that_waits_ends_with_its_client(self, exported: FakeCollector, channel: grpc.Channel) -> None:
        responses = channel.unary_stream(path("WaitAfterFirst"))(b"1", metadata=SENT)
        next(responses)
        responses.cancel()

        assert status_code(served(exported)) == "CANCELLED"

    def test_a_method_that_nobody_knows_is_not_in_its_name(
        self, exported: FakeCollector, channel: grpc.Channel
    ) -> None:
        failed(channel, "Sing")

        span = served(exported)
        described = attributes(span)
        assert span.name == "grpc"
        assert (described["rpc.method"], described["rpc.method_original"]) == ("_OTHER", "shop.Orders/Sing")
        assert status_code(span) == "UNIMPLEMENTED"

    def test_health_checks_can_be_excluded(self, exported: FakeCollector, channel: grpc.Channel) -> None:
        clew.configure(service="orders", endpoint=exported.url, excluded_urls=["^/grpc.health.v1.Health/Check$"])

        _, call = channel.unary_unary("/grpc.health.v1.Health/Check").with_call(b"", metadata=SENT)
        channel.unary_unary(path("Reply"))(b"1")

        assert served(exported).name == "shop.Orders/Reply"
        assert metadata_of(call.trailing_metadata(), "x-request-id") == ["r-1"]


def call_any(channel: grpc.Channel, method: str) -> list[bytes]:
    requests = iter([b"1", b"2", b"3"])
    match method:
        case "Reply":
            return [channel.unary_unary(path(method))(b"3", metadata=SENT)]
        case "Count":
            return list(channel.unary_stream(path(method))(b"3", metadata=SENT))
        case "Add":
            return [channel.stream_unary(path(method))(requests, metadata=SENT)]
        case _:
            return list(channel.stream_stream(path(method))(requests, metadata=SENT))


class TestCorrelationId:
    def test_it_is_the_callers_and_sent_back(self, exported: FakeCollector, channel: grpc.Channel) -> None:
        answer, call = channel.unary_unary(path("SayId")).with_call(b"", metadata=SENT)

        assert answer == b"r-1"
        assert metadata_of(call.trailing_metadata(), "x-request-id") == ["r-1"]

    @pytest.mark.parametrize("method", ["Abort", "BreakDown", "SetCode"])
    def test_it_is_sent_back_with_failures(self, channel: grpc.Channel, method: str) -> None:
        error: Any = failed(channel, method)

        assert metadata_of(error.trailing_metadata(), "x-request-id") == ["r-1"]

    def test_it_is_sent_back_beside_the_services_own_metadata(self, channel: grpc.Channel) -> None:
        error: Any = failed(channel, "Abort")

        assert metadata_of(error.trailing_metadata(), "own") == ["1"]
        assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, "no such order")

    def test_it_is_sent_back_after_a_stream(self, channel: grpc.Channel) -> None:
        responses = channel.unary_stream(path("Count"))(b"3", metadata=SENT)
        list(responses)

        assert metadata_of(responses.trailing_metadata(), "x-request-id") == ["r-1"]

    @pytest.mark.parametrize(
        "sent",
        [
            (),
            (("x-request-id", "with spaces"), ("traceparent", "nonsense")),
            (("x-request-id-bin", b"\xff\x00"), ("traceparent-bin", b"\xff")),
            (("x-request-id", "x" * 4_000), ("baggage", "=,=,")),
        ],
        ids=["none", "invalid", "binary", "long"],
    )
    def test_one_is_made_when_none_can_be_used(
        self, exported: FakeCollector, channel: grpc.Channel, sent: tuple[tuple[str, Any], ...]
    ) -> None:
        answer, call = channel.unary_unary(path("SayId")).with_call(b"", metadata=sent)

        assert metadata_of(call.trailing_metadata(), "x-request-id") == [answer.decode()]
        assert answer.decode() == attributes(served(exported))["correlation.id"]
        assert not served(exported).parent_span_id

    def test_a_caller_that_is_not_trusted_is_only_linked_to(
        self, exported: FakeCollector, channel: grpc.Channel
    ) -> None:
        clew.configure(service="orders", endpoint=exported.url, trust_incoming=False)

        answer = channel.unary_unary(path("SayId"))(b"", metadata=SENT)

        span = served(exported)
        assert answer != b"r-1"
        assert span.trace_id.hex() != TRACE
        assert [link.span_id.hex() for link in span.links] == [PARENT]


class TestFunctionsThatAreNotAsync:
    """On a server of asyncio they run in threads."""

    def test_they_run_in_the_requests_context(self, exported: FakeCollector, aio_channel: grpc.Channel) -> None:
        assert aio_channel.unary_unary(path("ThreadedSayId"))(b"", metadata=SENT) == b"r-1"
        assert list(aio_channel.unary_stream(path("ThreadedCount"))(b"2", metadata=SENT)) == [b"0", b"1"]
        requests = iter([b"1", b"2"])
        assert list(aio_channel.stream_stream(path("ThreadedEcho"))(requests, metadata=SENT)) == [b"1", b"2"]

        assert {status_code(span) for span in several(exported, SERVER, 3)} == {"OK"}
        assert {correlation_id for *_, correlation_id in log_ids(exported, "counted")} == {"r-1"}

    @pytest.mark.parametrize(("method", "code"), [("ThreadedAbort", "NOT_FOUND"), ("ThreadedSetCode", "INTERNAL")])
    def test_their_codes_are_their_status(
        self, exported: FakeCollector, aio_channel: grpc.Channel, method: str, code: str
    ) -> None:
        error: Any = failed(aio_channel, method)

        assert status_code(served(exported)) == code == error.code().name
        assert metadata_of(error.trailing_metadata(), "x-request-id") == ["r-1"]

    def test_writing_is_as_good_as_yielding(self, exported: FakeCollector, aio_channel: grpc.Channel) -> None:
        assert list(aio_channel.unary_stream(path("CountByWriting"))(b"2", metadata=SENT)) == [b"0", b"1"]

        span = served(exported)
        assert log_ids(exported, "counted") == {(span.trace_id, span.span_id, "r-1")}


class Refusing(grpc.ServerInterceptor):  # type: ignore[misc]
    """A service's own interceptor: logs, then lets nobody in."""

    def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        from tests.instrumentation.grpc.servers import log

        log.info("refused")

        def refuse(request: Any, context: Any) -> Any:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no")

        return grpc.unary_unary_rpc_method_handler(refuse)


class Broken(grpc.ServerInterceptor):  # type: ignore[misc]
    def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        raise ValueError("broken interceptor")


@pytest.mark.usefixtures("_uninstrumented_client")
class TestInterceptors:
    def test_what_they_do_belongs_to_the_request(self, exported: FakeCollector) -> None:
        with sync_server([Refusing()]) as target, grpc.insecure_channel(target) as channel:
            failed(channel, "Reply")

            span = served(exported)
        assert status_code(span) == "UNAUTHENTICATED"
        assert log_ids(exported, "refused") == {(span.trace_id, span.span_id, "r-1")}

    def test_one_that_fails_is_recorded(self, exported: FakeCollector) -> None:
        with sync_server([Broken()]) as target, grpc.insecure_channel(target) as channel:
            failed(channel, "Reply")

            span = served(exported)
        assert status_code(span) == "UNKNOWN"
        assert attributes(span)["error.type"] == "ValueError"

    def test_ours_by_hand_is_not_added_again(self, exported: FakeCollector) -> None:
        for start, make in (
            (sync_server, instrumentation.server_interceptor),
            (aio_server, instrumentation.aio_server_interceptor),
        ):
            with start([make()]) as target, grpc.insecure_channel(target) as channel:
                channel.unary_unary(path("Reply"))(b"1")

        several(exported, SERVER, 2)

    def test_installed_twice_is_installed_once(self, exported: FakeCollector) -> None:
        instrumentation.install()
        instrumentation.install()
        with sync_server() as target, grpc.insecure_channel(target) as channel:
            channel.unary_unary(path("Reply"))(b"1")

            served(exported)

    def test_a_server_by_a_name_imported_before_is_followed(self, collector: FakeCollector) -> None:
        run_script(
            """
            import sys
            from concurrent.futures import ThreadPoolExecutor
            from grpc import insecure_channel, method_handlers_generic_handler, server, unary_unary_rpc_method_handler
            import clew
            clew.configure(service="server", endpoint=sys.argv[1], disabled_instrumentations=["grpc_client"])
            method = unary_unary_rpc_method_handler(lambda request, context: request)
            running = server(ThreadPoolExecutor(1), [method_handlers_generic_handler("shop.Orders", {"Echo": method})])
            port = running.add_insecure_port("127.0.0.1:0")
            running.start()
            with insecure_channel(f"127.0.0.1:{port}") as channel:
                channel.unary_unary("/shop.Orders/Echo")(b"1")
            running.stop(None).wait()
            """,
            collector.url,
        )

        assert [(span.name, span.kind) for span in collector.spans] == [("shop.Orders/Echo", SERVER)]

    def test_there_is_no_second_span_beside_opentelemetrys(self, exported: FakeCollector) -> None:
        class Theirs(grpc.ServerInterceptor):  # type: ignore[misc]
            __module__ = "opentelemetry.instrumentation.grpc._server"

            def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
                return continuation(handler_call_details)

        with sync_server([Theirs()]) as target, grpc.insecure_channel(target) as channel:
            channel.unary_unary(path("Reply"))(b"1")

        assert spans_of(exported, SERVER) == []

    def test_a_server_does_as_before_while_clew_is_off(self, exported: FakeCollector, channel: grpc.Channel) -> None:
        clew.configure(service="orders", endpoint=exported.url, enabled=False)

        _, call = channel.unary_unary(path("Reply")).with_call(b"1", metadata=SENT)

        assert metadata_of(call.trailing_metadata(), "x-request-id") == []


def test_an_experimental_thread_pool_is_used(exported: FakeCollector) -> None:
    names: list[str] = []

    def tell(request: bytes, context: Any) -> bytes:
        names.append(threading.current_thread().name)
        return b""

    with ThreadPoolExecutor(1, "own-pool") as pool:
        tell.experimental_thread_pool = pool  # type: ignore[attr-defined]
        server = grpc.server(ThreadPoolExecutor(1))
        method = grpc.unary_unary_rpc_method_handler(tell)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Pools", {"Tell": method}),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            channel.unary_unary("/shop.Pools/Tell")(b"")
        server.stop(None).wait(10)

    assert names == ["own-pool_0"]


def test_registered_methods_are_followed(exported: FakeCollector) -> None:
    server = grpc.server(ThreadPoolExecutor(1))
    method = grpc.unary_unary_rpc_method_handler(lambda request, context: b"")
    server.add_registered_method_handlers("shop.Registered", {"Tell": method})
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        channel.unary_unary("/shop.Registered/Tell")(b"")
    server.stop(None).wait(10)

    assert served(exported).name == "shop.Registered/Tell"


def test_an_aio_servers_context_is_still_grpcs(exported: FakeCollector) -> None:
    seen: list[Any] = []

    async def look(request: bytes, context: Any) -> bytes:
        seen.append((isinstance(context, type(context)), type(context).__name__, context.__class__.__name__))
        seen.append(context.invocation_metadata())
        context.set_trailing_metadata((("own", "1"),))
        await context.send_initial_metadata((("initial", "1"),))
        return b""

    async def main() -> Any:
        server = aio.server()
        method = grpc.unary_unary_rpc_method_handler(look)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Looks", {"Look": method}),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary("/shop.Looks/Look")(b"")
            await call
            found = await call.initial_metadata(), await call.trailing_metadata()
        await server.stop(None)
        return found

    initial, trailing = asyncio.run(main())

    assert seen[0][2] == "_ServicerContext"
    assert metadata_of(initial, "initial") == ["1"]
    assert metadata_of(trailing, "own") == ["1"]
    assert len(metadata_of(trailing, "x-request-id")) == 1
