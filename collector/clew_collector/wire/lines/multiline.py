"""Joining lines that are one record: Python's tracebacks, Java's stack traces, or what a pattern does not begin."""

import re
from enum import Enum, auto
from typing import Final, Literal

from clew_collector.model import record
from clew_collector.wire.lines.cutting import CutLine

MAX_LINES: Final = 1_000

_TRACEBACK: Final = b"Traceback (most recent call last):"
_CHAINED: Final = (
    b"During handling of the above exception, another exception occurred:",
    b"The above exception was the direct cause of the following exception:",
)
# Java's: what a trace goes on with, and the exception that a logger puts on a line of its own before `at ...`.
_java = re.compile(
    rb"(?:Caused by|Suppressed): |\.\.\. \d+ (?:more|common frames omitted)"
    rb"|(?:[a-z][\w$]*\.)+[A-Z][\w$]*(?:Exception|Error|Throwable)\b"
).match
_python_exception = re.compile(rb"[A-Za-z_][\w.]*(?:: |:?$)").match


class _State(Enum):
    """How far a Python traceback has come."""

    NONE = auto()
    FRAMES = auto()
    """Between `Traceback` and the exception's own line."""
    ENDED = auto()
    """After the exception; another may have been raised meanwhile."""


@record
class Joined:
    """Lines that are one record, with newlines between, and how many bytes of the file they and all before them are."""

    data: bytes
    end: int
    is_cut: bool


class Joiner:
    """Joins the lines of one file. `start` is a pattern that each first line matches.

    "auto" knows Python's tracebacks, Java's stack traces and lines that are indented; "off" joins nothing. A record
    has at most `max_bytes` and 1,000 lines: what follows begins a new one. Empty lines are no records.
    """

    def __init__(self, start: "re.Pattern[bytes] | Literal['auto', 'off']", *, max_bytes: int) -> None:
        self._start = start
        self._max_bytes = max_bytes
        self._lines: list[bytes] = []
        self._bytes = 0
        self._end = 0
        self._state = _State.NONE
        self._blank: list[bytes] = []

    @property
    def end(self) -> int:
        """How far it has been fed, if nothing waits."""
        return self._end

    @property
    def is_waiting(self) -> bool:
        """Whether there is a record that may go on."""
        return bool(self._lines)

    def feed(self, line: CutLine) -> Joined | None:
        """Take a line, and hand out the record that ends before it. A line that was cut ends its own: `flush`."""
        data = line.data.rstrip(b"\r")
        if not data.strip():
            return self._feed_blank(data, line.end)
        fits = self._bytes + len(data) < self._max_bytes and len(self._lines) < MAX_LINES
        if self._lines and fits and self._goes_on(data):
            self._lines += [*self._blank, data]
            self._bytes += len(data) + 1 + len(self._blank)
            joined = None
        else:
            joined = self.flush()
            self._lines, self._bytes = [data], len(data)
            self._state = _State.FRAMES if data.startswith(_TRACEBACK) else _State.NONE
        self._blank = []
        self._end = line.end
        return joined

    def flush(self, *, is_cut: bool = False) -> Joined | None:
        """Hand out what waits, if anything does: nothing has followed it for so long that nothing will."""
        if not self._lines:
            return None
        joined = Joined(b"\n".join(self._lines), self._end, is_cut)
        self._lines, self._bytes, self._blank = [], 0, []
        return joined

    def _feed_blank(self, data: bytes, end: int) -> Joined | None:
        """An empty line ends a record, unless it is within a traceback or a pattern tells where records begin."""
        keeps = len(data) < 2 and (self._state is not _State.NONE or isinstance(self._start, re.Pattern))
        if self._lines and self._start != "off" and keeps and len(self._blank) < MAX_LINES:
            self._blank.append(b"")
            return None
        joined = self.flush()
        self._end = end
        return joined

    def _goes_on(self, data: bytes) -> bool:
        if self._start == "off":
            return False
        if isinstance(self._start, re.Pattern):
            return self._start.search(data) is None
        if self._state is _State.FRAMES:
            return self._goes_on_in_frames(data)
        if data.startswith(_TRACEBACK):
            self._state = _State.FRAMES
            return not self._blank or self._is_chained()
        if self._state is _State.ENDED and data.startswith(_CHAINED):
            return True
        return not self._blank and (data[:1] in (b" ", b"\t") or _java(data) is not None)

    def _goes_on_in_frames(self, data: bytes) -> bool:
        if data[:1] in (b" ", b"\t"):
            return True
        self._state = _State.ENDED
        return _python_exception(data) is not None

    def _is_chained(self) -> bool:
        return self._lines[-1].startswith(_CHAINED)
