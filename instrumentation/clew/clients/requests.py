"""requests: its calls are urllib3's; what only requests knows is which of them follow a redirect."""

from collections.abc import Iterator
from typing import Any

from requests.sessions import SessionRedirectMixin

from clew.clients import urllib3
from clew.clients.urllib3 import EARLIER_SENDS
from clew.clients.wrapping import AnyFunction, wrap
from clew.context import CURRENT, restore
from clew.runtime import RUNTIME


def install() -> None:
    """Wrap what follows redirects, and urllib3; twice is the same as once."""
    urllib3.install()
    wrap(SessionRedirectMixin, "resolve_redirects", _around_redirects)


def _around_redirects(original: AnyFunction) -> AnyFunction:
    def resolve_redirects(self: SessionRedirectMixin, resp: Any, *args: Any, **options: Any) -> Iterator[Any]:
        redirected = original(self, resp, *args, **options)
        if not RUNTIME.enabled:
            yield from redirected
            return
        sends = _sends(resp)
        while True:
            context = CURRENT.get()
            token = CURRENT.set(type(context)({**context, EARLIER_SENDS: sends}))
            try:
                # Each step sends one request.
                resp = next(redirected, None)
            finally:
                restore(token)
            if resp is None:
                return
            sends += _sends(resp)
            yield resp

    return resolve_redirects


def _sends(response: Any) -> int:
    """How often the request was sent that this is the response to."""
    retries = getattr(getattr(response, "raw", None), "retries", None)
    return 1 + len(getattr(retries, "history", ()))
