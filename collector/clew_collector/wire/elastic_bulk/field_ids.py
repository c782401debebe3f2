"""Which fields of documents may hold the IDs of a request."""

from collections.abc import Iterable
from typing import Any, Final

from clew_collector.wire.ids import is_id_name

# A field of a logger's own, a Beat's, a header that a proxy logs: `labels.request_id`, `http.request.id`.
_GROUPS: Final = ("labels.", "fields.", "json.", "mdc.", "context.", "http.request.headers.", "http.")
# Elastic APM: what an agent calls a transaction is the service's first span.
_TRANSACTION: Final = "transaction.id"

_OWN, _GROUPED, _LAST = range(3)
_NONE: Final = (_LAST, "")


class IdFields:
    """Finds the fields that may hold an ID; it remembers names, so make one for each body."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, str]] = {}

    def among(self, fields: dict[str, Any]) -> list[tuple[str, str]]:
        """Names and values of what may be an ID, those that say so themselves before those in a group."""
        found: list[tuple[int, str, str]] = []
        known = self._known
        for key, value in fields.items():
            named = known.get(key)
            if named is None:
                named = known[key] = _named(key)
            if named is not _NONE and (text := _text(value)):
                found.append((*named, text))
        found.sort(key=_rank)
        return [(name, text) for _, name, text in found]

    def remove(self, fields: dict[str, Any], ids: Iterable[str]) -> None:
        """Remove the fields that say nothing but one of these IDs; those in a group stay with their group."""
        for key in [key for key in fields if self._known[key][0] == _OWN and fields[key] in ids]:
            del fields[key]


def _named(key: str) -> tuple[int, str]:
    """How good a place for an ID a field is, and the name by which rules know it."""
    if is_id_name(key):
        return _OWN, key
    if key == _TRANSACTION:
        return _LAST, "span.id"
    for group in _GROUPS:
        if key.startswith(group) and is_id_name(name := key.removeprefix(group)):
            return _GROUPED, name
    return _NONE


def _rank(found: tuple[int, str, str]) -> int:
    return found[0]


def _text(value: Any) -> str:
    """The text of a value that may be an ID; headers are lists of one."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str):
        return value
    return str(value) if type(value) is int else ""
