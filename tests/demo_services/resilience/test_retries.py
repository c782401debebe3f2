import asyncio
from typing import Any

import httpx
import pytest
import structlog

from clew_demo.resilience.breaker import Breaking
from clew_demo.resilience.budget import RetryBudget
from clew_demo.resilience.retries import STORM_RETRIES, Retrying
from tests.demo_services.resilience.neighbours import Neighbour, Network, a_request_span, events


def a_client(inner: httpx.AsyncBaseTransport, **wanted: Any) -> httpx.AsyncClient:
    options = {"budget": RetryBudget(), "first_wait_s": 0.001, **wanted}
    return httpx.AsyncClient(transport=Retrying(inner, service="orders", **options), base_url="http://orders")


def test_a_get_that_fails_is_asked_again() -> None:
    async def get(attempts: int) -> int:
        network = Network(orders=Neighbour(statuses=[503, 500]).app)
        return (await a_client(network, attempts=attempts).get("/")).status_code

    assert asyncio.run(get(attempts=3)) == 200
    assert asyncio.run(get(attempts=1)) == 503, "without the pattern the failure would be seen"


def test_the_last_failure_is_answered() -> None:
    async def get() -> None:
        neighbour = Neighbour(statuses=[503, 502, 504])

        response = await a_client(Network(orders=neighbour.app)).get("/")

        assert (response.status_code, neighbour.asked) == (504, 3)

    asyncio.run(get())


def test_a_refusal_is_not_repeated() -> None:
    async def get() -> None:
        neighbour = Neighbour(statuses=[404])

        assert (await a_client(Network(orders=neighbour.app)).get("/")).status_code == 404
        assert neighbour.asked == 1

    asyncio.run(get())


def test_a_post_is_not_repeated() -> None:
    async def post() -> None:
        neighbour = Neighbour(statuses=[503])

        assert (await a_client(Network(orders=neighbour.app)).post("/", json={})).status_code == 503
        assert neighbour.asked == 1

    asyncio.run(post())


@pytest.mark.parametrize(("headers", "tries"), [({}, 1), ({"Idempotency-Key": "k-1"}, 3)])
def test_a_post_whose_connection_breaks_is_repeated_only_under_a_key(headers: dict[str, str], tries: int) -> None:
    async def post() -> None:
        network = Network(orders=Neighbour().app)
        network.down.add("orders")

        with pytest.raises(httpx.ConnectError):
            await a_client(network).post("/", json={}, headers=headers)

        assert network.refused == tries

    asyncio.run(post())


@pytest.mark.parametrize(("ratio", "most"), [(0.2, 120), (100, 300)], ids=["with the budget", "without it"])
def test_the_budget_bounds_the_load_on_a_neighbour_that_is_down(ratio: float, most: int) -> None:
    async def get_often() -> int:
        neighbour = Neighbour()
        neighbour.fail_always()
        client = a_client(Network(orders=neighbour.app), budget=RetryBudget(ratio=ratio))
        for _ in range(100):
            await client.get("/")
        return neighbour.asked

    asked = asyncio.run(get_often())

    assert asked == most


@pytest.mark.parametrize(("is_storming", "asked"), [(True, 1 + STORM_RETRIES), (False, 1)])
def test_a_retry_storm_knows_no_budget_and_does_not_look_at_answers(is_storming: bool, asked: int) -> None:
    async def get() -> int:
        neighbour = Neighbour(statuses=[503, 200, 503, 200, 503, 200])
        budget = RetryBudget(ratio=0, min_retries=0)
        await a_client(Network(orders=neighbour.app), budget=budget, is_storming=lambda: is_storming).get("/")
        return neighbour.asked

    assert asyncio.run(get()) == asked


def test_a_retry_storm_needs_a_failure() -> None:
    async def get() -> int:
        neighbour = Neighbour()
        await a_client(Network(orders=neighbour.app), is_storming=lambda: True).get("/")
        return neighbour.asked

    assert asyncio.run(get()) == 1


def test_an_open_circuit_is_not_asked_again() -> None:
    async def get() -> None:
        neighbour = Neighbour()
        neighbour.fail_always()
        client = a_client(Breaking(Network(orders=neighbour.app), service="orders", threshold=1), attempts=5)

        with pytest.raises(httpx.TransportError, match="circuit to orders is open"):
            await client.get("/")

        assert neighbour.asked == 1

    asyncio.run(get())


def test_retries_and_an_empty_budget_are_seen_on_the_trace_and_in_the_log() -> None:
    async def get() -> None:
        neighbour = Neighbour()
        neighbour.fail_always()
        client = a_client(Network(orders=neighbour.app), budget=RetryBudget(ratio=0, min_retries=1))

        with a_request_span() as span, structlog.testing.capture_logs() as logs:
            await client.get("/")

        assert events(span) == ["retry", "retry budget exhausted"]
        assert dict(span.events[0].attributes or {})["http.request.resend_count"] == 1
        again, exhausted = (line for line in logs if not line["event"].startswith("stamina."))
        assert (again["event"], again["reason"]) == ("asking a neighbour again", "status 503")
        assert exhausted["event"] == "retry budget exhausted"

    asyncio.run(get())
