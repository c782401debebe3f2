import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

import httpx
import pytest

from clew_demo.gateway.models import CheckoutRequest
from clew_demo.traffic.actions import Action, look_up_order
from clew_demo.traffic.customers import MAX_WAITING, Customers
from clew_demo.traffic.visits import BOT_USER_AGENT, DAY_S, KINDS, Visit, busyness, visits

TOKEN = "a-token"


def some_visits(count: int, *, seed: int = 1, rate_per_s: float = 4) -> list[Visit]:
    return list(islice(visits(seed, rate_per_s=rate_per_s), count))


def hurried(count: int, *, kind: str | None = None) -> list[Visit]:
    """Visits that all come at once, of people who do not think."""
    coming = visits(1, rate_per_s=100_000, think_s=0)
    return list(islice((visit for visit in coming if kind in (None, visit.kind)), count))


def actions_of(some: Iterable[Visit]) -> list[Action]:
    return [action for visit in some for action in visit.actions]


def gateway(request: httpx.Request) -> httpx.Response:
    """A gateway that is content with everything."""
    return httpx.Response(201, json={"token": TOKEN, "id": "o-1"})


def perform(answer: httpx.MockTransport, performed: Iterable[Visit]) -> Customers:
    async def perform_all() -> Customers:
        async with httpx.AsyncClient(transport=answer, base_url="http://gateway") as client:
            customers = Customers(client)
            await customers.perform(performed)
            return customers

    return asyncio.run(perform_all())


def test_the_same_seed_gives_the_same_visits() -> None:
    assert some_visits(500, seed=7) == some_visits(500, seed=7)
    assert some_visits(500, seed=7) != some_visits(500, seed=8)


def test_actions_come_at_the_rate_asked_for() -> None:
    took_s = 0.0
    actions = 0
    for visit in visits(1, rate_per_s=8):
        took_s += visit.after_s
        actions += len(visit.actions)
        if took_s > 2 * DAY_S:
            break

    assert actions / took_s == pytest.approx(8, rel=0.05)


def test_the_evening_is_busier_than_the_night() -> None:
    by_hour = [busyness(DAY_S * (hour - 10) / 24) for hour in range(24)]

    assert by_hour.index(max(by_hour)) == 16
    assert by_hour.index(min(by_hour)) == 4
    assert max(by_hour) == pytest.approx(4 * min(by_hour))
    assert sum(by_hour) / 24 == pytest.approx(1)


def test_every_kind_comes_about_as_often_as_its_share() -> None:
    counts = Counter(visit.kind for visit in some_visits(10_000))

    assert counts == pytest.approx({kind: 100 * share for kind, (share, _) in KINDS.items()}, rel=0.3)


def test_half_of_the_clients_name_each_request_and_the_others_none() -> None:
    named = [[a.headers.get("X-Request-ID") for a in visit.actions] for visit in some_visits(1000)]
    ids = [id for visit in named for id in visit if id]

    assert all(all(visit) or not any(visit) for visit in named)
    assert 400 < sum(all(visit) for visit in named) < 600
    assert len(set(ids)) == len(ids)


def test_every_checkout_is_one_that_the_gateway_takes() -> None:
    for action in actions_of(some_visits(1000)):
        if action.path == "/checkout" and action.body is not None:
            CheckoutRequest.model_validate(action.body)


def test_every_checkout_comes_after_a_login_of_its_user() -> None:
    for visit in some_visits(1000):
        if any(action.path == "/checkout" for action in visit.actions):
            users = {action.body["user"] for action in visit.actions if action.body}
            assert len(users) == 1
            assert [action.path for action in visit.actions if action.body] == ["/login", "/checkout"]


def test_carts_are_abandoned() -> None:
    left = [visit for visit in some_visits(1000) if visit.kind == "abandon a cart"]

    assert left
    assert all(visit.actions[0].path == "/login" for visit in left)
    assert not any(action.path == "/checkout" for action in actions_of(left))


def test_a_bot_is_known_by_its_name_and_its_haste() -> None:
    some = some_visits(3000)
    bots = actions_of(visit for visit in some if visit.kind == "bot")
    people = actions_of(visit for visit in some if visit.kind == "buy")

    assert {action.headers["User-Agent"] for action in bots} == {BOT_USER_AGENT}
    assert len({action.headers["X-Client-Id"] for action in bots}) == 1
    assert BOT_USER_AGENT not in {action.headers["User-Agent"] for action in people}
    assert mean_thought_s(bots) < 0.2 * mean_thought_s(people)


def test_each_visit_of_a_person_is_one_client_to_the_gateway() -> None:
    people = [visit for visit in some_visits(1000) if visit.kind != "bot"]
    ids = [{action.headers["X-Client-Id"] for action in visit.actions} for visit in people]

    assert all(len(of_visit) == 1 for of_visit in ids)
    assert len(set.union(*ids)) == len(people)


def mean_thought_s(actions: list[Action]) -> float:
    return sum(action.after_s for action in actions) / len(actions)


def test_a_visitor_pays_with_the_token_of_the_login() -> None:
    tokens: dict[str, set[str | None]] = {}

    def answer(request: httpx.Request) -> httpx.Response:
        tokens.setdefault(request.url.path, set()).add(request.headers.get("Authorization"))
        return gateway(request)

    perform(httpx.MockTransport(answer), hurried(50, kind="buy with a flaky card"))

    assert tokens == {"/login": {None}, "/checkout": {f"Bearer {TOKEN}"}}


def test_who_cannot_log_in_leaves_without_paying() -> None:
    paths: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.path)
        return httpx.Response(503)

    perform(httpx.MockTransport(answer), hurried(20, kind="buy with a flaky card"))

    assert paths == ["/login"] * 20


def test_orders_that_were_placed_are_looked_up() -> None:
    paths: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.path)
        return httpx.Response(201, json={"token": TOKEN, "id": f"o-{len(paths)}"})

    perform(httpx.MockTransport(answer), hurried(400))

    assert any(path.startswith("/orders/o-") for path in paths)
    assert look_up_order().path not in paths


def test_a_gateway_that_is_away_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    calls = iter(range(10_000))

    def answer(request: httpx.Request) -> httpx.Response:
        if next(calls) < 50:
            raise httpx.ConnectError("refused")
        return gateway(request)

    customers = perform(httpx.MockTransport(answer), hurried(200))

    assert customers.outcomes["unreachable"] == 50
    assert customers.outcomes["ok"] > 100
    assert [record.message for record in caplog.records if record.name.startswith("clew_demo")] == [
        "gateway is away: ConnectError('refused')",
        "gateway is back",
    ]


def test_a_slow_gateway_does_not_pile_up_visitors() -> None:
    all_came = asyncio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        await all_came.wait()
        return httpx.Response(503)

    def come() -> Iterator[Visit]:
        yield from hurried(300, kind="ask about an order")
        yield Visit(kind="only looks", after_s=0.1, actions=())  # by now everybody has begun
        all_came.set()

    outcomes = perform(httpx.MockTransport(answer), come()).outcomes

    assert outcomes == {"failed": MAX_WAITING, "gone": 300 - MAX_WAITING}
