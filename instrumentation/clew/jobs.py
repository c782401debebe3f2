"""Work that no request asked for: a nightly report, a script, a loop.

`clew.request` makes a request of it, with a correlation ID, a trace and log lines that carry both.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Self, TypeVar, cast

from opentelemetry.util.types import AnyValue

from clew.incoming import INTERNAL, Following, SentHeaders
from clew.spans import LightSpan

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


class request:  # noqa: N801  (used like a keyword: `with clew.request("nightly-report"):`)
    """`with clew.request("nightly-report"):`, `async with`, or a decorator of a function, async or not.

    Inside of a request the block goes on in it; outside, it begins one. `correlation_id` names the request (visible
    ASCII, at most 128 characters; another one is not taken), `headers` continue one that came by a way of your own.
    The same object may be used again, also from several threads and tasks at once when it is a decorator.
    """

    def __init__(
        self,
        name: str,
        *,
        correlation_id: str | None = None,
        headers: SentHeaders = None,
        attributes: dict[str, AnyValue] | None = None,
    ) -> None:
        self._name = name
        self._correlation_id = correlation_id
        self._headers = headers
        self._attributes = attributes
        self._entered: list[Following] = []

    @property
    def correlation_id(self) -> str:
        """The request's correlation ID. Only inside of the block."""
        return self._entered[-1].correlation_id

    @property
    def span(self) -> LightSpan:
        """The request's span. Only inside of the block."""
        return self._entered[-1].span

    def __enter__(self) -> Self:
        self._entered.append(self._follow().__enter__())
        return self

    def __exit__(self, *error: Any) -> None:
        self._entered.pop().__exit__(*error)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *error: Any) -> None:
        self.__exit__(*error)

    def __call__(self, function: FunctionT) -> FunctionT:
        """Make each call of a function a request."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def follow_async(*args: Any, **kwargs: Any) -> Any:
                with self._follow():
                    return await function(*args, **kwargs)

            return cast(FunctionT, follow_async)

        @functools.wraps(function)
        def follow(*args: Any, **kwargs: Any) -> Any:
            with self._follow():
                return function(*args, **kwargs)

        return cast(FunctionT, follow)

    def _follow(self) -> Following:
        return Following(
            self._name,
            INTERNAL,
            self._headers,
            attributes=self._attributes,
            correlation_id=self._correlation_id,
        )
