"""How each peer instruments the host. Runs in that peer's environment; each function imports what it needs there."""

import logging
import os
from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks.instrumentation.host import Flush, Log, no_log, stdlib_json_log, structlog_json_log

# Nothing may be dropped: all that a request makes is exported within the figure.
UNBOUNDED = 1_000_000
QUEUE = UNBOUNDED

Wrap = Callable[[Any, str], Any]


class Peer(NamedTuple):
    """A peer that is switched on: how it wraps an application, how the application logs, how all of it is sent."""

    wrap: Wrap
    log: Log
    flush: Flush


def bare(_url: str, *, logs: bool) -> Peer:
    """No instrumentation; JSON lines by structlog."""
    return Peer(lambda app, _kind: app, structlog_json_log() if logs else no_log, lambda: None)


def bare_stdlib(_url: str, *, logs: bool) -> Peer:
    """No instrumentation; JSON lines by `logging`."""
    return Peer(lambda app, _kind: app, stdlib_json_log() if logs else no_log, lambda: None)


def clew(url: str, *, logs: bool) -> Peer:
    """clew, exporting over OTLP."""
    import clew
    from clew.exporting import counters

    log = structlog_json_log() if logs else no_log
    clew.configure("shop", endpoint=url, log_format="none")
    if QUEUE == UNBOUNDED:
        clew.configure("shop", endpoint=url, log_format="none", max_queue_records=QUEUE, max_queue_bytes=1 << 32)

    def flush() -> None:
        assert clew.flush(60)
        assert not any(sum(signal.dropped.values()) for signal in counters().values())

    return Peer(lambda app, _kind: clew.instrument(app), log, flush)


def clew_without_export(_url: str, *, logs: bool) -> Peer:
    """clew, making IDs, spans and records that go nowhere."""
    import clew

    log = structlog_json_log() if logs else no_log
    clew.configure("shop", export_traces=False, export_logs=False, log_format="none")
    return Peer(lambda app, _kind: clew.instrument(app), log, lambda: None)


def correlation(_url: str, *, logs: bool) -> Peer:
    """asgi-correlation-id: an ID, no trace, no export."""
    from asgi_correlation_id import CorrelationIdMiddleware

    return Peer(lambda app, _kind: CorrelationIdMiddleware(app), structlog_json_log() if logs else no_log, lambda: None)


def opentelemetry(url: str, *, logs: bool) -> Peer:
    """OpenTelemetry's SDK, its OTLP exporter over HTTP, and its instrumentation of the framework, httpx and logging."""
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create({"service.name": "shop"})
    provider = TracerProvider(resource=resource)
    exporter = OTLPSpanExporter(endpoint=f"{url}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=QUEUE, max_export_batch_size=512))
    trace.set_tracer_provider(provider)
    HTTPXClientInstrumentor().instrument()
    log, flush_logs = _opentelemetry_logs(url, resource) if logs else (no_log, lambda: None)

    def wrap(app: Any, kind: str) -> Any:
        if kind == "fastapi":
            from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

            FastAPIInstrumentor.instrument_app(app)
        else:
            from opentelemetry.instrumentation.starlette import StarletteInstrumentor

            StarletteInstrumentor.instrument_app(app)
        return app

    return Peer(wrap, log, lambda: (provider.force_flush(60_000), flush_logs()))


def logfire(url: str, *, logs: bool) -> Peer:
    """logfire, exporting over OTLP. For FastAPI: its part for Starlette has no release that fits this one."""
    os.environ.update(OTEL_EXPORTER_OTLP_ENDPOINT=url, OTEL_BSP_MAX_QUEUE_SIZE=str(QUEUE))
    import logfire

    logfire.configure(send_to_logfire=False, console=False, service_name="shop")
    logfire.instrument_httpx()

    def log(message: str) -> None:
        logfire.info(message, order_id=42, user="u-1837", amount=12.5)

    def wrap(app: Any, _kind: str) -> Any:
        logfire.instrument_fastapi(app)
        return app

    return Peer(wrap, log if logs else no_log, lambda: logfire.force_flush())


def ddtrace(url: str, *, logs: bool) -> Peer:
    """ddtrace, exporting to an agent."""
    os.environ.update(
        DD_TRACE_AGENT_URL=url,
        DD_SERVICE="shop",
        DD_INSTRUMENTATION_TELEMETRY_ENABLED="false",
        DD_REMOTE_CONFIGURATION_ENABLED="false",
        DD_LOGS_INJECTION="true",
        DD_TRACE_STARTUP_LOGS="false",
    )
    from ddtrace import patch
    from ddtrace.trace import tracer

    patch(fastapi=True, starlette=True, httpx=True, logging=True, asyncio=True)
    ids = "%(asctime)s %(levelname)s %(name)s %(dd.trace_id)s %(dd.span_id)s %(message)s"
    return Peer(lambda app, _kind: app, stdlib_json_log(ids) if logs else no_log, lambda: tracer.flush())


def _opentelemetry_logs(url: str, resource: Any) -> tuple[Log, Flush]:
    from opentelemetry._logs import set_logger_provider
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.instrumentation.logging import LoggingInstrumentor
    from opentelemetry.instrumentation.logging.handler import LoggingHandler
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

    provider = LoggerProvider(resource=resource)
    exporter = OTLPLogExporter(endpoint=f"{url}/v1/logs")
    provider.add_log_record_processor(
        BatchLogRecordProcessor(exporter, max_queue_size=QUEUE, max_export_batch_size=512)
    )
    set_logger_provider(provider)
    # 0.66b: without these the IDs are not on the lines, and a second handler exports each of them again.
    LoggingInstrumentor().instrument(inject_trace_context=True, enable_log_auto_instrumentation=False)
    logging.getLogger().addHandler(LoggingHandler(logger_provider=provider))
    log = stdlib_json_log("%(asctime)s %(levelname)s %(name)s %(otelTraceID)s %(otelSpanID)s %(message)s")
    return log, lambda: provider.force_flush()


CASES: dict[str, tuple[str, Callable[..., Peer]]] = {
    "bare": ("clew", bare),
    "bare_stdlib": ("clew", bare_stdlib),
    "clew": ("clew", clew),
    "clew_without_export": ("clew", clew_without_export),
    "correlation": ("correlation", correlation),
    "opentelemetry": ("opentelemetry", opentelemetry),
    "ddtrace": ("ddtrace", ddtrace),
    "logfire": ("logfire", logfire),
}
"""The columns: the environment that each needs, and how it is switched on."""
