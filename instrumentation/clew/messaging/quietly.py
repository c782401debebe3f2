"""What a queue's library says to its own broker is no call of the service's: polling, heartbeats, acknowledgements.

A broker in Redis is spoken to by a client that is instrumented itself; in there, nobody makes spans.
"""

import functools
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry.context.context import Context

from clew.clients.wrapping import AnyFunction
from clew.context import CURRENT, restore
from clew.runtime import RUNTIME


def quietly(function: AnyFunction) -> AnyFunction:
    """The same function, without spans of what it calls."""

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        if not RUNTIME.enabled:
            return function(*args, **options)
        quiet = Context({**CURRENT.get(), otel_context._SUPPRESS_INSTRUMENTATION_KEY: True})
        token = CURRENT.set(quiet)
        try:
            return function(*args, **options)
        finally:
            restore(token)

    return call
