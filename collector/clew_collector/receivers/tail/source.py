"""The content of an open file, plain or as gzip compressed it."""

import os
import stat
import zlib
from typing import Final, Protocol

from clew_collector.receivers.tail.checkpoint import HEAD_BYTES, Identity

_GZIP: Final = b"\x1f\x8b"
_UNREADABLE: Final = {b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"(\xb5/\xfd": "zstd", b"PK\x03\x04": "zip"}
_READ_BYTES: Final = 64 << 10


class NotFollowedError(Exception):
    """The file is one that cannot be followed; the message says why."""


class Source(Protocol):
    """What can be read of a file. Blocks for the disk. All but `close` raise `OSError` if the file fails."""

    identity: Identity
    is_plain: bool

    def fileno(self) -> int:
        """The open file, for its size and time."""
        ...

    def head(self) -> bytes:
        """The first bytes of the content, at most `HEAD_BYTES`."""
        ...

    def read(self, offset: int, max_bytes: int) -> bytes:
        """Content from a place on, less than asked for only at its end. Places never go back."""
        ...

    @property
    def is_complete(self) -> bool:
        """Whether all of the content has been seen and no more can come."""
        ...

    def close(self) -> None:
        """Let go of the file. Safe to call twice."""
        ...


def open_source(path: str) -> Source:
    """Open a file. Raises `OSError`, and `NotFollowedError` for what holds no lines."""
    # A pipe under a name that is followed must not hold us.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise NotFollowedError("no regular file")
        start = os.pread(descriptor, 8, 0)
        for magic, name in _UNREADABLE.items():
            if start.startswith(magic):
                raise NotFollowedError(f"compressed by {name}")
        source = GzipSource if start.startswith(_GZIP) else PlainSource
        return source(descriptor, (status.st_dev, status.st_ino))
    except BaseException:
        os.close(descriptor)
        raise


class PlainSource:
    """A file as it is."""

    is_plain = True
    is_complete = False

    def __init__(self, descriptor: int, identity: Identity) -> None:
        self.identity = identity
        self._descriptor = descriptor

    def fileno(self) -> int:
        """The open file."""
        return self._descriptor

    def head(self) -> bytes:
        """The first bytes."""
        return os.pread(self._descriptor, HEAD_BYTES, 0)

    def read(self, offset: int, max_bytes: int) -> bytes:
        """Bytes from a place on."""
        return os.pread(self._descriptor, max_bytes, offset)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class GzipSource:
    """What a gzip file decompresses to, one member or several, also while it is still being written."""

    is_plain = False

    def __init__(self, descriptor: int, identity: Identity) -> None:
        self.identity = identity
        self._descriptor = descriptor
        self._head = b""
        self._buffer = b""
        self._start = 0
        self._rewind()

    def fileno(self) -> int:
        """The open file."""
        return self._descriptor

    def head(self) -> bytes:
        """The first decompressed bytes."""
        if len(self._head) < HEAD_BYTES:
            self._rewind()
            self._head = self.read(0, HEAD_BYTES)
        return self._head

    def read(self, offset: int, max_bytes: int) -> bytes:
        """Decompressed bytes from a place on; what is before it is decompressed and forgotten."""
        while self._start < offset and (self._buffer or self._fill(_READ_BYTES)):
            skipped = min(offset - self._start, len(self._buffer))
            self._start += skipped
            self._buffer = self._buffer[skipped:]
        if self._start != offset:
            return b""
        while len(self._buffer) < max_bytes and self._fill(max_bytes - len(self._buffer)):
            pass
        return self._buffer[:max_bytes]

    @property
    def is_complete(self) -> bool:
        """Whether the last member is whole."""
        return self._inflate.eof and not self._compressed

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _rewind(self) -> None:
        self._inflate = zlib.decompressobj(wbits=31)
        self._compressed = b""
        self._compressed_offset = 0
        self._buffer = b""
        self._start = 0

    def _fill(self, max_bytes: int) -> bool:
        """Decompress some more; false if there is nothing more now. Raises `OSError` where the file is damaged."""
        if not self._compressed:
            self._compressed = os.pread(self._descriptor, _READ_BYTES, self._compressed_offset)
            self._compressed_offset += len(self._compressed)
        if self._inflate.eof:
            self._compressed = self._compressed.lstrip(b"\0")  # padding, as on tapes
            if not self._compressed:
                return False
            self._inflate = zlib.decompressobj(wbits=31)
        try:
            more = self._inflate.decompress(self._compressed, max_bytes)
        except zlib.error as error:
            raise OSError(f"damaged gzip: {error}") from error
        is_progress = bool(more) or len(self._compressed) > 0
        self._compressed = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail
        self._buffer += more
        return is_progress
