"""One log line when the collector goes away, one when it is back."""

import logging
from time import monotonic
from typing import Final

LOGGER_NAME: Final = "clew"
"""Lines of this logger, and of those under it, are never exported: they are about exporting."""

_SAY_AGAIN_AFTER_S: Final = 300.0


class Outage:
    """Whether the collector takes what it is sent. Belongs to the export thread."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._failing: set[str] = set()
        self._said_at_s: dict[str, float] = {}

    def goes_on(self, signal: str, problem: str) -> None:
        """The collector did not take a batch for now; says so if it is the first one, of whatever signal."""
        if not self._failing:
            logging.getLogger(LOGGER_NAME).warning(
                "the collector at %s does not take spans and logs (%s); the service goes on without",
                self._endpoint,
                problem,
            )
        self._failing.add(signal)

    def ends(self, signal: str) -> None:
        """The collector took a batch, or said that it never will."""
        if not self._failing:
            return
        self._failing.discard(signal)
        if not self._failing:
            logging.getLogger(LOGGER_NAME).info("the collector at %s takes spans and logs again", self._endpoint)

    def stumbles(self, error: BaseException) -> None:
        """Something in the export thread went wrong that has nothing to do with the collector."""
        self._say("spans and logs", "exporting to %s: %s are late after a failure (%s)", repr(error))

    def rejects(self, signal: str, problem: str) -> None:
        """The collector will never take some records; says so once in a while."""
        self._say(signal, "the collector at %s rejects %s (%s); they are dropped and counted", problem)

    def remarks(self, signal: str, message: str) -> None:
        """The collector took everything and had something to say; says so once in a while."""
        self._say(signal, "the collector at %s says of %s: %s", message)

    def _say(self, signal: str, line: str, problem: str) -> None:
        now_s = monotonic()
        if now_s - self._said_at_s.get(signal + line, -_SAY_AGAIN_AFTER_S) >= _SAY_AGAIN_AFTER_S:
            self._said_at_s[signal + line] = now_s
            logging.getLogger(LOGGER_NAME).warning(line, self._endpoint, signal, problem)
