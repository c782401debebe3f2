"""What the shop sells, and the boxes it wraps presents in."""

from collections.abc import Iterator
from typing import NamedTuple


class Article(NamedTuple):
    """A product, and the stock it is filled up to."""

    id: str
    name: str
    category: str
    price_cents: int
    volume_cm3: int
    target_stock: int


class GiftBox(NamedTuple):
    """A box of one size in one kind of paper."""

    name: str
    volume_cm3: int
    price_cents: int


ARTICLES = (
    Article("beans-ethiopia", "Guji Ethiopia, whole beans 500 g", "coffee", 1690, 1_500, 80),
    Article("beans-colombia", "Huila Colombia, whole beans 500 g", "coffee", 1490, 1_500, 80),
    Article("beans-decaf", "Decaf Peru, whole beans 500 g", "coffee", 1590, 1_500, 60),
    Article("espresso-blend", "House espresso blend 1 kg", "coffee", 2690, 3_000, 80),
    Article("filter-papers", "Filter papers no. 2, 100 pieces", "coffee", 495, 900, 120),
    Article("kettle-gooseneck", "Gooseneck kettle 0.9 l", "brewing", 6990, 9_000, 40),
    Article("dripper-ceramic", "Ceramic dripper, two cups", "brewing", 2450, 2_400, 50),
    Article("press-french", "French press 1 l", "brewing", 3990, 5_500, 50),
    Article("moka-pot", "Moka pot, six cups", "brewing", 3450, 3_200, 50),
    Article("grinder-hand", "Hand grinder with steel burrs", "brewing", 8900, 2_800, 40),
    Article("scale-timer", "Scale with timer, 2 kg", "brewing", 4590, 1_800, 40),
    Article("mug-stoneware", "Stoneware mug 350 ml", "tableware", 1650, 1_300, 100),
    Article("cup-espresso", "Espresso cups, set of four", "tableware", 2890, 2_600, 60),
    Article("carafe-glass", "Glass carafe 0.6 l", "tableware", 2290, 3_800, 50),
    Article("tumbler-steel", "Steel tumbler 400 ml", "tableware", 2750, 1_900, 60),
    Article("tea-sencha", "Sencha 100 g", "tea", 1290, 700, 80),
    Article("tea-earl-grey", "Earl Grey 100 g", "tea", 990, 700, 80),
    Article("tea-rooibos", "Rooibos 250 g", "tea", 890, 1_100, 80),
    Article("teapot-iron", "Cast iron teapot 0.8 l", "tea", 5490, 4_200, 40),
    Article("machine-lever", "Lever espresso machine, limited edition", "machines", 89_900, 48_000, 2),
)
"""Everyday articles are stocked so that they last between two deliveries; the limited one sells out."""

PAPERS = ("kraft", "ivory", "pine", "rust", "navy", "plum", "stars", "stripes")
BOX_SIZES = 30
SMALLEST_BOX_CM3 = 1_000
BOX_STEP_CM3 = 2_000


def gift_boxes() -> Iterator[GiftBox]:
    """All boxes, from one that holds a packet of tea to one that holds a machine."""
    for size in range(BOX_SIZES):
        for dearness, paper in enumerate(PAPERS):
            volume_cm3 = SMALLEST_BOX_CM3 + size * BOX_STEP_CM3
            yield GiftBox(f"{paper} {volume_cm3 // 1000} l", volume_cm3, 150 + 40 * size + 10 * dearness)
