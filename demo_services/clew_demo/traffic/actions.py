"""What customers do, and how often. The same seed gives the same actions."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from clew_demo.inventory.assortment import ARTICLES
from clew_demo.payments.provider import DECLINED_CARD

USERS = ("ada", "bela", "chidi", "dana", "emil", "farah", "goran", "hana", "ivo", "june", "kofi", "lena")
CARDS = ("4242424242424242", "5555555555554444", "378282246310005")
FLAKY_CARD = "5018000000000009"
CLIENTS = ("web", "ios", "android")
SHARE_WITH_REQUEST_ID = 0.5

PRODUCTS = tuple(article.id for article in ARTICLES)
LIMITED = tuple(article.id for article in ARTICLES if article.target_stock < 10)
EVERYDAY = tuple(article.id for article in ARTICLES if article.target_stock >= 10)

Order = tuple[str, str, dict[str, Any] | None]
"""Method, path and body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One request of one customer."""

    kind: str
    after_s: float
    """How long after the action before it."""
    method: str
    path: str
    """`{order_id}` stands for an order that was placed before: the `recency`-latest that is known."""
    body: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    recency: int = 0


def actions(seed: int | None, *, rate_per_s: float) -> Iterator[Action]:
    """Actions without end, at random times that are `rate_per_s` on average."""
    random = Random(seed)
    kinds, shares = tuple(KINDS), [share for share, _ in KINDS.values()]
    while True:
        kind = random.choices(kinds, shares)[0]
        method, path, body = KINDS[kind][1](random)
        yield Action(
            kind=kind,
            after_s=random.expovariate(rate_per_s),
            method=method,
            path=path,
            body=body,
            headers=_request_id(random),
            recency=random.randrange(20),
        )


def _request_id(random: Random) -> dict[str, str]:
    """Some clients name their requests, others leave it to the gateway."""
    if random.random() >= SHARE_WITH_REQUEST_ID:
        return {}
    return {"X-Request-ID": f"{random.choice(CLIENTS)}-{random.getrandbits(32):08x}"}


def _browse(random: Random) -> Order:
    return "GET", "/products", None


def _view_product(random: Random) -> Order:
    return "GET", f"/products/{random.choice(PRODUCTS)}?user={random.choice(USERS)}", None


def _check_out(random: Random) -> Order:
    return _checkout(random, _basket(random, products=random.randint(1, 3)))


def _check_out_gift(random: Random) -> Order:
    basket = _basket(random, products=random.randint(10, 13), at_least=3)
    return _checkout(random, basket, gift_wrap=True)


def _check_out_flaky(random: Random) -> Order:
    return _checkout(random, _basket(random, products=random.randint(1, 2)), card=FLAKY_CARD)


def _check_out_declined(random: Random) -> Order:
    return _checkout(random, _basket(random, products=1), card=DECLINED_CARD)


def _check_out_limited(random: Random) -> Order:
    return _checkout(random, [{"product_id": random.choice(LIMITED), "quantity": 1}])


def _look_up_order(random: Random) -> Order:
    return "GET", "/orders/{order_id}", None


def _restock(random: Random) -> Order:
    return "POST", "/restock", None


def _checkout(
    random: Random, items: list[dict[str, Any]], *, card: str | None = None, gift_wrap: bool = False
) -> Order:
    body = {
        "user": random.choice(USERS),
        "items": items,
        "card": card or random.choice(CARDS),
        "gift_wrap": gift_wrap,
    }
    return "POST", "/checkout", body


def _basket(random: Random, *, products: int, at_least: int = 1) -> list[dict[str, Any]]:
    return [
        {"product_id": product_id, "quantity": random.randint(at_least, at_least + 1)}
        for product_id in random.sample(EVERYDAY, products)
    ]


KINDS: dict[str, tuple[float, Callable[[Random], Order]]] = {
    "browse": (28, _browse),
    "view product": (30, _view_product),
    "checkout": (16, _check_out),
    "gift-wrapped checkout": (3, _check_out_gift),  # slow: see THREE_BOXES in the inventory
    "checkout with a flaky card": (7, _check_out_flaky),  # fails now and then: see the card provider
    "checkout with a declined card": (2, _check_out_declined),
    "checkout of a limited product": (2, _check_out_limited),  # sold out most of the time
    "order lookup": (10, _look_up_order),
    "restock": (2, _restock),
}
"""Each kind of action: its share in percent, and how to make one."""
