"""What a processor is, and how one that drops records says which and why."""

from collections.abc import Iterable
from typing import Protocol

import duckdb

from clew_collector.model import Signal, record
from clew_collector.wire.otlp.select import MACROS


class Processor(Protocol):
    """Turns one SELECT over a batch into another with the same columns in the same order.

    The columns are those of `clew_collector.wire.otlp.select.SELECTS`. The SQL is for a connection with its macros.
    """

    def apply(self, signal: Signal, select: str) -> str:
        """The SELECT whose rows are those of `select` after this processor."""
        ...

    def dropped(self, signal: Signal, select: str) -> str | None:
        """A SELECT of `service, records` of what `apply` drops of `select`; `None` if that is nothing for sure."""
        ...

    @property
    def name(self) -> str:
        """What its drops are counted under."""
        ...

    @property
    def reason(self) -> str:
        """Why it drops what it drops; empty if it never does."""
        ...


@record
class Drop:
    """Records of one service that a processor has dropped out of one batch."""

    processor: str
    service: str
    reason: str
    records: int


class Changing:
    """A base for processors that drop nothing."""

    name = ""
    reason = ""

    def dropped(self, signal: Signal, select: str) -> str | None:
        """See `Processor.dropped`."""
        return None


class Keeping:
    """A processor that keeps the records for which a condition holds.

    `kept` is SQL by signal; it must not be NULL. A signal without one is left alone.
    """

    def __init__(self, kept: dict[Signal, str], *, name: str, reason: str) -> None:
        self.name = name
        self.reason = reason
        self._kept = kept

    def apply(self, signal: Signal, select: str) -> str:
        """See `Processor.apply`."""
        if signal not in self._kept:
            return select
        return f"SELECT * FROM ({select}) WHERE {self._kept[signal]}"

    def dropped(self, signal: Signal, select: str) -> str | None:
        """See `Processor.dropped`."""
        if signal not in self._kept:
            return None
        return f"SELECT service, count(*) AS records FROM ({select}) WHERE NOT ({self._kept[signal]}) GROUP BY 1"


def open_connection(macros: Iterable[str] = ()) -> duckdb.DuckDBPyConnection:
    """A connection to a database of its own, in memory, that understands the SELECTs, with more `macros`.

    For one thread.
    """
    connection = duckdb.connect(config={"threads": 1})
    for macro in (*MACROS, *macros):
        connection.execute(macro)
    return connection
