"""Who sends a request: the JWT that accounts signed, checked with the keys that it publishes."""

import time
from collections.abc import Callable

import structlog
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from clew_demo.gateway.refusals import unauthorized
from clew_demo.upstream import Upstream

ISSUER = "accounts"
ALGORITHMS = ["ES256"]
"""What accounts signs with, and nothing that somebody else may choose."""

LEEWAY_S = 60
"""Clocks of two hosts differ."""

REFRESH_AT_MOST_EVERY_S = 5
"""Or anyone could make the gateway ask accounts, by making up key IDs."""

CLAIMS = jwt.JWTClaimsRegistry(
    leeway=LEEWAY_S, iss={"essential": True, "value": ISSUER}, sub={"essential": True}, exp={"essential": True}
)

log = structlog.get_logger()


class Tokens:
    """Checks tokens. The keys are fetched once, and again when a token names a key that is not known."""

    def __init__(self, accounts: Upstream, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._accounts = accounts
        self._monotonic_s = monotonic_s
        self._keys: KeySet | None = None
        self._fetched_s = 0.0

    async def user_of(self, authorization: str) -> str:
        """The user of an `Authorization` header. Raises `Refusal` 401, or `Problem` when accounts is away."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise unauthorized("The Authorization header is not `Bearer TOKEN`.", error="invalid_token")
        try:
            return await self._check_with_fresh_keys(token.strip())
        except (JoseError, ValueError) as error:
            log.warning("token refused", reason=type(error).__name__)
            raise unauthorized("The token is not valid; log in again.", error="invalid_token") from error

    async def _check_with_fresh_keys(self, token: str) -> str:
        keys = self._keys or await self._fetch()
        try:
            return _check(token, keys)
        except InvalidKeyIdError:
            if self._monotonic_s() - self._fetched_s < REFRESH_AT_MOST_EVERY_S:
                raise
        return _check(token, await self._fetch())

    async def _fetch(self) -> KeySet:
        published = await self._accounts.get("/.well-known/jwks.json")
        self._keys = KeySet.import_key_set(published)
        self._fetched_s = self._monotonic_s()
        log.info("signing keys fetched", keys=len(self._keys.keys))
        return self._keys


def _check(token: str, keys: KeySet) -> str:
    claims = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
    CLAIMS.validate(claims)
    return str(claims["sub"])
