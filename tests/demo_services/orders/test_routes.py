import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from clew_demo.orders.app import create_app
from tests.demo_services.orders.neighbours import PRICE_CENTS, OrdersInProcess
from tests.servers.processes import free_port
from tests.waiting import wait_until

NOWHERE = "redis://127.0.0.1:9/0"


def ask(service: OrdersInProcess, method: str, path: str, **options: Any) -> httpx.Response:
    app = create_app(service.checkout, broker_url=NOWHERE, faults=service.faults)

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://orders") as client:
            return await client.request(method, path, **options)

    return asyncio.run(send())


def an_order(**wanted: Any) -> dict[str, Any]:
    return {"user": "ada", "items": [{"product_id": "tea-sencha", "quantity": 1}], "card": "4242", **wanted}


def test_an_order_is_answered_and_found_in_the_same_shape(tmp_path: Path) -> None:
    service = OrdersInProcess(tmp_path)

    placed = ask(service, "POST", "/orders", json=an_order(), headers={"X-Request-ID": "web-1"})
    found = ask(service, "GET", f"/orders/{placed.json()['id']}")

    assert (placed.status_code, found.status_code) == (201, 200)
    assert found.json() == placed.json()
    assert placed.json() == {
        "id": placed.json()["id"],
        "user": "ada",
        "state": "paid",
        "total_cents": PRICE_CENTS,
        "lines": [{"product_id": "tea-sencha", "name": "Tea", "quantity": 1, "unit_cents": PRICE_CENTS}],
        "reason": "",
        "correlation_id": placed.json()["correlation_id"],
        "tracking": "",
        "notification": "",
    }


def test_the_same_idempotency_key_is_answered_as_the_first_time(tmp_path: Path) -> None:
    service = OrdersInProcess(tmp_path)
    headers = {"Idempotency-Key": "k-1"}

    first, second = (ask(service, "POST", "/orders", json=an_order(), headers=headers) for _ in range(2))

    assert first.json() == second.json()
    service.assert_balanced()


def test_an_order_that_nobody_placed_is_not_found(tmp_path: Path) -> None:
    answer = ask(OrdersInProcess(tmp_path), "GET", "/orders/o-1")

    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_order")


def test_a_refused_card_number_is_not_repeated_in_the_answer(tmp_path: Path) -> None:
    answer = ask(OrdersInProcess(tmp_path), "POST", "/orders", json=an_order(card=["4242424242424242"]))

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "body.card"
    assert "4242" not in answer.text


@contextmanager
def running_orders(folder: Path, broker_url: str) -> Iterator["tuple[subprocess.Popen[bytes], str]"]:
    port = free_port()
    environment = {"CLEW_DEMO_DATA": str(folder), "CLEW_DEMO_BROKER_URL": broker_url}
    argv = [sys.executable, "-m", "clew_demo.orders", "--port", str(port)]
    with (folder / "orders.log").open("wb") as log:
        process = subprocess.Popen(argv, env=environment, stdout=log, stderr=log)
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("has_broker", [True, False])
def test_the_process_serves_and_ends_in_time_whether_there_is_a_broker_or_not(
    tmp_path: Path, fakeredis_url: str, number: signal.Signals, has_broker: bool
) -> None:
    with running_orders(tmp_path, fakeredis_url if has_broker else NOWHERE) as (process, url):

        def is_healthy() -> bool:
            try:
                return httpx.get(f"{url}/healthz", trust_env=False).is_success
            except httpx.TransportError:
                return False

        wait_until(is_healthy)
        start_s = time.monotonic()
        process.send_signal(number)
        process.wait(10)

    assert time.monotonic() - start_s < 8
