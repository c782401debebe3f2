"""A request on the wire, whatever library sends it: its span and its headers.

Names and attributes by https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-client-span. A span covers one
request, from the search for a connection to the response's headers; each redirect and each retry is a request of its
own. A call keeps what the library gave; the attributes are made of it on the export thread.
"""

from collections.abc import Callable, Mapping, MutableMapping
from functools import lru_cache
from types import TracebackType
from typing import Any, Final, NamedTuple, Self
from urllib.parse import urlsplit

from clew import fields
from clew.clients.outgoing import call_headers, is_suppressed, request_headers, scope_of
from clew.context import CURRENT
from clew.failures import type_name
from clew.frameworks.http_server import KNOWN_METHODS
from clew.freezing import MAX_TEXT, Frozen, freeze
from clew.incoming import CLIENT
from clew.redaction import redact_query
from clew.runtime import RUNTIME
from clew.spans import STATUS_ERROR, AlikeAttributes, LightSpan
from clew.tracing import OWN_SCOPE, start_span

HTTP_VERSIONS: Final = {9: "0.9", 10: "1.0", 11: "1.1", 20: "2"}
"""`network.protocol.version` by the number that `http.client` has for it."""

_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_TRACEPARENT: Final = "traceparent"
_TRACESTATE: Final = "tracestate"


class Target(NamedTuple):
    """Where a request goes, without user and password."""

    scheme: str
    host: str
    port: int | None
    path: str
    """With its query."""

    @classmethod
    def of(cls, url: str) -> Self:
        """Of a whole address. Raises `ValueError` for one that is not valid."""
        parts = urlsplit(url)
        path = parts.path or "/"
        return cls(parts.scheme, parts.hostname or "", parts.port, f"{path}?{parts.query}" if parts.query else path)


class HttpCall:
    """`with HttpCall(...) as call:` around one request. An exception that leaves the block is noted and passed on."""

    __slots__ = ("_details", "_span", "headers")

    def __init__(
        self,
        method: str,
        locate: Callable[[Any], Target],
        address: object,
        *,
        traced_by: frozenset[str],
        resends: int = 0,
    ) -> None:
        """Begin the span, unless nobody wants one or a library in `traced_by` has made it.

        `locate(address)` is called later, on the export thread: `address` must not change. `resends` is how often the
        same request was sent before.
        """
        self._span: LightSpan | None = None
        self.headers: dict[str, str] = {}
        """To be written to the request."""
        if not RUNTIME.enabled:
            return
        context = CURRENT.get()
        if context:
            if scope_of(context) in traced_by:
                # It hides the calls below from other instrumentation, but cannot know about the request's ID.
                self.headers = request_headers(context, None)
                return
            if is_suppressed(context):
                return
        span = start_span(OWN_SCOPE, method if method in KNOWN_METHODS else "HTTP", CLIENT, context)
        self._span = span
        self._details = (method, locate, address, resends)
        self.headers = call_headers(span, context)

    def __enter__(self) -> Self:
        return self

    def answered(self, status_code: object, version: str | None) -> None:
        """The response's headers have come: end the span. Who reads the body does so on time of his own."""
        span = self._span
        if span is not None:
            # A stand-in for a response, in somebody's tests, may have anything there.
            known = status_code if isinstance(status_code, int) else 0
            if known >= 400:
                span.status = STATUS_ERROR
            span.details = self._details, (known, version, None)
            span.describe = _describe
            span.end()

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        span = self._span
        if span is None or error is None:
            return
        # A call that was cancelled has not failed: its caller did not want to wait any more.
        if isinstance(error, Exception):
            span.fail(error)
        span.details = self._details, (0, None, type_name(type(error)))
        span.describe = _describe
        span.end()


def write(headers: MutableMapping[str, str], own: Mapping[str, str]) -> None:
    """Write a call's headers among a request's, in a mapping that ignores the case of names.

    A service that passes its caller's headers on must not pass on its caller's span; a request ID that it chose stays.
    """
    request_id = RUNTIME.headers.request_id_name
    for name, value in own.items():
        if name != request_id or name not in headers:
            headers[name] = value
    if _TRACEPARENT in own and _TRACESTATE not in own and _TRACESTATE in headers:
        del headers[_TRACESTATE]


def merged(headers: Mapping[Any, Any], own: Mapping[str, str]) -> Any:
    """A copy of a request's headers, of their own type, with a call's among them by the rules of `write`.

    A plain dict knows the case of names: a `Traceparent` is replaced under the name that it has.
    """
    copy = getattr(headers, "copy", None)
    fresh: Any = dict(headers) if copy is None else copy()
    names = {name.lower(): name for name in fresh if isinstance(name, str)}
    request_id = RUNTIME.headers.request_id_name
    for name, value in own.items():
        known = names.get(name.lower())
        if known is None:
            fresh[name] = value
        elif name != request_id:
            fresh[known] = value
    if _TRACEPARENT in own and _TRACESTATE not in own and _TRACESTATE in names:
        del fresh[names[_TRACESTATE]]
    return fresh


class _Exchange(NamedTuple):
    """What many requests have alike."""

    method: str
    host: str
    port: int | None
    resends: int
    status_code: int
    """0: there was no response."""
    version: str | None
    error_type: str | None


def _describe(span: LightSpan) -> tuple[AlikeAttributes, list[tuple[str, Frozen]]]:
    (method, locate, address, resends), outcome = span.details
    try:
        scheme, host, port, path = locate(address)
    except ValueError:
        # It is no address, which is what the call has failed for.
        return _describe_alike(_Exchange(method, "", None, resends, *outcome)), []
    origin, port = _origin(scheme, host, port)
    full = origin + (redact_query(path) if "?" in path else path)
    alike = _describe_alike(_Exchange(method, host, port, resends, *outcome))
    return alike, [(fields.URL_FULL, full[:MAX_TEXT])]


@lru_cache(maxsize=1_024)
def _origin(scheme: str, host: str, port: int | None) -> tuple[str, int | None]:
    """What an address begins with, and the port even if it need not be written."""
    default = _DEFAULT_PORTS.get(scheme)
    name = f"[{host}]" if ":" in host else host
    return (f"{scheme}://{name}" if port is None or port == default else f"{scheme}://{name}:{port}"), port or default


@lru_cache(maxsize=1_024)
def _describe_alike(exchange: _Exchange) -> AlikeAttributes:
    method, host, port, resends, status_code, version, error_type = exchange
    described: dict[str, Frozen] = {fields.HTTP_METHOD: method if method in KNOWN_METHODS else "_OTHER"}
    if method not in KNOWN_METHODS:
        described["http.request.method_original"] = freeze(method)
    if host:
        described["server.address"] = host
        if port is not None:
            described["server.port"] = port
    if resends:
        described["http.request.resend_count"] = resends
    if status_code:
        described[fields.HTTP_STATUS_CODE] = status_code
    if version is not None:
        described["network.protocol.version"] = version
    if error_type is not None:
        described[fields.ERROR_TYPE] = error_type
    elif status_code >= 400:
        described[fields.ERROR_TYPE] = str(status_code)
    return AlikeAttributes(described)
