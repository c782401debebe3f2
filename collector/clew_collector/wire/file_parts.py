"""Files in the parts that can be read for themselves: lines of JSON, one JSON document, or bytes; each also as gzip."""

import gzip
import zlib
from collections.abc import Iterator
from typing import IO, Final, cast

import orjson

from clew_collector.model import Signal, record

_GZIP_MAGIC: Final = b"\x1f\x8b"
_HEAD_BYTES: Final = 4096


@record
class FilePayload:
    """An export request from a file, as protobuf. `place` says where it stood: `line 12`, `message 3`.

    `format` is what the file held, as a person calls it.
    """

    place: str
    signal: Signal
    body: bytes
    records: int
    format: str


@record
class Refusal:
    """A part of a file that could not be read, and why."""

    place: str
    reason: str


@record
class JsonPart:
    """A line or a document that should be JSON."""

    place: str
    text: bytes


@record
class BinaryPart:
    """A whole file that is no JSON."""

    data: bytes


def read_parts(file: IO[bytes]) -> Iterator[JsonPart | BinaryPart | Refusal]:
    """The parts of a file, in order; `file` must be seekable. Lines are read one by one, other files whole.

    Never raises for what is in the file.
    """
    start = file.read(len(_GZIP_MAGIC))
    file.seek(0)
    plain = gzip.GzipFile(fileobj=file, mode="rb") if start == _GZIP_MAGIC else file
    try:
        yield from _read_plain(cast(IO[bytes], plain))
    except (EOFError, zlib.error, OSError) as error:
        yield Refusal(place="the rest of the file", reason=f"not whole gzip: {error}")


def _read_plain(file: IO[bytes]) -> Iterator[JsonPart | BinaryPart]:
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    if not head.lstrip().startswith((b"{", b"[")):
        yield BinaryPart(file.read())
        return
    first = next((line for line in file if line.strip()), b"")
    file.seek(0)
    if _is_json(first):
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield JsonPart(f"line {number}", line)
        return
    document = file.read()
    if _is_json(document) or head.startswith((b"{", b"[")):
        yield JsonPart("document", document)
    else:  # protobuf starts with a newline's byte, and a length of 123 is a brace
        yield BinaryPart(document)


def _is_json(text: bytes) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True
