import asyncio
from typing import Any

import pytest

import clew
from tests.instrumentation.fake_collector import FakeCollector


async def run_lifespan(app: Any) -> list[str]:
    """A server's side of the lifespan; the messages that the app sent."""
    sent: list[str] = []
    incoming: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    incoming.put_nowait({"type": "lifespan.startup"})
    incoming.put_nowait({"type": "lifespan.shutdown"})

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await app({"type": "lifespan", "asgi": {"version": "3.0"}}, incoming.get, send)
    return sent


async def with_lifespan(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    clew.get_tracer("shop").start_span("last words").end()
    await send({"type": "lifespan.shutdown.complete"})


async def without_lifespan(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"


async def ignoring_lifespan(scope: Any, receive: Any, send: Any) -> None:
    return


@pytest.mark.parametrize("app", [with_lifespan, without_lifespan, ignoring_lifespan])
def test_every_app_has_a_lifespan_to_the_server(exported: FakeCollector, app: Any) -> None:
    sent = asyncio.run(run_lifespan(clew.ClewMiddleware(app)))

    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_what_was_queued_is_sent_before_shutdown_is_complete(exported: FakeCollector) -> None:
    before: list[int] = []

    async def scenario() -> None:
        incoming: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        incoming.put_nowait({"type": "lifespan.startup"})
        incoming.put_nowait({"type": "lifespan.shutdown"})

        async def send(message: Any) -> None:
            if message["type"] == "lifespan.shutdown.complete":
                before.append(len(exported.spans))

        await clew.ClewMiddleware(with_lifespan)({"type": "lifespan"}, incoming.get, send)

    asyncio.run(scenario())

    assert before == [1]


def test_a_lifespan_that_fails_still_fails(exported: FakeCollector) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise RuntimeError("no database")

    with pytest.raises(RuntimeError, match="no database"):
        asyncio.run(run_lifespan(clew.ClewMiddleware(app)))
