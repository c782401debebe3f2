"""CORS (https://fetch.spec.whatwg.org/#http-cors-protocol): which pages may send from a browser."""

from collections.abc import Collection, Mapping
from typing import Final

_PREFLIGHT_MAX_AGE_S: Final = 7200
"""How long a browser need not ask again; none remembers it for longer."""

Headers = tuple[tuple[bytes, bytes], ...]


class CrossOrigin:
    """What pages of some origins (`https://shop.example`, or `*` for all) are allowed; without any, nothing is."""

    def __init__(self, origins: Collection[str]) -> None:
        self._any = "*" in origins
        self._origins = frozenset(origins)

    def is_preflight(self, method: str, headers: Mapping[bytes, str]) -> bool:
        """Whether a request is a browser's question whether a page may send."""
        return bool(self._origins) and method == "OPTIONS" and b"access-control-request-method" in headers

    def preflight_headers(self, headers: Mapping[bytes, str]) -> Headers:
        """The answer to that question, besides `answer_headers`. Any header is allowed: those asked for are echoed."""
        if not self._allows(headers.get(b"origin")):
            return ()
        asked = headers.get(b"access-control-request-headers")
        return (
            (b"access-control-allow-methods", b"POST"),
            *(((b"access-control-allow-headers", asked.encode("latin-1")),) if asked else ()),
            (b"access-control-max-age", str(_PREFLIGHT_MAX_AGE_S).encode()),
        )

    def answer_headers(self, headers: Mapping[bytes, str]) -> Headers:
        """What each answer says to the browser: whether the page may see it."""
        if not self._origins:
            return ()
        origin = headers.get(b"origin")
        vary = (b"vary", b"origin")  # whatever lies between must not give one page another's answer
        if origin is None or not self._allows(origin):
            return (vary,)
        allowed: Headers = (
            (b"access-control-allow-origin", b"*" if self._any else origin.encode("latin-1")),
            (b"access-control-expose-headers", b"retry-after"),
        )
        # `sendBeacon`, which OpenTelemetry's exporters use, sends with credentials, and those do not go with `*`.
        return allowed if self._any else (*allowed, (b"access-control-allow-credentials", b"true"), vary)

    def _allows(self, origin: str | None) -> bool:
        return origin is not None and (self._any or origin in self._origins)
