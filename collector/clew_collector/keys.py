"""Keys that senders show: who may send, and how much.

A key is 256 random bits, so its SHA-256 is enough to know it by: there is nothing to guess from it, and no need for
a slow hash. Only the hash is kept.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from clew_collector.errors import RateLimited, Unauthorized

PREFIX: Final = "clew_"
_KEY_BYTES: Final = 32
_BURST_S: Final = 2.0
"""A key may send for so long at once before its limit counts."""


class KeyConfig(BaseModel):
    """An item of `keys` in clew.yaml: a team or service that may send. `clew keys new NAME` makes one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="Who has it.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="The hash of the key, in hex.")
    max_records_per_s: float | None = Field(
        default=None, gt=0, description="More are refused with 429, to be sent again later. Without it all are taken."
    )


class Key:
    """A key that may send, and how much of its rate is used."""

    def __init__(self, config: KeyConfig, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self.name = config.name
        self.digest = bytes.fromhex(config.sha256)
        self._rate = config.max_records_per_s
        self._monotonic_s = monotonic_s
        self._left = (self._rate or 0.0) * _BURST_S
        self._at_s = monotonic_s()

    def spend(self, records: int) -> None:
        """Count records against the limit. Raises `RateLimited`; nothing is counted then.

        A payload goes as a whole: it may overdraw what is left, and the next one waits for that.
        """
        if self._rate is None:
            return
        now_s = self._monotonic_s()
        self._left = min(self._rate * _BURST_S, self._left + (now_s - self._at_s) * self._rate)
        self._at_s = now_s
        if self._left <= 0:
            raise RateLimited(f"the key {self.name} may send {self._rate:g} records a second; send again later")
        self._left -= records


KEY: Final[ContextVar[Key | None]] = ContextVar("clew_key", default=None)
"""The key of the request that is being answered; `None` where none is asked for."""


class Keys:
    """All keys that may send; none at all means that nobody is asked for one."""

    def __init__(self, configs: Iterable[KeyConfig]) -> None:
        self._keys = [Key(config) for config in configs]

    def __bool__(self) -> bool:
        return bool(self._keys)

    def find(self, *, authorization: str = "", api_key: str = "") -> Key:
        """The key that a sender shows: in `Authorization` (Bearer, ApiKey, Basic) or `X-API-Key`.

        Raises `Unauthorized`. Takes as long for a wrong key as for a right one.
        """
        shown = [api_key] if api_key else _keys_in(authorization)
        if not shown:
            raise Unauthorized("a key is asked for here: send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`")
        digests = [digest_of_key(key) for key in shown]
        found = [key for key in self._keys for digest in digests if hmac.compare_digest(key.digest, digest)]
        if not found:
            raise Unauthorized("this key is not known here")
        return found[0]


def new_key() -> str:
    """A key that nobody has yet."""
    return PREFIX + secrets.token_urlsafe(_KEY_BYTES)


def digest_of_key(key: str) -> bytes:
    """What a key is known by."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def bearer(key: str) -> Mapping[str, str]:
    """The header that shows a key."""
    return {"authorization": f"Bearer {key}"}


def _keys_in(authorization: str) -> list[str]:
    """What may be the key in a header's value.

    Elasticsearch's clients send `ApiKey` with base64 of `id:key`, others the key itself; of `Basic` it is the password.
    """
    scheme, _, value = authorization.partition(" ")
    value = value.strip()
    match scheme.lower():
        case "bearer":
            return [value]
        case "apikey":
            return [value, *_second_half(value)]
        case "basic":
            return _second_half(value)
        case _:
            return []


def _second_half(encoded: str) -> list[str]:
    try:
        text = base64.b64decode(encoded, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return []
    _, colon, second = text.partition(":")
    return [second] if colon else []
