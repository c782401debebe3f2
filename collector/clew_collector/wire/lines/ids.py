"""The IDs by which a line of a file belongs to a request, under the names that log files have for them."""

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from clew_collector.wire.ids import NO_IDS, Ids, find_ids, pairs_in_text

ALIASES: Final = {
    "reqid": "request_id",
    "httprequestid": "request_id",
    "awsrequestid": "request_id",
    "ddtraceid": "trace_id",
    "oteltraceid": "trace_id",
    "otelspanid": "span_id",
}
"""Names without case and punctuation, beside those that `find_ids` knows: of Fastify, ECS, Lambda, OpenTelemetry."""

# Without one of these a text holds no ID; looking for them costs a tenth of looking for the IDs.
_hint = re.compile(r"[Ii][Dd][\"']?[=:]|traceparent|trace=|[0-9a-f]{15}[-,][0-9a-f]{16}").search
# `trace=` alone is used by some; only all 32 digits make it an ID.
_trace = re.compile(r"(?<![\w.-])trace[=:] ?([0-9a-f]{32})(?![0-9a-f])").search
# Micrometer's `[trace-span]` of Spring Boot 3 and Sleuth's `[service,trace,span]` before it.
_spring = re.compile(r"\[(?:[\w.-]*,)?([0-9a-f]{32}|[0-9a-f]{16})[-,]([0-9a-f]{16})(?:,\w*)?\]").search


def ids_of_fields(fields: Iterable[tuple[str, str]], text: str | None) -> Ids:
    """The IDs among named values, or else in a text, if there is one."""
    return find_ids(chain(fields, _pairs(text) if text is not None and _hint(text) is not None else ()))


def ids_in_text(text: str) -> Ids:
    """The IDs that a text has in it: `trace_id=...`, `[request_id=...]`, and what Spring Boot writes."""
    return find_ids(_pairs(text)) if _hint(text) is not None else NO_IDS


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    yield from pairs_in_text(text)
    if (trace := _trace(text)) is not None:
        yield "trace_id", trace[1]
    if (spring := _spring(text)) is not None:
        yield "trace_id", spring[1]
        yield "span_id", spring[2]
