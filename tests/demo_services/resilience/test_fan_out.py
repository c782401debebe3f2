import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from clew_demo.resilience.fan_out import together


async def one_after_the_other(*calls: Coroutine[Any, Any, Any]) -> list[Any]:
    try:
        return [await call for call in calls]
    finally:
        for call in calls:
            call.close()


async def three_that_wait_for_each_other(fan_out: Any) -> list[str]:
    barrier = asyncio.Barrier(3)

    async def call(name: str) -> str:
        await barrier.wait()
        return name

    async with asyncio.timeout(0.2):
        return list(await fan_out(call("a"), call("b"), call("c")))


def test_calls_are_under_way_at_the_same_time() -> None:
    assert asyncio.run(three_that_wait_for_each_other(together)) == ["a", "b", "c"]
    with pytest.raises(TimeoutError):
        asyncio.run(three_that_wait_for_each_other(one_after_the_other))


def test_the_first_failure_ends_the_other_calls_and_is_raised_as_it_is() -> None:
    ended = []

    async def failing() -> None:
        raise ZeroDivisionError

    async def waiting() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("waiting")

    with pytest.raises(ZeroDivisionError):
        asyncio.run(asyncio.wait_for(together(waiting(), failing()), 5))

    assert ended == ["waiting"]
