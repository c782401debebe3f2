"""A place in another clew that runs: the lines of one trace, over HTTP or gRPC."""

import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import grpc
import httpx

from clew_collector.model import Signal
from tests.collector.certificates import Authority, Signed
from tests.collector.otlp_builders import a_log, logs
from tests.collector.sinks.faults.cutting import CuttingLine, Http2, cutting_line
from tests.collector.sinks.faults.grpc_proxy import GrpcProxy, Refusal, grpc_proxy
from tests.collector.sinks.faults.http_places import BEARER, a_trace, bearing, bearing_line
from tests.collector.sinks.faults.places import LIMIT_BYTES, REFUSED, RETRY_AFTER_S, Line, Settings, Tls, Trouble
from tests.server.running_clew import RunningClew
from tests.servers.processes import free_port
from tests.waiting import wait_until

_TOO_LARGE: Final = Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "Received message larger than max")
_FULL: Final = "too many requests"
_MARKS = itertools.count()


class OtlpPlace:
    """See `Place`."""

    signal: Signal = "logs"

    def __init__(self, running: RunningClew, authority: Authority, *, protocol: str) -> None:
        self.trace = a_trace()
        self._running = running
        self._authority = authority
        self._protocol = protocol

    def settings(self) -> Settings:
        """See `Place.settings`."""
        url = self._running.otlp_url if self._protocol == "http" else f"http://{self._running.urls['grpc']}"
        return {"type": "otlp", "protocol": self._protocol, "url": url, "timeout_s": 20}

    def line(self, tls: Tls | None = None, *, timeout_s: float = 20) -> tuple[Line, Settings]:
        """See `Place.line`."""
        signed = None if tls is None else tls.signed_by(self._authority)
        line = (
            bearing_line(self._running.otlp_url, signed)
            if self._protocol == "http"
            else GrpcLine(self._running.urls["grpc"], signed)
        )
        return line, {**self.settings(), "url": line.url, "timeout_s": timeout_s}

    def credentials(self, *, are_right: bool) -> Settings:
        """See `Place.credentials`."""
        return bearing(are_right=are_right)

    def trusting(self, ca: Path) -> Settings:
        """See `Place.trusting`."""
        return {"tls": {"ca": str(ca)}}

    def found(self) -> Counter[str]:
        """See `Place.found`: all that came before a line that is sent now."""
        mark = f"mark {next(_MARKS)}"
        request = logs(a_log(mark, trace=self.trace)).SerializeToString()
        headers = {"content-type": "application/x-protobuf"}
        httpx.post(f"{self._running.otlp_url}/v1/logs", content=request, headers=headers).raise_for_status()
        wait_until(lambda: mark in self._bodies(), timeout_s=60)
        return Counter(body for body in self._bodies() if not body.startswith("mark "))

    def _bodies(self) -> list[str]:
        answer = httpx.get(f"{self._running.dashboard_url}/requests/{self.trace}?format=json", timeout=60)
        return [log["body"] for log in answer.json()["logs"]] if answer.is_success else []


class GrpcLine:
    """See `Line`: a proxy of calls, and before it, unless over TLS, a line of bytes that can be cut."""

    def __init__(self, upstream: str, signed: Signed | None) -> None:
        self._upstream = upstream
        self._signed = signed
        self._port = free_port()
        self._proxy = GrpcProxy()
        self._bytes = CuttingLine()
        self.url = f"{'http' if signed is None else 'https'}://127.0.0.1:{self._port}"

    @contextmanager
    def listening(self) -> Iterator[Any]:
        """See `Line.listening`."""
        self._proxy.hurry.clear()
        if self._signed is not None:
            with grpc_proxy(self._upstream, port=self._port, signed=self._signed, proxy=self._proxy):
                yield
            return
        inner = free_port()
        with (
            grpc_proxy(self._upstream, port=inner, proxy=self._proxy),
            cutting_line(self._port, inner, Http2, line=self._bytes),
        ):
            yield

    def begin(self, trouble: Trouble) -> None:
        """See `Line.begin`."""
        self._proxy.is_slow = trouble is Trouble.SLOW
        self._bytes.cuts = 1 if trouble is Trouble.CUT else 0
        self._proxy.refusal = lambda body, metadata: _refusal(trouble, body, metadata)

    def end(self) -> None:
        """See `Line.end`."""
        self._proxy.is_slow, self._bytes.cuts = False, 0
        self._proxy.refusal = lambda body, metadata: None
        self._proxy.hurry.set()


def _refusal(trouble: Trouble, body: bytes, metadata: dict[str, Any]) -> Refusal | None:
    if trouble is Trouble.FULL:
        return Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, _FULL)
    if trouble is Trouble.FULL_UNTIL:
        return Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, _FULL, RETRY_AFTER_S)
    if trouble is Trouble.PICKY and REFUSED.encode() in body:
        return Refusal(grpc.StatusCode.INVALID_ARGUMENT, "not this one")
    if trouble is Trouble.SMALL and len(body) > LIMIT_BYTES:
        return _TOO_LARGE
    if trouble is Trouble.STRICT and metadata.get("authorization") != BEARER:
        return Refusal(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
    return None
