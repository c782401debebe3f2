"""httpx: one client span a request, and the request's IDs in its headers.

The transports that really use the network are wrapped, on their classes: that covers every client, made before or
after, sync and async, each redirect by itself, and no mock. A transport's own `retries` are retries of the connection
alone: nothing has been sent by then, and it is one call.
"""

from functools import lru_cache
from operator import itemgetter
from typing import Any, Final

import httpx

from clew.clients.http_call import HttpCall, Target, write
from clew.clients.wrapping import AnyFunction, wrap
from clew.runtime import RUNTIME

_TRACED_BY: Final = frozenset({"opentelemetry.instrumentation.httpx"})
_VERSIONS: Final = {b"HTTP/1.0": "1.0", b"HTTP/1.1": "1.1", b"HTTP/2": "2", b"HTTP/3": "3"}

_LOWER_NAME: Final = itemgetter(1)

_SENT: Final = "clew.sent"
"""A request's extension, which httpx copies to the request that a redirect leads to: how often it was sent."""


def install() -> None:
    """Wrap both transports; twice is the same as once."""
    wrap(httpx.HTTPTransport, "handle_request", _around_sync)
    wrap(httpx.AsyncHTTPTransport, "handle_async_request", _around_async)


def _around_sync(original: AnyFunction) -> AnyFunction:
    def handle_request(self: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        if not RUNTIME.enabled:
            return original(self, request)  # type: ignore[no-any-return]
        headers = request.headers
        with _call(request) as call:
            try:
                response: httpx.Response = original(self, request)
            finally:
                request.headers = headers
            call.answered(response.status_code, _VERSIONS.get(response.extensions.get("http_version", b"")))
        return response

    return handle_request


def _around_async(original: AnyFunction) -> AnyFunction:
    async def handle_async_request(self: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        if not RUNTIME.enabled:
            return await original(self, request)  # type: ignore[no-any-return]
        headers = request.headers
        with _call(request) as call:
            try:
                response: httpx.Response = await original(self, request)
            finally:
                request.headers = headers
            call.answered(response.status_code, _VERSIONS.get(response.extensions.get("http_version", b"")))
        return response

    return handle_async_request


def _call(request: httpx.Request) -> HttpCall:
    """The call, its headers in a copy of the request's: a request that is sent again, or that a redirect makes a new
    one of, must not bring those of the call before."""
    sent = request.extensions.get(_SENT, 0)
    call = HttpCall(request.method, _locate, request.url, traced_by=_TRACED_BY, resends=sent)
    own = call.headers
    if own:
        request.extensions[_SENT] = sent + 1
        request.headers = headers = httpx.Headers(request.headers)
        if not _append(headers, own):
            write(headers, own)
    return call


def _append(headers: httpx.Headers, own: dict[str, str]) -> bool:
    """Write the headers of a call that brings none of these by itself; False when it does, and nothing was written.

    `httpx.Headers` finds, decodes and copies its pairs anew for each name; this goes over them once.
    """
    pairs = getattr(headers, "_list", None)
    encoded, taken = _encoded_names(*own)
    if type(pairs) is not list or not taken.isdisjoint(map(_LOWER_NAME, pairs)):
        return False
    for (name, lower), value in zip(encoded, own.values(), strict=True):
        pairs.append((name, lower, value.encode("ascii")))
    return True


@lru_cache(maxsize=32)
def _encoded_names(*names: str) -> tuple[tuple[tuple[bytes, bytes], ...], frozenset[bytes]]:
    """Each as it is written and in lower case; and the names that no header may have for `_append`."""
    encoded = tuple((name.encode("ascii"), name.lower().encode("ascii")) for name in names)
    return encoded, frozenset({b"tracestate", *(lower for _, lower in encoded)})


def _locate(url: Any) -> Target:
    return Target(url.scheme, url.raw_host.decode("ascii"), url.port, url.raw_path.decode("ascii"))
