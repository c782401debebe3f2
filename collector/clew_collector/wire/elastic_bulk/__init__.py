"""Elasticsearch's `_bulk`: documents in, OTLP log records out, and what Elasticsearch would answer."""
