"""Lines of log files (JSON, logfmt, access and error logs, plain text): text into OTLP logs requests."""
