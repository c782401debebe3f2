import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from clew_demo import usage
from clew_demo.accounts.app import LEAK_BYTES, create_app
from clew_demo.accounts.ledger import Ledger
from clew_demo.accounts.tokens import TokenIssuer
from clew_demo.faults.switchboard import Switchboard
from tests.demo_services.accounts.test_tokens import checked

PURCHASE = {"order_id": "o-1", "user": "ada", "total_cents": 4_250}


class Accounts:
    """The service in this process."""

    def __init__(self, folder: Path) -> None:
        self.faults = Switchboard(folder)
        self._app = create_app(Ledger(folder / "accounts.db"), TokenIssuer(folder / "accounts.jwk"), self.faults)

    def ask(self, method: str, path: str, body: Any = None, *, times: int = 1) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://accounts") as client:
                for _ in range(times):
                    response = await client.request(method, path, json=body)
                return response

        return asyncio.run(ask())


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    return Accounts(tmp_path)


def test_a_token_can_be_checked_with_the_published_key(accounts: Accounts) -> None:
    issued = accounts.ask("POST", "/tokens", {"user": "ada"}).json()

    jwks = accounts.ask("GET", "/.well-known/jwks.json").json()

    assert checked(issued["token"], jwks)["sub"] == "ada"
    assert issued["expires_in_s"] == 3600


def test_asking_twice_earns_once(accounts: Accounts) -> None:
    answers = [accounts.ask("POST", "/points", PURCHASE) for _ in range(2)]

    assert [answer.json() for answer in answers] == [{"user": "ada", "points_earned": 42, "balance": 42}] * 2
    assert accounts.ask("GET", "/users/ada").json() == {"user": "ada", "points": 42}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/users/nobody", None, 404, "unknown_user"),
        ("POST", "/points", {"order_id": "o-1", "user": "ada"}, 422, "invalid_request"),
        ("POST", "/points", PURCHASE | {"total_cents": -1}, 422, "invalid_request"),
        ("POST", "/tokens", {"user": "ada/../grace"}, 422, "invalid_request"),
        ("GET", "/elsewhere", None, 404, "http_error"),
    ],
)
def test_what_cannot_be_answered_is_a_problem(
    accounts: Accounts, method: str, path: str, body: Any, status: int, code: str
) -> None:
    response = accounts.ask(method, path, body)

    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(("planted", "least_grown_bytes"), [(True, 60 * LEAK_BYTES), (False, -(10**9))])
def test_a_memory_leak_shows_in_the_usage_lines(accounts: Accounts, planted: bool, least_grown_bytes: int) -> None:
    if planted:
        accounts.faults.plant("memory-leak")
    accounts.ask("GET", "/.well-known/jwks.json")

    with capture_logs() as logs:
        usage.log_usage()
        accounts.ask("GET", "/.well-known/jwks.json", times=80)
        usage.log_usage()

    before, after = (line for line in logs if line["event"] == "process usage")
    grown_bytes = after["rss_bytes"] - before["rss_bytes"]
    assert grown_bytes >= least_grown_bytes
    assert planted or grown_bytes < 30 * LEAK_BYTES
    assert 0 < before["cpu_s"] <= after["cpu_s"]
