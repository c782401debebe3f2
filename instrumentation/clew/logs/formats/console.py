"""Lines for people: the time, the level, the message, its fields, and at the end where it came from.

    12:00:00.123 info     order accepted                  order_id=7 items=3  shop.orders 4bf92f35

The correlation ID is at the end so that messages stay below each other; one that clew made is cut to 8 characters,
which are enough to tell two requests apart and to look one up.
"""

import os
import sys
from typing import Final

from clew.logs.formats.line import Line, value_text
from clew.logs.formats.logfmt import logfmt_key, logfmt_value
from clew.logs.formats.pattern import Moment, other_fields, visible, with_exception

_RESET: Final = "\x1b[0m"
_DIM: Final = "\x1b[2m"
_BOLD: Final = "\x1b[1m"
_CYAN: Final = "\x1b[36m"
_LEVELS: Final = {
    "trace": "\x1b[2m",
    "debug": "\x1b[34m",
    "info": "\x1b[32m",
    "success": "\x1b[32m",
    "warning": "\x1b[33m",
    "warn": "\x1b[33m",
    "error": "\x1b[31m",
    "critical": "\x1b[1;31m",
    "fatal": "\x1b[1;31m",
}
_MESSAGE_WIDTH: Final = 32
_MADE_ID: Final = 32
_SHORT_ID: Final = 8


class Console:
    """Renders lines for people, with colours or without."""

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours

    def __call__(self, line: Line) -> str:
        """The line, and the stack trace of its exception below."""
        own = other_fields(line)
        correlation_id = value_text(own.pop("correlation_id", line.correlation_id))
        shown = [
            self._in(_DIM, f"{Moment(line.time_ns):%H:%M:%S.%f}"[:12]),
            self._in(_LEVELS.get(line.level, ""), f"{line.level:<8}"),
            self._in(_BOLD, f"{visible(line.message):<{_MESSAGE_WIDTH if own else 0}}"),
            *[f"{self._in(_CYAN, logfmt_key(key))}={logfmt_value(value)}" for key, value in own.items()],
        ]
        origin = " ".join([word for word in (visible(line.logger), visible(_short(correlation_id))) if word])
        if origin:
            shown.append(self._in(_DIM, f" {origin}"))
        return with_exception(" ".join(shown), line)

    def _in(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_RESET}" if self._colours and colour else text


def wants_colours() -> bool:
    """Whether stderr is a terminal whose user has not asked for none (https://no-color.org)."""
    stream = sys.stderr
    try:
        is_terminal = stream is not None and stream.isatty()
    except (ValueError, AttributeError):
        return False
    return is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _short(correlation_id: str) -> str:
    is_made = len(correlation_id) == _MADE_ID and correlation_id.isalnum()
    return correlation_id[:_SHORT_ID] if is_made else correlation_id
