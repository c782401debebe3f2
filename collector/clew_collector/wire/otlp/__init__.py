"""OTLP, the OpenTelemetry protocol (https://opentelemetry.io/docs/specs/otlp/): logs and traces."""
