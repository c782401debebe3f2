"""Kafka: OTLP bodies in topics, all spans of a trace in one partition."""

from clew_collector.sinks.kafka.config import KafkaSinkConfig, KafkaSinkSecurity
from clew_collector.sinks.kafka.sink import KafkaSink

__all__ = ["KafkaSink", "KafkaSinkConfig", "KafkaSinkSecurity"]
