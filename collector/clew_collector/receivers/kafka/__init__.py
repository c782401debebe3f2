"""Kafka: topics of OTLP or Zipkin bodies, as the OpenTelemetry Collector's exporter and Zipkin's senders write them.

`config` is light. `receiver` needs confluent-kafka, of the extra `kafka`: import it where one is configured.
"""
