"""The line that a thread is handing to its handlers right now: the same line may come by once more.

Services pass `logging`'s lines on to loguru (an `InterceptHandler`), or loguru's to `logging` (a `PropagateHandler`):
one line is then seen by both bridges, and must be exported and written once.
"""

import threading

from clew.logs.record import LogRecord


class PassingLine:
    """One line on its way through the handlers of its library."""

    __slots__ = ("is_written", "level", "record", "source", "text")

    def __init__(self, source: object, level: int, text: str, record: LogRecord) -> None:
        self.source = source
        """The library's own record."""
        self.level = level
        self.text = text
        self.record = record
        self.is_written = False
        """Whether clew has written it to stderr."""

    def is_same(self, source: object, level: int, text: str) -> bool:
        """Whether a record that is seen now is this line: itself, or its text (perhaps with a format around) again."""
        return source is self.source or (level == self.level and bool(self.text) and self.text in text)


class _Passing(threading.local):
    line: PassingLine | None = None


PASSING = _Passing()
