"""A receiver behind a real HTTP server, for clients that cannot be asked in this process."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

_DEADLINE_S = 20.0


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """The URL of an ASGI application, from when it answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        deadline_s = time.monotonic() + _DEADLINE_S
        while not server.started:
            assert time.monotonic() < deadline_s, "the receiver does not listen"
            thread.join(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(_DEADLINE_S)
