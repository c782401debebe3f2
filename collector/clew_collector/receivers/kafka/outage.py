"""One line in the log when something is away, one when it is back."""

import structlog

log = structlog.get_logger(__name__)


class Outage:
    """Something that can be away, for a while; `back` says in the log that it no longer is."""

    def __init__(self, back: str, **fields: object) -> None:
        self._back = back
        self._fields = fields
        self.is_open = False

    def began(self, what: str, **fields: object) -> None:
        """Say what is wrong, once until it is over."""
        if not self.is_open:
            self.is_open = True
            log.warning(what, **self._fields, **fields)

    def over(self) -> None:
        """Say that it is over, if it had begun."""
        if self.is_open:
            self.is_open = False
            log.info(self._back, **self._fields)
