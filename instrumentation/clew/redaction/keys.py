"""Names of fields whose values are secret.

A name counts without its case, with `-`, `_`, a space or camel case between its words, and by its end: `X-Api-Key`,
`apiKey`, `stripe_api_key` and `http.request.header.x-api-key` are all `api_key`. Of a dotted name the last part counts.
"""

import re
from collections.abc import Iterable
from typing import Final

SECRET_KEYS: Final = (
    "password",
    "passwords",
    "passwd",
    "pwd",
    "passphrase",
    "passcode",
    "password_hash",
    "secret",
    "secrets",
    "secret_key",
    "token",
    "jwt",
    "otp",
    "api_key",
    "access_key",
    "access_key_id",
    "account_key",
    "private_key",
    "signing_key",
    "encryption_key",
    "credential",
    "credentials",
    "authorization",
    "cookie",
    "cookies",
    "session_id",
    "session_key",
    "credit_card",
    "credit_card_number",
    "card_number",
    "cvv",
    "cvc",
    "ssn",
    "social_security_number",
    "csrfmiddlewaretoken",
    "x_amz_signature",
    "x_goog_signature",
    "connection_string",
)
"""Secret as they are, and as the last words of a longer name."""

_ONLY_ALONE: Final = frozenset(
    {"session", "accesstoken", "refreshtoken", "idtoken", "authtoken", "sessiontoken", "clientsecret"}
)
"""A longer name that ends so means something else (`db_session`), or its words are not known."""

_HARMLESS: Final = frozenset(
    {"page_token", "next_token", "sync_token", "continuation_token", "pagination_token", "cancellation_token"}
)
"""Tokens that say where to go on."""

_MAX_KNOWN: Final = 4_096
_MAX_LENGTH: Final = 256
_hump: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_between_words: Final = re.compile(r"[-_\s]+")


class SecretKeys:
    """Whether a field's value is secret, by its name; each name is looked at once."""

    def __init__(self, more: Iterable[str] = ()) -> None:
        self._names = {_normal(name) for name in (*SECRET_KEYS, *more)}
        self._joined = {name.replace("_", "") for name in self._names} | _ONLY_ALONE
        self._dotted = {name.lower() for name in more if "." in name}
        self._known: dict[str, bool] = {}

    def has(self, name: object) -> bool:
        """Whether this name is one of a secret's; a name that is no text is none."""
        try:
            return self._known[name]  # type: ignore[index]
        except (KeyError, TypeError):
            return self._look(name) if isinstance(name, str) else False

    def _look(self, name: str) -> bool:
        if len(name) > _MAX_LENGTH:
            return self._is_secret(name[-_MAX_LENGTH:])
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        found = self._known[name] = self._is_secret(name)
        return found

    def _is_secret(self, name: str) -> bool:
        if name.lower() in self._dotted:
            return True
        rest = _normal(name.rpartition(".")[2])
        if rest.replace("_", "") in self._joined:
            return True
        while rest and rest not in _HARMLESS:
            if rest in self._names:
                return True
            rest = rest.partition("_")[2]
        return False


def _normal(name: str) -> str:
    """`X-Api-Key`, `xApiKey`: `x_api_key`."""
    return _between_words.sub("_", _hump.sub("_", name)).strip("_").lower()
