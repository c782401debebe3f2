"""ECS: JSON with the Elastic Common Schema's names (https://www.elastic.co/docs/reference/ecs).

The correlation ID is `correlation.id`, as clew's collector stores it; the schema has no field of its own for it.
"""

import os
import threading
from typing import Final

from clew import fields
from clew.freezing import Frozen
from clew.logs.formats.line import Line, as_json, iso_time, value_text
from clew.runtime import RUNTIME

ECS_VERSION: Final = "8.17.0"

_NAMES: Final = {
    fields.EXCEPTION_TYPE: "error.type",
    fields.EXCEPTION_MESSAGE: "error.message",
    fields.EXCEPTION_STACKTRACE: "error.stack_trace",
    "code.file.path": "log.origin.file.name",
    "code.line.number": "log.origin.file.line",
    "code.function.name": "log.origin.function",
    "trace_id": "trace.id",
    "span_id": "span.id",
    "correlation_id": fields.CORRELATION_ID,
}

# fmt: off
_GROUPS: Final = frozenset({
    "@timestamp", "agent", "as", "base", "client", "cloud", "code_signature", "container", "correlation",
    "data_stream", "destination", "device", "dll", "dns", "ecs", "elf", "email", "error", "event", "faas", "file",
    "gen_ai", "geo", "group", "hash", "host", "http", "interface", "labels", "log", "macho", "message", "network",
    "observer", "orchestrator", "organization", "os", "package", "pe", "process", "registry", "related", "risk",
    "rule", "server", "service", "source", "span", "threat", "tls", "trace", "transaction", "url", "user",
    "user_agent", "vlan", "volume", "vulnerability", "x509",
})
# fmt: on
"""Names that are objects in the schema, or taken: Elasticsearch refuses a document with a plain value there."""


def render_ecs(line: Line) -> str:
    """A line as ECS JSON; the first three fields in the order that ECS loggers keep."""
    shown: dict[str, Frozen] = {
        "@timestamp": iso_time(line.time_ns),
        "log.level": line.level,
        "message": line.message,
        "ecs.version": ECS_VERSION,
        **_service(),
        "process.pid": os.getpid(),
        "process.thread.name": threading.current_thread().name,
    }
    if line.logger:
        shown["log.logger"] = line.logger
    if line.correlation_id:
        shown[fields.CORRELATION_ID] = line.correlation_id
    if line.trace_id:
        shown["trace.id"], shown["span.id"] = line.trace_id, line.span_id
    for key, value in line.place.items():
        shown[_NAMES[key]] = value
    taken = frozenset(shown)
    for key, value in line.fields.items():
        _add(shown, taken, key, value)
    return as_json(shown)


def _service() -> dict[str, Frozen]:
    settings = RUNTIME.settings
    described: dict[str, Frozen] = {"service.name": settings.service}
    if settings.version is not None:
        described["service.version"] = settings.version
    if settings.environment is not None:
        described["service.environment"] = settings.environment
    return described


def _add(shown: dict[str, Frozen], taken: frozenset[str], key: str, value: Frozen) -> None:
    name = _NAMES.get(key, key)
    if name is key and (key in taken or (key in _GROUPS and not isinstance(value, dict))):
        # Labels are text by the schema.
        shown[f"labels.{key}"] = value_text(value)
    else:
        shown[name] = value
