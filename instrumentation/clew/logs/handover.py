"""What structlog's processor hands to the `logging` bridge, when one log line goes through both.

structlog over `logging` renders a line to text and then logs that text. The processor has seen the values, the bridge
sees whether `logging` lets the line pass: so the first leaves its values here and the second, called right after it by
the same thread, takes them.
"""

import logging
import threading
from typing import NamedTuple

from clew.freezing import Frozen


class Handed(NamedTuple):
    """One line's values, and whose call comes next."""

    logger_name: str
    level: int
    body: Frozen
    attributes: dict[str, Frozen]


class _Pending(threading.local):
    handed: Handed | None = None


class Handover:
    """At most one line a thread is between the two."""

    def __init__(self) -> None:
        self._pending = _Pending()

    def give(self, handed: Handed) -> None:
        """Leave a line for the call that follows; one that nobody took is forgotten."""
        self._pending.handed = handed

    def take(self, record: logging.LogRecord) -> Handed | None:
        """The values of `record`, if structlog made it."""
        handed = self._pending.handed
        if handed is None:
            return None
        self._pending.handed = None
        if handed.logger_name != record.name or handed.level != record.levelno:
            return None
        return handed


def will_pass(logger: logging.Logger, level: int) -> bool:
    """Whether `logging` surely calls the bridge with this line. A filter might stop it: then nothing is handed over."""
    return logger.isEnabledFor(level) and not logger.disabled and not logger.filters


HANDOVER = Handover()
