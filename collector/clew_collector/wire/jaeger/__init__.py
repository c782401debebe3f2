"""Jaeger's JSON, as its pages export a trace and as its query API (`/api/traces`) answers."""
