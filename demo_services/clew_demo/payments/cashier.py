"""Taking a payment: exactly once an order, from the first provider that can."""

from collections.abc import Sequence

import structlog

import clew
from clew_demo.payments.database import Attempt, Payments
from clew_demo.payments.fraud import FraudCheck
from clew_demo.payments.guarded import GuardedProvider
from clew_demo.payments.models import Charge
from clew_demo.payments.provider import CardDeclined, ChargeVoided, ProviderTimedOut, ProviderUnavailable

log = structlog.get_logger()


class PaymentInProgress(Exception):
    """The order's payment is being taken by another request."""


class PaymentVoided(Exception):
    """The order was called off; no money was kept."""


class Cashier:
    """Takes money and gives it back. Both can be asked for twice, and in any order."""

    def __init__(self, payments: Payments, providers: Sequence[GuardedProvider], *, fraud: FraudCheck) -> None:
        self._payments = payments
        self._providers = {provider.name: provider for provider in providers}
        self._fraud = fraud

    def charge(self, charge: Charge) -> None:
        """Take the money of an order, or find it taken.

        Raises `CardDeclined`, `ProviderUnavailable`, `PaymentInProgress` or `PaymentVoided`.
        """
        if not self._payments.open(charge):
            self._recall(charge.order_id)
            return
        self._fraud.look_at(charge)
        try:
            attempt = self._charge_somewhere(charge)
        except CardDeclined:
            self._payments.settle(charge.order_id, "declined")
            raise
        except ProviderUnavailable:
            self._payments.settle(charge.order_id, "failed")
            raise
        if not self._payments.capture(attempt):
            self._void_due(charge.order_id)
            raise PaymentVoided(charge.order_id)

    def void(self, order_id: str) -> int:
        """Call the payment of an order off; return the cents that are given back, now or when the provider is back."""
        before = self._payments.void(order_id)
        self._void_due(order_id)
        return before.amount_cents if before and before.state == "captured" else 0

    def void_all_due(self) -> None:
        """Ask again for every void that a provider could not do. Each belongs to the request that charged."""
        for attempt in self._payments.voids_due():
            with clew.request("void charge", correlation_id=attempt.correlation_id):
                self._undo(attempt)

    def recover(self) -> None:
        """Settle what a process before this one left half-way. Only while nobody else takes payments."""
        if abandoned := self._payments.abandon_unfinished():
            log.warning("unfinished payments failed", payments=abandoned)

    def _charge_somewhere(self, charge: Charge) -> Attempt:
        """Charge at one provider after the other, until one has done it."""
        failure = ProviderUnavailable("there is no card provider")
        for provider in self._providers.values():
            try:
                return self._charge_at(provider, charge)
            except ProviderUnavailable as error:
                log.warning("card provider given up", provider=provider.name, reason=str(error))
                failure = error
        raise failure

    def _charge_at(self, provider: GuardedProvider, charge: Charge) -> Attempt:
        attempt = Attempt(charge.order_id, provider.name, clew.correlation_id() or "")
        if not self._payments.ask(attempt):
            raise PaymentVoided(charge.order_id)
        try:
            provider.charge(charge)
        except ChargeVoided as error:
            raise PaymentVoided(charge.order_id) from error
        except ProviderTimedOut:
            # The money may be taken: it has to be given back, or the next provider takes it twice.
            self._payments.note(attempt, "void_due")
            self._void_due(charge.order_id)
            raise
        except (CardDeclined, ProviderUnavailable):
            self._payments.note(attempt, "refused")
            raise
        return attempt

    def _void_due(self, order_id: str) -> None:
        for attempt in self._payments.voids_due(order_id):
            self._undo(attempt)

    def _undo(self, attempt: Attempt) -> None:
        """Have a provider give back what it may have charged. If it cannot, the void stays due."""
        try:
            self._providers[attempt.provider].void(attempt.order_id)
        except ProviderUnavailable as error:
            log.warning("void is still due", order_id=attempt.order_id, provider=attempt.provider, reason=str(error))
            return
        self._payments.note(attempt, "voided")

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
