"""Senders that send as fast as they are answered."""

import itertools
import threading
import time
from collections import Counter as Tally
from typing import Final

import httpx

from tests.soak.bodies import RECORDS_EACH, Bodies, has_spans

SENDERS: Final = 4
_RETRY_S: Final = 0.2
_GIVE_UP_S: Final = 600.0


class FullSpeed:
    """Sends so many bodies over OTLP/HTTP, each until it is acknowledged."""

    def __init__(self, otlp_url: str, *, bodies: int) -> None:
        self.bodies = bodies
        self.problems: Tally[str] = Tally()
        self._url = otlp_url
        self._made = Bodies()
        self._numbers = itertools.count()
        self._acknowledged = itertools.count(1)
        self._done = 0

    def run(self, *, tell_every_s: float) -> None:
        """Send all of them; says now and then how far it is. Raises `AssertionError` if one is never acknowledged."""
        threads = [threading.Thread(target=self._send_all) for _ in range(SENDERS)]
        for thread in threads:
            thread.start()
        began_s = told_s = time.monotonic()
        while any(thread.is_alive() for thread in threads):
            time.sleep(0.5)
            if (now_s := time.monotonic()) - told_s >= tell_every_s:
                told_s = now_s
                records = self._done * RECORDS_EACH
                print(f"{time.strftime('%H:%M:%S')}  {records:>11,}  {records / (now_s - began_s):,.0f}/s", flush=True)
        assert self._done == self.bodies, f"{self._done} of {self.bodies} bodies were acknowledged: {self.problems}"

    def _send_all(self) -> None:
        with httpx.Client(base_url=self._url, timeout=60, headers={"content-type": "application/x-protobuf"}) as client:
            while (number := next(self._numbers)) < self.bodies:
                path = "/v1/traces" if has_spans(number) else "/v1/logs"
                if not self._is_acknowledged(client, path, self._made.body(number)):
                    return
                self._done = next(self._acknowledged)

    def _is_acknowledged(self, client: httpx.Client, path: str, body: bytes) -> bool:
        deadline_s = time.monotonic() + _GIVE_UP_S
        while time.monotonic() < deadline_s:
            try:
                status = client.post(path, content=body).status_code
            except httpx.TransportError as error:
                self.problems[f"{error!r:.80}"] += 1
            else:
                if status == 200:
                    return True
                if status != 429:
                    self.problems[f"answered {status}"] += 1
            time.sleep(_RETRY_S)
        return False
