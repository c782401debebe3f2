"""Reading a request's body: bounded, decompressed, without trusting what it claims about itself."""

import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from clew_collector.errors import BadPayload, PayloadTooLarge

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_GZIP_WINDOW_BITS: Final = 31


class ClientGone(Exception):
    """The client closed the connection before its body was whole; there is nobody to answer."""


async def read_body(receive: Receive, *, declared_bytes: int | None, max_bytes: int) -> bytes:
    """The whole body. Raises `PayloadTooLarge` as soon as it is known to be, `ClientGone` if it breaks off."""
    if declared_bytes is not None and declared_bytes > max_bytes:
        raise PayloadTooLarge(f"the body has {declared_bytes} bytes; the limit is {max_bytes}")
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > max_bytes:
            raise PayloadTooLarge(f"the body has more than {max_bytes} bytes, which is the limit")
        chunks.append(chunk)
        if not message.get("more_body"):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def gunzip(body: bytes, *, max_bytes: int) -> bytes:
    """What a gzip body of one or more members holds (RFC 1952).

    Never makes more than `max_bytes` and a few: a bomb is refused when it passes the limit, not when it has gone off.
    Raises `PayloadTooLarge` or `BadPayload`.
    """
    parts: list[bytes] = []
    room = max_bytes
    while body:
        member = zlib.decompressobj(_GZIP_WINDOW_BITS)
        try:
            part = member.decompress(body, room + 1)
        except zlib.error as error:
            raise BadPayload(f"not gzip: {error}") from error
        if len(part) > room:
            raise PayloadTooLarge(f"the body decompresses to more than {max_bytes} bytes, which is the limit")
        if not member.eof:
            raise BadPayload("the gzip body breaks off before its end")
        parts.append(part)
        room -= len(part)
        body = member.unused_data.lstrip(b"\0")
    return b"".join(parts)
