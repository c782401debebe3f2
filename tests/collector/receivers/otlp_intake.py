"""Both receivers of OTLP on free ports, in a thread of their own, for clients that block or are other programs."""

import asyncio
import socket
import threading
from collections import Counter as Tally
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import uvloop
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from clew_collector.errors import ClewError
from clew_collector.keys import KEY, Keys
from clew_collector.payload import Payload
from clew_collector.receivers.otlp_grpc import NO_KEYS, OtlpGrpcReceiver
from clew_collector.receivers.otlp_http import OtlpHttpReceiver
from clew_collector.spool import Counter
from clew_collector.tls import Pem
from clew_server.process import serve

LIMIT = 1_000_000
TIMEOUT_S = 30.0


class OtlpIntake:
    """What came in; refuses with `error` while there is one, and holds answers back while `may_answer` is not set."""

    def __init__(self) -> None:
        self.error: ClewError | None = None
        self.payloads: list[Payload] = []
        self.counts: Tally[Counter] = Tally()
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.grpc_address = ""
        self.http_address = ""
        self.stop: Callable[[], object] = lambda: None

    @property
    def spans(self) -> list[Span]:
        bodies = [payload.body for payload in self.payloads if payload.signal == "traces"]
        groups = [group for body in bodies for group in ExportTraceServiceRequest.FromString(body).resource_spans]
        return [span for group in groups for scope in group.scope_spans for span in scope.spans]

    @property
    def logs(self) -> list[LogRecord]:
        bodies = [payload.body for payload in self.payloads if payload.signal == "logs"]
        groups = [group for body in bodies for group in ExportLogsServiceRequest.FromString(body).resource_logs]
        return [log for group in groups for scope in group.scope_logs for log in scope.log_records]

    async def serve(
        self, started: threading.Event, *, tls: Pem | None, cors_origins: tuple[str, ...], keys: Keys
    ) -> None:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        self.stop = lambda: loop.call_soon_threadsafe(stopping.set)
        over_grpc = OtlpGrpcReceiver(self._deliver, count=self._count, max_body_bytes=LIMIT, keys=keys)
        over_http = OtlpHttpReceiver(self._deliver, count=self._count, max_body_bytes=LIMIT, cors_origins=cors_origins)
        with closing(socket.create_server(("127.0.0.1", 0))) as listening:
            async with over_grpc.serving("127.0.0.1", 0, tls=tls) as port:
                self.grpc_address = f"127.0.0.1:{port}"
                self.http_address = f"127.0.0.1:{listening.getsockname()[1]}"
                started.set()
                await serve(over_http, listening, stopping=stopping)

    async def _deliver(self, payload: Payload) -> bool:
        await asyncio.to_thread(self.may_answer.wait)
        if self.error is not None:
            raise self.error
        if (key := KEY.get()) is not None:
            key.spend(payload.records)
        self.payloads.append(payload)
        return True

    def _count(self, counter: Counter, count: int) -> None:
        self.counts[counter] += count


@contextmanager
def otlp_intake(
    *, tls: Pem | None = None, cors_origins: tuple[str, ...] = (), keys: Keys = NO_KEYS
) -> Iterator[OtlpIntake]:
    """Both receivers from when they listen, on uvloop as in the product; `tls` and `keys` are for gRPC's."""
    intake = OtlpIntake()
    started = threading.Event()

    def run() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(intake.serve(started, tls=tls, cors_origins=cors_origins, keys=keys))

    thread = threading.Thread(target=run, name="otlp-intake", daemon=True)
    thread.start()
    assert started.wait(TIMEOUT_S)
    try:
        yield intake
    finally:
        intake.may_answer.set()
        intake.stop()
        thread.join(TIMEOUT_S)
