"""aiohttp's client: one client span each time that a session sends a request.

A session calls its middlewares for each request on the wire: redirects, its own retry of a connection that turned out
to be closed, and what the service's middlewares send again. Ours is the innermost of them. aiohttp 3.12 or newer.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from aiohttp import ClientSession

from clew.clients.http_call import HttpCall, Target, write
from clew.clients.wrapping import AnyFunction, wrap
from clew.runtime import RUNTIME

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
    from yarl import URL

_TRACED_BY: Final = frozenset({"opentelemetry.instrumentation.aiohttp_client"})


def install() -> None:
    """Wrap the session's requests; twice is the same as once. Does nothing for an aiohttp without middlewares."""
    if "middlewares" in inspect.signature(ClientSession._request).parameters:
        wrap(ClientSession, "_request", _around)


def _around(original: AnyFunction) -> AnyFunction:
    # Not a coroutine: aiohttp's warnings count the frames to the caller.
    def _request(self: ClientSession, method: str, str_or_url: Any, **options: Any) -> Any:
        if RUNTIME.enabled:
            middlewares = options.get("middlewares")
            outer = self._middlewares if middlewares is None else middlewares
            options["middlewares"] = (*outer, _Sending())
        return original(self, method, str_or_url, **options)

    return _request


class _Sending:
    """A middleware for one request and all that is sent for it."""

    __slots__ = ("_sends",)

    def __init__(self) -> None:
        self._sends = 0

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        call = HttpCall(request.method, _locate, request.url, traced_by=_TRACED_BY, resends=self._sends)
        self._sends += 1
        with call:
            if call.headers:
                write(request.headers, call.headers)
            response = await handler(request)
            version = response.version
            call.answered(response.status, None if version is None else f"{version.major}.{version.minor}")
        return response


def _locate(url: URL) -> Target:
    return Target(url.scheme, url.raw_host or "", url.port, url.raw_path_qs)
