"""The dashboard on a port of its own, for a browser."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from clew_collector.stores.base import Store
from clew_dashboards.app import create_app

_DEADLINE_S = 10


@contextmanager
def served(store: Store) -> Iterator[str]:
    """Serve a dashboard over this store; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(create_app(store), log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + _DEADLINE_S
        while not server.started:
            assert time.monotonic() < deadline, "the dashboard did not start"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(_DEADLINE_S)
