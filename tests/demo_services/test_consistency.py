import tempfile
from pathlib import Path
from typing import get_args

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clew_demo.payments.provider import DECLINED_CARD
from tests.demo_services.shop_in_process import GOOD_CARD, Fate, ShopInProcess, a_checkout

FATES = st.lists(st.sampled_from(get_args(Fate)), max_size=12)
BASKETS = st.dictionaries(
    st.sampled_from(["machine-lever", "kettle-gooseneck", "tea-sencha"]),
    st.integers(min_value=1, max_value=15),
    min_size=1,
)
CHECKOUTS = st.lists(st.tuples(BASKETS, st.sampled_from([GOOD_CARD, DECLINED_CARD])), min_size=1, max_size=6)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(checkouts=CHECKOUTS, to_inventory=FATES, to_payments=FATES, provider_failures=st.integers(0, 3), together=...)
def test_stock_and_money_add_up_whatever_goes_wrong(
    checkouts: list[tuple[dict[str, int], str]],
    to_inventory: list[Fate],
    to_payments: list[Fate],
    provider_failures: int,
    together: bool,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shop = ShopInProcess(
            Path(folder),
            to_inventory=to_inventory,
            to_payments=to_payments,
            provider_failures=provider_failures,
        )
        requests = [a_checkout(basket, card=card) for basket, card in checkouts]

        for batch in [requests] if together else [[request] for request in requests]:
            shop.send(*batch)
        while shop.rows("orders", "SELECT 1 FROM orders WHERE state IN ('pending', 'cancelling')"):
            shop.settle()

        shop.assert_consistent()
