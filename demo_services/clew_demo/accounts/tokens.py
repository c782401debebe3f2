"""JSON Web Tokens (RFC 7519) that say who a user is, and the key that others check them with."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

ISSUER = "accounts"
ALGORITHM = "ES256"
LIFETIME_S = 3600


def utc_now() -> datetime:
    """The time, from the kernel: right while the fault `clock-skew` is planted, or nobody would take our tokens."""
    return datetime.now(UTC)


class TokenIssuer:
    """Signs tokens with a key that is made when there is none yet, and kept."""

    def __init__(self, key_file: Path, *, now: Callable[[], datetime] = utc_now) -> None:
        self._key = _read_or_make(key_file)
        self._now = now

    def issue(self, user: str) -> str:
        """A token for one user, good for `LIFETIME_S`."""
        issued_s = int(self._now().timestamp())
        claims = {"iss": ISSUER, "sub": user, "iat": issued_s, "exp": issued_s + LIFETIME_S}
        return jwt.encode({"alg": ALGORITHM, "kid": self._key.kid}, claims, self._key)

    def jwks(self) -> dict[str, Any]:
        """The public key, as a key set (RFC 7517)."""
        return dict(KeySet([self._key]).as_dict(private=False))


def _read_or_make(file: Path) -> ECKey:
    try:
        return ECKey.import_key(json.loads(file.read_text()))
    except FileNotFoundError:
        key = ECKey.generate_key("P-256", {"use": "sig", "alg": ALGORITHM}, auto_kid=True)
    _keep(file, json.dumps(key.as_dict(private=True)))
    return key


def _keep(file: Path, secret: str) -> None:
    """Write a file that only its owner may read, from its first byte on, and that is whole or not there."""
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_suffix(f".{os.getpid()}")
    beside.touch(mode=0o600)
    beside.write_text(secret)
    beside.replace(file)
