"""OTLP onward, over HTTP or gRPC: to another clew, an OpenTelemetry Collector, or a vendor."""

from clew_collector.sinks.otlp.config import OtlpSinkConfig
from clew_collector.sinks.otlp.sink import OtlpSink

__all__ = ["OtlpSink", "OtlpSinkConfig"]
