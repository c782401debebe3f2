import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from clew_demo.system import services, traffic
from tests.demo_services.running_shop import RunningShop

BASKET = {"user": "ada", "items": [{"product_id": "tea-sencha"}], "card": "4242424242424242"}
REQUEST_ID = {"X-Request-ID": "web-7f3a09c1"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    with RunningShop(tmp_path_factory.mktemp("shop")) as shop:
        yield shop


def test_services_listen_on_the_base_port_and_the_three_after_it() -> None:
    ports = {service.name: service.port for service in services(Path("data"), "http://c", base_port=9000)}

    assert ports == {"gateway": 9000, "orders": 9001, "inventory": 9002, "payments": 9003}


def test_base_port_zero_finds_free_ports() -> None:
    assert len({service.port for service in services(Path("data"), "http://c", base_port=0)} - {0}) == 4


def test_a_seed_is_handed_to_the_traffic() -> None:
    assert traffic("http://g", seed=7).argv[-2:] == ("--seed", "7")
    assert "--seed" not in traffic("http://g").argv


def test_the_order_names_the_request_that_placed_it(running: RunningShop) -> None:
    placed = httpx.post(f"{running.gateway_url}/checkout", json=BASKET, headers=REQUEST_ID)

    assert placed.status_code == 201
    assert placed.headers["X-Request-ID"] == "web-7f3a09c1"
    assert placed.json()["correlation_id"] == "web-7f3a09c1"


@pytest.mark.parametrize("name", ["inventory", "payments", "orders"])
def test_a_killed_service_is_a_problem_that_names_its_request(running: RunningShop, name: str) -> None:
    running.kill(name)
    try:
        failed = httpx.post(f"{running.gateway_url}/checkout", json=BASKET, headers=REQUEST_ID)
    finally:
        running.start([name])

    assert failed.status_code == 503
    assert failed.json()["code"] == f"{name}_unavailable"
    assert failed.json()["correlation_id"] == "web-7f3a09c1"


@pytest.mark.parametrize("name", ["inventory", "payments", "orders"])
def test_a_restarted_service_is_used_again(running: RunningShop, name: str) -> None:
    running.kill(name)
    running.start([name])

    assert httpx.post(f"{running.gateway_url}/checkout", json=BASKET).status_code == 201


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", ["inventory", "payments", "orders", "gateway"])
def test_a_service_stops_promptly(running: RunningShop, name: str, number: signal.Signals) -> None:
    httpx.get(f"{running.gateway_url}/products")

    took_s = running.stop(name, number)
    running.start([name])

    assert took_s < 3


def test_traffic_uses_the_shop_and_stops_when_told(running: RunningShop, tmp_path: Path) -> None:
    before = _finished_checkouts(running)
    customers = traffic(running.gateway_url, rate_per_s=50, seed=1)
    log_path = tmp_path / "traffic.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(customers.argv, env={**os.environ, **customers.env}, stderr=log)
    deadline_s = time.monotonic() + 20
    while _finished_checkouts(running) == before and time.monotonic() < deadline_s:
        time.sleep(0.05)

    process.terminate()

    assert process.wait(5) == 0
    assert _finished_checkouts(running) > before
    assert " ok" in log_path.read_text().splitlines()[-1]


def test_the_list_of_services_costs_the_starter_no_framework() -> None:
    check = "import sys, clew_demo.system; print('fastapi' in sys.modules or 'clew' in sys.modules)"

    assert subprocess.check_output([sys.executable, "-c", check], text=True).strip() == "False"


def _finished_checkouts(running: RunningShop) -> int:
    return (running.folder / "gateway.log").read_bytes().count(b"checkout finished")
