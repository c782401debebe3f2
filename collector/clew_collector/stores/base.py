"""The Store protocol: a place that keeps records and can be asked about them."""

from typing import Protocol

from clew_collector.model import Counts, LogRecord, Page, Request, RequestSummary
from clew_collector.query import LogQuery, RequestQuery


class Store(Protocol):
    """A place that can be asked. Every method blocks and may be called from any thread.

    All raise `StoreUnavailable` when the store cannot answer now; the same question may be asked again.
    """

    def request(self, id: str) -> Request | None:
        """Everything about the request with this correlation ID or trace ID; `None` if nothing has it.

        A trace ID finds the whole request that its trace belongs to.
        """
        ...

    def search_requests(self, query: RequestQuery) -> Page[RequestSummary]:
        """Requests, newest first."""
        ...

    def search_logs(self, query: LogQuery) -> Page[LogRecord]:
        """Log records, newest first."""
        ...

    def services(self) -> tuple[str, ...]:
        """Names of all services seen, in order."""
        ...

    def counts(self) -> Counts:
        """How many records can be asked for now."""
        ...

    def close(self) -> None:
        """Release what the store holds. Safe to call twice; no other method may follow."""
        ...
