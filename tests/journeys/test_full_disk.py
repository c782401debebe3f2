"""A full disk: senders are told to come back, pages are still shown, and all goes on once there is room again."""

import os
import threading
import time
from collections import Counter as Tally
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import httpx
import pytest

from tests.collector.otlp_builders import a_log, a_span, logs, traces
from tests.server.running_clew import RunningClew, clew_up
from tests.servers.small_disk import fill

MIB = 1 << 20
PROTOBUF = {"content-type": "application/x-protobuf"}
SENDERS = 4
DEADLINE_S = 60.0
PAGES = ("/health", "/requests", "/logs", "/requests/before")


class Senders:
    """Threads that send one log after the other, each with a name of its own, and go on whatever is answered."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.acknowledged: set[str] = set()
        self.statuses: Tally[int] = Tally()
        self.problems: list[str] = []
        self._lock = threading.Lock()
        self._over = threading.Event()

    @contextmanager
    def sending(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._send, args=(number,)) for number in range(SENDERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def _send(self, sender: int) -> None:
        number = 0
        with httpx.Client(base_url=self._url, timeout=DEADLINE_S) as client:
            while not self._over.wait(0.01):
                name = f"{sender}-{number}"
                number += 1
                # Random, so that it takes the room that it says.
                body = logs(a_log(name, more={"filler": os.urandom(10_000).hex()})).SerializeToString()
                try:
                    self._note(name, client.post("/v1/logs", content=body, headers=PROTOBUF))
                except httpx.TransportError as error:
                    self.problems.append(repr(error))

    def _note(self, name: str, answer: httpx.Response) -> None:
        with self._lock:
            self.statuses[answer.status_code] += 1
            if answer.status_code == 200:
                self.acknowledged.add(name)
            elif answer.status_code not in (429, 503) or "retry-after" not in answer.headers:
                self.problems.append(f"{answer.status_code} {answer.headers} {answer.text:.200}")

    def wait_for(self, outcome: str, count: int) -> None:
        """Wait until so many requests more are acknowledged, or refused."""
        target = self._outcomes()[outcome] + count
        deadline_s = time.monotonic() + DEADLINE_S
        while self._outcomes()[outcome] < target:
            assert time.monotonic() < deadline_s, f"not {outcome}: {self.statuses}, {self.problems[-3:]}"
            time.sleep(0.05)

    def _outcomes(self) -> dict[str, int]:
        return {"acknowledged": self.statuses[200], "refused": self.statuses[429] + self.statuses[503]}


def children_of(running: RunningClew) -> set[int]:
    """The processes under the supervisor."""
    tasks = Path(f"/proc/{running.process.pid}/task")
    return {int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()}


def form_of(running: RunningClew, path: str) -> httpx.Response:
    return httpx.get(f"{running.dashboard_url}{path}?format=json", timeout=DEADLINE_S)


# With some room left, the spool may still take a body that the store has no room for, or the other way round.
@pytest.mark.parametrize(
    ("left_bytes", "reserve_bytes"), [(0, 0), (300_000, 0), (2 * MIB, 0), (2 * MIB, 16 * MIB), (15 * MIB, 16 * MIB)]
)
def test_a_full_disk_refuses_what_comes_shows_what_is_there_and_loses_nothing(
    small_disk: Path, tmp_path: Path, left_bytes: int, reserve_bytes: int
) -> None:
    ballast, data = small_disk / "ballast", small_disk / "data"
    config = tmp_path / "clew.yaml"
    config.write_text(f"spool: {{reserve_bytes: {reserve_bytes}}}\ntelemetry: {{observe_itself: false}}\n")
    with clew_up(data, "--config", str(config)) as running:
        span = traces(a_span(correlation_id="before")).SerializeToString()
        httpx.post(f"{running.otlp_url}/v1/traces", content=span, headers=PROTOBUF).raise_for_status()
        running.wait_for(lambda: form_of(running, "/requests/before"), lambda answer: answer.is_success)
        children = children_of(running)
        senders = Senders(running.otlp_url)
        with senders.sending():
            senders.wait_for("acknowledged", 50)
            fill(ballast, leave_bytes=left_bytes)
            senders.wait_for("refused", 300)
            shown = {path: form_of(running, path).status_code for path in PAGES}
            ballast.unlink()
            senders.wait_for("acknowledged", 50)
        stored = running.wait_for(
            lambda: form_of(running, "/health").json(),
            lambda form: form["stored"]["logs"] >= len(senders.acknowledged),
            timeout_s=DEADLINE_S,
        )["stored"]["logs"]
        children_then = children_of(running)

    assert senders.problems == []
    assert shown == dict.fromkeys(PAGES, 200)
    assert stored == len(senders.acknowledged)
    assert children_then == children, "a process has died"
    assert stored_names(data) == sorted(senders.acknowledged)


def stored_names(data: Path) -> list[str]:
    connection = duckdb.connect(str(data / "logs.duckdb"), read_only=True)
    names = [row[0] for row in connection.execute("SELECT body FROM logs ORDER BY body").fetchall()]
    connection.close()
    return names
