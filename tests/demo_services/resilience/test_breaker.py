import asyncio
import time

import httpx
import pytest
import structlog

from clew_demo.resilience.breaker import Breaking, CircuitOpen
from clew_demo.resilience.time_limit import TimeLimited
from tests.demo_services.resilience.neighbours import Neighbour, Network, a_request_span


def a_client(
    inner: httpx.AsyncBaseTransport, *, threshold: int = 3, open_s: float = 60, is_guarded: bool = True
) -> httpx.AsyncClient:
    breaking = Breaking(inner, service="orders", threshold=threshold, open_s=open_s)
    return httpx.AsyncClient(transport=breaking if is_guarded else inner, base_url="http://orders")


async def ask(client: httpx.AsyncClient, *, times: int) -> None:
    for _ in range(times):
        try:
            await client.get("/")
        except httpx.TransportError:
            continue


@pytest.mark.parametrize(("is_guarded", "asked"), [(True, 3), (False, 10)], ids=["with a breaker", "without one"])
def test_a_neighbour_that_keeps_failing_is_left_alone(is_guarded: bool, asked: int) -> None:
    async def run() -> int:
        neighbour = Neighbour()
        neighbour.fail_always()
        await ask(a_client(Network(orders=neighbour.app), is_guarded=is_guarded), times=10)
        return neighbour.asked

    assert asyncio.run(run()) == asked


def test_no_answer_in_time_counts_as_a_failure() -> None:
    async def run() -> int:
        neighbour = Neighbour()
        neighbour.hold()
        await ask(a_client(TimeLimited(Network(orders=neighbour.app), limit_s=0.01)), times=10)
        return neighbour.asked

    assert asyncio.run(run()) == 3


def test_failures_that_are_not_in_a_row_open_nothing() -> None:
    async def run() -> int:
        neighbour = Neighbour(statuses=[503, 503, 200, 503, 503, 200, 404, 404, 404])
        await ask(a_client(Network(orders=neighbour.app)), times=10)
        return neighbour.asked

    assert asyncio.run(run()) == 10


def test_a_call_that_its_caller_gave_up_is_no_failure() -> None:
    async def run() -> None:
        neighbour = Neighbour()
        neighbour.hold()
        client = a_client(Network(orders=neighbour.app), threshold=1)
        given_up = asyncio.create_task(client.get("/"))
        await neighbour.was_asked.wait()
        given_up.cancel()
        await asyncio.wait([given_up])

        neighbour.is_open.set()

        assert (await client.get("/")).status_code == 200

    asyncio.run(run())


def test_the_circuit_closes_when_the_neighbour_is_well_again() -> None:
    async def run() -> None:
        neighbour = Neighbour()
        neighbour.fail_always()
        client = a_client(Network(orders=neighbour.app), open_s=0.05)
        await ask(client, times=4)
        neighbour.recover()

        deadline_s = time.monotonic() + 5
        while time.monotonic() < deadline_s:
            try:
                response = await client.get("/")
                break
            except CircuitOpen:
                await asyncio.sleep(0.01)

        assert response.status_code == 200

    asyncio.run(run())


def test_opening_is_logged_once_and_the_state_is_on_the_span() -> None:
    async def run() -> None:
        neighbour = Neighbour()
        neighbour.fail_always()
        client = a_client(Network(orders=neighbour.app))

        with structlog.testing.capture_logs() as logs:
            await ask(client, times=10)
            with a_request_span() as span:
                await ask(client, times=1)

        assert logs == [{"event": "circuit breaker opened", "breaker": "orders", "log_level": "warning"}]
        assert dict(span.attributes or {}) == {"circuit_breaker.name": "orders", "circuit_breaker.state": "open"}

    asyncio.run(run())
