"""Correlation IDs, traces and logs for Python services.

`configure()` once, `instrument(app)` for each app; every log line, span and outgoing call then carries the request's
IDs. Nothing here raises into the service but `configure()`, and only for settings that cannot work.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from clew.version import VERSION

if TYPE_CHECKING:
    from clew.configuration import configure, flush, shutdown
    from clew.context import correlation_id, current_span, trace_id
    from clew.frameworks.asgi import ClewMiddleware
    from clew.frameworks.aws_lambda import lambda_handler
    from clew.frameworks.instrumenting import instrument
    from clew.frameworks.wsgi import ClewWSGIMiddleware
    from clew.jobs import request
    from clew.messaging.by_hand import outgoing_headers, processing, processing_batch
    from clew.tracing import get_tracer

__version__ = VERSION

__all__ = [
    "ClewMiddleware",
    "ClewWSGIMiddleware",
    "__version__",
    "configure",
    "correlation_id",
    "current_span",
    "flush",
    "get_tracer",
    "instrument",
    "lambda_handler",
    "outgoing_headers",
    "processing",
    "processing_batch",
    "request",
    "shutdown",
    "trace_id",
]

# Imported when they are used: what only mentions clew (a test run with its plugin, a script's --help) does not wait.
_MODULES: Final = {
    "ClewMiddleware": "clew.frameworks.asgi",
    "ClewWSGIMiddleware": "clew.frameworks.wsgi",
    "configure": "clew.configuration",
    "correlation_id": "clew.context",
    "current_span": "clew.context",
    "flush": "clew.configuration",
    "get_tracer": "clew.tracing",
    "instrument": "clew.frameworks.instrumenting",
    "lambda_handler": "clew.frameworks.aws_lambda",
    "outgoing_headers": "clew.messaging.by_hand",
    "processing": "clew.messaging.by_hand",
    "processing_batch": "clew.messaging.by_hand",
    "request": "clew.jobs",
    "shutdown": "clew.configuration",
    "trace_id": "clew.context",
}


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module 'clew' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(module), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
