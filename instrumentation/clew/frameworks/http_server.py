"""A server span's attributes, by OpenTelemetry's stable HTTP conventions.

https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span. The request keeps the raw values; the
attributes are made of them on the export thread.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from clew import fields
from clew.freezing import Frozen
from clew.redaction import redact_query
from clew.spans import LightSpan

KNOWN_METHODS: Final = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
"""Others are `_OTHER`: a client chooses the method, and must not choose how many operations a service has."""


class HttpRequest(NamedTuple):
    """What a server knows of a request and its response, as it came."""

    method: str
    scheme: str
    path: str
    query: bytes
    http_version: str
    client: tuple[str, int] | None
    host: bytes | None
    user_agent: bytes | None
    route: str | None
    status_code: int
    """0: there was no response."""
    error_type: str | None


def describe_request(span: LightSpan) -> dict[str, Frozen]:
    """The attributes of a span whose `details` are the values of an `HttpRequest`."""
    method, scheme, path, query, http_version, client, host, user_agent, route, status_code, error_type = HttpRequest(
        *span.details
    )
    known_method = method if method in KNOWN_METHODS else "_OTHER"
    described: dict[str, Frozen] = {
        fields.HTTP_METHOD: known_method,
        "url.scheme": scheme,
        fields.URL_PATH: path,
        "network.protocol.version": http_version,
    }
    if known_method is not method:
        described["http.request.method_original"] = method
    if route is not None:
        described[fields.HTTP_ROUTE] = route
    if status_code:
        described[fields.HTTP_STATUS_CODE] = status_code
    if query:
        described["url.query"] = redact_query(query.decode("latin-1"))
    if client:
        described["client.address"] = client[0]
    if host:
        described.update(_server(host))
    if user_agent:
        described["user_agent.original"] = user_agent.decode("latin-1")
    if error_type is not None:
        described[fields.ERROR_TYPE] = error_type
    elif status_code >= 500:
        described[fields.ERROR_TYPE] = str(status_code)
    return described


def route_template(scope: Mapping[str, Any]) -> str | None:
    """The matched route as it was written, with what it is mounted under; None when no route matched."""
    route = scope.get("route")
    if route is None:
        return None
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
        # A mount, and nothing matched inside of it.
        return _mounts(scope) or path
    return _under_mounts(scope, path)


def _under_mounts(scope: Mapping[str, Any], path: str) -> str:
    return _mounts(scope) + path if "app_root_path" in scope else path


def _mounts(scope: Mapping[str, Any]) -> str:
    """The mounts that a request went through. Only their real path is known: parameters are found by their values."""
    mounted: str = scope.get("root_path", "")[len(scope.get("app_root_path", "")) :]
    names = {str(value): name for name, value in scope.get("path_params", {}).items()}
    if not names or not mounted:
        return mounted
    return "/".join(f"{{{names[part]}}}" if part in names else part for part in mounted.split("/"))


@lru_cache(maxsize=1_024)
def _server(host: bytes) -> Mapping[str, Frozen]:
    """Address and port of a `Host` header."""
    name = host.decode("latin-1")
    address, separator, port = name.rpartition(":")
    if separator and port.isdigit() and len(port) <= 5:
        return {"server.address": address.strip("[]"), "server.port": int(port)}
    return {"server.address": name.strip("[]")}
