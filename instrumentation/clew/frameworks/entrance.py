"""Where requests come into an application: its class's `__call__`, put inside of the middleware.

For frameworks whose applications have no attribute that could be replaced instead.
"""

import functools
from collections.abc import Callable
from typing import Any, Final, cast

from clew.clients.wrapping import AnyFunction, wrap
from clew.frameworks.asgi import ClewMiddleware, Receive, Scope, Send
from clew.frameworks.wsgi import ClewWSGIMiddleware, Environ, StartResponse

_FOLLOWED: Final = "_clew_follows_calls"

Around = Callable[[AnyFunction], AnyFunction]


def wsgi(call: AnyFunction) -> AnyFunction:
    """A WSGI application's `__call__`, followed."""

    def __call__(self: Any, environ: Environ, start_response: StartResponse) -> Any:  # noqa: N807
        return ClewWSGIMiddleware(functools.partial(call, self))(environ, start_response)

    return __call__


def asgi(call: AnyFunction) -> AnyFunction:
    """An ASGI application's `__call__`, followed."""

    async def __call__(self: Any, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: N807
        await ClewMiddleware(functools.partial(call, self))(scope, receive, send)

    return __call__


def follow_class(owner: type, around: Around) -> None:
    """Follow every application of a class; twice is the same as once."""
    wrap(owner, "__call__", around)


def follow_one(app: Any, around: Around) -> None:
    """Follow this application alone; twice is the same as once.

    It becomes one of a subclass that differs in nothing else: Python looks `__call__` up on the class only.
    """
    if not hasattr(type(app), _FOLLOWED):
        owner: Any = type(app)
        app.__class__ = _followed(owner, around)


@functools.lru_cache(maxsize=64)
def _followed(owner: type, around: Around) -> type:
    call: AnyFunction = cast(Any, owner).__call__
    own = {"__call__": functools.wraps(call)(around(call)), "__slots__": (), _FOLLOWED: True}
    copied = {name: getattr(owner, name) for name in ("__module__", "__qualname__", "__doc__")}
    return type(owner)(owner.__name__, (owner,), {**copied, **own})
