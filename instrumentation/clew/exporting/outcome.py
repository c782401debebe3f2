"""What became of a batch, however it was sent."""

from dataclasses import dataclass
from typing import Final, Protocol

from clew.exporting.batch import Batch
from clew.exporting.reading import read_messages, read_number

MAX_MESSAGE: Final = 200
"""Characters kept of what a collector says; they end up in somebody's log."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a batch."""

    problem: str = ""
    """Empty: the collector has taken it."""

    may_retry: bool = False
    retry_after_s: float | None = None
    """What the collector asked for."""

    is_too_large: bool = False
    """Parts of it may be taken."""

    rejected_records: int = 0
    """Those of a batch that was taken which the collector did not keep."""

    message: str = ""
    """What it said about a batch that it took."""


TAKEN: Final = Outcome()


class Transport(Protocol):
    """Brings batches to the collector, one at a time. Belongs to one thread."""

    def send(self, batch: Batch) -> Outcome:
        """Send a batch; blocks for some multiples of `export_timeout_s` at most, never raises for what the collector
        or the network does."""

    def forget(self) -> None:
        """Leave all connections as they are: they are a parent process's."""

    def close(self) -> None:
        """Drop all connections; the next batch opens new ones."""


def taken(answer: bytes) -> Outcome:
    """The outcome when the collector took a batch, by the body of its answer.

    It is an `Export...ServiceResponse`, which holds a partial success in field 1: how many were rejected in field 1,
    an error message in field 2 (https://opentelemetry.io/docs/specs/otlp/#partial-success).
    """
    if not answer:
        return TAKEN
    try:
        for partial_success in read_messages(answer, 1):
            said = b"".join(read_messages(partial_success, 2)[-1:])
            rejected = max(0, read_number(partial_success, 1))
            return Outcome(rejected_records=rejected, message=readable(said))
    except ValueError:
        pass  # It took the batch; what it says about it is not for us.
    return TAKEN


def readable(said: bytes | str) -> str:
    """A foreign text as it may stand in a log line."""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return "".join(character if character.isprintable() else " " for character in text[:MAX_MESSAGE])
