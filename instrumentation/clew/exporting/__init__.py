"""Finished spans and logs on their way to the collector, on one thread of their own.

`counters()` says what became of them.
"""

from clew.exporting.counters import Counters
from clew.runtime import RUNTIME

__all__ = ["Counters", "counters"]


def counters() -> dict[str, Counters]:
    """What became of this process's spans and logs since `configure()`; empty before it."""
    exporter = RUNTIME.exporter
    return {} if exporter is None else exporter.counters()
