"""Routes of the accounts service."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, Protocol

import structlog
from fastapi import APIRouter, Depends, FastAPI, Request

from clew_demo.accounts.ledger import Ledger
from clew_demo.accounts.models import Account, Earned, IssuedToken, Login, Name, Purchase
from clew_demo.accounts.tokens import LIFETIME_S, TokenIssuer
from clew_demo.faults.switchboard import Switchboard
from clew_demo.problems import Problem
from clew_demo.serving import build_app

LEAK_BYTES = 1_000_000

log = structlog.get_logger()


class Background(Protocol):
    """Something that goes on beside the requests."""

    def start(self) -> None:
        """Begin; does not block."""

    def stop(self) -> None:
        """End; blocks until it has."""


async def leak(request: Request) -> None:
    """The fault `memory-leak`: each request leaves something behind, and nobody will ever look at it."""
    if request.app.state.faults.is_on("memory-leak"):
        request.app.state.leaked.append(b"?" * LEAK_BYTES)


router = APIRouter(dependencies=[Depends(leak)])


def create_app(
    ledger: Ledger, tokens: TokenIssuer, faults: Switchboard, *, background: Sequence[Background] = ()
) -> FastAPI:
    """The service on its ledger, which it closes when it ends, and what goes on as long as it runs."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        for each in background:
            each.start()
        yield
        await asyncio.gather(*(asyncio.to_thread(each.stop) for each in background))
        ledger.close()

    app = build_app("accounts", router, lifespan=lifespan)
    app.state.ledger = ledger
    app.state.tokens = tokens
    app.state.faults = faults
    app.state.leaked = []
    return app


async def the_ledger(request: Request) -> Ledger:
    """The ledger that the app was made with."""
    ledger: Ledger = request.app.state.ledger
    return ledger


async def the_tokens(request: Request) -> TokenIssuer:
    """The issuer that the app was made with."""
    tokens: TokenIssuer = request.app.state.tokens
    return tokens


InLedger = Annotated[Ledger, Depends(the_ledger)]
Tokens = Annotated[TokenIssuer, Depends(the_tokens)]


@router.post("/tokens", status_code=201)
def issue_token(login: Login, ledger: InLedger, tokens: Tokens) -> IssuedToken:
    """Let a user in. Who was not known is from now on."""
    is_new = ledger.welcome(login.user)
    log.info("token issued", user=login.user, is_new_user=is_new)
    return IssuedToken(token=tokens.issue(login.user), expires_in_s=LIFETIME_S)


@router.get("/.well-known/jwks.json")
async def get_jwks(tokens: Tokens) -> dict[str, Any]:
    """The keys that tokens are checked with."""
    return tokens.jwks()


@router.post("/points")
def earn_points(purchase: Purchase, ledger: InLedger) -> Earned:
    """Points for a paid order. Safe to repeat."""
    earned = ledger.earn(purchase)
    log.info("points earned", user=purchase.user, order_id=purchase.order_id, points=earned.points_earned)
    return earned


@router.get("/users/{user}")
def get_user(user: Name, ledger: InLedger) -> Account:
    """One user."""
    account = ledger.find(user)
    if account is None:
        raise Problem(404, "unknown_user", f"There is no user {user}.")
    return account
