"""Which products are cheaper at which hour."""

from typing import NamedTuple


class HappyHours(NamedTuple):
    """Hours of the day (the last one included), and what a category has off in them."""

    first: int
    last: int
    percent: int


HAPPY_HOURS = {
    "coffee": HappyHours(6, 9, 5),
    "tea": HappyHours(15, 17, 10),
    "tableware": HappyHours(20, 23, 15),
}


def discount_percent(category: str, hour: int) -> int:
    """What is off; 0 outside of a category's happy hours."""
    hours = HAPPY_HOURS.get(category)
    return hours.percent if hours and hours.first <= hour <= hours.last else 0
