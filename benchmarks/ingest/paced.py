"""Bodies sent at a steady rate, whether or not the last ones have been answered.

A sender that waits for each answer before it sends the next body does not notice a pause: it sends nothing meanwhile.
Here each body has a time at which it is due, and its answer is late from then on.
"""

import http.client
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import urlsplit

_HEADERS = {"content-type": "application/x-protobuf"}
_TIMEOUT_S = 60


@dataclass(frozen=True)
class Paced:
    """How long answers took from when their bodies were due, in order of time; `refused` were not answered with 200."""

    took_ms: list[float]
    acked: int
    refused: int
    lasted_s: float

    @property
    def acked_per_s(self) -> float:
        """Less than was asked for if answers did not keep up."""
        return self.acked / self.lasted_s

    @property
    def p99_ms(self) -> float:
        """What 99 of 100 answers stayed under."""
        return sorted(self.took_ms)[len(self.took_ms) * 99 // 100]


def send_paced(url: str, bodies: Iterable[tuple[int, bytes]], *, per_s: float, connections: int) -> Paced:
    """Send bodies, each with its number of records, at so many records a second; blocks until all are answered."""
    run = _Run(url, iter(bodies), per_s=per_s)
    threads = [threading.Thread(target=run.send_until_none_is_left) for _ in range(connections)]
    began_s = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if run.failure is not None:
        raise run.failure
    return Paced(took_ms=run.took_ms, acked=run.acked, refused=run.refused, lasted_s=time.monotonic() - began_s)


class _Run:
    def __init__(self, url: str, bodies: Iterator[tuple[int, bytes]], *, per_s: float) -> None:
        self._url = urlsplit(url)
        self._bodies = bodies
        self._per_s = per_s
        self._lock = threading.Lock()
        self._due_s = time.monotonic()
        self.took_ms: list[float] = []
        self.acked = 0
        self.refused = 0
        self.failure: OSError | http.client.HTTPException | None = None

    def send_until_none_is_left(self) -> None:
        try:
            with closing(http.client.HTTPConnection(self._url.netloc, timeout=_TIMEOUT_S)) as connection:
                while (body := self._next()) is not None:
                    self._send(connection, *body)
        except (OSError, http.client.HTTPException) as error:
            self.failure = error

    def _next(self) -> tuple[float, int, bytes] | None:
        with self._lock:
            found = next(self._bodies, None)
            if found is None:
                return None
            due_s = self._due_s
            self._due_s += found[0] / self._per_s
        return due_s, *found

    def _send(self, connection: http.client.HTTPConnection, due_s: float, records: int, body: bytes) -> None:
        time.sleep(max(0.0, due_s - time.monotonic()))
        connection.request("POST", self._url.path, body=body, headers=_HEADERS)
        with connection.getresponse() as answer:
            answer.read()
        took_ms = (time.monotonic() - due_s) * 1000
        with self._lock:
            self.took_ms.append(took_ms)
            if answer.status == 200:
                self.acked += records
            else:
                self.refused += records
