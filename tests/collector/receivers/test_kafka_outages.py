"""What becomes of reading while the broker is away; with a broker of its own, since others use the shared one."""

import asyncio
import os
import signal
import time
from collections.abc import Callable

import pytest

from tests.collector.receivers.kafka_topics import Intake, Topic, a_message, eventually
from tests.servers import kafka
from tests.servers.processes import Server, free_port

Said = Callable[[], str]


@pytest.fixture
def port(kafka_url: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Where a broker will be once it is started; skips or fails as any test without Kafka."""
    ports = [free_port(), free_port()]
    taken = iter(ports)
    monkeypatch.delenv(kafka.URL_VARIABLE, raising=False)
    monkeypatch.setattr(kafka, "free_port", lambda: next(taken))
    return ports[0]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """Everything that has been logged so far."""
    lines: list[str] = []

    def so_far() -> str:
        lines.append(capsys.readouterr().out)
        return "".join(lines)

    return so_far


def test_a_broker_that_is_away_is_waited_for_and_said_so_once_an_outage(port: int, said: Said) -> None:
    async def outages() -> None:
        intake = Intake(Topic(f"127.0.0.1:{port}", name="orders"), session_timeout_s=6)
        async with intake.running():
            await eventually(lambda: "kafka cannot be read" in said())
            with kafka.start() as broker:
                topic = await asyncio.to_thread(Topic(broker.url, name="orders").made)
                await asyncio.to_thread(topic.send, [a_message("one")])
                await eventually(lambda: intake.bodies == ["one"])
                await eventually(lambda: said().count("kafka is back") == 1)
                await asyncio.to_thread(away, broker, 8.0)
                await asyncio.to_thread(topic.send, [a_message("two")])
                await eventually(lambda: intake.bodies == ["one", "two"])
            await eventually(lambda: said().count("kafka cannot be read") >= 2)

    asyncio.run(outages())

    assert said().count("kafka cannot be read") <= 3


def test_stopping_does_not_wait_for_a_broker_that_is_away(kafka_url: str, port: int) -> None:
    async def stop_without_broker() -> float:
        with kafka.start() as broker:
            topic = await asyncio.to_thread(Topic(broker.url).made)
            await asyncio.to_thread(topic.send, [a_message("one")])
            intake = Intake(topic)
            # The group has not been told yet of what was kept.
            intake.when_kept = lambda: os.kill(broker.pid, signal.SIGSTOP)
            async with intake.running():
                await eventually(lambda: intake.bodies == ["one"])
                started_s = time.monotonic()
            took_s = time.monotonic() - started_s
            os.kill(broker.pid, signal.SIGCONT)
        return took_s

    assert asyncio.run(stop_without_broker()) < 6


def away(broker: Server, seconds: float) -> None:
    """Have a broker answer nobody for a while: its connections stay open, which is the worst case."""
    os.kill(broker.pid, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(broker.pid, signal.SIGCONT)
