"""What the processes under the supervisor share: arguments, serving on a given socket, and how they end."""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final

import structlog
import uvicorn
import uvloop

from clew_collector.config import CollectorConfig
from clew_collector.errors import ConfigError
from clew_collector.receivers.handshake import Handshakes, tls_server
from clew_server.handover import read_config

CONFIG_ERROR_STATUS: Final = 2
"""Exit status that says: starting again will not help."""

SHUTDOWN_TIMEOUT_S: Final = 5

KEEP_ALIVE_S: Final = 75
"""Exporters send every 5 s, which is uvicorn's own time-out: some would meet a connection that is just being closed."""


def read_arguments(argv: list[str]) -> tuple[CollectorConfig, dict[str, list[socket.socket]]]:
    """The configuration, and the sockets by the name of what they are for, that a supervisor handed over."""
    _, config_fd, *arguments = argv
    sockets = {
        name: [socket.socket(fileno=int(fd)) for fd in fds.split(",")]
        for name, _, fds in (argument.partition("=") for argument in arguments)
    }
    return read_config(int(config_fd)), sockets


def configure_logging() -> None:
    """Warnings and worse of libraries, and our own lines, go to standard error, one line each."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )


def stopping_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set from now on; for the running loop."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    return stopping


async def serve(
    app: Any,
    listening: socket.socket,
    *,
    stopping: asyncio.Event,
    tls: Handshakes | None = None,
    http: Any = "httptools",
) -> None:
    """Serve an ASGI application without a lifespan on a socket until `stopping` is set; with `tls`, over TLS.

    `http` is what uvicorn takes as its protocol.
    """
    config = uvicorn.Config(
        app,
        http=http,
        lifespan="off",
        ws="none",
        log_level="error",  # a warning for each request that is none is more than a person wants to read
        timeout_keep_alive=KEEP_ALIVE_S,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
    )
    if tls is None:
        await _Server(config, stopping).serve(sockets=[listening])
    else:
        await _TlsServer(config, stopping, listening, tls).serve(sockets=[])


class _Server(uvicorn.Server):
    """Stops by an event instead of by signals: several run side by side, and a signal is for all of them."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def on_tick(self, counter: int) -> bool:
        return self._stopping.is_set() or await super().on_tick(counter)


class _TlsServer(_Server):
    """Takes connections itself: uvicorn says nothing of handshakes that fail."""

    def __init__(
        self, config: uvicorn.Config, stopping: asyncio.Event, listening: socket.socket, handshakes: Handshakes
    ) -> None:
        super().__init__(config, stopping)
        self._listening = listening
        self._handshakes = handshakes

    async def main_loop(self) -> None:
        async with tls_server(self._listening, self._handshakes, protocol_factory=self._protocol):
            await super().main_loop()

    def _protocol(self) -> asyncio.Protocol:
        protocol: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol


def run_async(main: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end on uvloop."""
    uvloop.run(main)


@contextmanager
def exit_on_config_error() -> Iterator[None]:
    """Turn a `ConfigError` into one line and exit status 2."""
    try:
        yield
    except ConfigError as error:
        print(f"clew: {error}", file=sys.stderr, flush=True)
        raise SystemExit(CONFIG_ERROR_STATUS) from None
