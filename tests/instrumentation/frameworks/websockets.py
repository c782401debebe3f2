"""A websocket's caller, as a server would bring it to an application in this process."""

import asyncio
from typing import Any


async def _talk(app: Any, path: str, headers: dict[str, str], text: str | None) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []
    coming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    coming.put_nowait({"type": "websocket.connect"})
    if text is not None:
        coming.put_nowait({"type": "websocket.receive", "text": text})

    async def send(message: Any) -> None:
        sent.append(message)
        if message["type"] == "websocket.send":
            coming.put_nowait({"type": "websocket.disconnect", "code": 1000})

    scope = {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("shop.example", 80),
        "subprotocols": [],
    }
    await asyncio.wait_for(app(scope, coming.get, send), 5)
    return sent


def talk(app: Any, path: str, headers: dict[str, str], text: str | None = None) -> list[dict[str, Any]]:
    """What the application sent, until it was done or had said something."""
    return asyncio.run(_talk(app, path, headers, text))


def said(messages: list[dict[str, Any]]) -> list[str]:
    return [message["text"] for message in messages if message["type"] == "websocket.send"]


def accepted_with(messages: list[dict[str, Any]]) -> dict[bytes, bytes]:
    (accept,) = [message for message in messages if message["type"] == "websocket.accept"]
    return dict(accept["headers"])
