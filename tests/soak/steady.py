"""A collector under a steady load over every protocol that acknowledges."""

import threading
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import httpx

from tests.journeys.senders import ElasticBulk, OtlpGrpc, OtlpHttp, Sender, Zipkin
from tests.server.running_clew import RunningClew

SENDERS: Mapping[str, Callable[[RunningClew], Sender]] = {
    "otlp_http": lambda running: OtlpHttp(running.otlp_url),
    "otlp_grpc": lambda running: OtlpGrpc(running.urls["grpc"]),
    "zipkin": lambda running: Zipkin(running.zipkin_url),
    "elastic_bulk": lambda running: ElasticBulk(running.urls["bulk"]),
}
RECORDS_EACH = 50
PAUSE_S = 0.1
PAGES = ("/requests", "/logs?limit=1000", "/services", "/health?format=json")


class SteadyLoad:
    """Senders that send some records ten times a second, and somebody who looks at the pages meanwhile."""

    def __init__(self, running: RunningClew) -> None:
        self._running = running
        self.acknowledged: set[str] = set()
        self.problems: Tally[str] = Tally()
        self._over = threading.Event()

    @contextmanager
    def sending(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._send, args=(protocol,)) for protocol in SENDERS]
        threads.append(threading.Thread(target=self._look))
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def _send(self, protocol: str) -> None:
        sender = SENDERS[protocol](self._running)
        body = 0
        while not self._over.wait(PAUSE_S):
            names = [f"{protocol}-{body}-{record}" for record in range(RECORDS_EACH)]
            body += 1
            try:
                if sender.send(names):
                    self.acknowledged.update(names)
                else:
                    self.problems[f"{protocol}: refused"] += 1
            except ConnectionError as error:
                self.problems[f"{protocol}: {error!r:.80}"] += 1

    def _look(self) -> None:
        while not self._over.wait(1):
            for page in PAGES:
                try:
                    httpx.get(f"{self._running.dashboard_url}{page}", timeout=30).raise_for_status()
                except httpx.HTTPError as error:
                    self.problems[f"{page}: {error!r:.80}"] += 1
