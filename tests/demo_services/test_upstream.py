import asyncio
from typing import Any

import httpx
import pytest

from clew_demo.problems import Problem
from clew_demo.resilience.breaker import CircuitOpen
from clew_demo.upstream import Upstream
from tests.demo_services.resilience.neighbours import Neighbour, Network

OWN_PROBLEM = {"status": 409, "code": "out_of_stock", "detail": "Too few left."}


def raising(error: httpx.HTTPError) -> Any:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error

    return answer


def an_upstream(answer: Any) -> Upstream:
    return Upstream("orders", "http://orders", timeout_s=5, transport=httpx.MockTransport(answer))


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (raising(httpx.ConnectError("refused")), 503, "orders_unavailable"),
        (raising(httpx.ReadTimeout("late")), 504, "orders_timeout"),
        (raising(httpx.ConnectTimeout("late")), 504, "orders_timeout"),
        (raising(CircuitOpen("open")), 503, "orders_circuit_open"),
        (raising(httpx.RemoteProtocolError("gone")), 502, "orders_broken_off"),
        (lambda request: httpx.Response(200, text="<html>"), 502, "orders_bad_answer"),
        (lambda request: httpx.Response(500, json=OWN_PROBLEM), 502, "orders_failed"),
        (lambda request: httpx.Response(404, json=["?"]), 502, "orders_failed"),
        (lambda request: httpx.Response(409, json=OWN_PROBLEM), 409, "out_of_stock"),
    ],
)
def test_a_failing_neighbour_becomes_a_problem(answer: Any, status: int, code: str) -> None:
    with pytest.raises(Problem) as caught:
        asyncio.run(an_upstream(answer).get("/orders/o-1"))

    assert (caught.value.status, caught.value.code) == (status, code)


@pytest.mark.parametrize(("timeout_s", "code"), [(0.05, "orders_timeout"), (60, "still waiting")])
def test_no_call_takes_longer_than_its_timeout(timeout_s: float, code: str) -> None:
    async def ask() -> str:
        silent = Neighbour()
        silent.hold()
        orders = Upstream("orders", "http://orders", timeout_s=timeout_s, transport=Network(orders=silent.app))
        try:
            await asyncio.wait_for(orders.get("/orders/o-1"), 0.5)
        except Problem as problem:
            return problem.code
        except TimeoutError:
            return "still waiting"
        return "answered"

    assert asyncio.run(ask()) == code
