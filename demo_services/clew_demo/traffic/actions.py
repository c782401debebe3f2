"""The requests that visitors of the shop make, one function for each kind."""

from dataclasses import dataclass, field
from random import Random
from typing import Any

from clew_demo.assortment import ARTICLES

CARDS = ("4242424242424242", "5555555555554444", "378282246310005")
FLAKY_CARD = "5018000000000009"
"""Of the network whose line is bad: now and then the card provider does not answer for it."""
DECLINED_CARD = "4000000000000002"

PRODUCTS = tuple(article.id for article in ARTICLES)
LIMITED = tuple(article.id for article in ARTICLES if article.target_stock < 10)
EVERYDAY = tuple(article.id for article in ARTICLES if article.target_stock >= 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One request of a visitor."""

    kind: str
    method: str
    path: str
    """`{order_id}` stands for the order that the visitor placed, or else one that somebody placed before."""
    body: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    after_s: float = 0.0
    """How long the visitor thinks before it."""
    needs_token: bool = False


def log_in(user: str) -> Action:
    """Get the token that a checkout needs."""
    return Action(kind="login", method="POST", path="/login", body={"user": user})


def browse() -> Action:
    """Look at the list of products."""
    return Action(kind="browse", method="GET", path="/products")


def view(product_id: str, *, user: str | None) -> Action:
    """Look at one product."""
    path = f"/products/{product_id}" + (f"?user={user}" if user else "")
    return Action(kind="view product", method="GET", path=path)


def check_out(kind: str, user: str, items: list[dict[str, Any]], *, card: str, gift_wrap: bool = False) -> Action:
    """Buy a basket."""
    body = {"user": user, "items": items, "card": card, "gift_wrap": gift_wrap}
    return Action(kind=kind, method="POST", path="/checkout", body=body, needs_token=True)


def look_up_order() -> Action:
    """Ask how far an order is."""
    return Action(kind="order lookup", method="GET", path="/orders/{order_id}")


def restock() -> Action:
    """Bring a delivery in."""
    return Action(kind="restock", method="POST", path="/restock")


def basket(random: Random, *, products: int, at_least: int = 1) -> list[dict[str, Any]]:
    """Everyday products, some of each."""
    return [
        {"product_id": product_id, "quantity": random.randint(at_least, at_least + 1)}
        for product_id in random.sample(EVERYDAY, products)
    ]
