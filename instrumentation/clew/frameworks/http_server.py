"""A request that a server serves, ASGI or WSGI: what is learned of it, and its span's attributes.

By OpenTelemetry's stable HTTP conventions, https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span.
The request keeps the raw values; the attributes are made of them on the export thread.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from clew import fields
from clew.context import stamp
from clew.failures import type_name
from clew.freezing import Frozen
from clew.logs.access import log_request
from clew.redaction import redact_query
from clew.runtime import RUNTIME
from clew.spans import STATUS_ERROR, AlikeAttributes, LightSpan

KNOWN_METHODS: Final = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
"""Others are `_OTHER`: a client chooses the method, and must not choose how many operations a service has."""

SERVED: Final = "clew.request"
"""The key of an ASGI scope, or a WSGI environ, whose request is followed already: its `ServedRequest`."""

INTERNAL_SERVER_ERROR: Final = b"Internal Server Error"
"""The body of the answer to a request whose app failed before it began one."""


class ServedRequest:
    """What is learned of a request while it is served, by the middleware or by the framework's own module."""

    # Defaults on the class instead of slots: as with spans, what is not set costs nothing.
    status_code: int = 0
    route: str | None = None
    error: BaseException | None = None
    """One that the framework makes an answer of: whether it is a failure, the answer tells."""

    error_type: str | None = None

    def __init__(self, span: LightSpan) -> None:
        self.span = span

    def fail(self, error: BaseException) -> None:
        """Record the exception that the request failed by; only the first one."""
        self.error = None
        if self.error_type is None:
            self.error_type = type_name(type(error))
            self.span.fail(error)
            stamp(error, self.span)

    def end(
        self,
        exchange: tuple[Any, ...],
        path: str,
        query: bytes,
        client: tuple[str, int] | None,
        end_ns: int | None = None,
    ) -> None:
        """End the span, in its own context. `exchange`: an `Exchange` but for the last three, which are known here."""
        span, method, route = self.span, exchange[0], self.route
        if self.error is not None:
            self._judge(exchange[1])
        # Whoever renamed the span while it ran knows better.
        if route is not None and span.name is method:
            span.name = f"{method} {route}"
        if self.status_code >= 500 and not span.status:
            span.status = STATUS_ERROR
        span.details = ((*exchange, route, self.status_code, self.error_type), path, query, client)
        span.describe = describe_request
        span.end(end_ns)
        if RUNTIME.settings.access_log:
            log_request(span, self, method=method, path=path, client=client)

    def _judge(self, scheme: str) -> None:
        # A websocket has no status that tells; there, an exception that brings no code of its own is a failure.
        error, self.error = self.error, None
        code = getattr(error, "status_code", None) or getattr(error, "code", None)
        if error is not None and scheme in ("ws", "wss") and not isinstance(code, int):
            self.fail(error)


def note_route(found: Mapping[str, Any], route: str) -> None:
    """The framework's route template of a request, as its scope or environ; what it is mounted under included."""
    served = found.get(SERVED)
    if served is not None:
        served.route = route


def note_error(found: Mapping[str, Any], error: BaseException | None) -> None:
    """An exception that the framework makes an answer of. It is recorded when that is a server error."""
    served = found.get(SERVED)
    if served is not None:
        served.error = error


class Exchange(NamedTuple):
    """What many requests and their responses have alike, as it came."""

    method: str
    scheme: str
    http_version: str
    host: bytes | None
    user_agent: bytes | None
    route: str | None
    status_code: int
    """0: there was no response."""
    error_type: str | None


_ROUTE: Final = Exchange._fields.index("route")

Details = tuple[tuple[Any, ...], str, bytes, tuple[str, int] | None]
"""The values of an `Exchange`, the path, the query, and the client's address and port."""


def describe_request(span: LightSpan) -> tuple[AlikeAttributes, list[tuple[str, Frozen]]]:
    """The attributes of a span whose `details` are `Details`."""
    details: Details = span.details
    exchange, path, query, client = details
    if path == exchange[_ROUTE] and not query:
        # A route without parameters: all its requests have the path alike, too.
        return _describe_alike(exchange, path), [("client.address", client[0])] if client else []
    other: list[tuple[str, Frozen]] = [(fields.URL_PATH, path)]
    if query:
        other.append(("url.query", redact_query(query.decode("latin-1"))))
    if client:
        other.append(("client.address", client[0]))
    return _describe_alike(exchange), other


@lru_cache(maxsize=1_024)
def _describe_alike(values: tuple[Any, ...], path: str | None = None) -> AlikeAttributes:
    exchange = Exchange(*values)
    known_method = exchange.method if exchange.method in KNOWN_METHODS else "_OTHER"
    described: dict[str, Frozen] = {
        fields.HTTP_METHOD: known_method,
        "url.scheme": exchange.scheme,
        "network.protocol.version": exchange.http_version,
    }
    if path is not None:
        described[fields.URL_PATH] = path
    if known_method is not exchange.method:
        described["http.request.method_original"] = exchange.method
    if exchange.route is not None:
        described[fields.HTTP_ROUTE] = exchange.route
    if exchange.status_code:
        described[fields.HTTP_STATUS_CODE] = exchange.status_code
    if exchange.host:
        described.update(_server(exchange.host))
    if exchange.user_agent:
        described["user_agent.original"] = exchange.user_agent.decode("latin-1")
    if exchange.error_type is not None:
        described[fields.ERROR_TYPE] = exchange.error_type
    elif exchange.status_code >= 500:
        described[fields.ERROR_TYPE] = str(exchange.status_code)
    return AlikeAttributes(described)


def route_template(scope: Mapping[str, Any]) -> str | None:
    """The route that Starlette, FastAPI or Litestar matched, as it was written, with what it is mounted under.

    None when none matched.
    """
    route, template = scope.get("route"), scope.get("path_template")
    if template == "":
        # Litestar's mounts have no template, but a path.
        template = min(getattr(scope.get("route_handler"), "paths", ()), default="").rstrip("/")
    if route is None:
        return template or None
    # FastAPI >= 0.165 shares one route between all the places its router is included in: the prefix is only here.
    fastapi = scope.get("fastapi")
    if fastapi is not None:
        included = fastapi.get("effective_route_context")
        if included is not None:
            path = getattr(included, "path_format", None)
            if path:
                return _under_mounts(scope, path)
    path = getattr(route, "path", None)
    if path is None:
        return None
    if getattr(route, "routes", None) is not None:
        # A mount, and nothing of Starlette's matched inside of it.
        return f"{_mounts(scope)}{template or ''}" or path
    return f"{template or ''}{_under_mounts(scope, path)}"


def _under_mounts(scope: Mapping[str, Any], path: str) -> str:
    return _mounts(scope) + path if "app_root_path" in scope else path


def _mounts(scope: Mapping[str, Any]) -> str:
    """The mounts that a request went through. Only their real path is known: parameters are found by their values."""
    mounted: str = scope.get("root_path", "")[len(scope.get("app_root_path", "")) :]
    names = {str(value): name for name, value in scope.get("path_params", {}).items()}
    if not names or not mounted:
        return mounted
    return "/".join(f"{{{names[part]}}}" if part in names else part for part in mounted.split("/"))


def _server(host: bytes) -> Mapping[str, Frozen]:
    """Address and port of a `Host` header."""
    name = host.decode("latin-1")
    address, separator, port = name.rpartition(":")
    if separator and port.isdigit() and len(port) <= 5:
        return {"server.address": address.strip("[]"), "server.port": int(port)}
    return {"server.address": name.strip("[]")}
