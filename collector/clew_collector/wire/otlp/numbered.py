"""Records that know which payload they came in, and their place in it, whatever is later left out of the rest."""

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from clew_collector.model import Signal
from clew_collector.wire.otlp.select import select_logs, select_spans

LEVELS: Final[dict[Signal, tuple[str, str, str]]] = {
    "logs": ("resource_logs", "scope_logs", "log_records"),
    "traces": ("resource_spans", "scope_spans", "spans"),
}
"""The lists in a request down to its records, one in another."""

_CARRIED: Final = ", payload_id, first_record"


def _numbered(select: str) -> str:
    # Over one thread rows come in the order of the payloads, so counting needs no sorting.
    return f"""
SELECT * EXCLUDE (payload_id, first_record), payload_id, row_number() OVER () - 1 - first_record AS position
FROM ({select})"""


NUMBERED_SELECTS: Final[dict[Signal, str]] = {
    "logs": _numbered(select_logs(_CARRIED)),
    "traces": _numbered(select_spans(_CARRIED)),
}
"""As `SELECTS`, for a table of `with_numbers`, with two columns more: `payload_id` and `position`, from 0."""


def with_numbers(signal: Signal, table: pa.Table, payload_ids: Sequence[int]) -> pa.Table:
    """A decoded table with the number of each payload and how many records come before its first."""
    lists = table.column(0).combine_chunks()
    first = pa.array(range(len(payload_ids)))
    for inner in (*LEVELS[signal][1:], None):
        first = lists.offsets.take(first)
        lists = lists if inner is None else lists.values.field(inner)
    ids = pa.array(payload_ids, pa.int64())
    return table.append_column("payload_id", ids).append_column("first_record", first.cast(pa.int64()))
