import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from kombu import Connection
from redis import Redis
from redis.exceptions import NoScriptError, ResponseError

from clew_demo.settings import HOST
from tests.servers.processes import free_port
from tests.servers.redis import ask

START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 3


@contextmanager
def own_redis() -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """The process and its port, from when it answers."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "clew_demo.servers.own_redis", "--port", str(port)])
    try:
        wait_until_it_answers(port)
        yield process, port
    finally:
        process.kill()
        process.wait()


def wait_until_it_answers(port: int) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline_s:
        try:
            assert ask(port, "PING") == b"+PONG\r\n"
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("did not answer in time")


def test_it_keeps_what_clients_tell_it_and_runs_their_scripts() -> None:
    with own_redis() as (_, port), Redis(host=HOST, port=port) as one, Redis(host=HOST, port=port) as other:
        one.set("shelf", "3", ex=60)

        assert other.get("shelf") == b"3"
        assert other.eval("return redis.call('decr', KEYS[1])", 1, "shelf") == 2


def test_it_carries_messages_for_kombu() -> None:
    with own_redis() as (_, port), Connection(f"redis://{HOST}:{port}/0") as broker:
        with broker.SimpleQueue("parcels") as sent:
            sent.put({"order_id": "o-1"})
        with broker.SimpleQueue("parcels") as received:
            message = received.get(timeout=5)
            message.ack()

    assert message.payload == {"order_id": "o-1"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_told_also_with_clients_connected(number: signal.Signals) -> None:
    with own_redis() as (process, port), Redis(host=HOST, port=port) as client:
        client.ping()

        process.send_signal(number)

        assert process.wait(STOP_TIMEOUT_S) == 0


def test_a_refused_command_leaves_the_connection_open() -> None:
    with own_redis() as (_, port), Redis(host=HOST, port=port, single_connection_client=True) as client:
        client.set("shelf", "3")
        before = client.client_id()

        with pytest.raises(ResponseError, match="WRONGTYPE"):
            client.lpush("shelf", "4")
        with pytest.raises(NoScriptError):
            client.evalsha("0" * 40, 0)

        assert client.client_id() == before
        assert client.get("shelf") == b"3"
