"""OpenTelemetry's own instrumentation packages, switched on for all that clew does not instrument itself.

Databases, caches, cloud clients: whoever has installed `opentelemetry-instrumentation-sqlalchemy` gets its spans in the
same traces. An instrumentation is loaded when its library is imported, so that nobody pays for what he does not use.
"""

import logging
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any, Final

from clew.importing import when_imported
from clew.integrations import is_wanted
from clew.settings import Settings

_GROUP: Final = "opentelemetry_instrumentor"

REPLACED: Final = frozenset(
    {
        "aio-pika",
        "aiohttp-client",
        "aiohttp-server",
        "aiokafka",
        "asgi",
        "asyncio",
        "aws-lambda",
        "boto3",
        "celery",
        "confluent_kafka",
        "django",
        "dramatiq",
        "falcon",
        "fastapi",
        "flask",
        "grpc_aio_client",
        "grpc_aio_server",
        "grpc_client",
        "grpc_server",
        "httpx",
        "litestar",
        "logging",
        "pika",
        "quart",
        "requests",
        "starlette",
        "threading",
        "urllib",
        "urllib3",
        "wsgi",
    }
)
"""What clew does itself, by the names of OpenTelemetry's entry points."""

_MODULES: Final = {
    "cassandra": "cassandra.cluster",
    "elasticsearch": "elastic_transport",
    "google-genai": "google.genai",
    "kafka": "kafka",
    "mysql": "mysql.connector",
    "mysqlclient": "MySQLdb",
    "openai_v2": "openai",
    "tortoiseorm": "tortoise",
}
"""The library's module, where it is not called like the entry point."""

_switched_on: set[str] = set()


def install(settings: Settings) -> None:
    """Switch on the installed instrumentation packages that the settings allow, as their libraries are imported."""
    if settings.instrumentations == ("none",):
        return
    for entry_point in entry_points(group=_GROUP):
        name = entry_point.name
        if name in REPLACED or name in _switched_on or not is_wanted(name, settings):
            continue
        _switched_on.add(name)
        module = _MODULES.get(name, name)
        if _exists(module):
            when_imported(module, partial(_switch_on, entry_point))


def _switch_on(entry_point: EntryPoint) -> None:
    """Load and start one instrumentation; one that fails is named once, and the service goes on without."""
    try:
        instrumentor: Any = entry_point.load()()
        if not instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.instrument()
    except Exception as error:  # noqa: BLE001  (somebody else's code, in the middle of the service's import)
        logging.getLogger("clew").warning(
            "OpenTelemetry's instrumentation of %s cannot be used: %s: %s",
            entry_point.name,
            type(error).__name__,
            error,
        )


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False
