"""One RPC on a server: its span, its context, the way back of its ID."""

from collections.abc import Iterable
from typing import Any, Final

from clew.frameworks.grpc.rpc import SERVER_ERRORS, SYSTEM, Outcome, Rpc, describe
from clew.incoming import SERVER, Following, Resumed
from clew.runtime import RUNTIME

CANCELLED: Final = "CANCELLED"
DEADLINE_EXCEEDED: Final = "DEADLINE_EXCEEDED"

_DEADLINE_MARGIN_S: Final = 0.05
"""A client's clock for a deadline starts before the server's: its cancellation comes a little early."""


class ServerCall:
    """Begun before the server's interceptors run, ended when the handler has answered or the client has gone."""

    __slots__ = ("_following", "_method")

    def __init__(self, path: str, metadata: object) -> None:
        """`path` is the method as it was called: `/package.Service/Method`."""
        self._method = path.removeprefix("/")
        headers: Any = metadata
        self._following = Following(self._method, SERVER, headers, path=path)

    def resumed(self) -> Resumed:
        """`with call.resumed():` is the call's context."""
        return self._following.resumed()

    def end(self, outcome: Outcome, *, peer: str = "", is_known: bool = True) -> None:
        """End the span. Twice is as once."""
        span = self._following.span
        if span.end_ns is not None:
            return
        if not is_known:
            span.name = SYSTEM
        describe(span, Rpc(self._method, is_known, peer=peer), outcome, is_error=outcome.code in SERVER_ERRORS)
        self._following.end(outcome.error)

    def with_request_id(self, metadata: object) -> Any:
        """A service's trailing metadata and the request ID, exactly once. What is no metadata stays as it is."""
        if metadata is not None and not isinstance(metadata, Iterable):
            return metadata
        name = RUNTIME.headers.request_id.decode()
        kept = [pair for pair in metadata or () if not (isinstance(pair, tuple) and pair and pair[0] == name)]
        return (*kept, (name, self._following.correlation_id))


def gone(time_remaining_s: float | None) -> str:
    """The code of a call whose client has gone, by the time that is left until its deadline; None: it has none."""
    return CANCELLED if time_remaining_s is None or time_remaining_s > _DEADLINE_MARGIN_S else DEADLINE_EXCEEDED
