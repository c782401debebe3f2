"""A line to a real server of HTTP: a proxy that can be troubled."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from typing import Final

from tests.collector.certificates import Signed
from tests.collector.sinks.faults.places import LIMIT_BYTES, REFUSED, RETRY_AFTER_S, Trouble
from tests.collector.sinks.faulty_proxy import HALF_AN_ANSWER, Fault, FaultyProxy, Request, faulty_proxy
from tests.servers.processes import free_port

_NOT_THIS_ONE: Final = Fault(is_passed_on=False, status=400, body=b"not this one")
_TOO_LARGE: Final = Fault(is_passed_on=False, status=413, body=b"request entity too large")
_FULL: Final = Fault(is_passed_on=False, status=429, body=b"too many requests")
_SAYS_WHEN: Final = {"retry-after": str(RETRY_AFTER_S)}

Meets = Callable[[Request], bool]


class HttpLine:
    """See `Line`. Trouble is for requests that carry records; `is_known` says whose credentials are right."""

    def __init__(
        self,
        upstream: str,
        *,
        carries_records: Meets,
        is_known: Meets = lambda _: True,
        unknown: Fault | None = None,
        signed: Signed | None = None,
    ) -> None:
        self._upstream = upstream
        self._port = free_port()
        self._proxy = FaultyProxy()
        self._carries_records = carries_records
        self._is_known = is_known
        self._unknown = unknown or Fault(is_passed_on=False, status=401, body=b"who are you?")
        self._context = None if signed is None else _context(signed)
        self.url = f"{'http' if signed is None else 'https'}://127.0.0.1:{self._port}"

    def listening(self) -> AbstractContextManager[FaultyProxy]:
        """See `Line.listening`."""
        self._proxy.hurry.clear()
        return faulty_proxy(self._upstream, port=self._port, context=self._context, behaving=self._proxy)

    def begin(self, trouble: Trouble) -> None:
        """See `Line.begin`."""
        meets: dict[Trouble, Callable[[Request], Fault | None]] = {
            Trouble.SLOW: lambda _: Fault(is_passed_on=True, status=504, is_late=True),
            Trouble.PICKY: lambda request: _NOT_THIS_ONE if REFUSED.encode() in request.body else None,
            Trouble.FULL: lambda _: _FULL,
            Trouble.FULL_UNTIL: lambda _: Fault(False, _FULL.status, _SAYS_WHEN, _FULL.body),
            Trouble.SMALL: lambda request: _TOO_LARGE if len(request.body) > LIMIT_BYTES else None,
            Trouble.CUT: lambda _: HALF_AN_ANSWER,
            Trouble.STRICT: lambda request: None if self._is_known(request) else self._unknown,
        }
        fault = meets[trouble]
        asks_all = trouble is Trouble.STRICT
        self._proxy.fault = lambda request: fault(request) if asks_all or self._carries_records(request) else None

    def end(self) -> None:
        """See `Line.end`."""
        self._proxy.fault = lambda _: None
        self._proxy.hurry.set()


def _context(signed: Signed) -> SSLContext:
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(signed.certificate, signed.key)
    return context
