import asyncio
from typing import Any

import httpx
import pytest

from clew_demo.problems import Problem
from tests.demo_services.shop_in_process import an_upstream

OWN_PROBLEM = {"status": 409, "code": "out_of_stock", "detail": "Too few left."}


def raising(error: httpx.HTTPError) -> Any:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error

    return answer


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (raising(httpx.ConnectError("refused")), 503, "orders_unavailable"),
        (raising(httpx.ReadTimeout("late")), 504, "orders_timeout"),
        (raising(httpx.ConnectTimeout("late")), 504, "orders_timeout"),
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
