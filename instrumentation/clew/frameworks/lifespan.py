"""ASGI's lifespan, with a flush before the server goes.

uvicorn ends by the same SIGTERM that it was sent, and then no `atexit` function runs: the last second's spans and logs
would be lost. `lifespan.shutdown.complete` is the last moment that a server surely waits for.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from clew.runtime import EXIT_TIMEOUT_S, RUNTIME

Message = MutableMapping[str, Any]
_ENDINGS: Final = frozenset({"lifespan.shutdown.complete", "lifespan.shutdown.failed"})


async def serve_lifespan(
    app: Callable[..., Awaitable[None]],
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """Run `app`'s lifespan. One without (it fails, or returns, before it asked for a message) gets an empty one."""
    has_lifespan = False

    async def receive_and_note() -> Message:
        nonlocal has_lifespan
        has_lifespan = True
        return await receive()

    async def flush_and_send(message: Message) -> None:
        if message["type"] in _ENDINGS:
            await flush_before_exit()
        await send(message)

    try:
        await app(scope, receive_and_note, flush_and_send)
    except Exception:
        if has_lifespan:
            raise
    if not has_lifespan:
        await _empty_lifespan(receive, flush_and_send)


async def flush_before_exit() -> None:
    """Wait for the exporter, for at most `EXIT_TIMEOUT_S`, without stopping the event loop where that is possible."""
    exporter = RUNTIME.exporter
    if exporter is None:
        return
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        # Another kind of event loop: nothing else is left to run on it anyway.
        exporter.finish(timeout_s=EXIT_TIMEOUT_S)
        return
    await asyncio.to_thread(exporter.finish, timeout_s=EXIT_TIMEOUT_S)


async def _empty_lifespan(
    receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return
