"""Spans on their way to Zipkin: kept in memory for a moment, sent in batches by a thread."""

import logging
import queue
import threading
from typing import Any

import httpx

MAX_QUEUED = 1_000
MAX_BATCH = 100
SEND_EVERY_S = 0.5
TIMEOUT_S = 1

log = logging.getLogger(__name__)

Span = dict[str, Any]


class Reporter:
    """Takes spans at any rate and never holds their request up; `dropped` counts what it could not deliver."""

    def __init__(self, url: str | None) -> None:
        self.dropped = 0
        self._url = url
        self._spans: queue.SimpleQueue[Span] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="zipkin", daemon=True)

    def start(self) -> None:
        """Begin to send, where there is somebody to send to."""
        if self._url is None:
            log.info("no address of a Zipkin is given; spans are counted and dropped")
        else:
            self._thread.start()

    def report(self, span: Span) -> None:
        """Hand a finished span over."""
        if self._url is None or self._spans.qsize() >= MAX_QUEUED:
            self.dropped += 1
        else:
            self._spans.put(span)

    def stop(self) -> None:
        """Send what is left, and end."""
        self._stopping.set()
        if self._url is not None:
            self._thread.join()
        log.info("spans dropped: %d", self.dropped)

    def _run(self) -> None:
        assert self._url is not None
        with httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client:
            while not self._stopping.wait(SEND_EVERY_S):
                self._send_all(client, self._url)
            self._send_all(client, self._url)

    def _send_all(self, client: httpx.Client, url: str) -> None:
        """Send batches until nothing is left, or one fails: the rest waits for the next time."""
        while batch := self._take():
            try:
                client.post(url, json=batch).raise_for_status()
            except httpx.HTTPError as error:
                self.dropped += len(batch)
                log.warning("Zipkin did not take %d spans: %r", len(batch), error)
                return

    def _take(self) -> list[Span]:
        return [self._spans.get() for _ in range(min(self._spans.qsize(), MAX_BATCH))]
