"""A store behind a running `clew up`: asked over HTTP, because only one process can hold its files."""

from typing import Any, Final

import httpx

from clew_collector.errors import BadQuery, StoreUnavailable
from clew_collector.json_form import log_from_json, request_from_json, summary_from_json
from clew_collector.model import Counts, LogRecord, Page, Request, RequestSummary
from clew_collector.query import LogQuery, RequestQuery

_TIMEOUT_S: Final = 30.0


class RemoteStore:
    """The questions of `Store`, put to the JSON twins of a dashboard's pages at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._client = httpx.Client(base_url=self.url, timeout=_TIMEOUT_S, headers={"accept": "application/json"})

    def request(self, id: str) -> Request | None:
        """See `Store.request`."""
        form = self._get(f"/requests/{_quoted(id)}", {}, missing_is_none=True)
        return None if form is None else request_from_json(form)

    def search_requests(self, query: RequestQuery) -> Page[RequestSummary]:
        """See `Store.search_requests`."""
        milliseconds = None if query.min_duration_ns is None else query.min_duration_ns / 1e6
        form = self._get(
            "/requests",
            {
                "service": query.service,
                "route": query.route,
                "status": query.status,
                "error": None if query.error is None else str(query.error).lower(),
                "min_duration_ms": milliseconds,
                "id": query.id,
                "from": query.from_ns,
                "to": query.to_ns,
                "limit": query.limit,
                "cursor": query.cursor,
            },
        )
        return Page(items=tuple(map(summary_from_json, form["items"])), next=form["next"])

    def search_logs(self, query: LogQuery) -> Page[LogRecord]:
        """See `Store.search_logs`."""
        form = self._get(
            "/logs",
            {
                "service": query.service,
                "min_severity": query.min_severity,
                "text": query.text,
                "request_id": query.request_id,
                "from": query.from_ns,
                "to": query.to_ns,
                "limit": query.limit,
                "cursor": query.cursor,
            },
        )
        return Page(items=tuple(map(log_from_json, form["items"])), next=form["next"])

    def services(self) -> tuple[str, ...]:
        """See `Store.services`."""
        return tuple(self._get("/services", {})["items"])

    def counts(self) -> Counts:
        """See `Store.counts`."""
        return Counts(**self._get("/health", {})["stored"])

    def close(self) -> None:
        """See `Store.close`."""
        self._client.close()

    def _get(self, path: str, parameters: dict[str, Any], *, missing_is_none: bool = False) -> Any:
        given = {name: value for name, value in parameters.items() if value is not None}
        try:
            response = self._client.get(path, params=given)
        except httpx.HTTPError as error:
            raise StoreUnavailable(f"{self.url} does not answer: {error}") from error
        if response.status_code == httpx.codes.NOT_FOUND and missing_is_none:
            return None
        if response.status_code in (httpx.codes.BAD_REQUEST, httpx.codes.UNPROCESSABLE_ENTITY):
            raise BadQuery(str(response.json().get("error", response.text)))
        if response.is_error:
            raise StoreUnavailable(f"{self.url}{path} answered {response.status_code}: {response.text:.200}")
        return response.json()


def _quoted(id: str) -> str:
    return httpx.URL("http://x", params={"q": id}).query.decode()[2:].replace("+", "%20")
