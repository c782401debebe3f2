"""IDs on the wire: read from a request's headers, written to an outgoing one's.

W3C Trace Context level 2 (https://www.w3.org/TR/trace-context-2/), W3C Baggage (https://www.w3.org/TR/baggage/), B3 in
both its forms (https://github.com/openzipkin/b3-propagation) and AWS X-Ray's header
(https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader). Pure functions over
bytes; what is not valid is as if it had not been sent.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

from clew.freezing import safe_text

SAMPLED: Final = 0x01
RANDOM: Final = 0x02

TRACEPARENT: Final = b"traceparent"
TRACESTATE: Final = b"tracestate"
BAGGAGE: Final = b"baggage"
B3: Final = b"b3"
B3_TRACE_ID: Final = b"x-b3-traceid"
B3_SPAN_ID: Final = b"x-b3-spanid"
B3_SAMPLED: Final = b"x-b3-sampled"
B3_FLAGS: Final = b"x-b3-flags"
XRAY: Final = b"x-amzn-trace-id"

PARENT_HEADERS: Final = frozenset({TRACEPARENT, B3, B3_TRACE_ID, B3_SPAN_ID, B3_SAMPLED, B3_FLAGS, XRAY})
"""Any of these may say who the caller is."""

MAX_BAGGAGE_BYTES: Final = 8_192
MAX_BAGGAGE_MEMBERS: Final = 64
MAX_TRACESTATE_MEMBERS: Final = 32
_MAX_KNOWN_TEXT: Final = 128

_traceparent = re.compile(
    rb"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL
).fullmatch
_b3_id = re.compile(rb"[0-9a-f]{16}|[0-9a-f]{32}", re.IGNORECASE).fullmatch
_xray_root = re.compile(rb"1-([0-9a-f]{8})-([0-9a-f]{24})", re.IGNORECASE).fullmatch
_xray_parent = re.compile(rb"[0-9a-f]{16}", re.IGNORECASE).fullmatch
_tracestate_member = re.compile(
    r"[a-z0-9][_0-9a-z\-*/@]{0,255}"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
).fullmatch
_token = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch

# "+" would be legal as it is, but some readers take it for a space; the correlation ID travels here.
_BAGGAGE_SAFE: Final = "!#$&'()*-./:<=>?@[]^_`{|}~"


class Parent(NamedTuple):
    """The caller's span. `trace_id` 0: the caller decided on sampling only, and the trace begins here."""

    trace_id: int
    span_id: int
    trace_flags: int
    trace_state: str | None = None


def read_parent(headers: Mapping[bytes, bytes]) -> Parent | None:
    """The caller's span; W3C's header wins over B3's, the single B3 header over the many, and all over X-Ray's."""
    value = headers.get(TRACEPARENT)
    if value is not None and (parent := parse_traceparent(value)) is not None:
        state = headers.get(TRACESTATE)
        return parent if state is None else parent._replace(trace_state=parse_tracestate(state))
    value = headers.get(B3)
    if value is not None and (parent := parse_b3(value)) is not None:
        return parent
    if B3_TRACE_ID in headers or B3_SAMPLED in headers or B3_FLAGS in headers:
        return parse_b3_headers(headers)
    value = headers.get(XRAY)
    return None if value is None else parse_xray(value)


def parse_traceparent(value: bytes) -> Parent | None:
    """A `traceparent`; of a version that is not known yet, the part that is."""
    found = _traceparent(value.strip())
    if found is None:
        return None
    version, trace, span, flags, more = found.groups()
    trace_id, span_id = int(trace, 16), int(span, 16)
    if not trace_id or not span_id or (more and version == b"00"):
        return None
    return Parent(trace_id, span_id, int(flags, 16) & (SAMPLED | RANDOM))


def parse_b3(value: bytes) -> Parent | None:
    """A single `b3` header: `{trace}-{span}[-{sampled}[-{parent}]]`, or the sampling decision alone."""
    parts = value.strip().split(b"-")
    if len(parts) == 1:
        return Parent(0, 0, 0) if parts[0] == b"0" else None
    return _b3_parent(parts[0], parts[1], parts[2] if len(parts) > 2 else b"1")


def parse_b3_headers(headers: Mapping[bytes, bytes]) -> Parent | None:
    """The `X-B3-*` headers."""
    sampled = b"d" if headers.get(B3_FLAGS) == b"1" else headers.get(B3_SAMPLED, b"1")
    trace, span = headers.get(B3_TRACE_ID), headers.get(B3_SPAN_ID)
    if trace is None or span is None:
        return Parent(0, 0, 0) if sampled in _B3_NOT_SAMPLED else None
    return _b3_parent(trace, span, sampled)


def parse_xray(value: bytes) -> Parent | None:
    """An `X-Amzn-Trace-Id`: `Root=1-{8 digits}-{24 digits};Parent={16 digits};Sampled={0 or 1}`, in any order.

    A load balancer sends the root alone: the trace is its, and it has no span of its own.
    """
    fields = dict(part.strip().partition(b"=")[::2] for part in value.split(b";"))
    root = _xray_root(fields.get(b"Root", b""))
    if root is None:
        return None
    trace_id = int(root.group(1) + root.group(2), 16)
    parent = fields.get(b"Parent", b"")
    span_id = int(parent, 16) if _xray_parent(parent) else 0
    if not trace_id:
        return None
    return Parent(trace_id, span_id, 0 if fields.get(b"Sampled") == b"0" else SAMPLED)


def parse_tracestate(value: bytes) -> str | None:
    """A `tracestate`, its members unchanged and in their order; None when there is none or it is not valid."""
    members = [member.strip(" \t") for member in value.decode("latin-1").split(",")]
    members = [member for member in members if member]
    if not members or len(members) > MAX_TRACESTATE_MEMBERS or not all(map(_tracestate_member, members)):
        return None
    return ",".join(members)


def parse_baggage(value: bytes) -> dict[str, str]:
    """A `baggage` header's members without their properties; members that are not valid are left out."""
    if len(value) > MAX_BAGGAGE_BYTES:
        return {}
    baggage: dict[str, str] = {}
    for member in value.decode("latin-1").split(",")[:MAX_BAGGAGE_MEMBERS]:
        key, separator, text = member.partition(";")[0].partition("=")
        key = key.strip()
        if separator and _token(key):
            baggage[key] = unquote(text.strip())
    return baggage


def format_traceparent(trace_id: int, span_id: int, trace_flags: int) -> str:
    """A `traceparent` of version 00."""
    return f"00-{trace_id:032x}-{span_id:016x}-{trace_flags & (SAMPLED | RANDOM):02x}"


def format_b3(trace_id: int, span_id: int, trace_flags: int) -> str:
    """A single `b3` header."""
    return f"{trace_id:032x}-{span_id:016x}-{trace_flags & SAMPLED}"


def format_b3_headers(trace_id: int, span_id: int, trace_flags: int) -> dict[str, str]:
    """The `X-B3-*` headers."""
    return {
        "X-B3-TraceId": f"{trace_id:032x}",
        "X-B3-SpanId": f"{span_id:016x}",
        "X-B3-Sampled": str(trace_flags & SAMPLED),
    }


def format_xray(trace_id: int, span_id: int, trace_flags: int) -> str:
    """An `X-Amzn-Trace-Id`."""
    trace = f"{trace_id:032x}"
    return f"Root=1-{trace[:8]}-{trace[8:]};Parent={span_id:016x};Sampled={trace_flags & SAMPLED}"


def format_baggage(baggage: Mapping[str, object]) -> str:
    """A `baggage` header; what does not fit into W3C's limits is left out, the last members first."""
    return ",".join(_within_limits(baggage))


def _within_limits(baggage: Mapping[str, object]) -> Iterable[str]:
    left_bytes = MAX_BAGGAGE_BYTES
    for key, value in list(baggage.items())[:MAX_BAGGAGE_MEMBERS]:
        if not isinstance(key, str) or not _token(key):
            continue
        text = safe_text(value)
        member = _known_member(key, text) if len(text) <= _MAX_KNOWN_TEXT else _member(key, text)
        left_bytes -= len(member) + 1
        if left_bytes < -1:
            return
        yield member


def _member(key: str, text: str) -> str:
    # Half a surrogate pair, which UTF-8 does not have, becomes a question mark.
    return f"{key}={quote(text, safe=_BAGGAGE_SAFE, errors='replace')}"


_known_member = lru_cache(maxsize=512)(_member)
"""For short values: every call of a request carries the same ones, and quoting takes longer than all the rest."""

_B3_NOT_SAMPLED: Final = frozenset({b"0", b"false", b"False"})


def _b3_parent(trace: bytes, span: bytes, sampled: bytes) -> Parent | None:
    if not _b3_id(trace) or not _b3_id(span) or len(span) != 16:
        return None
    trace_id, span_id = int(trace, 16), int(span, 16)
    if not trace_id or not span_id:
        return None
    return Parent(trace_id, span_id, 0 if sampled in _B3_NOT_SAMPLED else SAMPLED)
