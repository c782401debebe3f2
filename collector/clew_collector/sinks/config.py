"""The sinks of a configuration: the union that lists the family, and making them."""

from typing import Annotated

from pydantic import Field

from clew_collector.model import SIGNALS, Signal
from clew_collector.sinks.base import Sink
from clew_collector.sinks.elasticsearch.config import ElasticsearchConfig
from clew_collector.sinks.file.config import FileSinkConfig
from clew_collector.sinks.kafka.config import KafkaSinkConfig
from clew_collector.sinks.otlp.config import OtlpSinkConfig
from clew_collector.sinks.pacing import BatchBounds
from clew_collector.sinks.zipkin import ZipkinSinkConfig

SinkConfig = Annotated[
    ElasticsearchConfig | ZipkinSinkConfig | OtlpSinkConfig | KafkaSinkConfig | FileSinkConfig,
    Field(discriminator="type"),
]
"""An item of the list `sinks` in clew.yaml."""

_BOUNDS = BatchBounds(max_records=40_000, max_bytes=32 << 20)


def make_sink(config: SinkConfig, *, origin: str) -> Sink:
    """A sink; `origin` tells this spool's payloads from those of any other. Raises `ConfigError`."""
    # Each is imported where it is used: they bring libraries along that nobody else needs.
    match config:
        case ElasticsearchConfig():
            from clew_collector.sinks.elasticsearch.sink import ElasticsearchSink

            return ElasticsearchSink(config, origin=origin)
        case ZipkinSinkConfig():
            from clew_collector.sinks.zipkin import ZipkinSink

            return ZipkinSink(config)
        case OtlpSinkConfig():
            from clew_collector.sinks.otlp.sink import OtlpSink

            return OtlpSink(config)
        case KafkaSinkConfig():
            from clew_collector.sinks.kafka.sink import KafkaSink

            return KafkaSink(config)
        case FileSinkConfig():
            from clew_collector.sinks.file.sink import FileSink

            return FileSink(config)


def signals_of(config: SinkConfig) -> tuple[Signal, ...]:
    """What a sink takes."""
    match config:
        case ElasticsearchConfig():
            return tuple(signal for signal in SIGNALS if config.stream(signal) is not None)
        case ZipkinSinkConfig():
            return ("traces",)
        case KafkaSinkConfig():
            return tuple(signal for signal in SIGNALS if signal in config.topics)
        case OtlpSinkConfig() | FileSinkConfig():
            return tuple(signal for signal in SIGNALS if signal in config.signals)


def bounds_of(config: SinkConfig) -> BatchBounds:
    """How much a sink is given at once."""
    if isinstance(config, ElasticsearchConfig):
        return BatchBounds(max_records=config.max_batch_records, max_bytes=config.max_batch_bytes)
    return _BOUNDS


def target_of(config: SinkConfig) -> str:
    """Where a sink writes to, in a few words and without a secret."""
    match config:
        case ElasticsearchConfig():
            return ", ".join(config.urls)
        case KafkaSinkConfig():
            return ", ".join(config.brokers)
        case FileSinkConfig():
            return config.url
        case OtlpSinkConfig() | ZipkinSinkConfig():
            port = "" if config.url.port is None else f":{config.url.port}"
            return f"{config.url.scheme}://{config.url.host}{port}{config.url.path or ''}".rstrip("/")
