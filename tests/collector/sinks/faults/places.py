"""What the matrix needs to know of a sink: a real server, a place of its own there, and a line to it that fails."""

from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from clew_collector.model import Signal
from tests.collector.certificates import Authority, Signed

Settings = Mapping[str, Any]
REFUSED = "refuse me"
"""What a record says that the server will not have."""
TOO_LARGE_BYTES = 12_000
LIMIT_BYTES = 4_000
RETRY_AFTER_S = 7


class Trouble(Enum):
    """What a line, or the server behind it, does to what is sent."""

    SLOW = "slower than the time-out"
    PICKY = "refuses some records"
    FULL_UNTIL = "429 with Retry-After"
    FULL = "429 without Retry-After"
    SMALL = "413"
    CUT = "half-written answer"
    STRICT = "wrong credentials"


class Tls(Enum):
    """What a server shows to those who come over TLS: a certificate for its address, or for another host's."""

    RIGHT = "127.0.0.1"
    ELSEWHERE = "192.0.2.1"

    def signed_by(self, authority: Authority) -> Signed:
        """Such a certificate."""
        return authority.sign(self.name.lower(), address=self.value)


class Line(Protocol):
    """A way to the server, at an address that stays; nothing listens there while it is not `listening`."""

    def listening(self) -> AbstractContextManager[Any]:
        """From now on what is sent arrives."""
        ...

    def begin(self, trouble: Trouble) -> None:
        """From now on it does not, or not as it should."""
        ...

    def end(self) -> None:
        """All is well again."""
        ...


class Place(Protocol):
    """A place that no other cell has, in a real server."""

    signal: Signal
    trace: str

    def settings(self) -> Settings:
        """Of the sink, straight to the server."""
        ...

    def line(self, tls: Tls | None = None, *, timeout_s: float = 20) -> tuple[Line, Settings]:
        """A line to the server, and the settings of a sink through it; they trust nobody yet."""
        ...

    def credentials(self, *, are_right: bool) -> Settings:
        """Settings to be added, for a line that is `STRICT`."""
        ...

    def trusting(self, ca: Path) -> Settings:
        """Settings to be added for TLS."""
        ...

    def found(self) -> Counter[str]:
        """What is in the server: how often each record, as whoever reads there sees it."""
        ...
