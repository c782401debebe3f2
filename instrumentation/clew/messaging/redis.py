"""Redis Streams: IDs as fields of an entry, where a service asks for them.

An entry has fields and no headers: what is added is part of the message for everybody who reads it. So nothing is added
unless `carry_ids(client)` said so. Lists and channels have bare payloads: see `by_hand`.
"""

import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from clew import fields as names
from clew.incoming import Following
from clew.messaging import operations
from clew.messaging.operations import MESSAGE_ID, Queueing, Sending
from clew.propagation import BAGGAGE, PARENT_HEADERS, TRACESTATE
from clew.runtime import RUNTIME

SYSTEM: Final = "redis"

ClientT = TypeVar("ClientT")
KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")

_WRAPPED: Final = "_clew_wrapped"
_SPAN_FIELDS: Final = PARENT_HEADERS | {TRACESTATE}
_OUR_BAGGAGE: Final = names.CORRELATION_ID.encode() + b"="
_OPTIONS: Final = 7
"""Positional arguments of `xadd` after name and fields, before the one that makes Redis compare entries by fields."""


def carry_ids(client: ClientT) -> ClientT:
    """Have `client.xadd` write the current request's IDs into each entry; returns the client. Twice is as once.

    `client` is a `Redis`, sync or asyncio, or a pipeline of one. The fields are `traceparent`, `x-request-id` and
    `baggage`; a field of yours that has one of the last two names stays.
    """
    xadd = getattr(client, "xadd", None)
    if callable(xadd) and not hasattr(xadd, _WRAPPED):
        client.xadd = _with_ids(xadd)  # type: ignore[attr-defined]
    return client


def processing(stream: str | bytes, message_id: str | bytes, fields: Mapping[Any, Any] | None) -> Following:
    """`with processing(stream, message_id, fields):` around the work on one entry that was read."""
    described = {MESSAGE_ID: _text(message_id)}
    return operations.processing(SYSTEM, _text(stream), fields, attributes=described)


def own_fields(fields: Mapping[KeyT, ValueT]) -> dict[KeyT, ValueT]:
    """An entry's fields without those that `carry_ids` has added."""
    return {name: value for name, value in fields.items() if not _is_ours(_bytes(name), value)}


Xadd = Callable[..., Any]


def _with_ids(xadd: Xadd) -> Xadd:
    @functools.wraps(xadd)
    def xadd_with_ids(name: Any, fields: Any, *args: Any, **kwargs: Any) -> Any:
        # With idmpauto, equal entries are added once; with our IDs in them no two would be equal.
        is_compared = len(args) > _OPTIONS or kwargs.get("idmpauto") is not None
        if not RUNTIME.enabled or is_compared or not isinstance(fields, dict) or not fields:
            return xadd(name, fields, *args, **kwargs)
        sending = Sending(SYSTEM, _text(name), operation="xadd")
        carried = _carried(fields, sending.headers)
        with Queueing(sending):
            result = xadd(name, carried, *args, **kwargs)
        if inspect.iscoroutine(result):
            return _awaited(sending, result)
        sending.end()
        return result

    setattr(xadd_with_ids, _WRAPPED, True)
    return xadd_with_ids


async def _awaited(sending: Sending, result: Awaitable[Any]) -> Any:
    with sending:
        return await result


def _carried(fields: dict[Any, Any], ids: Mapping[str, str]) -> dict[Any, Any]:
    """An entry's fields with IDs among them, in a new dictionary: no field of the service's own is lost.

    One that sends on what it has read must not pass on that entry's span.
    """
    carried = {name: value for name, value in fields.items() if _bytes(name) not in _SPAN_FIELDS}
    taken = {_bytes(name) for name in carried}
    carried.update((name.lower(), value) for name, value in ids.items() if name.lower().encode() not in taken)
    return carried


def _is_ours(name: bytes | None, value: object) -> bool:
    if name == BAGGAGE:
        # A luggage service has a field of that name, too.
        return _OUR_BAGGAGE in (_bytes(value) or b"")
    return name in _SPAN_FIELDS or name == RUNTIME.headers.request_id


def _bytes(value: object) -> bytes | None:
    return value.encode("utf-8", "replace") if isinstance(value, str) else value if isinstance(value, bytes) else None


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
