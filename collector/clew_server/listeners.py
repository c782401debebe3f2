"""Where records come in: one entry a receiver, with its address, its option and what serves it.

A new receiver is one more entry in `LISTENERS`, beside its port in `CollectorConfig` and the option that sets it.
The supervisor holds the sockets, the intake process serves them.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, Literal

from clew_collector.config import CollectorConfig
from clew_collector.errors import ConfigError
from clew_collector.group_commit import GroupCommit
from clew_collector.model import record
from clew_collector.receivers import otlp_http, syslog, zipkin
from clew_server.process import serve

ZIPKIN_PORT: Final = 9411
SYSLOG_PORT: Final = 5514
"""Syslog's own, 514, is for the superuser only."""

_BACKLOG: Final = 2048
_PORT_ATTEMPTS: Final = 20

Transport = Literal["tcp", "udp"]
Sockets = Sequence[socket.socket]
"""One for each of a listener's transports, in their order."""


@record
class Intake:
    """What a receiver is given to work with; it ends when `stopping` is set."""

    config: CollectorConfig
    commits: GroupCommit
    stopping: asyncio.Event


@record
class Listener:
    """An address on which records are taken.

    `port` reads it from the configuration: `None` there means `default_port`, and to do without the listener where
    that is in use. It has the same port for each of its transports. `health_path` is where it answers HTTP, `None` if
    it does not.
    """

    name: str
    label: str
    takes: str
    flag: str
    host: Callable[[CollectorConfig], str]
    port: Callable[[CollectorConfig], int | None]
    receive: Callable[[Intake, Sockets], Coroutine[Any, Any, None]]
    default_port: int = 0
    health_path: str | None = None
    transports: tuple[Transport, ...] = ("tcp",)


async def _receive_otlp(intake: Intake, sockets: Sockets) -> None:
    source = intake.commits.source("otlp_http")
    receiver = otlp_http.OtlpHttpReceiver(
        source.deliver, count=source.count, max_body_bytes=intake.config.max_body_bytes
    )
    await serve(receiver, sockets[0], stopping=intake.stopping)


async def _receive_zipkin(intake: Intake, sockets: Sockets) -> None:
    source = intake.commits.source("zipkin")
    receiver = zipkin.ZipkinReceiver(source.deliver, count=source.count, max_body_bytes=intake.config.max_body_bytes)
    await serve(receiver, sockets[0], stopping=intake.stopping)


async def _receive_syslog(intake: Intake, sockets: Sockets) -> None:
    source = intake.commits.source("syslog")
    receiver = syslog.SyslogReceiver(source.deliver, count=source.count, ids_in_text=intake.config.syslog_ids_in_text)
    connections, datagrams = sockets
    async with receiver.listening(datagrams, connections):
        await intake.stopping.wait()


OTLP: Final = Listener(
    name="otlp",
    label="OTLP/HTTP",
    takes="v1/logs and v1/traces; protobuf or JSON, gzip",
    flag="--otlp-port",
    host=lambda config: config.otlp_host,
    port=lambda config: config.otlp_http_port,
    receive=_receive_otlp,
    health_path=otlp_http.HEALTH_PATH,
)
ZIPKIN: Final = Listener(
    name="zipkin",
    label="Zipkin",
    takes="api/v2/spans as JSON or protobuf, api/v1/spans as JSON; gzip",
    flag="--zipkin-port",
    host=lambda _: "127.0.0.1",
    port=lambda config: config.zipkin_port,
    default_port=ZIPKIN_PORT,
    receive=_receive_zipkin,
    health_path=zipkin.HEALTH_PATH,
)
SYSLOG: Final = Listener(
    name="syslog",
    label="Syslog",
    takes="UDP and TCP; RFC 5424 and RFC 3164",
    flag="--syslog-port",
    host=lambda _: "127.0.0.1",
    port=lambda config: config.syslog_port,
    default_port=SYSLOG_PORT,
    receive=_receive_syslog,
    transports=("tcp", "udp"),
)
LISTENERS: Final = (OTLP, ZIPKIN, SYSLOG)


class OpenListener:
    """A listener with its sockets, or without any if its default port is in use.

    Raises `ConfigError` if a port that somebody chose cannot be had.
    """

    def __init__(self, listener: Listener, config: CollectorConfig) -> None:
        self.listener = listener
        self.sockets: list[socket.socket] = []
        self.problem = ""
        self._host = listener.host(config)
        port = listener.port(config)
        try:
            self.sockets += _listen_on_each(listener, self._host, listener.default_port if port is None else port)
        except ConfigError as error:
            if port is not None:
                raise
            self.problem = str(error)

    @property
    def url(self) -> str | None:
        """Where senders send to: a URL if it speaks HTTP, else host and port; `None` without a socket."""
        if not self.sockets:
            return None
        host = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}.get(self._host, self._host)
        address = f"{host}:{self.sockets[0].getsockname()[1]}"
        return address if self.listener.health_path is None else f"http://{address}"

    def line(self, *, width: int) -> str:
        """What a person is told when the collector starts; `width` is that of the label."""
        told = f"not taken: {self.problem}" if self.url is None else f"{self.url}   ({self.listener.takes})"
        return f"{self.listener.label:<{width}}{told}"

    @property
    def health_url(self) -> str | None:
        """What answers when it is ready; `None` if nothing can be asked."""
        return f"{self.url}{self.listener.health_path}" if self.url and self.listener.health_path else None

    def close(self) -> None:
        """Stop listening."""
        for listening in self.sockets:
            listening.close()
        self.sockets.clear()


def _listen_on_each(listener: Listener, host: str, port: int) -> list[socket.socket]:
    """A socket for each transport, all with one port. One that is free for TCP may be in use for UDP: then another."""
    attempts = 1 if port else _PORT_ATTEMPTS
    while True:
        attempts -= 1
        sockets: list[socket.socket] = []
        try:
            for transport in listener.transports:
                number = sockets[0].getsockname()[1] if sockets else port
                sockets.append(listen(host, number, flag=listener.flag, transport=transport))
        except ConfigError:
            for listening in sockets:
                listening.close()
            if not attempts:
                raise
        else:
            return sockets


def listen(host: str, port: int, *, flag: str, transport: Transport = "tcp") -> socket.socket:
    """A socket that takes connections or datagrams, and that a child process may be given.

    Raises `ConfigError` naming the option to change if the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        if transport == "tcp":
            listening = socket.create_server((host, port), backlog=_BACKLOG, family=family)
        else:
            listening = socket.socket(family, socket.SOCK_DGRAM)
            listening.bind((host, port))
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}; choose another port with {flag}"
        ) from error
    listening.set_inheritable(True)
    return listening
