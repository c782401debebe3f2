"""What receivers that speak HTTP have in common: reading a request's body, and answering."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from clew_collector.errors import (
    BadPayload,
    ClewError,
    PayloadTooLarge,
    RateLimited,
    SpoolFull,
    StoreUnavailable,
)
from clew_collector.model import record
from clew_collector.payload import Payload
from clew_collector.receivers.body import ENCODINGS, Receive, Scope, Send, decompressed, read_body
from clew_collector.spool import Counter

RETRY_AFTER_S: Final = 5

Deliver = Callable[[Payload], Awaitable[bool]]
"""Returns when the payload is on disk, and whether it was new; or raises `SpoolFull` or `StoreUnavailable`."""

Count = Callable[[Counter, int], None]
"""Adds to a counter; does not block."""


class Unsupported(ClewError):
    """Answer with `status`: the request is not one that is taken here."""

    def __init__(self, message: str, *, status: int, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


@record
class Answer:
    """What goes back to the sender."""

    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


def headers_of(scope: Scope) -> dict[bytes, str]:
    """A request's headers by their names in lower case."""
    return {name: value.decode("latin-1") for name, value in scope["headers"]}


def content_type_of(headers: Mapping[bytes, str]) -> str:
    """The content type without its parameters, in lower case; empty if there is none."""
    return headers.get(b"content-type", "").partition(";")[0].strip().lower()


async def read_content(receive: Receive, headers: Mapping[bytes, str], *, max_bytes: int) -> bytes:
    """The whole body, decompressed; `max_bytes` bounds it as sent and as decompressed.

    Raises `PayloadTooLarge`, `BadPayload`, `Unsupported` and `ClientGone`.
    """
    length = headers.get(b"content-length", "")
    body = await read_body(receive, declared_bytes=int(length) if length.isdecimal() else None, max_bytes=max_bytes)
    encoding = headers.get(b"content-encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        return body
    if encoding not in ENCODINGS:
        known = ", ".join(ENCODINGS)
        raise Unsupported(f"Content-Encoding must be {known} or identity, got {encoding!r:.60}", status=415)
    return decompressed(body, encoding, max_bytes=max_bytes)


def status_of(error: ClewError) -> tuple[int, str]:
    """The HTTP status of a refusal, and the counter's reason."""
    match error:
        case Unsupported():
            return error.status, "unsupported"
        case PayloadTooLarge():
            return 413, "too large"
        case BadPayload():
            return 400, "bad payload"
        case RateLimited():
            return 429, "rate limited"
        case SpoolFull():
            return 429, "spool full"
        case StoreUnavailable():
            return 503, "disk"
        case _:
            return 500, "other"


def refusal_headers(error: ClewError, status: int) -> tuple[tuple[bytes, bytes], ...]:
    """The headers that go with a refusal."""
    headers = error.headers if isinstance(error, Unsupported) else ()
    return (*headers, (b"retry-after", str(RETRY_AFTER_S).encode())) if status in (429, 503) else headers


async def send_answer(send: Send, answer: Answer) -> None:
    """Answer a request."""
    headers = [
        (b"content-type", answer.content_type.encode()),
        (b"content-length", str(len(answer.body)).encode()),
        *answer.headers,
    ]
    # The body of a refused request may still be on its way; closing is what stops the sender.
    if answer.status == 413:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
