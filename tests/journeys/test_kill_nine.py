"""Whatever is killed, whenever: each acknowledged record is there afterwards, exactly once."""

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb
import httpx
import pytest

from clew_collector.config import CollectorConfig
from clew_collector.spool import Spool
from clew_server.serving import Collector
from clew_server.sockets import Sockets
from clew_server.supervisor import ChildSpec, Supervisor
from tests.collector.otlp_builders import a_log, logs
from tests.journeys.killers import DONE, PASSAGE, POINT, POINTS
from tests.server.configs import configured

SENDERS = 4
BODIES_EACH = 150
RECORDS_EACH = 20
KILLS = 6
DEADLINE_S = 60.0
ROOT = Path(__file__).parents[2]


class KilledCollector(Collector):
    """A collector one of whose processes kills itself at a point."""

    def __init__(self, config: CollectorConfig, *, point: str, passage: int) -> None:
        super().__init__(config)
        self.done = config.data / "killed"
        self._kill = {POINT: point, PASSAGE: str(passage), DONE: str(self.done), "PYTHONPATH": str(ROOT)}

    def spec(self, name: str, module: str, sockets: Mapping[str, Sockets]) -> ChildSpec:
        armed = super().spec(name, module, sockets)
        argv = [sys.executable, "-m", "tests.journeys.killers", *armed.argv[2:]]
        return ChildSpec(name=name, argv=argv, env=self._kill, fds=armed.fds)


class Load:
    """Senders that try each body again until it is acknowledged, as OTLP exporters do."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._acknowledged: set[str] = set()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(SENDERS)]

    def run(self) -> set[str]:
        for thread in self._threads:
            thread.start()
        for thread in self._threads:
            thread.join()
        return self._acknowledged

    def _send(self, sender: int) -> None:
        with httpx.Client(base_url=self._url, timeout=10) as client:
            for number in range(BODIES_EACH):
                names = [f"{sender}-{number}-{record}" for record in range(RECORDS_EACH)]
                self._send_until_acknowledged(client, logs(*map(a_log, names)).SerializeToString())
                with self._lock:
                    self._acknowledged.update(names)

    def _send_until_acknowledged(self, client: httpx.Client, body: bytes) -> None:
        deadline_s = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline_s:
            try:
                answer = client.post("/v1/logs", content=body, headers={"content-type": "application/x-protobuf"})
            except httpx.TransportError:
                time.sleep(0.02)
                continue
            assert answer.status_code == 200, answer.text
            return
        raise AssertionError("never acknowledged")


@contextmanager
def supervised(collector: Collector) -> Iterator[Supervisor]:
    """The collector's processes, kept running."""
    supervisor = Supervisor(say=print)
    collector.start(supervisor)
    over = threading.Event()
    watching = threading.Thread(target=lambda: supervisor.watch(until=over.is_set))
    watching.start()
    try:
        yield supervisor
    finally:
        over.set()
        watching.join()
        supervisor.stop()
        collector.close()


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline_s, f"timed out: {what}"
        time.sleep(0.05)


def stored_bodies(data: Path) -> list[str]:
    connection = duckdb.connect(str(data / "logs.duckdb"), read_only=True)
    bodies = [row[0] for row in connection.execute("SELECT body FROM logs").fetchall()]
    connection.close()
    return bodies


def config_for(data: Path) -> CollectorConfig:
    return configured(data, dashboard=0, otlp_http=0, zipkin=0, syslog=0)


def spool_is_empty(data: Path) -> bool:
    spool = Spool(data / "spool.sqlite")
    payloads = spool.depth().payloads
    spool.close()
    return payloads == 0


@pytest.mark.parametrize("passage", [1, 2])
@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_point_nothing_acknowledged_is_lost_or_doubled(tmp_path: Path, point: str, passage: int) -> None:
    collector = KilledCollector(config_for(tmp_path), point=point, passage=passage)

    with supervised(collector):
        acknowledged = Load(collector.otlp_url).run()
        wait_until(lambda: spool_is_empty(tmp_path), "the spool was never empty")

    assert collector.done.exists(), "the point was never passed: the test proved nothing"
    stored = stored_bodies(tmp_path)
    assert len(acknowledged) == SENDERS * BODIES_EACH * RECORDS_EACH
    assert len(stored) == len(set(stored)), "some are stored twice"
    assert set(stored) == acknowledged


def test_killed_at_random_again_and_again_nothing_acknowledged_is_lost_or_doubled(tmp_path: Path) -> None:
    chance = random.Random(7)
    collector = Collector(config_for(tmp_path))
    over = threading.Event()
    killed: list[str] = []

    with supervised(collector) as supervisor:

        def kill_now_and_then() -> None:
            while len(killed) < KILLS and not over.wait(chance.uniform(0.1, 0.6)):
                name, pid = chance.choice(list(supervisor.pids().items()) or [("", 0)])
                if pid:
                    os.kill(pid, signal.SIGKILL)
                    killed.append(name)

        killing = threading.Thread(target=kill_now_and_then)
        killing.start()
        acknowledged = Load(collector.otlp_url).run()
        over.set()
        killing.join()
        wait_until(lambda: spool_is_empty(tmp_path), "the spool was never empty")

    assert killed, "nothing was killed: the test proved nothing"
    stored = stored_bodies(tmp_path)
    assert len(stored) == len(set(stored)), "some are stored twice"
    assert set(stored) == acknowledged
