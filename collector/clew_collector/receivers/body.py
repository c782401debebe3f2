"""Reading a request's body: bounded, decompressed, without trusting what it claims about itself."""

import sys
import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import partial
from typing import Any, Final, Protocol

from clew_collector.errors import BadPayload, PayloadTooLarge

# Python's own from 3.14 on, with the bound on what comes out that the package `zstandard` lacks, and a tenth its size.
if sys.version_info >= (3, 14):
    from compression import zstd as zstd
else:
    from backports import zstd as zstd

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_GZIP_WINDOW_BITS: Final = 31
_ZSTD_WINDOW_LOG: Final = 23
"""8 MB, the most that a sender over HTTP may ask for (RFC 9659); by default the library gives it 128."""


class _Stream(Protocol):
    """A decompressor of one stream, as `zlib` and `zstd` have it."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


ENCODINGS: Final[Mapping[str, Callable[[], _Stream]]] = {
    "zstd": partial(zstd.ZstdDecompressor, options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}),
    "deflate": zlib.decompressobj,
    "gzip": partial(zlib.decompressobj, _GZIP_WINDOW_BITS),
}
"""What undoes each `Content-Encoding`."""


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


def decompressed(body: bytes, encoding: str, *, max_bytes: int) -> bytes:
    """What a body of one or more gzip members, zlib streams or zstd frames holds (RFC 1952, 1950, 8878).

    `encoding` is one of `ENCODINGS`. Never makes more than `max_bytes` and a few: a bomb is refused when it passes
    the limit, not when it has gone off. Raises `PayloadTooLarge` or `BadPayload`.
    """
    parts: list[bytes] = []
    room = max_bytes
    while body:
        stream = ENCODINGS[encoding]()
        try:
            part = stream.decompress(body, room + 1)
        except (zlib.error, zstd.ZstdError) as error:
            raise BadPayload(f"not {encoding}: {error}") from error
        if len(part) > room:
            raise PayloadTooLarge(f"the body decompresses to more than {max_bytes} bytes, which is the limit")
        if not stream.eof:
            raise BadPayload(f"the {encoding} body breaks off before its end")
        parts.append(part)
        room -= len(part)
        body = stream.unused_data.lstrip(b"\0") if encoding == "gzip" else stream.unused_data
    return parts[0] if len(parts) == 1 else b"".join(parts)
