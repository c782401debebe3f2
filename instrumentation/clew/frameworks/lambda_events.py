"""What Lambda's events say of who caused them. Nothing here raises: anybody may invoke a function with anything."""

import os
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from clew.propagation import read_parent
from clew.runtime import RUNTIME

_TRACE_VARIABLE: Final = "_X_AMZN_TRACE_ID"
_SOURCES: Final = {
    "aws:sqs": "pubsub",
    "aws:sns": "pubsub",
    "aws:kinesis": "pubsub",
    "aws:dynamodb": "datasource",
    "aws:s3": "datasource",
}
"""`faas.trigger` by the source of a record."""

_MESSAGES: Final = frozenset({"aws:sqs", "aws:sns"})


class HttpEvent(NamedTuple):
    """A request, as API Gateway, a load balancer or a function's own URL passes it on."""

    method: str
    path: str
    route: str | None
    query: bytes
    scheme: str
    http_version: str
    host: bytes | None
    user_agent: bytes | None
    client: tuple[str, int] | None


class Trigger(NamedTuple):
    """What caused an invocation."""

    kind: str
    """As `faas.trigger` names it."""

    headers: list[tuple[object, object]]
    http: HttpEvent | None = None
    messages: list[object] = []  # noqa: RUF012  (never changed)
    """Those of SQS or SNS."""


def read_event(event: object, context: object) -> Trigger:
    """What `event` says, and the context of an invocation where the event says nothing."""
    messages = _at(event, "Records")
    if isinstance(messages, list) and messages:
        source = _text(_at(messages[0], "eventSource") or _at(messages[0], "EventSource"))
        kind = _SOURCES.get(source, "other")
        return Trigger(kind, _with_environment([]), messages=messages if source in _MESSAGES else [])
    headers = _headers(event)
    http = _http_event(event, headers)
    if http is None:
        custom = getattr(getattr(context, "client_context", None), "custom", None)
        headers += list(custom.items()) if isinstance(custom, Mapping) else []
    is_timer = _at(event, "source") == "aws.events" and _at(event, "detail-type") == "Scheduled Event"
    return Trigger("http" if http else "timer" if is_timer else "other", _with_environment(headers), http)


def with_request_id(response: Any, correlation_id: str, event: object) -> Any:
    """A response for API Gateway or a load balancer, with the request's ID; anything else as it is."""
    if type(response) is not dict or "statusCode" not in response:
        return response
    takes_many = "headers" not in response and isinstance(_at(event, "multiValueHeaders"), Mapping)
    is_many = "multiValueHeaders" in response or (takes_many and _at(event, "headers") is None)
    key = "multiValueHeaders" if is_many else "headers"
    present = response.get(key) or {}
    if not isinstance(present, Mapping):
        return response
    name = RUNTIME.headers.request_id_name
    headers = {own: value for own, value in present.items() if str(own).lower() != name.lower()}
    headers[name] = [correlation_id] if is_many else correlation_id
    return {**response, key: headers}


def status_code_of(response: object) -> int:
    """The status of a response; 200 for what API Gateway makes one of by itself, 0 for one that is not valid."""
    if not isinstance(response, Mapping) or "statusCode" not in response:
        return 200
    status_code = response["statusCode"]
    if isinstance(status_code, str) and status_code.isdecimal() and len(status_code) == len("200"):
        return int(status_code)
    return status_code if isinstance(status_code, int) else 0


def _with_environment(headers: list[tuple[object, object]]) -> list[tuple[object, object]]:
    """Headers, and the caller that Lambda names in the environment, where they name none.

    Only if X-Ray has sampled it: Lambda writes `Sampled=0` for every function that does not use X-Ray, and to follow
    that would be to trace nothing.
    """
    present = os.environ.get(_TRACE_VARIABLE, "")
    if "Sampled=1" in present and read_parent(RUNTIME.headers.pick_any(headers)) is None:
        headers.append(("x-amzn-trace-id", present))
    return headers


def _headers(event: object) -> list[tuple[object, object]]:
    many = _at(event, "multiValueHeaders")
    if isinstance(many, Mapping) and many:
        return [(name, value) for name, values in many.items() if isinstance(values, list) for value in values]
    headers = _at(event, "headers")
    return list(headers.items()) if isinstance(headers, Mapping) else []


def _http_event(event: object, headers: list[tuple[object, object]]) -> HttpEvent | None:
    http = _at(event, "requestContext", "http")
    method = _text(_at(http, "method")) or _text(_at(event, "httpMethod"))
    if not method:
        return None
    named = {name.lower(): value for name, value in headers if isinstance(name, str) and isinstance(value, str)}
    protocol = _text(_at(http, "protocol")) or _text(_at(event, "requestContext", "protocol"))
    forwarded_for = named.get("x-forwarded-for", "").partition(",")[0].strip()
    source = _text(_at(http, "sourceIp")) or _text(_at(event, "requestContext", "identity", "sourceIp"))
    client = source or forwarded_for
    return HttpEvent(
        method=method,
        path=_text(_at(event, "rawPath")) or _text(_at(event, "path")) or "/",
        route=_route(event),
        query=_query(event),
        scheme=named.get("x-forwarded-proto", "https"),
        http_version=protocol.removeprefix("HTTP/") or "1.1",
        host=_bytes(named.get("host")),
        user_agent=_bytes(named.get("user-agent")),
        client=(client, 0) if client else None,
    )


def _route(event: object) -> str | None:
    """`/orders/{id}`: API Gateway's resource, or what follows the method in the key of a route."""
    route = _text(_at(event, "resource")) or _text(_at(event, "routeKey")).rpartition(" ")[2]
    return route if route.startswith("/") else None


def _query(event: object) -> bytes:
    raw = _at(event, "rawQueryString")
    if isinstance(raw, str):
        return _bytes(raw) or b""
    query = _at(event, "multiValueQueryStringParameters") or _at(event, "queryStringParameters")
    return _bytes(urlencode(dict(query), doseq=True)) or b"" if isinstance(query, Mapping) else b""


def _at(value: object, *names: str) -> Any:
    """What lies in nested mappings under these names; None where there is nothing."""
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode("utf-8", "replace")
