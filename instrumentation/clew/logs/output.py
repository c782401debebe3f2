"""What clew writes to stderr by itself: in which format, and how.

The one place that structlog's lines, the root handler's, loguru's and the access log's go through.
"""

import sys
from collections.abc import Callable
from typing import Final

from clew.freezing import safe_text
from clew.logs.formats.console import Console, wants_colours
from clew.logs.formats.ecs import render_ecs
from clew.logs.formats.json_lines import render_json
from clew.logs.formats.line import Line, as_json, line_of
from clew.logs.formats.logfmt import render_logfmt
from clew.logs.formats.pattern import Pattern
from clew.logs.record import LogRecord
from clew.settings import Settings

_FORMATS: Final = {"json": render_json, "ecs": render_ecs, "logfmt": render_logfmt}


class Output:
    """Renders records and writes them; whatever goes wrong there stays here."""

    def __init__(self) -> None:
        self._render: Callable[[Line], str] = render_json

    def go_by(self, settings: Settings) -> None:
        """Take over the format. Raises `ValueError` for a pattern that cannot work."""
        self._render = renderer_of(settings)

    def text(self, record: LogRecord) -> str:
        """A record as one line of text without a line end (or more lines, for people). Never raises."""
        try:
            line = line_of(record)
        except Exception:  # noqa: BLE001  (the line must come out)
            return as_json({"event": "<unreadable line>", "logger": safe_text(record.scope.name)})
        return self._text(line)

    def write(self, record: LogRecord) -> None:
        """Write a record to stderr. Never raises."""
        write_line(self.text(record))

    def _text(self, line: Line) -> str:
        try:
            return self._render(line)
        except Exception:  # noqa: BLE001  (the line must come out)
            return render_json(line)


def renderer_of(settings: Settings) -> Callable[[Line], str]:
    """What makes text of lines. Raises `ValueError` for a pattern that cannot work."""
    by_pattern = Pattern(settings.log_pattern) if settings.log_pattern is not None else None
    log_format = settings.log_format
    if log_format in ("auto", "none"):
        log_format = "console" if by_pattern is not None or _is_terminal() else "json"
    if log_format == "console":
        return by_pattern or Console(colours=wants_colours())
    return _FORMATS[log_format]


def write_line(text: str) -> None:
    """Write to whatever `sys.stderr` is at this moment, in one piece; a stream that is gone loses lines, not requests.

    RuntimeError: a signal's handler that logs in the middle of another write.
    """
    stream = sys.stderr
    try:
        try:
            stream.write(text + "\n")
        except UnicodeEncodeError:
            stream.write(text.encode("ascii", "backslashreplace").decode("ascii") + "\n")
    except (OSError, ValueError, AttributeError, RuntimeError):
        return


def _is_terminal() -> bool:
    try:
        return sys.stderr is not None and sys.stderr.isatty()
    except (ValueError, AttributeError):
        return False


OUTPUT: Final = Output()
