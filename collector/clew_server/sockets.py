"""Sockets of listeners: held by the supervisor, so that senders wait while a process is started again."""

import os
import socket
from collections.abc import Sequence
from typing import Final, Literal

from clew_collector.errors import ConfigError
from clew_collector.model import record
from clew_collector.receivers.held_port import hold_port

_BACKLOG: Final = 2048
_PORT_ATTEMPTS: Final = 20

Transport = Literal["tcp", "udp", "held"]
"""A `held` socket only holds its port: the process that serves binds one of its own beside it."""

Sockets = Sequence[socket.socket]
"""One for each of a listener's transports, in their order."""


@record
class Address:
    """Where a listener is to listen, and how a person changes it."""

    host: str
    port: int | None
    default_port: int
    transports: tuple[Transport, ...]
    remedy: str
    is_required: bool = False


class OpenSockets:
    """The sockets of an address: none if its default port is in use, unless it is required.

    Raises `ConfigError` if a port that somebody chose, or a required one, cannot be had.
    """

    def __init__(self, address: Address) -> None:
        self.problem = ""
        self.sockets: list[socket.socket] = []
        self._host = address.host
        port = address.default_port if address.port is None else address.port
        try:
            self.sockets += _listen_on_each(address, port)
        except ConfigError as error:
            if address.port is not None or address.is_required:
                raise
            self.problem = str(error)

    @property
    def address(self) -> str | None:
        """Host and port by which this machine reaches it; `None` without a socket."""
        if not self.sockets:
            return None
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self._host, self._host)
        return f"[{host}]:{self.port}" if ":" in host and not host.startswith("[") else f"{host}:{self.port}"

    @property
    def is_everywhere(self) -> bool:
        """Whether other machines can reach it, by whatever address this one has."""
        return self._host in ("0.0.0.0", "::")

    @property
    def port(self) -> int:
        """The port of the first socket."""
        number: int = self.sockets[0].getsockname()[1]
        return number

    def close(self) -> None:
        """Stop listening."""
        for listening in self.sockets:
            listening.close()
        self.sockets.clear()


def _listen_on_each(address: Address, port: int) -> list[socket.socket]:
    """A socket for each transport, all with one port. One that is free for TCP may be in use for UDP: then another."""
    attempts = 1 if port else _PORT_ATTEMPTS
    while True:
        attempts -= 1
        sockets: list[socket.socket] = []
        try:
            for transport in address.transports:
                number = sockets[0].getsockname()[1] if sockets else port
                sockets.append(listen(address.host, number, remedy=address.remedy, transport=transport))
        except ConfigError:
            for listening in sockets:
                listening.close()
            if not attempts:
                raise
        else:
            return sockets


def listen(host: str, port: int, *, remedy: str, transport: Transport = "tcp") -> socket.socket:
    """A socket that takes connections or datagrams, and that a child process may be given.

    Raises `ConfigError` that says what to change (`remedy`: an option, a setting) if the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        if transport == "tcp":
            listening = socket.create_server((host, port), backlog=_BACKLOG, family=family)
        elif transport == "udp":
            listening = socket.socket(family, socket.SOCK_DGRAM)
            listening.bind((host, port))
        else:
            listening = hold_port(host, port)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}:{port}: {os.strerror(error.errno or 0) or error}; "
            f"choose another port with {remedy}"
        ) from error
    listening.set_inheritable(True)
    return listening
