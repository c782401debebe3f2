"""A cell of the matrix under way: what was put in, the loop that ships it, and what has come of it."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from clew_collector.payload import digest_of, payload_of
from clew_collector.sinks.base import SinkUnavailable
from clew_collector.sinks.pacing import BatchBounds
from clew_collector.sinks.shipping import Shipping
from clew_collector.spool import Spool
from clew_collector.spool.dead_letters import DeadLetter
from tests.collector.otlp_builders import logs, traces
from tests.collector.sinks.faults.killed import ONE_EACH, sink_of
from tests.collector.sinks.faults.matrix import Cell
from tests.collector.sinks.faults.places import Place, Settings
from tests.collector.sinks.faults.records import numbered
from tests.collector.sinks.shipment import NoWait
from tests.waiting import wait_until

_RECORDS_EACH: Final = 30
"""Of a payload: a batch has one."""
_TIMEOUT_S: Final = 90
_LONGEST_LINE: Final = 600


class Trial:
    """A cell under way: a spool, what was put into it, and the loop that ships it."""

    def __init__(self, sink: str, fault: str, cell: Cell, data: Path, make_place: Callable[[], Place]) -> None:
        self.sink = sink
        self.fault = fault
        self.cell = cell
        self.data = data
        self.sent: list[str] = []
        self.before: Counter[str] = Counter()
        self._make_place = make_place
        self._place: Place | None = None
        self._found: Counter[str] | None = None
        self._last_failure = ""
        self._spool = Spool(data / "spool")
        self._spool.register([sink])

    @property
    def place(self) -> Place:
        """Where it all goes."""
        if self._place is None:
            self._place = self._make_place()
        return self._place

    @place.setter
    def place(self, place: Place) -> None:
        self._place = place

    def fill(self, payloads: int) -> None:
        """Put payloads of numbered records into the spool."""
        for _ in range(payloads):
            first = len(self.sent)
            numbers = range(first, first + _RECORDS_EACH)
            self.sent += [f"line {number}" for number in numbers]
            self.put(*(numbered(self.place.signal, number, trace=self.place.trace) for number in numbers))

    def put(self, *records: Any) -> None:
        """Put a payload into the spool."""
        request = logs(*records) if self.place.signal == "logs" else traces(*records)
        digest = digest_of(self.place.signal, request.SerializeToString())
        self._spool.append([payload_of(self.place.signal, request, digest=digest)])

    @contextmanager
    def shipping(self, settings: Settings, *, bounds: BatchBounds = ONE_EACH) -> Iterator[Shipping]:
        """The loop over the spool, as one process has it; a payload is a batch unless told otherwise."""
        spool = Spool(self.data / "spool")
        sink = sink_of({**settings, "name": self.sink}, spool)
        try:
            yield Shipping(self.place.signal, spool, sink, bounds=bounds, back_off=NoWait())
        finally:
            sink.close()
            spool.close()

    def fails(self, loop: Shipping) -> SinkUnavailable:
        """Nothing goes out now, and one line says what is wrong, where, and what would be right."""
        with pytest.raises(SinkUnavailable) as caught:
            loop.step()
        said = str(caught.value)
        assert "\n" not in said
        assert len(said) < _LONGEST_LINE
        assert re.match(self.cell.says, said), said
        return caught.value

    def ship_one(self, loop: Shipping) -> None:
        """One batch goes out, however often it has to be tried."""
        wait_until(lambda: self._tried(loop) > 0, timeout_s=_TIMEOUT_S, found=lambda: self._last_failure)

    def drain(self, loop: Shipping) -> None:
        """All of it goes out."""
        wait_until(lambda: self._tried(loop) == 0, timeout_s=_TIMEOUT_S, found=lambda: self._last_failure)

    def look(self) -> None:
        """Note what is in the server, before that is ended."""
        self._found = self._all_found()

    def found(self) -> Counter[str]:
        """What is in the server."""
        return self._all_found() if self._found is None else self._found

    def waiting(self) -> int:
        """Payloads in the spool."""
        return self._spool.depth().payloads

    def letters(self) -> list[DeadLetter]:
        """Dead letters, each of which has one record and says why."""
        letters = self._spool.dead_letters()
        for letter in letters:
            assert letter.records == 1
            assert re.match(self.cell.letter, letter.reason), letter.reason
        return letters

    def _tried(self, loop: Shipping) -> int:
        try:
            return loop.step()
        except SinkUnavailable as error:
            self._last_failure = str(error)
            return -1

    def _all_found(self) -> Counter[str]:
        # Zipkin answers before it stores.
        wait_until(lambda: set(self.before + self.place.found()) >= set(self.sent), found=self._missing)
        return self.before + self.place.found()

    def _missing(self) -> str:
        missing = set(self.sent) - set(self.place.found())
        return f"{len(missing)} of {len(self.sent)} are missing, such as {sorted(missing)[:3]}"
