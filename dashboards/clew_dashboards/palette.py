"""Which hue a service has: the same on every page."""

import threading
import zlib
from collections import Counter
from collections.abc import Iterable

HUES = 8


class Palette:
    """Gives each service one of `HUES` hues, numbered from 1.

    A service's name asks for a hue and gets the first from there on that the fewest others have, so that up to eight
    services never share one. The same services, met in the same order, always get the same hues.
    Safe from any thread.
    """

    def __init__(self, services: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._hues: dict[str, int] = {}
        self.meet(services)

    def meet(self, services: Iterable[str]) -> None:
        """Give hues to services not met before."""
        with self._lock:
            for service in services:
                if service not in self._hues:
                    self._hues[service] = self._choose(service)

    def knows(self, services: Iterable[str]) -> bool:
        """Whether all of these were met."""
        return all(service in self._hues for service in services)

    def hue(self, service: str) -> int:
        """The hue of this service."""
        hue = self._hues.get(service)
        if hue is None:
            self.meet((service,))
            hue = self._hues[service]
        return hue

    def _choose(self, service: str) -> int:
        wished = zlib.crc32(service.encode("utf-8", "surrogatepass"))
        uses = Counter(self._hues.values())
        hues = ((wished + step) % HUES + 1 for step in range(HUES))
        return min(hues, key=lambda hue: uses[hue])
