"""The handler on the root logger, for services that ask for it: `logging`'s lines in the format of structlog's."""

import logging

from clew.logs.output import OUTPUT
from clew.logs.passing import PASSING
from clew.logs.stdlib_bridge import describe, message_of


class RootHandler(logging.Handler):
    """Writes lines with their IDs to stderr; one that another library has written already is not written again."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        try:
            passing = PASSING.line
            if passing is None or not passing.is_same(record, record.levelno, message_of(record)):
                OUTPUT.write(describe(record))
            elif not passing.is_written:
                passing.is_written = True
                OUTPUT.write(passing.record)
        except Exception:  # noqa: BLE001  (as `logging` wants it)
            self.handleError(record)


def set_root_handler(level: int | None) -> None:
    """Have exactly one `RootHandler` on the root logger, and its level; or none."""
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, RootHandler)]:
        root.removeHandler(handler)
    if level is not None:
        root.addHandler(RootHandler())
        root.setLevel(level)
