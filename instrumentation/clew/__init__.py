"""Correlation IDs, traces and logs for Python services.

`configure()` once, `instrument(app)` for each app; every log line, span and outgoing call then carries the request's
IDs. Nothing here raises into the service but `configure()`, and only for settings that cannot work.
"""

from clew.configuration import configure, flush, instrument, shutdown
from clew.context import correlation_id, current_span, trace_id
from clew.frameworks.asgi import ClewMiddleware
from clew.frameworks.wsgi import ClewWSGIMiddleware
from clew.jobs import request
from clew.tracing import get_tracer
from clew.version import VERSION

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
    "request",
    "shutdown",
    "trace_id",
]
