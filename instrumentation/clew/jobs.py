"""Work that no request asked for: a nightly report, a script, a loop.

`clew.request` makes a request of it, with a correlation ID, a trace and log lines that carry both.
"""

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self, TypeVar, cast

from opentelemetry.context.context import Context
from opentelemetry.util.types import AnyValue

from clew.context import CURRENT, restore
from clew.freezing import safe_text
from clew.incoming import INTERNAL, Following, SentHeaders
from clew.spans import LightSpan

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


class request:  # noqa: N801  (used like a keyword: `with clew.request("nightly-report"):`)
    """`with clew.request("nightly-report"):`, `async with`, or a decorator of a function, async or a generator or not.

    Inside of a request the block goes on in it; outside, it begins one. `correlation_id` names the request (visible
    ASCII, at most 128 characters; another one is not taken), `headers` continue one that came by a way of your own.
    The same object may be used again, also inside of itself and from several threads and tasks at once.
    """

    def __init__(
        self,
        name: str,
        *,
        correlation_id: str | None = None,
        headers: SentHeaders = None,
        attributes: Mapping[str, AnyValue] | None = None,
    ) -> None:
        self._name = safe_text(name)
        self._correlation_id = correlation_id
        self._headers = headers
        self._attributes = attributes
        self._entered: list[Following] = []
        # Which of those is this thread's or task's is kept where threads and tasks differ.
        self._key = f"clew.request.{id(self)}"

    @property
    def correlation_id(self) -> str:
        """The request's correlation ID. Only inside of the block."""
        return self._innermost().correlation_id

    @property
    def span(self) -> LightSpan:
        """The request's span. Only inside of the block."""
        return self._innermost().span

    def __enter__(self) -> Self:
        following = self._follow()
        following.context = Context({**following.context, self._key: following})
        self._entered.append(following.__enter__())
        return self

    def __exit__(self, *error: Any) -> None:
        following = self._innermost()
        self._entered.remove(following)
        following.__exit__(*error)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *error: Any) -> None:
        self.__exit__(*error)

    def __call__(self, function: FunctionT) -> FunctionT:
        """Make each call of a function a request; each run of a generator, from its first step to its last."""
        for is_kind, around in _KINDS:
            if is_kind(function) or is_kind(type(function).__call__):
                return cast(FunctionT, functools.wraps(function)(around(function, self._follow)))
        return cast(FunctionT, functools.wraps(function)(_function(function, self._follow)))

    def _innermost(self) -> Following:
        found = CURRENT.get().get(self._key)
        # A block may end in another context than it began in, as a test's fixture does.
        return found if isinstance(found, Following) and found in self._entered else self._entered[-1]

    def _follow(self) -> Following:
        return Following(
            self._name,
            INTERNAL,
            self._headers,
            attributes=self._attributes,
            correlation_id=self._correlation_id,
        )


_Follow = Callable[[], Following]


def _function(function: Callable[..., Any], follow: _Follow) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        with follow():
            return function(*args, **kwargs)

    return call


def _coroutine_function(function: Callable[..., Any], follow: _Follow) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        with follow():
            return await function(*args, **kwargs)

    return call


def _generator_function(function: Callable[..., Any], follow: _Follow) -> Callable[..., Any]:
    def steps(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with _Steps(follow()) as work:
            with work.step():
                generator: Generator[Any, Any, Any] = function(*args, **kwargs)
            advance, given = generator.send, None
            while True:
                with work.step():
                    try:
                        value = advance(given)
                    except StopIteration as end:
                        return end.value
                try:
                    advance, given = generator.send, (yield value)
                except GeneratorExit:
                    with work.step():
                        generator.close()
                    raise
                except BaseException as error:  # noqa: BLE001  (thrown in by the caller; the generator decides)
                    advance, given = cast(Any, generator.throw), error

    return steps


def _async_generator_function(function: Callable[..., Any], follow: _Follow) -> Callable[..., Any]:
    async def steps(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        with _Steps(follow()) as work:
            with work.step():
                generator: AsyncGenerator[Any, Any] = function(*args, **kwargs)
            advance, given = generator.asend, None
            while True:
                with work.step():
                    try:
                        value = await advance(given)
                    except StopAsyncIteration:
                        return
                try:
                    advance, given = generator.asend, (yield value)
                except GeneratorExit:
                    with work.step():
                        await generator.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001  (thrown in by the caller; the generator decides)
                    advance, given = cast(Any, generator.athrow), error

    return steps


_KINDS = (
    (inspect.iscoroutinefunction, _coroutine_function),
    (inspect.isgeneratorfunction, _generator_function),
    (inspect.isasyncgenfunction, _async_generator_function),
)


class _Steps:
    """A request that runs step by step: between them its caller is in a context of its own."""

    def __init__(self, following: Following) -> None:
        self._following = following
        self._context = following.context

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        self._following.end(error)

    @contextmanager
    def step(self) -> Iterator[None]:
        """One step, in the context in which the one before it ended."""
        token = CURRENT.set(self._context)
        try:
            yield
        finally:
            self._context = CURRENT.get()
            restore(token)
