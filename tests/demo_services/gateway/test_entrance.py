import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from clew_demo.gateway.tokens import REFRESH_AT_MOST_EVERY_S
from clew_demo.resilience.rate_limit import RateLimit
from tests.demo_services.gateway.gateway_in_process import Accounts, GatewayInProcess, a_key
from tests.servers.processes import free_port


@pytest.fixture
def gateway(tmp_path: Path) -> GatewayInProcess:
    return GatewayInProcess(tmp_path)


def a_token_of_someone_else(accounts: Accounts) -> str:
    now_s = int(time.time())
    claims = {"iss": "accounts", "sub": "ada", "exp": now_s + 600}
    return jwt.encode({"alg": "ES256", "kid": accounts.key.kid}, claims, a_key())


def a_token_under_a_shared_secret(accounts: Accounts) -> str:
    claims = {"iss": "accounts", "sub": "ada", "exp": int(time.time()) + 600}
    secret = OctKey.import_key("x" * 32)
    return jwt.encode({"alg": "HS256", "kid": accounts.key.kid}, claims, secret)


def test_who_logs_in_can_check_out(gateway: GatewayInProcess) -> None:
    [login] = gateway.send(httpx.Request("POST", "http://gateway/login", json={"user": "bela"}))

    placed = gateway.check_out(user="bela", authorization=f"Bearer {login.json()['token']}")

    assert placed.status_code == 201


def test_a_checkout_without_a_token_is_not_let_in(gateway: GatewayInProcess) -> None:
    request = gateway.a_checkout()
    del request.headers["authorization"]

    [answer] = gateway.send(request)

    assert (answer.status_code, answer.json()["code"]) == (401, "token_required")
    assert answer.headers["www-authenticate"] == 'Bearer realm="shop"'
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["correlation_id"]
    assert not gateway.orders.placed


@pytest.mark.parametrize(
    "token",
    [
        "",
        "nonsense",
        "a.b.c",
        lambda accounts: accounts.token(exp=int(time.time()) - 3600),
        lambda accounts: accounts.token(exp=None),
        lambda accounts: accounts.token(iss="somebody"),
        a_token_of_someone_else,
        a_token_under_a_shared_secret,
    ],
)
def test_a_token_that_accounts_did_not_sign_for_now_is_refused(gateway: GatewayInProcess, token: Any) -> None:
    token = token(gateway.accounts) if callable(token) else token

    answer = gateway.check_out(authorization=f"Bearer {token}")

    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
    assert answer.headers["www-authenticate"] == 'Bearer realm="shop", error="invalid_token"'
    assert not gateway.orders.placed


def test_nobody_buys_for_somebody_else(gateway: GatewayInProcess) -> None:
    answer = gateway.check_out(user="bela")

    assert (answer.status_code, answer.json()["code"]) == (403, "not_your_account")


def test_keys_are_fetched_once(gateway: GatewayInProcess) -> None:
    assert [gateway.check_out().status_code for _ in range(5)] == [201] * 5
    assert gateway.accounts.keys_asked == 1


def test_a_new_key_is_fetched_when_a_token_names_it(gateway: GatewayInProcess) -> None:
    gateway.check_out()
    gateway.accounts.key = a_key()
    gateway.now_s += REFRESH_AT_MOST_EVERY_S

    assert gateway.check_out().status_code == 201
    assert gateway.accounts.keys_asked == 2


def test_made_up_key_ids_do_not_make_the_gateway_ask_again_and_again(gateway: GatewayInProcess) -> None:
    gateway.check_out()
    stranger = Accounts()

    answers = [gateway.check_out(authorization=f"Bearer {stranger.token()}").status_code for _ in range(5)]

    assert answers == [401] * 5
    assert gateway.accounts.keys_asked == 1


def test_accounts_being_away_is_not_the_tokens_fault(gateway: GatewayInProcess) -> None:
    gateway.network.down.add("accounts")

    answer = gateway.check_out()

    assert (answer.status_code, answer.json()["code"]) == (503, "accounts_unavailable")


@pytest.mark.parametrize(("limit", "refused"), [("3/10 seconds", 2), ("1000/10 seconds", 0)], ids=["low", "high"])
def test_a_client_that_asks_too_often_is_told_to_wait(tmp_path: Path, limit: str, refused: int) -> None:
    gateway = GatewayInProcess(tmp_path, rate_limit=a_rate_limit(limit))

    answers = [gateway.get("/products", **{"x-client-id": "bot"}) for _ in range(5)]

    turned_away = [answer for answer in answers if answer.status_code == 429]
    assert len(turned_away) == refused
    assert all(1 <= int(answer.headers["retry-after"]) <= 10 for answer in turned_away)
    assert all(answer.json()["code"] == "rate_limited" for answer in turned_away)


def test_clients_are_told_apart_by_their_id_their_token_and_their_address(tmp_path: Path) -> None:
    gateway = GatewayInProcess(tmp_path, rate_limit=a_rate_limit("1/10 seconds"))
    clients: list[dict[str, str]] = [
        {"x-client-id": "web"},
        {"x-client-id": "ios"},
        {"authorization": f"Bearer {gateway.accounts.token('ada')}"},
        {"authorization": f"Bearer {gateway.accounts.token('bela')}"},
        {},
    ]

    first, second = ([gateway.get("/products", **headers).status_code for headers in clients] for _ in range(2))

    assert first == [200] * 5
    assert second == [429] * 5


def test_the_health_check_is_not_limited(tmp_path: Path) -> None:
    gateway = GatewayInProcess(tmp_path, rate_limit=a_rate_limit("1/10 seconds"))

    assert [gateway.get("/healthz").status_code for _ in range(5)] == [200] * 5


def a_rate_limit(limit: str) -> RateLimit:
    """One that counts in memory: each request of these tests has an event loop of its own, a Redis client has one."""
    return RateLimit(limit, redis_url=f"redis://127.0.0.1:{free_port()}/0")
