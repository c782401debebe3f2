"""OpenTelemetry, set up by hand: spans and log lines go to the collector over OTLP."""

import logging
from collections.abc import Callable

from opentelemetry import baggage, trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

EXPORT_TIMEOUT_S = 1
"""Short, since the last export must not hold up the end of the process."""


class BaggageOnSpans(SpanProcessor):
    """Writes what the caller sent as baggage onto each span, so that a search for it finds them."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Copy the baggage of the context that the span begins in."""
        for key, value in baggage.get_all(parent_context).items():
            span.set_attribute(key, str(value))


def set_up(service: str) -> Callable[[], None]:
    """Start to report to `OTEL_EXPORTER_OTLP_ENDPOINT`; the function that sends what is left, and ends it.

    The propagators are OpenTelemetry's own default: W3C trace context and baggage.
    """
    resource = Resource.create({"service.name": service})
    tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
    tracers.add_span_processor(BaggageOnSpans())
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=EXPORT_TIMEOUT_S)))
    trace.set_tracer_provider(tracers)

    loggers = LoggerProvider(resource=resource, shutdown_on_exit=False)
    loggers.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(timeout=EXPORT_TIMEOUT_S)))
    set_logger_provider(loggers)
    # Not by `basicConfig`: that would have the handler write level and logger into each text.
    logging.getLogger().addHandler(LoggingHandler(logger_provider=loggers))
    logging.getLogger().setLevel(logging.INFO)
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)

    def shut_down() -> None:
        tracers.shutdown()
        loggers.shutdown()

    return shut_down
