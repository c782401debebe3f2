"""How long, and for how much, an HTTP server waits for a client that does not get on with its request.

uvicorn has a time-out between requests and none within one, and with httptools no bound for headers: a few hundred
clients that send a byte a second would hold their connections for ever, and one could fill the memory with a header.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from clew_collector.model import record

_ANSWERS: Final = {
    408: b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    431: b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
}

CutShort = Callable[[str], None]
"""Counts a connection that was cut within a request, by reason."""


@record
class Patience:
    """What a request may take to come: its head a fixed time, its body more the more of it there is.

    A head ends with the first piece (up to 256 KiB) that takes it over `max_head_bytes`.
    """

    head_s: float = 10.0
    body_s: float = 20.0
    min_body_bytes_per_s: int = 4096
    max_head_bytes: int = 32 << 10


def patient_protocol(patience: Patience, cut_short: CutShort) -> Any:
    """What `uvicorn.Config` takes as `http`: httptools with bounds to what a client may make it wait for.

    A client that is cut short is answered 400, 408 or 431 if nothing has been answered yet, and counted: its request
    may never come as far as the application.
    """
    return partial(_PatientProtocol, patience=patience, cut_short=cut_short)


class _PatientProtocol(HttpToolsProtocol):
    """Watches the clock only while part of a request is here: one that comes in one piece costs nothing."""

    def __init__(self, *arguments: Any, patience: Patience, cut_short: CutShort, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._patience = patience
        self._cut_short = cut_short
        self._is_in_body = False
        self._is_whole = True
        self._phase_bytes = 0
        self._phase_began_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # Who says nothing at all has as long as between two requests.
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._phase_bytes += len(data)
        self._is_whole = False
        super().data_received(data)
        if self._is_whole or self.transport.is_closing():
            self._stop_timer()
        elif not self._is_in_body and self._phase_bytes > self._patience.max_head_bytes:
            self._cut(431, "headers too large")
        elif self._timer is None:
            self._begin(self._phase_bytes)
            self._set_timer(self._patience.body_s if self._is_in_body else self._patience.head_s)

    def on_message_begin(self) -> None:
        self._is_whole = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._is_in_body = True
        self._begin(0)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._is_in_body = False
        self._is_whole = True
        self._begin(0)
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._cut_short("not HTTP")
        super().send_400_response(msg)

    def _begin(self, size: int) -> None:
        self._phase_began_s = self.loop.time()
        self._phase_bytes = size

    def _set_timer(self, wait_s: float) -> None:
        self._timer = self.loop.call_later(wait_s, self._look)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        """Cut the client off if its time is up; time in which we did not read is not its time."""
        self._timer = None
        if self.transport.is_closing():
            return
        if self.flow.read_paused:
            self._begin(self._phase_bytes)
        patience = self._patience
        allowed_s = patience.head_s
        if self._is_in_body:
            allowed_s = patience.body_s + self._phase_bytes / patience.min_body_bytes_per_s
        left_s = self._phase_began_s + allowed_s - self.loop.time()
        if left_s > 0:
            self._set_timer(left_s)
        else:
            self._cut(408, "too slow")

    def _cut(self, status: int, reason: str) -> None:
        self._stop_timer()
        self._cut_short(reason)
        is_answered = self._is_in_body and self.cycle is not None and self.cycle.response_started
        if not is_answered:
            self.transport.write(_ANSWERS[status])
        self.transport.close()
