"""Names of the fields that travel between a service and the collector.

The only module that both sides share; the contract itself is OTLP. Names follow OpenTelemetry's semantic
conventions (https://opentelemetry.io/docs/specs/semconv/), stable ones where they exist.
"""

from typing import Final

CORRELATION_ID: Final = "correlation.id"
"""Attribute on every span and log record of a request, and the W3C baggage key that carries it on."""

SERVICE_NAME: Final = "service.name"
SERVICE_VERSION: Final = "service.version"
SERVICE_INSTANCE_ID: Final = "service.instance.id"
DEPLOYMENT_ENVIRONMENT: Final = "deployment.environment.name"

HTTP_METHOD: Final = "http.request.method"
HTTP_ROUTE: Final = "http.route"
HTTP_STATUS_CODE: Final = "http.response.status_code"
URL_PATH: Final = "url.path"
URL_FULL: Final = "url.full"

ERROR_TYPE: Final = "error.type"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
EXCEPTION_STACKTRACE: Final = "exception.stacktrace"

REQUEST_ID_HEADER: Final = "x-request-id"
CORRELATION_ID_HEADER: Final = "x-correlation-id"
"""Read when there is no `X-Request-ID`; never written."""
