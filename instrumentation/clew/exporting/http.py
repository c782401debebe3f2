"""OTLP over HTTP: one kept-alive connection to the collector, from the standard library.

Not `requests`, `urllib3` or `httpx`: a service may have any version of them, patched by anyone, and its own calls
through them are traced.
"""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from time import time
from typing import Final
from urllib.parse import SplitResult

from clew.exporting.batch import KINDS, Batch
from clew.exporting.endpoints import basic_credentials, endpoint_of, headers_of
from clew.exporting.outcome import Outcome, readable, taken
from clew.exporting.proxies import proxy_for
from clew.exporting.tls import tls_context
from clew.settings import Settings
from clew.version import VERSION

MAX_ANSWER_BYTES: Final = 65_536
_RETRYABLE: Final = frozenset({429, 502, 503, 504})
"""As OTLP/HTTP says: https://opentelemetry.io/docs/specs/otlp/#failures-1."""


class HttpTransport:
    """Posts batches. Two signals that go to the same place share a connection."""

    def __init__(self, settings: Settings) -> None:
        """Raises `ValueError` for a certificate that cannot be read."""
        self._headers: dict[str, dict[str, str]] = {}
        self._connections: dict[tuple[str, str], Connection] = {}
        self._endpoints: dict[str, tuple[Connection, SplitResult]] = {}
        for kind in KINDS.values():
            url = endpoint_of(settings, kind)
            place = (url.scheme, url.netloc)
            if place not in self._connections:
                self._connections[place] = Connection(url, settings)
            self._endpoints[kind.name] = (self._connections[place], url)
            self._headers[kind.name] = {
                "User-Agent": f"clew/{VERSION}",
                **headers_of(settings, kind),
                "Content-Type": "application/x-protobuf",
            }

    def send(self, batch: Batch) -> Outcome:
        """Post a batch."""
        connection, url = self._endpoints[batch.kind.name]
        headers = self._headers[batch.kind.name]
        if batch.is_gzip:
            headers = {**headers, "Content-Encoding": "gzip"}
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        return connection.post(target, batch.body, headers)

    def forget(self) -> None:
        """Close this process's copies of the sockets; the parent's stay open."""
        self.close()

    def close(self) -> None:
        """Drop the connections."""
        for connection in self._connections.values():
            connection.close()


class Connection:
    """A connection to one server, or to the proxy before it; opened when it is needed, and kept."""

    def __init__(self, url: SplitResult, settings: Settings) -> None:
        self._url = url
        self._timeout_s = settings.export_timeout_s
        self._proxy = proxy_for(url)
        self._tls = tls_context(settings) if url.scheme == "https" else None
        self._own_headers = _credentials("Authorization", url)
        if self._proxy is not None and self._tls is None:
            self._own_headers |= _credentials("Proxy-Authorization", self._proxy)
        self._kept: HTTPConnection | None = None

    def post(self, target: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
        """Send one request and judge the answer."""
        was_kept = self._kept is not None
        try:
            try:
                return self._exchange(target, body, headers)
            except (ConnectionError, HTTPException):
                # The collector closes idle connections, and we notice only now. A new one that fails is a failure.
                if not was_kept:
                    raise
                self.close()
                return self._exchange(target, body, headers)
        except (OSError, HTTPException) as error:
            self.close()
            return Outcome(problem=f"{type(error).__name__}: {readable(str(error))}", may_retry=True)
        except BaseException:
            # A request that was begun cannot be gone on with.
            self.close()
            raise

    def close(self) -> None:
        """Drop the connection; the next post opens a new one."""
        connection, self._kept = self._kept, None
        if connection is not None:
            connection.close()

    def _exchange(self, target: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
        if self._kept is None:
            self._kept = self._open()
        if self._proxy is not None and self._tls is None:
            target = f"http://{self._url.netloc.rpartition('@')[2]}{target}"
        connection = self._kept
        connection.request("POST", target, body, {**self._own_headers, **headers})
        response = connection.getresponse()
        answer = response.read(MAX_ANSWER_BYTES)
        # What follows a larger answer would be taken for the next one's beginning.
        if response.will_close or not response.isclosed():
            self.close()
        return _judge(response, answer)

    def _open(self) -> HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        first = self._url if self._proxy is None else self._proxy
        first_host, first_port = first.hostname or "", first.port
        if self._tls is None:
            return HTTPConnection(first_host, first_port or 80, timeout=self._timeout_s)
        connection = HTTPSConnection(first_host, first_port, timeout=self._timeout_s, context=self._tls)
        if self._proxy is not None:
            connection = HTTPSConnection(first_host, first_port or 80, timeout=self._timeout_s, context=self._tls)
            connection.set_tunnel(host, port or 443, _credentials("Proxy-Authorization", self._proxy))
        return connection


def _judge(response: HTTPResponse, answer: bytes) -> Outcome:
    if 200 <= response.status < 300:
        is_protobuf = (response.getheader("Content-Type") or "").partition(";")[0].strip() == "application/x-protobuf"
        return taken(answer if is_protobuf else b"")
    # Redirects are not followed: a collector has one address, and headers may be a secret of it.
    problem = f"HTTP {response.status} {readable(response.reason)}"
    if response.status not in _RETRYABLE:
        return Outcome(problem=problem, is_too_large=response.status == 413)
    return Outcome(problem=problem, may_retry=True, retry_after_s=_seconds(response.headers.get("Retry-After")))


def _seconds(retry_after: str | None) -> float | None:
    """`Retry-After` as seconds from now: it is a number of them, or a date (RFC 9110, section 10.2.3)."""
    if retry_after is None:
        return None
    try:
        return float(retry_after) if retry_after.isdigit() else parsedate_to_datetime(retry_after).timestamp() - time()
    except (ValueError, TypeError, OverflowError):
        return None


def _credentials(header: str, url: SplitResult) -> dict[str, str]:
    value = basic_credentials(url)
    return {} if value is None else {header: value}
