"""Zipkin's span formats (https://zipkin.io/zipkin-api/), v2 as JSON and as protobuf and v1 as JSON, read into OTLP."""
