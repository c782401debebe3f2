"""Put a function around a library's method, in place: every object has it, made before or after."""

import functools
from collections.abc import Callable
from typing import Any, Final

AnyFunction = Callable[..., Any]

_WRAPPED: Final = "_clew_wrapped"


def wrap(owner: type, name: str, around: Callable[[AnyFunction], AnyFunction]) -> None:
    """Replace the method `name` by `around(method)`; twice is the same as once. A library without it is left alone.

    What others have put around it by wrapt, as OpenTelemetry's instrumentation does, stays outside of ours: their span
    is then the current one when we look for it, whoever came first.
    """
    outer: Any = None
    method: Any = owner.__dict__.get(name)
    while _is_wrapt(method):
        outer, method = method, method.__wrapped__
    if method is None or hasattr(method, _WRAPPED):
        return
    wrapper = functools.wraps(method)(around(method))
    setattr(wrapper, _WRAPPED, True)
    if outer is None:
        setattr(owner, name, wrapper)
    else:
        outer.__wrapped__ = wrapper


def _is_wrapt(method: Any) -> bool:
    # Plain functions have `__wrapped__` too, by functools, but changing it there changes nothing.
    return hasattr(method, "_self_wrapper") and hasattr(method, "__wrapped__")
