"""Syslog (RFC 5424, RFC 3164 as it is in the wild, RFC 6587): bytes into OTLP logs requests."""
