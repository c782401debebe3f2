"""What this process's instrumentation goes by, and where its finished spans and logs go.

One object for the whole process, because OpenTelemetry's provider, `logging` and structlog are each one for the whole
process too. `clew.configuration` fills it in; everything else only reads it, anew each time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from clew.headers import Headers
from clew.settings import Settings

if TYPE_CHECKING:
    import re

    from clew.exporting.exporter import Exporter
    from clew.logs.record import LogRecord
    from clew.sampling import Sampler
    from clew.sdk import SdkTracing
    from clew.spans import LightSpan


EXIT_TIMEOUT_S: Final = 1.5
"""How long a process that ends waits for the collector. It is to be gone in 2 s, with all else that it has to do."""


def discard(_record: object) -> None:
    """Take a span or a log and forget it: what happens before `configure()`."""


class Runtime:
    """What is switched on, and who takes what is finished."""

    __slots__ = (
        "enabled",
        "excluded",
        "exporter",
        "headers",
        "keeps_unsampled",
        "put_log",
        "put_span",
        "sampler",
        "sdk",
        "settings",
    )

    def __init__(self) -> None:
        self.enabled: bool = True
        self.exporter: Exporter | None = None
        self.put_span: Callable[[LightSpan], None] = discard
        self.put_log: Callable[[LogRecord], None] = discard
        self.sdk: SdkTracing | None = None
        """Makes the spans when the service has a tracer provider of its own."""

        self.go_by(Settings(), sampler=None, excluded=None)

    def go_by(self, settings: Settings, *, sampler: Sampler | None, excluded: re.Pattern[str] | None) -> None:
        """Take over settings, and what follows from them."""
        self.settings = settings
        self.headers = Headers(settings)
        self.sampler = sampler
        self.excluded = excluded
        self.keeps_unsampled: bool = settings.keep_errors or settings.keep_slower_than_s is not None


RUNTIME: Final = Runtime()
