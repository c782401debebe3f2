"""Places in Elasticsearch and Zipkin."""

import random
from collections import Counter
from pathlib import Path
from typing import Final

import httpx

from clew_collector.model import Signal
from tests.collector.certificates import Authority, Signed
from tests.collector.sinks.faults.http_line import HttpLine
from tests.collector.sinks.faults.places import Line, Settings, Tls
from tests.collector.sinks.faulty_proxy import Fault
from tests.collector.sinks.shipment import Streams

_PASSWORD: Final = "right"
_BASIC: Final = "Basic Y2xldzpyaWdodA=="  # clew:right
BEARER: Final = f"Bearer {_PASSWORD}"
_UNKNOWN_USER: Final = Fault(
    is_passed_on=False,
    status=401,
    body=b'{"error":{"type":"security_exception","reason":"unable to authenticate user [clew]"},"status":401}',
)


def a_trace() -> str:
    """The ID of a trace that no other cell has; its first half is not all zeroes."""
    return f"{random.getrandbits(127) | 1 << 126:032x}"


class ElasticsearchPlace:
    """A data stream, in whose mapping not every document fits."""

    signal: Signal = "logs"

    def __init__(self, url: str, authority: Authority) -> None:
        self.trace = a_trace()
        self.streams = Streams(url)
        self.streams.logs = f"strict-{self.streams.logs}"
        self._url = url
        self._authority = authority
        size = {"attributes": {"subobjects": False, "properties": {"size": {"type": "long"}}}}
        self.streams.client.indices.put_index_template(
            name=f"clew-logs-{self.streams.logs}",
            index_patterns=[self.streams.logs],
            data_stream={},
            priority=400,
            template={"mappings": {"properties": size}},
        )

    def settings(self) -> Settings:
        """See `Place.settings`."""
        streams = {"logs": self.streams.logs, "traces": self.streams.traces}
        return {"type": "elasticsearch", "urls": [self._url], "connections": 1, "timeout_s": 20, **streams}

    def line(self, tls: Tls | None = None, *, timeout_s: float = 20) -> tuple[Line, Settings]:
        """See `Place.line`."""
        line = HttpLine(
            self._url,
            carries_records=lambda request: "_bulk" in request.line,
            is_known=lambda request: request.headers.get("authorization") == _BASIC,
            unknown=_UNKNOWN_USER,
            signed=None if tls is None else tls.signed_by(self._authority),
        )
        return line, {**self.settings(), "urls": [line.url], "timeout_s": timeout_s}

    def credentials(self, *, are_right: bool) -> Settings:
        """See `Place.credentials`."""
        return {"user": "clew", "password": _PASSWORD if are_right else "wrong"}

    def trusting(self, ca: Path) -> Settings:
        """See `Place.trusting`."""
        return {"tls": {"ca": str(ca)}}

    def found(self) -> Counter[str]:
        """See `Place.found`."""
        return self.streams.messages()


class ZipkinPlace:
    """A trace."""

    signal: Signal = "traces"

    def __init__(self, url: str, authority: Authority) -> None:
        self.trace = a_trace()
        self._url = url
        self._authority = authority

    def settings(self) -> Settings:
        """See `Place.settings`."""
        return {"type": "zipkin", "url": self._url, "timeout_s": 20}

    def line(self, tls: Tls | None = None, *, timeout_s: float = 20) -> tuple[Line, Settings]:
        """See `Place.line`."""
        line = bearing_line(self._url, None if tls is None else tls.signed_by(self._authority))
        return line, {**self.settings(), "url": line.url, "timeout_s": timeout_s}

    def credentials(self, *, are_right: bool) -> Settings:
        """See `Place.credentials`."""
        return bearing(are_right=are_right)

    def trusting(self, ca: Path) -> Settings:
        """See `Place.trusting`."""
        return {"tls": {"ca": str(ca)}}

    def found(self) -> Counter[str]:
        """See `Place.found`."""
        answer = httpx.get(f"{self._url}/api/v2/trace/{self.trace}", timeout=60)
        return Counter(span["name"] for span in answer.json()) if answer.is_success else Counter()


def bearing_line(url: str, signed: Signed | None) -> HttpLine:
    """A line whose strict end asks for a bearer's token."""
    return HttpLine(
        url,
        carries_records=lambda request: request.line.startswith("POST"),
        is_known=lambda request: request.headers.get("authorization") == BEARER,
        signed=signed,
    )


def bearing(*, are_right: bool) -> Settings:
    """Settings with such a token."""
    return {"headers": {"Authorization": BEARER if are_right else "Bearer wrong"}}
