"""Tests of the shop talk to it from outside, and have servers for themselves: nobody has left anything in a queue."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.servers import rabbitmq, redis
from tests.servers.processes import Server, free_port, temporary_folder


@pytest.fixture(scope="module")
def rabbitmq_of_module(servers: Any) -> Iterator[str]:
    """An empty RabbitMQ."""
    servers.get("RabbitMQ", rabbitmq.start)  # skips, or fails, where there is none
    with temporary_folder("rabbitmq") as folder, rabbitmq.node(folder, free_port()) as server:
        yield server.url


@pytest.fixture
def empty_rabbitmq(servers: Any) -> Iterator[Server]:
    """An empty RabbitMQ."""
    servers.get("RabbitMQ", rabbitmq.start)
    with temporary_folder("rabbitmq") as folder, rabbitmq.node(folder, free_port()) as server:
        yield server


@pytest.fixture(scope="module")
def redis_of_module(servers: Any) -> Iterator[str]:
    """An empty Redis."""
    servers.get("Redis", redis.start)
    with redis.start() as server:
        yield f"{server.url}/0"
