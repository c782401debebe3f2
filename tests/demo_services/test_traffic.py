import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

import httpx
import pytest

from clew_demo.gateway.models import CheckoutRequest
from clew_demo.traffic.actions import KINDS, Action, actions
from clew_demo.traffic.customers import Customers


def some_actions(count: int, *, seed: int = 1, rate_per_s: float = 4) -> list[Action]:
    return list(islice(actions(seed, rate_per_s=rate_per_s), count))


def perform(answer: httpx.MockTransport, performed: Iterable[Action]) -> Customers:
    async def perform_all() -> Customers:
        async with httpx.AsyncClient(transport=answer, base_url="http://gateway") as client:
            customers = Customers(client)
            await customers.perform(performed)
            return customers

    return asyncio.run(perform_all())


def test_the_same_seed_gives_the_same_actions() -> None:
    assert some_actions(500, seed=7) == some_actions(500, seed=7)
    assert some_actions(500, seed=7) != some_actions(500, seed=8)


def test_actions_come_at_the_rate_asked_for() -> None:
    assert sum(action.after_s for action in some_actions(4000, rate_per_s=8)) == pytest.approx(500, rel=0.1)


def test_every_kind_comes_about_as_often_as_its_share() -> None:
    counts = Counter(action.kind for action in some_actions(10_000))

    assert counts == pytest.approx({kind: 100 * share for kind, (share, _) in KINDS.items()}, rel=0.3)


def test_some_actions_name_their_request_and_some_do_not() -> None:
    named = [action.headers["X-Request-ID"] for action in some_actions(1000) if action.headers]

    assert 400 < len(named) < 600
    assert len(set(named)) == len(named)


def test_every_checkout_is_one_that_the_gateway_takes() -> None:
    for action in some_actions(2000):
        if action.body is not None:
            CheckoutRequest.model_validate(action.body)


def test_orders_that_were_placed_are_looked_up() -> None:
    paths: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.path)
        return httpx.Response(201, json={"id": f"o-{len(paths)}"})

    perform(httpx.MockTransport(answer), some_actions(400, rate_per_s=10_000))

    assert any(path.startswith("/orders/o-") for path in paths)
    assert "/orders/{order_id}" not in paths


def test_a_gateway_that_is_away_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    calls = iter(range(1000))

    def answer(request: httpx.Request) -> httpx.Response:
        if next(calls) < 50:
            raise httpx.ConnectError("refused")
        return httpx.Response(200, json={"id": "o-1"})

    customers = perform(httpx.MockTransport(answer), some_actions(200, rate_per_s=10_000))

    assert customers.outcomes == {"unreachable": 50, "ok": 150}
    assert [record.message for record in caplog.records if record.name.startswith("clew_demo")] == [
        "gateway is away: ConnectError('refused')",
        "gateway is back",
    ]


def test_a_slow_gateway_does_not_pile_up_customers() -> None:
    all_came = asyncio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        await all_came.wait()
        return httpx.Response(503)

    def come() -> Iterator[Action]:
        yield from some_actions(300, rate_per_s=10_000)
        all_came.set()

    assert perform(httpx.MockTransport(answer), come()).outcomes == {"failed": 100, "gone": 200}
