"""One log line when the collector goes away, one when it is back."""

import logging
from typing import Final

LOGGER_NAME: Final = "clew"
"""Lines of this logger, and of those under it, are never exported: they are about exporting."""


class Outage:
    """Whether the collector takes what it is sent. Belongs to the export thread."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._problem = ""

    def goes_on(self, problem: str) -> None:
        """The collector did not take a batch; says so if it is the first one."""
        if not self._problem:
            logging.getLogger(LOGGER_NAME).warning(
                "the collector at %s does not take spans and logs (%s); the service goes on without",
                self._endpoint,
                problem,
            )
        self._problem = problem

    def ends(self) -> None:
        """The collector took a batch."""
        if self._problem:
            logging.getLogger(LOGGER_NAME).info("the collector at %s takes spans and logs again", self._endpoint)
        self._problem = ""
