from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from structlog.testing import capture_logs

from clew_demo.payments.app import create_app
from clew_demo.payments.provider import DECLINED_CARD
from tests.demo_services.payments.till import CARD, Scripted, Till, a_charge

PAYMENT = {"order_id": "o-1", "amount_cents": 990, "card": CARD}


def a_client(folder: Path, **till: Any) -> FlaskClient:
    return create_app(Till(folder, **till).cashier).test_client()


def test_a_payment_is_answered_as_captured_also_the_second_time(tmp_path: Path) -> None:
    client = a_client(tmp_path)

    answers = [client.post("/payments", json=PAYMENT) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json == answers[1].json == {"order_id": "o-1", "amount_cents": 990, "state": "captured"}


def test_a_voided_payment_is_answered_with_what_goes_back(tmp_path: Path) -> None:
    client = a_client(tmp_path)
    client.post("/payments", json=PAYMENT)

    assert client.delete("/payments/o-1").json == {"order_id": "o-1", "refunded_cents": 990}


def down(folder: Path) -> FlaskClient:
    return a_client(folder, first=Scripted(afterwards="refuses"), second=Scripted(afterwards="refuses"))


def in_progress(folder: Path) -> FlaskClient:
    till = Till(folder)
    till.payments.open(a_charge())
    return create_app(till.cashier).test_client()


def cancelled(folder: Path) -> FlaskClient:
    client = a_client(folder)
    client.delete("/payments/o-1")
    return client


REFUSED: dict[str, tuple[int, Callable[[Path], FlaskClient], dict[str, Any]]] = {
    "card_declined": (402, a_client, {"card": DECLINED_CARD}),
    "provider_unavailable": (503, down, {}),
    "payment_in_progress": (409, in_progress, {}),
    "order_cancelled": (409, cancelled, {}),
}


@pytest.mark.parametrize("code", REFUSED)
def test_a_failure_is_a_problem_with_a_code_and_the_correlation_id(code: str, tmp_path: Path) -> None:
    status, client, changed = REFUSED[code]

    answer = client(tmp_path).post("/payments", json={**PAYMENT, **changed}, headers={"X-Request-ID": "checkout-7"})

    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert answer.json is not None
    assert answer.json.keys() == {"status", "code", "detail", "correlation_id"}
    assert (answer.json["code"], answer.json["correlation_id"]) == (code, "checkout-7")


INVALID: dict[str, tuple[Any, str]] = {
    "a field of another name": ({"order_id": "o-1", "amount": 990, "card": CARD}, "body.amount_cents"),
    "one field too many": ({**PAYMENT, "currency": "EUR"}, "body.currency"),
    "no money": ({**PAYMENT, "amount_cents": 0}, "body.amount_cents"),
    "no card number": ({**PAYMENT, "card": "4242 secret"}, "body.card"),
    "a list": ([], "body"),
}


@pytest.mark.parametrize("name", INVALID)
def test_what_is_not_valid_is_refused_by_field_and_not_repeated(name: str, tmp_path: Path) -> None:
    body, field = INVALID[name]

    answer = a_client(tmp_path).post("/payments", json=body)

    assert answer.json is not None
    assert (answer.status_code, answer.json["code"]) == (422, "invalid_request")
    assert field in [error["field"] for error in answer.json["errors"]]
    assert "secret" not in answer.text


def test_a_body_that_is_no_json_is_refused(tmp_path: Path) -> None:
    answer = a_client(tmp_path).post("/payments", data=b"{")

    assert (answer.status_code, answer.json and answer.json["code"]) == (422, "invalid_request")


def test_an_unknown_route_is_a_problem_too(tmp_path: Path) -> None:
    answer = a_client(tmp_path).get("/refunds")

    assert (answer.status_code, answer.json and answer.json["code"]) == (404, "http_error")


def test_what_is_broken_here_is_a_problem_that_tells_nothing(tmp_path: Path) -> None:
    till = Till(tmp_path)
    till.payments.find = lambda order_id: 1 / 0  # type: ignore[method-assign,assignment,return-value]  # breaks on purpose
    till.payments.open(a_charge())

    answer = create_app(till.cashier).test_client().post("/payments", json=PAYMENT)

    assert (answer.status_code, answer.json and answer.json["code"]) == (500, "internal_error")
    assert "division" not in answer.text


def test_a_provider_that_fails_for_good_is_logged_with_its_stack(tmp_path: Path) -> None:
    with capture_logs() as logs:
        down(tmp_path).post("/payments", json=PAYMENT)

    [failed] = [log for log in logs if log["event"] == "card provider unavailable"]
    assert (failed["log_level"], failed["exc_info"], failed["order_id"]) == ("error", True, "o-1")


def test_the_health_check_answers(tmp_path: Path) -> None:
    assert a_client(tmp_path).get("/healthz").json == {"status": "ok"}
