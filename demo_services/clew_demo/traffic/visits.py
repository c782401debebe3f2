"""Who comes to the shop, and what they do there. The same seed gives the same visits."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random

from clew_demo.traffic import actions
from clew_demo.traffic.actions import CARDS, DECLINED_CARD, FLAKY_CARD, LIMITED, PRODUCTS, Action

USERS = ("ada", "bela", "chidi", "dana", "emil", "farah", "goran", "hana", "ivo", "june", "kofi", "lena")
BOT_USER_AGENT = "PriceCrawler/1.3 (+https://prices.example/bot)"
USER_AGENTS = {
    "web": "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
    "ios": "ShopApp/4.2 (iPhone; iOS 19.1)",
    "android": "ShopApp/4.1 (Pixel 9; Android 16)",
}
SHARE_WITH_REQUEST_IDS = 0.5

DAY_S = 24 * 60
"""A day of 24 minutes: enough to see it come and go while one looks."""
OPENS_AT_HOUR = 10
QUIETEST_HOUR = 4
SWING = 0.6
"""Between a quiet 0.4 and a busy 1.6 of the mean."""

THINK_S = 1.0
"""Between two pages, on average; people in the demo are in a hurry, so that one sees their visits end."""
BOT_THINK_S = 0.08


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What one person, or one bot, does from coming to leaving."""

    kind: str
    after_s: float
    """How long after the visit before it."""
    actions: tuple[Action, ...]


def visits(seed: int | None, *, rate_per_s: float, day_s: float = DAY_S, think_s: float = THINK_S) -> Iterator[Visit]:
    """Visits without end, at random times; over a day their actions are `rate_per_s` on average."""
    random = Random(seed)
    kinds, shares = tuple(KINDS), [share for share, _ in KINDS.values()]
    now_s = 0.0
    while True:
        kind = random.choices(kinds, shares)[0]
        done = tuple(_as_client(random, KINDS[kind][1](random), is_bot=kind == "bot", think_s=think_s))
        # The sum of as many random gaps as there are actions: so long it takes until they are due on average.
        after_s = random.gammavariate(len(done), 1 / (rate_per_s * busyness(now_s, day_s=day_s)))
        now_s += after_s
        yield Visit(kind=kind, after_s=after_s, actions=done)


def busyness(now_s: float, *, day_s: float = DAY_S) -> float:
    """How much is done at a time of the day, where 1 is the mean. The shop opens at 10 in the morning, with 1."""
    hour = OPENS_AT_HOUR + 24 * now_s / day_s
    return 1 - SWING * math.cos(2 * math.pi * (hour - QUIETEST_HOUR) / 24)


def _as_client(random: Random, wanted: list[Action], *, is_bot: bool, think_s: float) -> Iterator[Action]:
    """The actions as one client sends them: with its name, at its pace, and half of the clients name each request."""
    client = "bot" if is_bot else random.choice(tuple(USER_AGENTS))
    # All bots are one client to the gateway, which may find that it asks too often; people are one for each visit.
    client_id = "bot-prices" if is_bot else f"{client}-{random.getrandbits(32):08x}"
    names_requests = random.random() < SHARE_WITH_REQUEST_IDS
    pace_s = min(BOT_THINK_S, think_s) if is_bot else think_s
    for position, action in enumerate(wanted):
        headers = {"User-Agent": USER_AGENTS.get(client, BOT_USER_AGENT), "X-Client-Id": client_id}
        if names_requests:
            headers["X-Request-ID"] = f"{client}-{random.getrandbits(32):08x}"
        after_s = random.expovariate(1 / pace_s) if position and pace_s else 0.0
        yield replace(action, headers=headers, after_s=after_s)


def _look_around(random: Random) -> list[Action]:
    return [actions.browse(), *_views(random, user=None, most=3)]


def _abandon_cart(random: Random) -> list[Action]:
    user = random.choice(USERS)
    return [actions.log_in(user), *_views(random, user=user, most=3)]


def _buy(random: Random) -> list[Action]:
    user = random.choice(USERS)
    items = actions.basket(random, products=random.randint(1, 3))
    bought = actions.check_out("checkout", user, items, card=random.choice(CARDS))
    afterwards = [actions.look_up_order()] if random.random() < 0.5 else []
    return [actions.browse(), actions.log_in(user), *_views(random, user=user, most=2), bought, *afterwards]


def _buy_presents(random: Random) -> list[Action]:
    user = random.choice(USERS)
    items = actions.basket(random, products=random.randint(10, 13), at_least=3)
    card = random.choice(CARDS)
    return [actions.log_in(user), actions.check_out("gift-wrapped checkout", user, items, card=card, gift_wrap=True)]


def _buy_with_flaky_card(random: Random) -> list[Action]:
    user = random.choice(USERS)
    items = actions.basket(random, products=random.randint(1, 2))
    return [actions.log_in(user), actions.check_out("checkout with a flaky card", user, items, card=FLAKY_CARD)]


def _buy_with_declined_card(random: Random) -> list[Action]:
    user = random.choice(USERS)
    items = actions.basket(random, products=1)
    return [actions.log_in(user), actions.check_out("checkout with a declined card", user, items, card=DECLINED_CARD)]


def _buy_limited(random: Random) -> list[Action]:
    user = random.choice(USERS)
    items = [{"product_id": random.choice(LIMITED), "quantity": 1}]
    card = random.choice(CARDS)
    return [actions.log_in(user), actions.check_out("checkout of a limited product", user, items, card=card)]


def _ask_about_order(random: Random) -> list[Action]:
    return [actions.look_up_order()]


def _deliver(random: Random) -> list[Action]:
    return [actions.restock()]


def _crawl(random: Random) -> list[Action]:
    found = random.sample(PRODUCTS, random.randint(6, 12))
    return [actions.browse(), *(actions.view(product_id, user=None) for product_id in found)]


def _views(random: Random, *, user: str | None, most: int) -> list[Action]:
    return [actions.view(product_id, user=user) for product_id in random.sample(PRODUCTS, random.randint(1, most))]


KINDS: dict[str, tuple[float, Callable[[Random], list[Action]]]] = {
    "look around": (26, _look_around),
    "abandon a cart": (10, _abandon_cart),
    "buy": (29, _buy),
    "buy presents": (3, _buy_presents),  # slow: see THREE_BOXES in the inventory
    "buy with a flaky card": (14, _buy_with_flaky_card),  # fails now and then: see the card provider
    "buy with a declined card": (4, _buy_with_declined_card),
    "buy the limited product": (4, _buy_limited),  # sold out most of the time
    "ask about an order": (4, _ask_about_order),
    "bring a delivery": (4, _deliver),
    "bot": (2, _crawl),
}
"""Each kind of visit: its share in percent, and what is done in it."""
