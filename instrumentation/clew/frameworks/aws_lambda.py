"""AWS Lambda: one span an invocation, the request's IDs from its event, and everything sent before Lambda freezes.

Names and attributes by https://opentelemetry.io/docs/specs/semconv/faas/aws-lambda/ and faas-spans.
"""

import functools
import os
from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar, overload

from opentelemetry.util.types import AnyValue

from clew.frameworks.http_server import KNOWN_METHODS, ServedRequest
from clew.frameworks.lambda_events import HttpEvent, Trigger, read_event, status_code_of, with_request_id
from clew.incoming import SERVER, Following
from clew.messaging.aws_messages import processing, processing_batch
from clew.runtime import RUNTIME

FLUSH_TIMEOUT_S: Final = 0.5
"""How long an invocation waits for the collector at most, unless its handler says otherwise."""

_RESERVE_S: Final = 0.1
"""What is left of an invocation's time for its response."""

_ARN_PARTS: Final = 7
"""Of a function's ARN; an eighth names a version or an alias, which is not the function's own name."""

ParamsT = ParamSpec("ParamsT")
ResultT = TypeVar("ResultT")


@overload
def lambda_handler(handler: Callable[ParamsT, ResultT]) -> Callable[ParamsT, ResultT]: ...
@overload
def lambda_handler(
    *, flush_timeout_s: float = FLUSH_TIMEOUT_S
) -> Callable[[Callable[ParamsT, ResultT]], Callable[ParamsT, ResultT]]: ...
def lambda_handler(handler: Any = None, *, flush_timeout_s: float = FLUSH_TIMEOUT_S) -> Any:
    """`@lambda_handler` around a function's handler; `@lambda_handler(flush_timeout_s=1)` to wait for longer.

    Lambda stops the process as soon as the handler has returned, so spans and logs are sent before, for at most
    `flush_timeout_s` seconds; what is not sent by then goes with the next invocation.
    """
    if handler is None:
        return functools.partial(lambda_handler, flush_timeout_s=flush_timeout_s)
    following = _Handler(handler, flush_timeout_s)

    @functools.wraps(handler)
    def followed(event: Any, context: Any, *args: Any, **kwargs: Any) -> Any:
        return following(event, context, *args, **kwargs)

    return followed


class _Handler:
    """A handler, followed."""

    def __init__(self, handler: Callable[..., Any], flush_timeout_s: float) -> None:
        self._handler = handler
        self._flush_timeout_s = flush_timeout_s
        self._is_cold = os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand") == "on-demand"

    def __call__(self, event: Any, context: Any, *args: Any, **kwargs: Any) -> Any:
        """One invocation."""
        is_cold, self._is_cold = self._is_cold, False
        if not RUNTIME.enabled:
            return self._handler(event, context, *args, **kwargs)
        try:
            return self._follow(event, context, args, kwargs, is_cold=is_cold)
        finally:
            self._flush(context)

    def _follow(self, event: Any, context: Any, args: Any, kwargs: Any, *, is_cold: bool) -> Any:
        trigger = read_event(event, context)
        with _following(trigger, context) as following:
            following.span.set_attributes(
                {**_described(context), "faas.coldstart": is_cold, "faas.trigger": trigger.kind}
            )
            if trigger.http is None:
                return self._handler(event, context, *args, **kwargs)
            served = ServedRequest(following.span)
            served.route = trigger.http.route
            try:
                response = self._handler(event, context, *args, **kwargs)
                served.status_code = status_code_of(response)
            except Exception as error:
                served.fail(error)
                raise
            finally:
                _end(served, trigger.http)
            return with_request_id(response, following.correlation_id, event)

    def _flush(self, context: Any) -> None:
        exporter = RUNTIME.exporter
        timeout_s = min(self._flush_timeout_s, _remaining_s(context) - _RESERVE_S)
        if exporter is not None and timeout_s > 0:
            exporter.flush(timeout_s=timeout_s)


def _following(trigger: Trigger, context: object) -> Following:
    if trigger.http is not None:
        method = trigger.http.method
        name = method if method in KNOWN_METHODS else "HTTP"
        return Following(name, SERVER, trigger.headers, path=trigger.http.path)
    if len(trigger.messages) == 1:
        return processing(trigger.messages[0])
    if trigger.messages:
        return processing_batch(trigger.messages)
    return Following(_text(getattr(context, "function_name", None)) or "lambda", SERVER, trigger.headers)


def _end(served: ServedRequest, http: HttpEvent) -> None:
    exchange = (http.method, http.scheme, http.http_version, http.host, http.user_agent)
    served.end(exchange, http.path, http.query, http.client)


def _described(context: object) -> dict[str, AnyValue]:
    """What Lambda says of an invocation. A test may hand over anything as its context."""
    arn = _text(getattr(context, "invoked_function_arn", None))
    parts = arn.split(":")
    described: dict[str, AnyValue] = {"faas.invocation_id": _text(getattr(context, "aws_request_id", None)) or None}
    if len(parts) >= _ARN_PARTS:
        described["aws.lambda.invoked_arn"] = arn
        described["cloud.resource_id"] = ":".join(parts[:_ARN_PARTS])
        described["cloud.account.id"] = parts[4]
    return described


def _remaining_s(context: object) -> float:
    """The invocation's time that is left."""
    remaining = getattr(context, "get_remaining_time_in_millis", None)
    left_ms = remaining() if callable(remaining) else None
    return left_ms / 1_000 if isinstance(left_ms, (int, float)) else float("inf")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
