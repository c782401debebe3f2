"""Which headers carry a request's IDs, as the settings say."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from clew.propagation import (
    BAGGAGE,
    PARENT_HEADERS,
    TRACESTATE,
    format_b3,
    format_b3_headers,
    format_traceparent,
    format_xray,
)
from clew.settings import Settings

if TYPE_CHECKING:
    from clew.spans import LightSpan

_HOST: Final = b"host"
_USER_AGENT: Final = b"user-agent"
_LISTS: Final = frozenset({BAGGAGE, TRACESTATE})
_MAX_LIST_BYTES: Final = 32_768
"""More than both lists may have at most; what is longer is not valid, complete or not."""

Write = Callable[["LightSpan", dict[str, str]], None]


class Headers:
    """The names to look for, and how an outgoing call's are written."""

    __slots__ = ("carries_baggage", "ids", "request_id", "request_id_name", "trusts_callers", "wanted", "writers")

    def __init__(self, settings: Settings) -> None:
        self.request_id_name = settings.request_id_header
        self.request_id = settings.request_id_header.lower().encode()
        self.ids = (self.request_id, *(name.lower().encode() for name in settings.correlation_id_headers))
        """Where a correlation ID may be, the first one wins."""
        self.wanted = PARENT_HEADERS | {TRACESTATE, BAGGAGE, _HOST, _USER_AGENT, *self.ids}
        self.trusts_callers = settings.trust_incoming
        self.writers: tuple[Write, ...] = tuple(
            _WRITERS[propagator] for propagator in settings.propagators if propagator in _WRITERS
        )
        self.carries_baggage = "baggage" in settings.propagators

    def pick(self, pairs: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
        """The headers that matter, of names in lower case. Sent twice: lists are joined, the first ID wins, two parents
        are none."""
        wanted = self.wanted
        headers: dict[bytes, bytes] = {}
        for name, value in pairs:
            if name in wanted:
                if name not in headers:
                    headers[name] = value
                elif name in _LISTS:
                    # Each one more is a copy of all: a message of nothing but baggage must not take seconds.
                    if len(headers[name]) < _MAX_LIST_BYTES:
                        headers[name] += b"," + value
                elif name in PARENT_HEADERS:
                    headers[name] = b""
        return headers

    def pick_any(self, pairs: Iterable[tuple[object, object]] | Mapping[str, object] | None) -> dict[bytes, bytes]:
        """The same, of a message's or a library's headers: names in any case, both as text or bytes. Anything else in
        there, or instead of it, is passed over."""
        return self.pick(_in_bytes(pairs)) if pairs else {}


def _in_bytes(pairs: object) -> Iterator[tuple[bytes, bytes]]:
    if isinstance(pairs, Mapping):
        pairs = pairs.items()
    for pair in pairs if isinstance(pairs, Iterable) else ():
        if isinstance(pair, (tuple, list)) and len(pair) == 2:
            name, value = _as_bytes(pair[0]), _as_bytes(pair[1])
            if name is not None and value is not None:
                yield name.lower(), value


def _as_bytes(value: object) -> bytes | None:
    if isinstance(value, bytes):
        return value
    return value.encode("utf-8", "replace") if isinstance(value, str) else None


def _write_w3c(span: "LightSpan", headers: dict[str, str]) -> None:
    headers["traceparent"] = format_traceparent(span.trace_id, span.span_id, span.trace_flags)
    if span.trace_state:
        headers["tracestate"] = span.trace_state


def _write_b3(span: "LightSpan", headers: dict[str, str]) -> None:
    headers["b3"] = format_b3(span.trace_id, span.span_id, span.trace_flags)


def _write_b3_headers(span: "LightSpan", headers: dict[str, str]) -> None:
    headers.update(format_b3_headers(span.trace_id, span.span_id, span.trace_flags))


def _write_xray(span: "LightSpan", headers: dict[str, str]) -> None:
    headers["X-Amzn-Trace-Id"] = format_xray(span.trace_id, span.span_id, span.trace_flags)


_WRITERS: Final[Mapping[str, Write]] = {
    "tracecontext": _write_w3c,
    "b3": _write_b3,
    "b3multi": _write_b3_headers,
    "xray": _write_xray,
}
