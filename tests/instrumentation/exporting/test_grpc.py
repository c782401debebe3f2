"""OTLP over gRPC, with a server that has OTLP's services."""

import logging
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

import clew
from clew.clients.outgoing import is_suppressed
from clew.context import CURRENT
from clew.exporting import counters
from clew.runtime import RUNTIME
from tests.instrumentation.exporting.peers import GrpcPeer, closed_port, grpc_peer, make_certificate
from tests.instrumentation.fake_collector import attributes_of


def make_spans(*names: str) -> None:
    for name in names:
        clew.get_tracer("test").start_span(name).end()


def refuse(code: str, details: str = "", *, retry_after: Duration | None = None) -> Callable[[Any], None]:
    def answer(context: Any) -> None:
        if retry_after is not None:
            detail = AnyMessage()
            detail.Pack(RetryInfo(retry_delay=retry_after))
            status = Status(code=8, message=details, details=[detail])
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(grpc.StatusCode[code], details)

    return answer


@pytest.fixture
def peer() -> Iterator[GrpcPeer]:
    with grpc_peer() as peer:
        clew.configure(
            "orders", endpoint=peer.url, protocol="grpc", headers={"X-API-Key": "secret"}, export_timeout_s=5
        )
        yield peer
        clew.shutdown(0.5)


def test_spans_and_logs_arrive_by_the_services(peer: GrpcPeer) -> None:
    make_spans("a", "b")
    logging.getLogger("shop").warning("hello")

    assert clew.flush(5)

    assert [span.name for span in peer.spans] == ["a", "b"]
    assert [log.body.string_value for log in peer.logs] == ["hello"]
    resource = attributes_of(peer.trace_requests[0].resource_spans[0].resource.attributes)
    assert resource["service.name"] == "orders"
    assert all(metadata["x-api-key"] == "secret" for metadata in peer.metadata)
    assert all(f"clew/{clew.__version__}" in metadata["user-agent"] for metadata in peer.metadata)
    assert counters()["spans"].sent == 2


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_large_batches_arrive_compressed_or_not(compression: Any) -> None:
    with grpc_peer() as peer:
        clew.configure("orders", endpoint=peer.url, protocol="grpc", compression=compression)
        make_spans(*[f"span {number}" for number in range(2_000)])

        assert clew.flush(10)
        assert len(peer.spans) == 2_000


def test_bodies_fit_into_what_a_server_takes_by_default(peer: GrpcPeer) -> None:
    for number in range(100):
        span = clew.get_tracer("test").start_span(f"span {number}")
        span.set_attributes({"text": "x" * 60_000, "more": "y" * 60_000})
        span.end()

    assert clew.flush(10)

    assert len(peer.spans) == 100


@pytest.mark.parametrize("code", ["CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE"])
def test_what_may_be_better_later_is_sent_again(peer: GrpcPeer, code: str) -> None:
    peer.refusals = [refuse(code)]

    make_spans("a")
    assert not clew.flush(5)
    peer.wait_for(lambda: peer.spans)

    assert clew.flush(5)
    assert len(peer.spans) == 1


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "UNAUTHENTICATED", "UNIMPLEMENTED", "RESOURCE_EXHAUSTED"])
def test_what_never_will_be_is_dropped_and_counted(peer: GrpcPeer, code: str) -> None:
    peer.refusals = [refuse(code)]

    make_spans("bad")
    clew.flush(5)
    make_spans("good")

    assert clew.flush(5)
    assert [span.name for span in peer.spans] == ["good"]
    assert counters()["spans"].dropped == {"rejected": 1}


def test_a_server_without_room_says_when_to_come_again(peer: GrpcPeer) -> None:
    peer.refusals = [refuse("RESOURCE_EXHAUSTED", "busy", retry_after=Duration(seconds=1, nanos=500_000_000))]
    begin_s = time.monotonic()

    make_spans("a")
    assert not clew.flush(5)
    peer.wait_for(lambda: peer.spans)

    assert time.monotonic() - begin_s >= 1.4


@pytest.mark.parametrize("seconds", [10**9, -5])
def test_a_delay_that_makes_no_sense_is_capped(peer: GrpcPeer, seconds: int) -> None:
    peer.refusals = [refuse("UNAVAILABLE", retry_after=Duration(seconds=seconds))]
    exporter = RUNTIME.exporter
    assert exporter is not None

    make_spans("a")
    clew.flush(5)

    assert exporter.spans.retry_at_s - time.monotonic() <= 60


def test_a_message_too_large_for_the_server_is_split(peer: GrpcPeer) -> None:
    peer.refusals = [refuse("RESOURCE_EXHAUSTED", "Received message larger than max (5000000 vs. 4194304)")]

    make_spans("a", "b", "c", "d")
    assert clew.flush(5)

    assert [span.name for span in peer.spans] == ["a", "b", "c", "d"]
    assert len(peer.trace_requests) == 2
    assert counters()["spans"].sent == 4


def test_a_partial_success_is_counted(peer: GrpcPeer) -> None:
    peer.rejected_spans = 2

    make_spans("a", "b", "c")
    assert clew.flush(5)

    assert counters()["spans"].sent == 1
    assert counters()["spans"].dropped == {"rejected": 2}


def test_a_collector_that_comes_back_gets_what_was_kept(caplog: pytest.LogCaptureFixture) -> None:
    port = closed_port()
    clew.configure("orders", endpoint=f"http://127.0.0.1:{port}", protocol="grpc")
    make_spans("a")
    assert not clew.flush(5)

    with grpc_peer(port=port) as peer:
        peer.wait_for(lambda: peer.spans)

    lines = [record.getMessage() for record in caplog.records if record.name == "clew"]
    assert len([line for line in lines if "does not take" in line]) == 1


def test_https_with_its_own_certificate(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)

    with grpc_peer(tls=(certificate, key)) as peer:
        clew.configure("orders", endpoint=peer.url, protocol="grpc", certificate=certificate)
        make_spans("a")
        assert clew.flush(5)
        assert [span.name for span in peer.spans] == ["a"]


def test_https_with_a_certificate_that_nobody_knows_sends_nothing(tmp_path: Path) -> None:
    with grpc_peer(tls=make_certificate(tmp_path)) as peer:
        clew.configure("orders", endpoint=peer.url, protocol="grpc")
        make_spans("a")
        assert not clew.flush(5)
        assert peer.requests == []


def test_a_certificate_that_cannot_be_read_is_said_by_configure(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="certificate must be a file"):
        clew.configure("orders", endpoint="https://x:1", protocol="grpc", certificate=str(tmp_path / "none.pem"))


def test_a_header_that_grpc_does_not_take_is_said_by_configure() -> None:
    with pytest.raises(ValueError, match=r"headers must have names that gRPC takes, got 'x~key'"):
        clew.configure("orders", protocol="grpc", headers={"x~key": "1"})


def test_the_exporters_own_calls_are_not_for_tracing(peer: GrpcPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    call = grpc._channel._UnaryUnaryMultiCallable.__call__

    def watched(self: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(is_suppressed(CURRENT.get()))
        return call(self, *args, **kwargs)

    monkeypatch.setattr(grpc._channel._UnaryUnaryMultiCallable, "__call__", watched)
    make_spans("a")
    assert clew.flush(5)

    assert seen
    assert all(seen)


def run(script: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-c", textwrap.dedent(script), *arguments]
    return subprocess.run(argv, timeout=30, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def test_without_grpcio_configure_says_what_to_install() -> None:
    done = run(
        """
        import sys
        sys.modules["grpc"] = None
        import clew
        try:
            clew.configure("orders", protocol="grpc")
        except ValueError as error:
            print(error)
        clew.configure("orders", protocol="http/protobuf")
        """
    )

    assert "pip install 'clew[otel]'" in done.stdout, done.stderr
    assert done.returncode == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_each_side_of_a_fork_sends_its_own() -> None:
    with grpc_peer() as peer:
        done = run(
            """
            import os, sys, warnings
            warnings.simplefilter("ignore", DeprecationWarning)
            import clew
            clew.configure("orders", protocol="grpc", endpoint=sys.argv[1])
            work = lambda name: clew.get_tracer("test").start_span(name).end()
            work("before")
            clew.flush(5)
            work("queued before")
            child = os.fork()
            if child == 0:
                work("child's")
                os._exit(0 if clew.flush(5) else 1)
            _, status = os.waitpid(child, 0)
            work("parent's")
            sys.exit(bool(status) or not clew.flush(5))
            """,
            peer.url,
        )

        assert done.returncode == 0, done.stderr
        assert sorted(span.name for span in peer.spans) == ["before", "child's", "parent's", "queued before"]
