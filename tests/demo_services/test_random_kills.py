"""Whatever is killed, whenever, and with a broker that goes away under load: the books add up once all is back."""

import random
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from clew_demo.servers.finding import Servers
from tests.demo_services.books import Books
from tests.demo_services.running_shop import RunningShop
from tests.servers import rabbitmq
from tests.servers.processes import Server, free_port, temporary_folder
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("callers_have_no_clew")

KILLS = 8
BUYERS = 4
SETTLED_S = 120.0
PRODUCTS = ("machine-lever", "kettle-gooseneck", "tea-sencha")
KILLABLE = ("orders", "inventory", "payments", "accounts", "shipping", "notifications", "gateway", "catalog", "redis")


class Buyers(threading.Thread):
    """Customers that keep buying, whatever they are answered, until told to stop."""

    def __init__(self, gateway_url: str, *, seed: int) -> None:
        super().__init__(daemon=True)
        self._client = httpx.Client(base_url=gateway_url, timeout=30, trust_env=False)
        self._random = random.Random(seed)
        self._stopping = threading.Event()
        self.bought = 0

    def run(self) -> None:
        while not self._stopping.is_set():
            with suppress(httpx.HTTPError, KeyError, ValueError):
                self._buy()

    def stop(self) -> None:
        self._stopping.set()
        self.join(60)

    def _buy(self) -> None:
        token = self._client.post("/login", json={"user": "ada"}).json()["token"]
        products = self._random.sample(PRODUCTS, self._random.randint(1, 2))
        body = {
            "user": "ada",
            "items": [{"product_id": product_id, "quantity": 1} for product_id in products],
            "card": "4242424242424242",
        }
        answer = self._client.post("/checkout", json=body, headers={"Authorization": f"Bearer {token}"})
        self.bought += answer.is_success


@contextmanager
def buying(shop: RunningShop) -> Iterator[list[Buyers]]:
    """Customers that buy all the time; at the end, until the last one has his answer."""
    buyers = [Buyers(shop.gateway_url, seed=number) for number in range(BUYERS)]
    for each in buyers:
        each.start()
    try:
        yield buyers
    finally:
        for each in buyers:
            each.stop()


def wait_for_sales(buyers: list[Buyers], more: int) -> None:
    """Until so many more have been sold."""
    enough = sum(each.bought for each in buyers) + more
    wait_until(lambda: sum(each.bought for each in buyers) >= enough, timeout_s=60)


def assert_books_add_up(folder: Path) -> None:
    books = Books(folder)
    wait_until(lambda: not books.unfinished(), timeout_s=SETTLED_S, every_s=1.0)
    wait_until(lambda: not books.differences(), timeout_s=SETTLED_S, every_s=1.0, found=books.differences)
    assert books.orders()["shipped"] > 0


@pytest.mark.parametrize("seed", [1, 2])
def test_the_books_add_up_after_random_kills(tmp_path: Path, empty_rabbitmq: Server, seed: int) -> None:
    chance = random.Random(seed)
    with RunningShop(tmp_path, servers=Servers(broker_url=empty_rabbitmq.url)) as shop:
        with buying(shop) as buyers:
            for _ in range(KILLS):
                wait_for_sales(buyers, chance.randint(1, 6))
                victim = chance.choice(KILLABLE)
                shop.kill(victim)
                shop.start([victim])

        assert_books_add_up(tmp_path)


def test_a_broker_that_restarts_under_load_loses_no_message_and_doubles_none(tmp_path: Path, servers: Any) -> None:
    servers.get("RabbitMQ", rabbitmq.start)  # skips, or fails, where there is none
    port = free_port()
    with temporary_folder("rabbitmq") as folder, ExitStack() as first:
        server = first.enter_context(rabbitmq.node(folder, port))
        with RunningShop(tmp_path, servers=Servers(broker_url=server.url)) as shop, buying(shop) as buyers:
            wait_for_sales(buyers, 5)
            first.close()
            wait_for_sales(buyers, 5)
            with rabbitmq.node(folder, port):
                wait_for_sales(buyers, 10)
                for each in buyers:
                    each.stop()

                assert_books_add_up(tmp_path)
