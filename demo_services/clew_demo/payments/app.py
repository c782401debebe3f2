"""Routes of the payments service. Plain functions: FastAPI runs them in threads, where they may block."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, FastAPI, Request

from clew_demo.payments.cashier import Cashier, PaymentInProgress, PaymentVoided
from clew_demo.payments.database import Payments
from clew_demo.payments.models import Charge
from clew_demo.payments.provider import CardDeclined, CardProvider, ProviderUnavailable
from clew_demo.problems import Problem
from clew_demo.serving import build_app

log = structlog.get_logger()
router = APIRouter()


def create_app(payments: Payments, provider: CardProvider) -> FastAPI:
    """The service on its database and its card provider."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        payments.close()

    app = build_app("payments", router, lifespan=lifespan)
    app.state.cashier = Cashier(payments, provider)
    return app


async def the_cashier(request: Request) -> Cashier:
    """The cashier that the app was made with."""
    cashier: Cashier = request.app.state.cashier
    return cashier


OnDuty = Annotated[Cashier, Depends(the_cashier)]


@router.post("/payments", status_code=201)
def charge(charge: Charge, cashier: OnDuty) -> dict[str, Any]:
    """Take the payment of an order. Safe to repeat."""
    details = {"order_id": charge.order_id, "amount_cents": charge.amount_cents}
    try:
        cashier.charge(charge)
    except CardDeclined as error:
        log.warning("card declined", **details, card_last4=charge.card[-4:], reason=str(error))
        raise Problem(402, "card_declined", f"The card was declined: {error}.") from error
    except ProviderUnavailable as error:
        log.exception("card provider unavailable", **details)
        raise Problem(503, "provider_unavailable", "The card provider does not answer.") from error
    except PaymentInProgress as error:
        raise Problem(409, "payment_in_progress", f"Order {error} is being paid.") from error
    except PaymentVoided as error:
        raise Problem(409, "order_cancelled", f"Order {error} was cancelled.") from error
    log.info("payment captured", **details)
    return {**details, "state": "captured"}


@router.delete("/payments/{order_id}")
def void(order_id: str, cashier: OnDuty) -> dict[str, Any]:
    """Call a payment off and give the money back. Safe to repeat, and before the payment has come."""
    refunded_cents = cashier.void(order_id)
    log.info("payment voided", order_id=order_id, refunded_cents=refunded_cents)
    return {"order_id": order_id, "refunded_cents": refunded_cents}
