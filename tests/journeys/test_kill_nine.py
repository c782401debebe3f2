"""Whatever is killed, whenever: each acknowledged record is there afterwards, exactly once."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from clew_collector.config import CollectorConfig
from clew_collector.spool import Spool
from clew_server.listeners import ELASTIC_BULK, OTLP_GRPC, ZIPKIN
from clew_server.serving import Collector
from clew_server.sockets import Sockets
from clew_server.supervisor import ChildSpec, Supervisor
from tests.chance import seeded_chance
from tests.journeys.killers import DONE, PASSAGE, POINT, POINTS
from tests.journeys.senders import ElasticBulk, Load, OtlpGrpc, OtlpHttp, Sender, Zipkin
from tests.server.configs import configured
from tests.waiting import wait_until

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


def stored_names(data: Path) -> list[str]:
    """What stands in the bodies of log records and in the names of spans."""
    names: list[str] = []
    for file, select in (("logs.duckdb", "SELECT body FROM logs"), ("spans.duckdb", "SELECT name FROM spans")):
        connection = duckdb.connect(str(data / file), read_only=True)
        names += [row[0] for row in connection.execute(select).fetchall()]
        connection.close()
    return names


def load(connect: Callable[[], Sender], *, may_end: Callable[[], bool] = lambda: True) -> Load:
    return Load(connect, senders=SENDERS, bodies_each=BODIES_EACH, records_each=RECORDS_EACH, may_end=may_end)


def config_for(data: Path) -> CollectorConfig:
    return configured(data, dashboard=0, otlp_http=0, otlp_grpc=0, zipkin=0, elastic_bulk=0, syslog=0)


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
        # A store that starts late may take all that was sent as one batch: more is sent until the point was passed.
        acknowledged = load(lambda: OtlpHttp(collector.otlp_url), may_end=collector.done.exists).run()
        wait_until(lambda: spool_is_empty(tmp_path), timeout_s=DEADLINE_S)

    assert collector.done.exists(), "the point was never passed: the test proved nothing"
    stored = stored_names(tmp_path)
    assert len(acknowledged) >= SENDERS * BODIES_EACH * RECORDS_EACH
    assert len(stored) == len(set(stored)), "some are stored twice"
    assert set(stored) == acknowledged


PROTOCOLS: dict[str, Callable[[Collector], Sender]] = {
    "otlp_http": lambda collector: OtlpHttp(collector.otlp_url),
    "otlp_grpc": lambda collector: OtlpGrpc(collector.address(OTLP_GRPC) or ""),
    "zipkin": lambda collector: Zipkin(collector.address(ZIPKIN) or ""),
    "elastic_bulk": lambda collector: ElasticBulk(collector.address(ELASTIC_BULK) or ""),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_killed_at_random_again_and_again_nothing_acknowledged_is_lost_or_doubled(
    tmp_path: Path, protocol: str
) -> None:
    chance = seeded_chance()
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
        acknowledged = load(lambda: PROTOCOLS[protocol](collector)).run()
        over.set()
        killing.join()
        wait_until(lambda: spool_is_empty(tmp_path), timeout_s=DEADLINE_S)

    assert killed, "nothing was killed: the test proved nothing"
    stored = stored_names(tmp_path)
    assert len(stored) == len(set(stored)), "some are stored twice"
    # What was sent when a process died, and then given up, may be there or not.
    assert set(stored) == acknowledged if protocol != "elastic_bulk" else set(stored) >= acknowledged
