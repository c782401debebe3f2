"""What a log line takes over from its request: the IDs, and the baggage that the settings name."""

from collections.abc import Mapping, MutableMapping
from typing import Any, Final

from clew.context import BAGGAGE_KEY, CURRENT, Ids, active_ids, stamped_ids
from clew.freezing import safe_text
from clew.runtime import RUNTIME

ID_NAMES: Final = ("trace_id", "span_id", "correlation_id")
"""What lines call the IDs."""

_NOTHING: Final[Mapping[str, str]] = {}


def ids_for(error: BaseException | None) -> Ids:
    """The request's IDs; outside of one, those of the request that `error` came out of."""
    ids = active_ids()
    if error is None or ids.trace_id:
        return ids
    stamped = stamped_ids(error)
    return stamped if stamped.trace_id else ids


def request_baggage() -> Mapping[str, str]:
    """The baggage that is copied onto lines; most services name none."""
    names = RUNTIME.settings.baggage_fields
    if not names:
        return _NOTHING
    baggage = CURRENT.get().get(BAGGAGE_KEY)
    if not isinstance(baggage, dict):
        return _NOTHING
    return {name: safe_text(baggage[name]) for name in names if name in baggage}


def show_always(ids: Ids, baggage: Mapping[str, str], values: MutableMapping[str, Any]) -> None:
    """IDs and baggage for formats that name them; empty outside of a request, so that such a format never fails."""
    values.setdefault("trace_id", f"{ids.trace_id:032x}" if ids.trace_id else "")
    values.setdefault("span_id", f"{ids.span_id:016x}" if ids.span_id else "")
    values.setdefault("correlation_id", ids.correlation_id or "")
    for name in RUNTIME.settings.baggage_fields:
        values.setdefault(name, baggage.get(name, ""))
