import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from clew_demo.servers.finding import Servers
from clew_demo.settings import PORTS, Settings
from clew_demo.system import DASHBOARD_VARIABLE, Service, named, services, traffic
from tests.demo_services.running_shop import RunningShop
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("callers_have_no_clew")

BASKET = {"user": "ada", "items": [{"product_id": "tea-sencha"}], "card": "4242424242424242"}
REQUEST_ID = {"X-Request-ID": "web-7f3a09c1"}
NAMES = [service.name for service in services(Path("data"), "http://c")]


def listed(servers: Servers | None = None, *, base_port: int = 9000, dashboard_url: str | None = None) -> list[Service]:
    return services(
        Path("data"), "http://c", base_port=base_port, servers=servers or Servers(), dashboard_url=dashboard_url
    )


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    with RunningShop(tmp_path_factory.mktemp("shop")) as shop:
        yield shop


def check_out(shop: RunningShop) -> httpx.Response:
    """Buy something, as a user who has logged in."""
    token = httpx.post(f"{shop.gateway_url}/login", json={"user": "ada"}).json()["token"]
    headers = {**REQUEST_ID, "Authorization": f"Bearer {token}"}
    return httpx.post(f"{shop.gateway_url}/checkout", json=BASKET, headers=headers, timeout=20)


def test_every_process_of_the_shop_is_there_and_the_consumers_listen_nowhere() -> None:
    ports = {service.name: service.port for service in listed()}

    assert set(ports) == {*PORTS, "shipping", "notifications"}
    assert ports["shipping"] is None
    assert ports["notifications"] is None


def test_services_listen_on_the_base_port_and_the_ones_after_it() -> None:
    ports = {service.name: service.port for service in listed() if service.port}

    assert ports == {name: 9000 + offset for offset, name in enumerate(PORTS)}


def test_every_service_is_told_where_the_others_are() -> None:
    ports = {service.name: service.port for service in listed()}

    for service in listed():
        if service.name != "redis":
            settings = Settings.from_environment(service.env)
            assert settings.urls == {name: f"http://127.0.0.1:{ports[name]}" for name in PORTS if name != "redis"}
            assert settings.redis_url == f"redis://127.0.0.1:{ports['redis']}/0" == settings.broker_url


def test_a_shop_with_a_redis_brings_none() -> None:
    shop = listed(Servers(redis_url="redis://r/8", broker_url="amqp://b//"))

    assert "redis" not in {service.name for service in shop}
    assert {service.env["CLEW_DEMO_REDIS_URL"] for service in shop} == {"redis://r/8"}
    assert {service.env["CLEW_DEMO_BROKER_URL"] for service in shop} == {"amqp://b//"}


def test_the_shops_own_redis_starts_first() -> None:
    assert listed()[0].name == "redis"


def test_the_page_of_faults_knows_the_dashboard() -> None:
    assert named("control", listed(dashboard_url="http://d")).env[DASHBOARD_VARIABLE] == "http://d"
    assert DASHBOARD_VARIABLE not in named("control", listed()).env


def test_base_port_zero_finds_free_ports() -> None:
    assert len({service.port for service in listed(base_port=0)} - {0, None}) == len(PORTS)


def test_a_seed_is_handed_to_the_traffic() -> None:
    assert traffic("http://g", seed=7).argv[-2:] == ("--seed", "7")
    assert "--seed" not in traffic("http://g").argv


def test_the_order_names_the_request_that_placed_it(running: RunningShop) -> None:
    placed = check_out(running)

    assert placed.status_code == 201, placed.text
    assert placed.headers["X-Request-ID"] == "web-7f3a09c1"
    assert placed.json()["correlation_id"] == "web-7f3a09c1"


@pytest.mark.parametrize("name", ["inventory", "payments", "orders"])
def test_a_killed_service_is_a_problem_that_names_its_request(running: RunningShop, name: str) -> None:
    wait_until(lambda: check_out(running).status_code == 201)  # connections to one that was killed before are back
    running.kill(name)
    try:
        failed = check_out(running)
    finally:
        running.start([name])

    assert failed.status_code == 503
    assert failed.json()["code"] == f"{name}_unavailable"
    assert failed.json()["correlation_id"] == "web-7f3a09c1"


@pytest.mark.parametrize("name", [name for name in NAMES if name != "gateway"])
def test_a_restarted_service_is_used_again(running: RunningShop, name: str) -> None:
    running.kill(name)
    running.start([name])

    wait_until(lambda: check_out(running).status_code == 201)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", NAMES)
def test_a_service_stops_promptly(running: RunningShop, name: str, number: signal.Signals) -> None:
    httpx.get(f"{running.gateway_url}/products", timeout=20)

    took_s = running.stop(name, number)
    running.start([name])

    assert took_s < 8


def test_traffic_uses_the_shop_and_stops_when_told(running: RunningShop, tmp_path: Path) -> None:
    before = paid_orders(running)
    customers = traffic(running.gateway_url, rate_per_s=50, seed=1)
    log_path = tmp_path / "traffic.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(customers.argv, env={**os.environ, **customers.env}, stderr=log)
    try:
        wait_until(lambda: paid_orders(running) > before)
        process.terminate()

        assert process.wait(5) == 0
    finally:
        process.kill()
    assert " ok" in log_path.read_text().splitlines()[-1]


def paid_orders(running: RunningShop) -> int:
    """How many payments the shop has taken."""
    connection = sqlite3.connect(running.folder / "payments.db")
    try:
        return int(connection.execute("SELECT count(*) FROM payments WHERE state = 'captured'").fetchone()[0])
    finally:
        connection.close()


def test_the_list_of_services_costs_the_starter_no_framework() -> None:
    heavy = ["fastapi", "clew", "kombu", "redis", "fakeredis", "grpc", "httpx"]
    check = f"import sys, clew_demo.system; print([name for name in {heavy} if name in sys.modules])"

    assert json.loads(subprocess.check_output([sys.executable, "-c", check], text=True)) == []
