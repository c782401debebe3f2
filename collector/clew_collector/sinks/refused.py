"""The part of a payload that a sink refused, as a payload of its own."""

from collections.abc import Collection, Iterable
from typing import Any

from clew_collector.model import Signal, record
from clew_collector.sinks.base import RefusedRecord
from clew_collector.wire.otlp.numbered import LEVELS
from clew_collector.wire.otlp.payload import parse


@record
class RefusedPart:
    """What was refused of one payload: at which places, and why the first was."""

    payload_id: int
    positions: frozenset[int]
    reason: str


def by_payload(refused: Iterable[RefusedRecord]) -> list[RefusedPart]:
    """Refused records, put together by the payload in which they came."""
    parts: dict[int, list[RefusedRecord]] = {}
    for each in refused:
        parts.setdefault(each.payload_id, []).append(each)
    return [
        RefusedPart(payload_id=id, positions=frozenset(each.position for each in part), reason=_reason(part))
        for id, part in sorted(parts.items())
    ]


def only_records(signal: Signal, body: bytes, positions: Collection[int]) -> bytes:
    """The OTLP body that holds only the records at these positions; resources and scopes without any are gone."""
    request: Any = parse(signal, body)
    group_name, scope_name, record_name = LEVELS[signal]
    groups = getattr(request, group_name)
    position = 0
    for group in groups:
        scopes = getattr(group, scope_name)
        for scope in scopes:
            records = getattr(scope, record_name)
            is_kept = [position + index in positions for index in range(len(records))]
            position += len(records)
            _keep(records, is_kept)
        _keep(scopes, [len(getattr(scope, record_name)) > 0 for scope in scopes])
    _keep(groups, [len(getattr(group, scope_name)) > 0 for group in groups])
    encoded: bytes = request.SerializeToString()
    return encoded


def _keep(items: Any, is_kept: list[bool]) -> None:
    for index in reversed(range(len(is_kept))):
        if not is_kept[index]:
            del items[index]


def _reason(part: list[RefusedRecord]) -> str:
    first = min(part, key=lambda each: each.position)
    more = len(part) - 1
    return first.reason if more == 0 else f"{first.reason} (and {more} more of this payload)"
