"""A log record on its way to the collector."""

from dataclasses import dataclass

from clew.context import Ids
from clew.freezing import Frozen
from clew.spans import Scope


@dataclass(slots=True)
class LogRecord:
    """One log line, all its values frozen."""

    scope: Scope
    time_ns: int
    observed_ns: int
    severity_number: int
    severity_text: str
    body: Frozen
    attributes: dict[str, Frozen]
    ids: Ids
