"""What can be asked of a store."""

from clew_collector.model import record

MAX_LIMIT = 1000


@record
class RequestQuery:
    """Which requests to list; every filter left at `None` lets all through, all given must hold.

    `service` names any service that took part, `route` is a part of the method and route (`/orders`), `status` a
    code (`404`) or a class (`5xx`), `id` the start of a correlation or trace ID. `from_ns` and `to_ns` bound the
    start, the second exclusive. `cursor` is the `next` of the page before.
    """

    service: str | None = None
    route: str | None = None
    status: str | None = None
    error: bool | None = None
    min_duration_ns: int | None = None
    id: str | None = None
    from_ns: int | None = None
    to_ns: int | None = None
    limit: int = 50
    cursor: str | None = None


@record
class LogQuery:
    """Which log records to list, newest first; filters as in `RequestQuery`.

    `min_severity` is a `SeverityNumber` (9 INFO, 13 WARN, 17 ERROR), `text` a part of the body in any case.
    """

    service: str | None = None
    min_severity: int | None = None
    text: str | None = None
    request_id: str | None = None
    from_ns: int | None = None
    to_ns: int | None = None
    limit: int = 100
    cursor: str | None = None
