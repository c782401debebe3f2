"""One kept-alive HTTP connection to the collector, from the standard library.

Not `requests`, `urllib3` or `httpx`: a service may have any version of them, patched by anyone, and its own calls
through them are traced.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from time import time
from typing import Final
from urllib.parse import urlsplit

from clew.version import VERSION

REQUEST_TIMEOUT_S: Final = 5.0
_COMPRESS_FROM_BYTES: Final = 1_024
_RETRYABLE: Final = frozenset({429, 502, 503, 504})
"""As OTLP/HTTP says: https://opentelemetry.io/docs/specs/otlp/#failures-1."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a batch."""

    problem: str = ""
    """Empty: the collector has taken it."""

    may_retry: bool = False
    retry_after_s: float | None = None
    """What the collector asked for."""


TAKEN: Final = Outcome()


class CollectorConnection:
    """Posts OTLP bodies, one at a time. Belongs to one thread."""

    def __init__(self, endpoint: str, headers: Mapping[str, str], *, timeout_s: float = REQUEST_TIMEOUT_S) -> None:
        url = urlsplit(endpoint)
        self._type = HTTPSConnection if url.scheme == "https" else HTTPConnection
        self._host = url.hostname or ""
        self._port = url.port
        self._base_path = url.path.rstrip("/")
        self._headers = {
            "User-Agent": f"clew/{VERSION}",
            **headers,
            "Content-Type": "application/x-protobuf",
        }
        self._timeout_s = timeout_s
        self._connection: HTTPConnection | None = None

    def post(self, path: str, body: bytes) -> Outcome:
        """Send one encoded request; blocks for some multiples of the timeout at most, never raises."""
        headers = self._headers
        if len(body) >= _COMPRESS_FROM_BYTES:
            body, headers = _gzip(body), {**headers, "Content-Encoding": "gzip"}
        was_kept = self._connection is not None
        try:
            try:
                return self._exchange(path, body, headers)
            except (ConnectionError, HTTPException):
                # The collector closes idle connections, and we notice only now. A new one that fails is a failure.
                if not was_kept:
                    raise
                self.close()
                return self._exchange(path, body, headers)
        except (OSError, HTTPException, ValueError) as error:
            self.close()
            return Outcome(problem=f"{type(error).__name__}: {error}", may_retry=True)

    def close(self) -> None:
        """Drop the connection; the next post opens a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _exchange(self, path: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
        if self._connection is None:
            self._connection = self._type(self._host, self._port, timeout=self._timeout_s)
        self._connection.request("POST", self._base_path + path, body, headers)
        response = self._connection.getresponse()
        response.read()
        if response.will_close:
            self.close()
        return _judge(response)


def _judge(response: HTTPResponse) -> Outcome:
    if 200 <= response.status < 300:
        return TAKEN
    problem = f"HTTP {response.status} {response.reason}"
    if response.status not in _RETRYABLE:
        return Outcome(problem=problem)
    return Outcome(problem=problem, may_retry=True, retry_after_s=_seconds(response.headers.get("Retry-After")))


def _seconds(retry_after: str | None) -> float | None:
    """`Retry-After` as seconds from now: it is a number of them, or a date (RFC 9110, section 10.2.3)."""
    if retry_after is None:
        return None
    try:
        return float(retry_after) if retry_after.isdigit() else parsedate_to_datetime(retry_after).timestamp() - time()
    except ValueError:
        return None


def _gzip(body: bytes) -> bytes:
    # Level 1: five times smaller for a tenth of the default level's time. 31 makes it gzip instead of zlib.
    compressor = zlib.compressobj(level=1, wbits=31)
    return compressor.compress(body) + compressor.flush()
