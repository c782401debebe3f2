"""What every request passes before its route: who sends it, and whether they may send another one."""

from dataclasses import dataclass
from typing import Annotated

import structlog
from fastapi import Depends, Header, Request

from clew_demo.gateway.refusals import too_many_requests, unauthorized
from clew_demo.gateway.tokens import Tokens
from clew_demo.problems import Problem
from clew_demo.resilience.rate_limit import RateLimit

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Entrance:
    """The checks at the entrance. Without a `rate_limit`, anyone may ask as often as they like."""

    tokens: Tokens
    rate_limit: RateLimit | None = None


async def caller(request: Request, authorization: Annotated[str | None, Header()] = None) -> str | None:
    """The user whose token came along; `None` without one."""
    entrance: Entrance = request.app.state.entrance
    return await entrance.tokens.user_of(authorization) if authorization is not None else None


Caller = Annotated[str | None, Depends(caller)]


async def within_rate_limit(
    request: Request, user: Caller, x_client_id: Annotated[str | None, Header(max_length=64)] = None
) -> None:
    """Count the request for its client: what it calls itself, else its user, else its address."""
    entrance: Entrance = request.app.state.entrance
    if entrance.rate_limit is None:
        return
    address = request.client.host if request.client else "unknown"
    client = x_client_id or user or address
    wait_s = await entrance.rate_limit.hit(client)
    if wait_s is not None:
        log.warning("rate limited", client=client, wait_s=round(wait_s, 1))
        raise too_many_requests(wait_s)


async def customer(user: Caller) -> str:
    """The user, for what nobody may do without a token."""
    if user is None:
        raise unauthorized("Log in first, and send the token as `Authorization: Bearer TOKEN`.")
    return user


Customer = Annotated[str, Depends(customer)]


def check_is_own(user: str, *, customer: str) -> None:
    """Nobody buys for somebody else. Raises `Problem` 403."""
    if user != customer:
        raise Problem(403, "not_your_account", f"The token is not one of {user}.")
