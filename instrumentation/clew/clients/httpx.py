"""httpx: one client span a call, and the request's IDs in its headers.

The transports that really use the network are wrapped, on their classes: that covers every client, made before or
after, sync and async, each redirect by itself, and no mock.
"""

import functools
from typing import Final

import httpx
from opentelemetry.trace import StatusCode

from clew import fields
from clew.clients.outgoing import is_suppressed, is_traced_by, request_headers, trace_headers
from clew.context import CURRENT
from clew.failures import type_name
from clew.redaction import redact_query
from clew.runtime import RUNTIME
from clew.spans import LightSpan
from clew.tracing import OWN_SCOPE, start_span

_CLIENT: Final = 3
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_WRAPPED: Final = "_clew_wrapped"


def install() -> None:
    """Wrap both transports; twice is the same as once."""
    if not hasattr(httpx.HTTPTransport.handle_request, _WRAPPED):
        _wrap_sync(httpx.HTTPTransport)
    if not hasattr(httpx.AsyncHTTPTransport.handle_async_request, _WRAPPED):
        _wrap_async(httpx.AsyncHTTPTransport)


def _wrap_sync(transport_type: type[httpx.HTTPTransport]) -> None:
    original = transport_type.handle_request

    @functools.wraps(original)
    def handle_request(self: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        span = _begin(request)
        if span is None:
            return original(self, request)
        try:
            response = original(self, request)
            _note_response(span, response)
        except Exception as error:
            _note_failure(span, error)
            raise
        finally:
            span.end()
        return response

    setattr(handle_request, _WRAPPED, True)
    transport_type.handle_request = handle_request  # type: ignore[method-assign]


def _wrap_async(transport_type: type[httpx.AsyncHTTPTransport]) -> None:
    original = transport_type.handle_async_request

    @functools.wraps(original)
    async def handle_async_request(self: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        span = _begin(request)
        if span is None:
            return await original(self, request)
        try:
            response = await original(self, request)
            _note_response(span, response)
        except Exception as error:
            _note_failure(span, error)
            raise
        finally:
            span.end()
        return response

    setattr(handle_async_request, _WRAPPED, True)
    transport_type.handle_async_request = handle_async_request  # type: ignore[method-assign]


def _begin(request: httpx.Request) -> LightSpan | None:
    """The call's span, its IDs written to the request. None: this call is not to be traced, or not by us."""
    context = CURRENT.get()
    if not RUNTIME.enabled or is_suppressed(context):
        return None
    if is_traced_by("opentelemetry.instrumentation.httpx", context):
        _write(request, request_headers(context, None))
        return None
    span = start_span(OWN_SCOPE, request.method, _CLIENT, context)
    url = request.url
    span.attributes = {
        fields.HTTP_METHOD: request.method,
        fields.URL_FULL: _full_url(url),
        "server.address": url.host,
    }
    port = url.port or _DEFAULT_PORTS.get(url.scheme)
    if port is not None:
        span.attributes["server.port"] = port
    _write(request, {**trace_headers(span), **request_headers(context, span.correlation_id)})
    return span


def _write(request: httpx.Request, headers: dict[str, str]) -> None:
    # A service that passes its caller's headers on must not pass on its caller's span; an ID that it chose stays.
    request_id = RUNTIME.headers.request_id_name
    if request_id in request.headers:
        headers.pop(request_id, None)
    if "tracestate" in request.headers and "tracestate" not in headers:
        del request.headers["tracestate"]
    request.headers.update(headers)


def _full_url(url: httpx.URL) -> str:
    """The address without user, password and signatures."""
    address = f"{url.scheme}://{url.netloc.decode('ascii')}{url.raw_path.decode('ascii')}"
    return redact_query(address) if url.query else address


def _note_response(span: LightSpan, response: httpx.Response) -> None:
    span.attributes[fields.HTTP_STATUS_CODE] = response.status_code
    if response.status_code >= 400:
        span.attributes[fields.ERROR_TYPE] = str(response.status_code)
        span.set_status(StatusCode.ERROR)


def _note_failure(span: LightSpan, error: Exception) -> None:
    span.attributes[fields.ERROR_TYPE] = type_name(type(error))
    span.fail(error)
