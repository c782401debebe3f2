"""What a sink is: it takes batches, once or again, and says what it will not have."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa

from clew_collector.errors import ClewError
from clew_collector.model import Signal, record
from clew_collector.spool import Spooled


class SinkUnavailable(ClewError):
    """Try again: the other side is away, slow, or takes no more just now. `retry_after_s` if it said when."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class SinkRejected(ClewError):
    """Set aside: the other side will never take this batch as it is. The caller halves it to find what is at fault."""


@record
class Outgoing:
    """Payloads of one signal on their way to a sink, in rising order of their numbers.

    `table` is what `wire.otlp.payload.decode` gives, a row a payload, with two columns more (`wire.otlp.numbered`):
    `payload_id`, its number in the spool, and `first_record`. `select` is SQL over it (named `batch`, on a connection
    with the macros and one thread) after all processors; its columns are those of the store's table, then `payload_id`
    and `position`, the record's place in its payload as in `RefusedRecord`. `is_as_received` says that no processor
    changes anything: the bodies of `payloads` may be passed on as they are. Payloads up to the number `attempted_id`
    may have been handed over before, in part or whole, with an outcome that nobody knows. `encoded` is what the sink
    has made of all the rest before, if it did (`EncodingSink`).
    """

    signal: Signal
    table: pa.Table
    select: str
    payloads: Sequence[Spooled]
    is_as_received: bool
    attempted_id: int = -1
    encoded: Sequence[Any] | None = None


@record
class RefusedRecord:
    """A record that the other side refused while it took the rest: the payload, its place in that, and why.

    `position` counts the records of the payload from 0, in the order in which they stand in it. `reason` begins with
    its kind, one of few, by which it is counted; after a colon come the particulars.
    """

    payload_id: int
    position: int
    reason: str


class Sink(Protocol):
    """A place that takes batches. One thread a signal calls it."""

    @property
    def name(self) -> str:
        """What its cursor and its counters go by."""
        ...

    def write(self, outgoing: Outgoing) -> Sequence[RefusedRecord]:
        """Hand a batch over, and return what was refused of it; blocks until the other side has acknowledged the rest.

        The same batch, or another one that begins with it, may be given again after a crash: what is there already is
        not doubled, as far as the other side allows. Raises `SinkUnavailable` (give it again later) and `SinkRejected`.
        """
        ...

    def close(self) -> None:
        """Let go of connections. Safe to call twice."""
        ...


@runtime_checkable
class EncodingSink(Protocol):
    """A sink that can encode a batch before its turn, while the one before it is on its way."""

    def encode(self, outgoing: Outgoing) -> Sequence[Any]:
        """What `write` is given along with the batch, later and on another thread. Raises what DuckDB raises."""
        ...


@runtime_checkable
class DroppingSink(Protocol):
    """A sink whose other side may take a batch and say that it dropped some of it, without saying which."""

    def take_dropped(self, signal: Signal) -> Mapping[str, int]:
        """Records by reason that were dropped since this was last asked."""
        ...


@runtime_checkable
class PatientSink(Protocol):
    """A sink that wants few large batches rather than many small ones."""

    @property
    def fill_wait_s(self) -> float:
        """How long is waited for more when there is no backlog."""
        ...
