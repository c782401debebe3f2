"""A batch: an encoded OTLP request as it is sent, kept in memory or on disk."""

import zlib
from dataclasses import dataclass
from typing import Final

from clew.exporting.protobuf import message
from clew.exporting.reading import read_fields

MAX_BODY_BYTES: Final = 4_000_000
"""Before compression. A gRPC server takes 4 MiB where nobody has configured it."""

_COMPRESS_FROM_BYTES: Final = 1_024
_GZIP_WBITS: Final = 31
_MAX_PLAIN_BYTES: Final = 256 << 20
"""No record comes near: it is for a file that somebody else wrote."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of records: spans or logs."""

    name: str
    """As OTLP and the names of files have it."""

    counted_as: str
    path: str
    """Of OTLP over HTTP."""

    method: str
    """Of OTLP over gRPC."""


TRACES: Final = Kind("traces", "spans", "/v1/traces", "/opentelemetry.proto.collector.trace.v1.TraceService/Export")
LOGS: Final = Kind("logs", "logs", "/v1/logs", "/opentelemetry.proto.collector.logs.v1.LogsService/Export")
KINDS: Final = {kind.name: kind for kind in (TRACES, LOGS)}


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """An export request with some records in it."""

    kind: Kind
    body: bytes
    records: int
    is_gzip: bool = False

    def plain_body(self) -> bytes:
        """The body as it was before compression. Raises `ValueError` if it does not hold together."""
        return gunzip(self.body) if self.is_gzip else self.body


def make_batch(kind: Kind, body: bytes, records: int, *, is_gzip: bool) -> Batch:
    """A batch out of an encoded request, compressed if that is wanted and worth it."""
    if is_gzip and len(body) >= _COMPRESS_FROM_BYTES:
        return Batch(kind, gzip(body), records, is_gzip=True)
    return Batch(kind, body, records)


def gzip(body: bytes) -> bytes:
    """The body compressed; other threads run meanwhile."""
    # Level 1: five times smaller for a tenth of the default level's time.
    compressor = zlib.compressobj(level=1, wbits=_GZIP_WBITS)
    return compressor.compress(body) + compressor.flush()


def gunzip(body: bytes) -> bytes:
    """The body as it was before `gzip`. Raises `ValueError` if it was none."""
    decompressor = zlib.decompressobj(wbits=_GZIP_WBITS)
    try:
        plain = decompressor.decompress(body, _MAX_PLAIN_BYTES)
    except zlib.error as error:
        raise ValueError(f"no gzip: {error}") from error
    if not decompressor.eof:
        raise ValueError("gzip that is cut off, or too large")
    return plain


def halves(batch: Batch) -> list[Batch]:
    """The batch as two; empty if there is but one record in it. Raises `ValueError` for what is no batch."""
    # Field 1 holds a resource with its records. clew's own requests have one; a body that was split has one, too.
    [(number, content)] = read_fields(batch.plain_body())
    if number != 1 or not isinstance(content, bytes):
        raise ValueError("no export request")
    resource, records = _taken_apart(content)
    middle = len(records) // 2
    if not middle:
        return []
    return [
        make_batch(batch.kind, _put_together(resource, half), len(half), is_gzip=batch.is_gzip)
        for half in (records[:middle], records[middle:])
    ]


def _taken_apart(content: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """The resource, and each record (field 2 of a scope) with what else is in its scope, all as whole fields."""
    resource = b""
    records: list[tuple[bytes, bytes]] = []
    for number, value in read_fields(content):
        if not isinstance(value, bytes):
            raise ValueError("no export request")
        if number != 2:
            resource += message(_tag(number), value)
            continue
        inside = [(at, message(_tag(at), field)) for at, field in read_fields(value) if isinstance(field, bytes)]
        scope = b"".join([field for at, field in inside if at != 2])
        records += [(scope, field) for at, field in inside if at == 2]
    return resource, records


def _put_together(resource: bytes, records: list[tuple[bytes, bytes]]) -> bytes:
    by_scope: dict[bytes, list[bytes]] = {}
    for scope, record in records:
        by_scope.setdefault(scope, []).append(record)
    scopes = [message(b"\x12", scope + b"".join(fields)) for scope, fields in by_scope.items()]
    return message(b"\x0a", resource + b"".join(scopes))


def _tag(number: int) -> bytes:
    """The tag of a field with a length, for numbers as small as those of OTLP's requests."""
    return bytes((number << 3 | 2,))
