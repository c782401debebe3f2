import socket

import pytest

from clew_demo.servers.finding import REDIS_DATABASE, Servers, find_servers
from tests.servers.processes import free_port


def port_of(url: str) -> int:
    return int(url.rstrip("/").rpartition(":")[2])


def found(*, rabbitmq_port: int | None = None, redis_port: int | None = None, given: Servers | None = None) -> Servers:
    """What is found on a machine where nothing else listens."""
    return find_servers(
        given or Servers(), rabbitmq_port=rabbitmq_port or free_port(), redis_port=redis_port or free_port()
    )


def test_a_machine_without_servers_has_none() -> None:
    assert found() == Servers(redis_url=None, broker_url=None)


def test_a_real_redis_is_found_and_used_in_a_database_of_its_own(redis_url: str) -> None:
    servers = found(redis_port=port_of(redis_url))

    assert servers == Servers(redis_url=f"{redis_url}/{REDIS_DATABASE}")


def test_a_real_rabbitmq_is_found_and_preferred_to_redis(rabbitmq_url: str, redis_url: str) -> None:
    servers = found(rabbitmq_port=port_of(rabbitmq_url), redis_port=port_of(redis_url))

    assert servers.broker_url == f"amqp://guest:guest@127.0.0.1:{port_of(rabbitmq_url)}//"
    assert "messages: RabbitMQ at amqp://guest@127.0.0.1" in servers.described(own_redis_url="")


def test_what_is_given_is_used_unasked() -> None:
    given = Servers(redis_url="redis://cache.example/1", broker_url="amqp://shop:secret@broker.example/shop")

    assert found(given=given) == given


def test_a_server_that_speaks_another_protocol_is_not_taken_for_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]

        assert found(redis_port=port) == Servers()


@pytest.mark.parametrize(
    ("servers", "said"),
    [
        (Servers(), "messages: the demo's own Redis (fakeredis, in memory) at redis://o"),
        (Servers(), "cache, locks: the demo's own Redis (fakeredis, in memory) at redis://o"),
        (Servers(redis_url="redis://r/8"), "messages: Redis at redis://r/8\ncache, locks: Redis at redis://r/8"),
        (Servers(broker_url="amqp://me:secret@b//"), "messages: RabbitMQ at amqp://me@b//"),
    ],
)
def test_people_are_told_which_servers_are_used(servers: Servers, said: str) -> None:
    assert said in servers.described(own_redis_url="redis://o")
    assert "secret" not in servers.described(own_redis_url="redis://o")
