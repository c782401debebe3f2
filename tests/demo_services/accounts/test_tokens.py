import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import KeySet

from clew_demo.accounts.tokens import ALGORITHM, ISSUER, LIFETIME_S, TokenIssuer


def checked(token: str, jwks: Any) -> dict[str, Any]:
    """What a neighbour reads in a token, who has asked for the keys. Raises `JoseError`."""
    decoded = jwt.decode(token, KeySet.import_key_set(jwks), algorithms=[ALGORITHM])
    claims = jwt.JWTClaimsRegistry(iss={"essential": True, "value": ISSUER}, exp={"essential": True})
    claims.validate(decoded.claims)
    return decoded.claims


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "accounts.jwk"


def test_a_neighbour_that_knows_the_public_key_knows_the_user(key_file: Path) -> None:
    issuer = TokenIssuer(key_file)

    claims = checked(issuer.issue("ada"), issuer.jwks())

    assert (claims["sub"], claims["exp"] - claims["iat"]) == ("ada", LIFETIME_S)


def test_the_key_that_is_published_cannot_sign(key_file: Path) -> None:
    keys = TokenIssuer(key_file).jwks()["keys"]

    assert [set(key) for key in keys] == [{"kty", "crv", "x", "y", "kid", "alg", "use"}]


def test_a_token_is_refused_when_its_time_is_over(key_file: Path) -> None:
    issuer = TokenIssuer(key_file, now=lambda: datetime.now(UTC) - timedelta(seconds=LIFETIME_S + 1))

    with pytest.raises(ExpiredTokenError):
        checked(issuer.issue("ada"), issuer.jwks())


def test_a_token_of_somebody_else_is_refused(key_file: Path, tmp_path: Path) -> None:
    somebody_else = TokenIssuer(tmp_path / "other.jwk")

    with pytest.raises((JoseError, ValueError)):
        checked(somebody_else.issue("ada"), TokenIssuer(key_file).jwks())


def test_tokens_are_good_after_a_restart(key_file: Path) -> None:
    token = TokenIssuer(key_file).issue("ada")

    assert checked(token, TokenIssuer(key_file).jwks())["sub"] == "ada"


def test_the_key_is_readable_for_its_owner_only(key_file: Path) -> None:
    TokenIssuer(key_file)

    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert list(key_file.parent.iterdir()) == [key_file]
