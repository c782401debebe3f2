"""Routes of the payments service: Flask, plain functions on threads, where they may block."""

from typing import Any

import structlog
from flask import Flask, Response, current_app, jsonify, request
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException

import clew
from clew_demo.payments.cashier import Cashier, PaymentInProgress, PaymentVoided
from clew_demo.payments.models import Charge
from clew_demo.payments.provider import CardDeclined, ProviderUnavailable
from clew_demo.problems import MEDIA_TYPE, Problem, body_of

log = structlog.get_logger()


def create_app(cashier: Cashier) -> Flask:
    """The service with its cashier, problem answers, and clew around it all."""
    app = Flask(__name__)
    app.config["CASHIER"] = cashier
    app.add_url_rule("/payments", view_func=charge, methods=["POST"])
    app.add_url_rule("/payments/<order_id>", view_func=void, methods=["DELETE"])
    app.add_url_rule("/healthz", view_func=healthy)
    app.register_error_handler(Problem, lambda error: _answer(error.status, error.code, error.detail))
    app.register_error_handler(ValidationError, _invalid)
    app.register_error_handler(HTTPException, _http_error)
    return clew.instrument(app)


def charge() -> tuple[dict[str, Any], int]:
    """Take the payment of an order. Safe to repeat."""
    charge = Charge.model_validate(request.get_json(silent=True))
    details = {"order_id": charge.order_id, "amount_cents": charge.amount_cents}
    try:
        _cashier().charge(charge)
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
    return {**details, "state": "captured"}, 201


def void(order_id: str) -> dict[str, Any]:
    """Call a payment off and give the money back. Safe to repeat, and before the payment has come."""
    refunded_cents = _cashier().void(order_id)
    log.info("payment voided", order_id=order_id, refunded_cents=refunded_cents)
    return {"order_id": order_id, "refunded_cents": refunded_cents}


def healthy() -> dict[str, str]:
    """Say that the service is there."""
    return {"status": "ok"}


def _cashier() -> Cashier:
    cashier: Cashier = current_app.config["CASHIER"]
    return cashier


def _invalid(error: ValidationError) -> Response:
    # Without the input that was refused: it may hold a card number.
    errors = [{"field": ".".join(map(str, ("body", *e["loc"]))), "error": e["msg"]} for e in error.errors()]
    return _answer(422, "invalid_request", "The request is not valid.", errors=errors)


def _http_error(error: HTTPException) -> Response:
    if error.code == 500:
        return _answer(500, "internal_error", "Something is broken here; we have been told.")
    return _answer(error.code or 500, "http_error", error.name)


def _answer(status: int, code: str, detail: str, **more: Any) -> Response:
    """The same as `clew_demo.problems` answers elsewhere."""
    answer = jsonify(body_of(status, code, detail, **more))
    answer.status_code, answer.mimetype = status, MEDIA_TYPE
    return answer
