"""A span ID for each side of a call.

Zipkin lets the server's span have the ID of the client's (https://github.com/openzipkin/b3-propagation): two spans,
one ID. In OTLP an ID is one span's. So the server's half is given an ID of its own and becomes the client's child;
the ID that it came with stays as its `shared_span_id`.

The new ID is a digest of the trace, the shared ID, and the service and address of the half: the same whenever the
half is sent. Children of a half name the shared ID as their parent too; those in the same payload are moved to the
half. A child that comes in another payload stays the client's child here, where nothing is known of the half.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Final

from clew_collector.wire.zipkin.json_fields import SPAN_ID_BYTES
from clew_collector.wire.zipkin.model import ZipkinSpan

_STARTS: Final = ("client", "producer")
_FOLLOWS: Final = ("server", "consumer")

_SpanKey = tuple[bytes, bytes]


def separate(spans: Sequence[ZipkinSpan]) -> list[ZipkinSpan]:
    """The spans of one payload, in their order, with halves that have IDs of their own."""
    started = {_key(span) for span in spans if span.kind in _STARTS}
    halves = {index: span for index, span in enumerate(spans) if _is_half(span, started)}
    if not halves:
        return list(spans)
    ids = _new_ids(halves.items())
    of_instance: dict[tuple[_SpanKey, str, str], bytes] = {}
    of_service: dict[tuple[_SpanKey, str], bytes] = {}
    for index, half in halves.items():
        of_instance.setdefault((_key(half), half.service, half.address), ids[index])
        of_service.setdefault((_key(half), half.service), ids[index])

    def moved(span: ZipkinSpan) -> ZipkinSpan:
        parent = (span.trace_id, span.parent_id)
        half = of_instance.get((parent, span.service, span.address)) or of_service.get((parent, span.service))
        return replace(span, parent_id=half) if half else span

    return [
        replace(span, span_id=ids[index], parent_id=span.span_id, shared_span_id=span.span_id)
        if index in halves
        else moved(span)
        for index, span in enumerate(spans)
    ]


def _key(span: ZipkinSpan) -> _SpanKey:
    return span.trace_id, span.span_id


def _is_half(span: ZipkinSpan, started: set[_SpanKey]) -> bool:
    """Whether the ID was made by the other side: the span says so, or that side is in the payload."""
    if span.kind in _STARTS:
        return False
    return span.shared or (span.kind in _FOLLOWS and _key(span) in started)


def _new_ids(halves: Iterable[tuple[int, ZipkinSpan]]) -> dict[int, bytes]:
    """An ID for each half; of several alike (a call that was tried again under one ID) each gets another."""
    alike: dict[bytes, int] = {}
    ids: dict[int, bytes] = {}
    for index, half in halves:
        origin = b"\0".join((half.trace_id + half.span_id, half.service.encode(), half.address.encode()))
        number = alike[origin] = alike.get(origin, -1) + 1
        ids[index] = blake2b(origin, digest_size=SPAN_ID_BYTES, key=str(number).encode()).digest()
    return ids
