"""The access log: one line a request when it ends, with its IDs, instead of the server's own."""

import logging
from typing import Final, Protocol

from clew import fields
from clew.context import Ids
from clew.freezing import Frozen
from clew.incoming import is_excluded
from clew.logs.output import OUTPUT
from clew.logs.record import LogRecord
from clew.logs.severity import severity_of
from clew.logs.taken_over import request_baggage
from clew.runtime import RUNTIME
from clew.spans import LightSpan, Scope

LOGGER_NAME: Final = "clew.access"

_SCOPE: Final = Scope(LOGGER_NAME)


class Outcome(Protocol):
    """What became of a request, as the middleware has seen it."""

    status_code: int
    """0: there was no response."""
    route: str | None
    error_type: str | None


def log_request(
    span: LightSpan,
    outcome: Outcome,
    *,
    method: str,
    path: str,
    client: tuple[str, int] | None = None,
    body_bytes: int | None = None,
) -> None:
    """Write and export the line of a request whose span has ended. Never raises.

    Only call it when `RUNTIME.settings.access_log` is on. `path` comes without its query, which may hold secrets. Paths
    of `excluded_urls` are left out.
    """
    try:
        settings, status_code = RUNTIME.settings, outcome.status_code
        failed = status_code >= 500 or outcome.error_type is not None
        level = logging.ERROR if failed else logging.INFO
        if level < settings.log_level or is_excluded(path):
            return
        end_ns = span.end_ns or span.start_ns
        described: dict[str, Frozen] = {
            fields.HTTP_METHOD: method,
            fields.URL_PATH: path,
            fields.HTTP_ROUTE: outcome.route,
            fields.HTTP_STATUS_CODE: status_code or None,
            "duration_ms": round((end_ns - span.start_ns) / 1e6, 3),
            "client.address": client[0] if client else None,
            "http.response.body.size": body_bytes,
            fields.ERROR_TYPE: outcome.error_type,
            **request_baggage(),
        }
        record = LogRecord(
            scope=_SCOPE,
            time_ns=end_ns,
            observed_ns=end_ns,
            severity_number=severity_of(level),
            severity_text=logging.getLevelName(level),
            body=f"{method} {path} {status_code or 'no response'}",
            attributes={key: value for key, value in described.items() if value is not None},
            ids=Ids(span.trace_id, span.span_id, span.trace_flags, span.correlation_id),
        )
        RUNTIME.put_log(record)
        if settings.log_format != "none":
            OUTPUT.write(record)
    except Exception:  # noqa: BLE001  (a line less, but the request ends as it would)
        return
