"""Requests that a test makes and follows."""

from collections.abc import Iterable
from time import monotonic, sleep
from types import TracebackType
from typing import Any, Final, Self

import clew
from clew.ids import new_correlation_id
from clew.jobs import request as own_request
from clew.runtime import RUNTIME
from clew.testing.captured import CapturedRequest
from clew.testing.collector import RunningCollector

WAIT_S: Final = 10.0
SETTLE_S: Final = 0.3
"""How long nothing more has to arrive for a request to count as complete."""

_POLL_S: Final = 0.05


class FollowedRequest:
    """One request of a test. Inside of `with request:` everything in this process belongs to it, too."""

    def __init__(self, collector: RunningCollector, name: str, correlation_id: str) -> None:
        self._collector = collector
        self._name = name
        self._captured: CapturedRequest | None = None
        self.correlation_id = correlation_id

    @property
    def headers(self) -> dict[str, str]:
        """What to send along with a call that is made without clew's help."""
        return {RUNTIME.settings.request_id_header: self.correlation_id}

    @property
    def captured(self) -> CapturedRequest:
        """What had arrived at the last look."""
        return self._captured if self._captured is not None else self.look()

    def look(self) -> CapturedRequest:
        """What has arrived by now."""
        self._captured = CapturedRequest(self.correlation_id, self._collector.request(self.correlation_id))
        return self._captured

    def wait_complete(
        self, *, spans: int = 1, logs: int = 0, services: Iterable[str] = (), timeout_s: float = WAIT_S
    ) -> CapturedRequest:
        """Wait until the request is complete: no parent is missing, nothing more arrives, and at least as many spans
        and logs and these services are there. Raises `AssertionError` with the tree if that takes too long."""
        wanted = set(services)
        end_s = monotonic() + timeout_s
        clew.flush(timeout_s)
        seen, since_s = -1, monotonic()
        while True:
            found = self.look()
            size = len(found.spans) + len(found.logs)
            if size != seen:
                seen, since_s = size, monotonic()
            enough = len(found.spans) >= spans and len(found.logs) >= logs and wanted <= found.services
            if enough and not found.orphans and monotonic() - since_s >= SETTLE_S:
                return found
            if monotonic() > end_s:
                raise AssertionError(self._why_not(found, spans=spans, logs=logs, services=wanted, waited_s=timeout_s))
            sleep(_POLL_S)

    def assert_hop(self, caller: str, callee: str) -> None:
        """As `CapturedRequest.assert_hop`, of what had arrived at the last look."""
        self.captured.assert_hop(caller, callee)

    def assert_logged(self, text: str, *, service: str | None = None, level: str | None = None, **fields: Any) -> None:
        """As `CapturedRequest.assert_logged`."""
        self.captured.assert_logged(text, service=service, level=level, **fields)

    def assert_span(self, name: str, *, service: str | None = None, **attributes: Any) -> None:
        """As `CapturedRequest.assert_span`."""
        self.captured.assert_span(name, service=service, **attributes)

    def no_orphans(self) -> None:
        """As `CapturedRequest.no_orphans`."""
        self.captured.no_orphans()

    def no_errors(self) -> None:
        """As `CapturedRequest.no_errors`."""
        self.captured.no_errors()

    def __enter__(self) -> Self:
        self._job = own_request(self._name, correlation_id=self.correlation_id)
        self._job.__enter__()
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._job.__exit__(error_type, error, traceback)

    def _why_not(self, found: CapturedRequest, *, spans: int, logs: int, services: set[str], waited_s: float) -> str:
        missing = []
        if len(found.spans) < spans:
            missing.append(f"{len(found.spans)} of {spans} spans have arrived")
        if len(found.logs) < logs:
            missing.append(f"{len(found.logs)} of {logs} logs have arrived")
        if absent := services - found.services:
            missing.append(f"nothing came from {', '.join(sorted(absent))}")
        if found.orphans:
            missing.append(f"{len(found.orphans)} spans wait for their parent")
        return f"after {waited_s:g} s {'; '.join(missing) or 'spans still arrive'}: {found}"


class ClewRequests:
    """The fixture: makes requests to follow, and keeps those of the test."""

    def __init__(self, collector: RunningCollector, test_name: str) -> None:
        self.collector = collector
        self._test_name = test_name
        self.followed: list[FollowedRequest] = []

    @property
    def endpoint(self) -> str:
        """Where services send to; `CLEW_ENDPOINT` of this process says it already."""
        return self.collector.endpoint

    def new(self, correlation_id: str | None = None) -> FollowedRequest:
        """A request with a new correlation ID, or with this one."""
        return self.of(correlation_id or new_correlation_id())

    def of(self, correlation_id: str) -> FollowedRequest:
        """The request with an ID that is known already: from an answer's `X-Request-ID`, say."""
        request = FollowedRequest(self.collector, self._test_name, correlation_id)
        self.followed.append(request)
        return request
