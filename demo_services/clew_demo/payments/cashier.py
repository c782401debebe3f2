"""Taking a payment: exactly once an order, with a second try when the provider stumbles."""

import time
from collections.abc import Callable

import structlog

from clew_demo.payments.database import Payments
from clew_demo.payments.models import Charge
from clew_demo.payments.provider import CardDeclined, CardProvider, ProviderUnavailable

RETRY_AFTER_S = 0.1

log = structlog.get_logger()


class PaymentInProgress(Exception):
    """The order's payment is being taken by another request."""


class PaymentVoided(Exception):
    """The order was called off; no money was kept."""


class Cashier:
    """Takes money and gives it back. Both can be asked for twice, and in any order."""

    def __init__(
        self, payments: Payments, provider: CardProvider, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._payments = payments
        self._provider = provider
        self._sleep = sleep

    def charge(self, charge: Charge) -> None:
        """Take the money of an order, or find it taken.

        Raises `CardDeclined`, `ProviderUnavailable`, `PaymentInProgress` or `PaymentVoided`.
        """
        if not self._payments.open(charge):
            self._recall(charge.order_id)
            return
        try:
            self._charge_with_retry(charge)
        except CardDeclined:
            self._payments.settle(charge.order_id, "declined")
            raise
        except ProviderUnavailable:
            self._payments.settle(charge.order_id, "failed")
            raise
        if not self._payments.settle(charge.order_id, "captured"):
            self._provider.refund(charge.amount_cents)
            raise PaymentVoided(charge.order_id)

    def void(self, order_id: str) -> int:
        """Call the payment of an order off; return the cents that were given back."""
        before = self._payments.void(order_id)
        if before is None or before.state != "captured":
            return 0
        self._provider.refund(before.amount_cents)
        return before.amount_cents

    def _charge_with_retry(self, charge: Charge) -> None:
        try:
            self._provider.charge(charge.card, charge.amount_cents)
            return
        except ProviderUnavailable as error:
            log.warning("card provider failed, trying once more", reason=str(error))
        self._sleep(RETRY_AFTER_S)
        self._provider.charge(charge.card, charge.amount_cents)

    def _recall(self, order_id: str) -> None:
        """Answer as the first time."""
        payment = self._payments.find(order_id)
        match payment and payment.state:
            case "captured":
                return
            case "declined":
                raise CardDeclined("declined before")
            case "failed":
                raise ProviderUnavailable("failed before")
            case "voided":
                raise PaymentVoided(order_id)
            case _:
                raise PaymentInProgress(order_id)
