"""B3, the headers by which Zipkin's tracers hand a trace on (https://github.com/openzipkin/b3-propagation)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

SINGLE = re.compile(r"([0-9a-f]{16}|[0-9a-f]{32})-([0-9a-f]{16})(?:-([01d]))?(?:-[0-9a-f]{16})?")
TRACE_ID = re.compile(r"[0-9a-f]{16}|[0-9a-f]{32}")
SPAN_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class SpanIds:
    """Where a span is: in which trace, below which span, and whether anybody wants to know."""

    trace_id: str
    span_id: str
    parent_id: str | None
    is_sampled: bool = True


def continued(headers: Mapping[str, str], *, random: Random) -> SpanIds:
    """IDs of a span below the caller's (keys of `headers` in lower case), or of a new trace if it sent none.

    The span has an ID of its own; Zipkin would allow to share the caller's, which other tools take for the same span.
    """
    span_id = f"{random.getrandbits(64):016x}"
    if single := SINGLE.fullmatch(headers.get("b3", "")):
        return SpanIds(single[1], span_id, single[2], is_sampled=single[3] != "0")
    trace_id, parent_id = headers.get("x-b3-traceid", ""), headers.get("x-b3-spanid", "")
    is_sampled = "0" not in (headers.get("b3"), headers.get("x-b3-sampled"))
    if TRACE_ID.fullmatch(trace_id) and SPAN_ID.fullmatch(parent_id):
        return SpanIds(trace_id, span_id, parent_id, is_sampled)
    return SpanIds(f"{random.getrandbits(128):032x}", span_id, None, is_sampled)
