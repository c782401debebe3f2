"""One request of 100,000 spans, and somebody who looks at its page all the time."""

import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

SPANS: Final = 100_000
TRACE_ID: Final = bytes(range(1, 17))
_A_BODY: Final = 5_000
_TIMEOUT_S: Final = 120


def huge_request() -> Iterator[tuple[int, bytes]]:
    """The spans as OTLP bodies, each with its number of spans: ten services, every span with three attributes."""
    now_ns = time.time_ns()
    for first in range(0, SPANS, _A_BODY):
        request = ExportTraceServiceRequest()
        group = request.resource_spans.add()
        group.resource.attributes.append(_attribute("service.name", f"service-{first // _A_BODY % 10}"))
        group.scope_spans.add().spans.extend(_span(number, now_ns) for number in range(first, first + _A_BODY))
        yield _A_BODY, request.SerializeToString()


def _span(number: int, now_ns: int) -> Span:
    """Span 1 is the root; each has up to eight children."""
    start_ns = now_ns + number * 10_000
    return Span(
        trace_id=TRACE_ID,
        span_id=(number + 1).to_bytes(8, "big"),
        parent_span_id=((number - 1) // 8 + 1).to_bytes(8, "big") if number else b"",
        name=f"step {number % 50}",
        kind=Span.SPAN_KIND_SERVER if number == 0 else Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=start_ns,
        end_time_unix_nano=start_ns + 5_000_000,
        attributes=[
            _attribute("http.request.method", "GET"),
            _attribute("http.route", f"/items/{number % 20}"),
            _attribute("enduser.id", f"user-{number % 5_000}"),
        ],
    )


def _attribute(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


@dataclass
class Looked:
    """How long each view of the page took, in seconds."""

    took_s: list[float] = field(default_factory=list)


@contextmanager
def looking_at(dashboard_url: str) -> Iterator[Looked]:
    """Somebody opens the page of that request again as soon as it is there, from when it was there once."""
    looked, stopping = Looked(), threading.Event()
    url = f"{dashboard_url}/requests/{TRACE_ID.hex()}"
    _open(url)

    def look() -> None:
        while not stopping.is_set():
            began_s = time.monotonic()
            _open(url)
            looked.took_s.append(time.monotonic() - began_s)

    with ThreadPoolExecutor(1) as thread:
        looking = thread.submit(look)
        try:
            yield looked
        finally:
            stopping.set()
        looking.result()  # raises what went wrong: nobody looked then


def _open(url: str) -> None:
    with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as page:
        page.read()
