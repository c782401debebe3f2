"""OTLP requests of which no two are the same, made as fast as they can be sent: one is patched to become the next."""

import time
from typing import Final

from tests.collector.otlp_builders import a_log, a_span, logs, traces

RECORDS_EACH: Final = 512
LOGS_OF: Final = 4
"""One of so many bodies has spans."""

_MARK: Final = "@@@@@@"
_MESSAGES: Final = (
    "order {n} was reserved in warehouse north, shelf {n}, and is waiting for the courier",
    "GET /products/tea-sencha answered 200 in {n} ms for a visitor from the search page",
    "payment {n} was authorised by the first provider after one attempt, amount {n} cents",
    "cache miss for key product:{n}, loading it from the database took {n} microseconds",
)


def body_id(number: int) -> str:
    """The correlation ID of all records of a body."""
    return f"soak-{number:06d}"


def has_spans(number: int) -> bool:
    """Whether a body's records are spans, not logs."""
    return number % LOGS_OF == 0


class Bodies:
    """Makes bodies by their number, below a million."""

    def __init__(self) -> None:
        start_ns = time.time_ns()
        ids = [(_hex(_MARK * 2) + f"{n:08x}", _hex(_MARK) + f"{n:04x}") for n in range(RECORDS_EACH)]
        records = [
            a_log(
                _MESSAGES[n % len(_MESSAGES)].format(n=n),
                trace=trace,
                span=span,
                time_ns=start_ns + n * 1_000_000,
                correlation_id=f"soak-{_MARK}",
                more={"http.route": "/products/{id}", "shop.item": f"item-{n % 50}", "thread.id": n % 8},
            )
            for n, (trace, span) in enumerate(ids)
        ]
        spans = [
            a_span(
                trace=trace,
                span=span,
                start_ns=start_ns + n * 1_000_000,
                correlation_id=f"soak-{_MARK}",
                more={"http.request.method": "GET", "http.route": "/stock", "http.response.status_code": 200},
            )
            for n, (trace, span) in enumerate(ids)
        ]
        self._logs = logs(*records).SerializeToString()
        self._spans = traces(*spans).SerializeToString()

    def body(self, number: int) -> bytes:
        """The body of a number."""
        template = self._spans if has_spans(number) else self._logs
        return template.replace(_MARK.encode(), b"%06d" % number)


def _hex(text: str) -> str:
    return text.encode().hex()
