"""The end of this process: how long it may wait for the collector."""

from typing import Final

from clew.runtime import EXIT_TIMEOUT_S, RUNTIME

SUPERVISOR_TIMEOUT_S: Final = 0.4


class _Ending:
    """Whose end it will be."""

    def __init__(self) -> None:
        self._timeout_s = EXIT_TIMEOUT_S

    def begin(self) -> None:
        """A new process: it has no workers of its own yet."""
        self._timeout_s = EXIT_TIMEOUT_S

    def comes_after_workers(self) -> None:
        """This process waits for workers, each of which waits for the collector: the same time again would be too
        long, and it has but its own log lines to send."""
        self._timeout_s = SUPERVISOR_TIMEOUT_S

    def finish(self) -> None:
        """Send what is left; blocks for this process's time at most."""
        exporter = RUNTIME.exporter
        if exporter is not None:
            exporter.finish(timeout_s=self._timeout_s)


ENDING: Final = _Ending()
