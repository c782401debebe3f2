"""The records that a cell of the matrix sends: each says which one it is."""

import random
from typing import Final

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from clew_collector.model import Signal
from tests.collector.otlp_builders import a_log, a_span
from tests.collector.sinks.faults.places import REFUSED, TOO_LARGE_BYTES

TOO_LARGE: Final = "".join(random.Random(1).choices("0123456789abcdef", k=TOO_LARGE_BYTES))
"""Digits that cannot be compressed to less than half."""


def a_record(signal: Signal, text: str, *, number: int, trace: str) -> LogRecord | Span:
    """A log line, or a span whose ID is its number; Elasticsearch's mapping here has a number for `size`."""
    more = {"size": "large" if text == REFUSED else number}
    if signal == "logs":
        return a_log(text, trace=trace, more=more)
    return a_span(text, trace=trace, span=f"{number + 1:016x}", more=more)


def numbered(signal: Signal, number: int, *, trace: str) -> LogRecord | Span:
    """The record `line NUMBER`."""
    return a_record(signal, f"line {number}", number=number, trace=trace)


def refused(signal: Signal, *, trace: str) -> LogRecord | Span:
    """One that a server refuses that is picky."""
    return a_record(signal, REFUSED, number=1 << 40, trace=trace)


def too_large(signal: Signal, *, trace: str) -> LogRecord | Span:
    """One that is larger than a server takes that takes only small ones."""
    return a_record(signal, TOO_LARGE, number=1 << 41, trace=trace)
