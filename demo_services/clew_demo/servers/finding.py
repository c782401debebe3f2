"""Which broker and which Redis the shop uses: the ones it is given, else real ones found here, else its own."""

import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from clew_demo.settings import HOST

RABBITMQ_PORT = 5672
REDIS_PORT = 6379
REDIS_DATABASE = 8
"""Of a Redis that was found and not given: whoever else uses it is likely to be in another."""
PROBE_TIMEOUT_S = 1

AMQP_HELLO = b"AMQP\x00\x00\x09\x01"
"""How a client of AMQP 0-9-1 begins; the server answers with a method frame, whose first byte is 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """What the shop's services connect to."""

    redis_url: str | None = None
    """`None`: the shop brings its own."""

    broker_url: str | None = None
    """`None`: messages go through the Redis."""

    def described(self, *, own_redis_url: str) -> str:
        """Two lines that say which servers these are."""
        redis = f"Redis at {_without_password(self.redis_url)}" if self.redis_url else None
        redis = redis or f"the demo's own Redis (fakeredis, in memory) at {own_redis_url}"
        kind = "RabbitMQ" if self.broker_url and self.broker_url.startswith("amqp") else "Redis"
        broker = f"{kind} at {_without_password(self.broker_url)}" if self.broker_url else redis
        return f"messages: {broker}\ncache, locks: {redis}"


def find_servers(given: Servers, *, rabbitmq_port: int = RABBITMQ_PORT, redis_port: int = REDIS_PORT) -> Servers:
    """The given servers; in place of each that is not given, one that answers on this machine."""
    return Servers(
        redis_url=given.redis_url or _redis(redis_port),
        broker_url=given.broker_url or _rabbitmq(rabbitmq_port),
    )


def _redis(port: int) -> str | None:
    """A Redis that asks for no password."""
    return f"redis://{HOST}:{port}/{REDIS_DATABASE}" if _answers(port, b"PING\r\n", b"+PONG\r\n") else None


def _rabbitmq(port: int) -> str | None:
    """A RabbitMQ that lets its default user in."""
    if not _answers(port, AMQP_HELLO, b"\x01"):
        return None
    from kombu import Connection  # only here: it costs a tenth of a second, and most machines have no broker

    url = f"amqp://guest:guest@{HOST}:{port}//"
    connection = Connection(url, connect_timeout=PROBE_TIMEOUT_S)
    try:
        connection.connect()
    except (*connection.connection_errors, *connection.channel_errors):
        return None
    finally:
        connection.release()
    return url


def _answers(port: int, question: bytes, answer: bytes) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=PROBE_TIMEOUT_S) as connection:
            connection.sendall(question)
            return connection.recv(len(answer)) == answer
    except OSError:
        return False


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return url.replace(f":{parts.password}@", "@") if parts.password else url
