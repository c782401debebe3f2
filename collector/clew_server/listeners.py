"""Where records come in: one entry a receiver, with its address, its option and what serves it.

A new receiver is one more entry in `LISTENERS`, beside its section in `ReceiversConfig`. The supervisor holds the
sockets, the intake process serves them.
"""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from clew_collector.config import CollectorConfig
from clew_collector.errors import ConfigError
from clew_collector.group_commit import GroupCommit, Source
from clew_collector.keys import Keys
from clew_collector.model import record
from clew_collector.receivers import elastic_bulk, otlp_grpc, otlp_http, syslog, zipkin
from clew_collector.receivers.handshake import Handshakes
from clew_collector.receivers.key_guard import App, KeyGuard
from clew_collector.receivers.patience import Patience, patient_protocol
from clew_collector.tls import TlsConfig, read_pem, server_context
from clew_server.process import serve
from clew_server.sockets import Address, OpenSockets, Sockets, Transport, listen

OTLP_HTTP_PORT: Final = 4318
ZIPKIN_PORT: Final = 9411
BULK_PORT: Final = 9201
"""Next to Elasticsearch's own, which may run on the same machine."""
SYSLOG_PORT: Final = 5514
"""Syslog's own, 514, is for the superuser only."""


class Listening(Protocol):
    """What the configuration of every listener says."""

    @property
    def enabled(self) -> bool:
        """Whether it listens at all."""
        ...

    @property
    def host(self) -> str:
        """The address to listen on."""
        ...

    @property
    def port(self) -> int | None:
        """`None` is the default port, and to do without where that is in use."""
        ...

    @property
    def tls(self) -> TlsConfig | None:
        """With it, senders speak TLS."""
        ...


@record
class Intake:
    """What a receiver is given to work with; it ends when `stopping` is set."""

    config: CollectorConfig
    commits: GroupCommit
    stopping: asyncio.Event
    keys: Keys


@record
class Listener:
    """An address on which records are taken.

    `name` is that of its section under `receivers`. It has the same port for each of its `transports`;
    `tls_port` is one more that it may have. `health_path` is where it answers HTTP, `None` if it does not.
    """

    name: str
    label: str
    takes: str
    flag: str
    default_port: int
    receive: Callable[[Intake, Sockets], Coroutine[Any, Any, None]]
    health_path: str | None = None
    transports: tuple[Transport, ...] = ("tcp",)
    tls_port: Callable[[CollectorConfig], int | None] = lambda _: None
    is_required: bool = False

    def settings(self, config: CollectorConfig) -> Listening:
        """Its section."""
        section: Listening = getattr(config.receivers, self.name)
        return section


async def _receive_otlp_http(intake: Intake, sockets: Sockets) -> None:
    source, config = intake.commits.source("otlp_http"), intake.config.receivers.otlp_http
    receiver = otlp_http.OtlpHttpReceiver(
        source.deliver, count=source.count, max_body_bytes=config.max_body_bytes, cors_origins=config.cors_origins
    )
    await _serve(receiver, sockets[0], intake, source, tls=config.tls, open_path=otlp_http.HEALTH_PATH)


async def _receive_otlp_grpc(intake: Intake, sockets: Sockets) -> None:
    source, config = intake.commits.source("otlp_grpc"), intake.config.receivers.otlp_grpc
    receiver = otlp_grpc.OtlpGrpcReceiver(
        source.deliver,
        count=source.count,
        max_body_bytes=config.max_body_bytes,
        max_concurrent_streams=config.max_concurrent_streams,
        keys=intake.keys,
    )
    host, port = sockets[0].getsockname()[:2]
    async with receiver.serving(host, port, tls=None if config.tls is None else read_pem(config.tls)):
        await intake.stopping.wait()


async def _receive_elastic_bulk(intake: Intake, sockets: Sockets) -> None:
    source, config = intake.commits.source("elastic_bulk"), intake.config.receivers.elastic_bulk
    receiver = elastic_bulk.ElasticBulkReceiver(
        source.deliver, count=source.count, max_body_bytes=config.max_body_bytes, ids_in_text=config.ids_in_text
    )
    await _serve(receiver, sockets[0], intake, source, tls=config.tls)


async def _receive_zipkin(intake: Intake, sockets: Sockets) -> None:
    source, config = intake.commits.source("zipkin"), intake.config.receivers.zipkin
    receiver = zipkin.ZipkinReceiver(source.deliver, count=source.count, max_body_bytes=config.max_body_bytes)
    await _serve(receiver, sockets[0], intake, source, tls=config.tls, open_path=zipkin.HEALTH_PATH)


async def _receive_syslog(intake: Intake, sockets: Sockets) -> None:
    source, config = intake.commits.source("syslog"), intake.config.receivers.syslog
    receiver = syslog.SyslogReceiver(
        source.deliver, count=source.count, ids_in_text=config.ids_in_text, max_line_bytes=config.max_line_bytes
    )
    connections, datagrams, *encrypted = sockets
    tls = None if config.tls is None else server_context(config.tls)
    async with receiver.listening(datagrams, connections, *encrypted, tls=tls):
        await intake.stopping.wait()


async def _serve(
    app: App, listening: socket.socket, intake: Intake, source: Source, *, tls: TlsConfig | None, open_path: str = ""
) -> None:
    """Serve a receiver that speaks HTTP: over TLS, to those with a key, where that is asked for."""
    guarded = KeyGuard(app, intake.keys, count=source.count, open_paths=(open_path,)) if intake.keys else app

    def refuse(reason: str) -> None:
        source.count(("refused", "other", reason), 1)

    handshakes = None if tls is None else Handshakes(context=server_context(tls), refuse=refuse)
    patience = patient_protocol(Patience(), refuse)
    await serve(guarded, listening, stopping=intake.stopping, tls=handshakes, http=patience)


OTLP_HTTP: Final = Listener(
    name="otlp_http",
    label="OTLP/HTTP",
    takes="v1/logs and v1/traces; protobuf or JSON; gzip, deflate, zstd",
    flag="--otlp-port",
    default_port=OTLP_HTTP_PORT,
    is_required=True,
    receive=_receive_otlp_http,
    health_path=otlp_http.HEALTH_PATH,
)
OTLP_GRPC: Final = Listener(
    name="otlp_grpc",
    label="OTLP/gRPC",
    takes="logs and traces; gzip, deflate, zstd",
    flag="--grpc-port",
    default_port=otlp_grpc.GRPC_PORT,
    receive=_receive_otlp_grpc,
    transports=("held",),
)
ELASTIC_BULK: Final = Listener(
    name="elastic_bulk",
    label="_bulk",
    takes="documents as for Elasticsearch's _bulk",
    flag="--bulk-port",
    default_port=BULK_PORT,
    receive=_receive_elastic_bulk,
    health_path="/",
)
ZIPKIN: Final = Listener(
    name="zipkin",
    label="Zipkin",
    takes="api/v2/spans as JSON or protobuf, api/v1/spans as JSON; gzip",
    flag="--zipkin-port",
    default_port=ZIPKIN_PORT,
    receive=_receive_zipkin,
    health_path=zipkin.HEALTH_PATH,
)
SYSLOG: Final = Listener(
    name="syslog",
    label="Syslog",
    takes="UDP and TCP; RFC 5424 and RFC 3164",
    flag="--syslog-port",
    default_port=SYSLOG_PORT,
    receive=_receive_syslog,
    transports=("tcp", "udp"),
    tls_port=lambda config: config.receivers.syslog.tls_port if config.receivers.syslog.tls else None,
)
LISTENERS: Final = (OTLP_HTTP, OTLP_GRPC, ZIPKIN, ELASTIC_BULK, SYSLOG)


class OpenListener:
    """A listener with its sockets, or without any if it is switched off or its default port is in use.

    Raises `ConfigError` if a port that somebody chose cannot be had, or its certificate cannot be used.
    """

    def __init__(self, listener: Listener, config: CollectorConfig) -> None:
        self.listener = listener
        settings = listener.settings(config)
        self.is_enabled = settings.enabled
        self.uses_tls = settings.tls is not None
        self._asks_for_certificates = settings.tls is not None and settings.tls.client_ca is not None
        self._open: OpenSockets | None = None
        if settings.enabled:
            self._open = self._listen(settings, config)

    @property
    def sockets(self) -> Sockets:
        """What the intake process is given."""
        return [] if self._open is None else self._open.sockets

    @property
    def url(self) -> str | None:
        """Where senders send to: a URL if it speaks HTTP, else host and port; `None` without a socket."""
        address = None if self._open is None else self._open.address
        if address is None or self.listener.health_path is None:
            return address
        return f"{'https' if self.uses_tls else 'http'}://{address}"

    @property
    def health_url(self) -> str | None:
        """What answers when it is ready; `None` if nothing can be asked, or only by who has a certificate."""
        if self.url is None or self.listener.health_path is None or self._asks_for_certificates:
            return None
        return f"{self.url}{self.listener.health_path}"

    def line(self, *, width: int) -> str:
        """What a person is told when the collector starts; `width` is that of the label."""
        problem = "" if self._open is None else self._open.problem
        told = f"not taken: {problem}" if self.url is None else f"{self.url}   ({self.listener.takes}{self._more()})"
        return f"{self.listener.label:<{width}}{told}"

    def _more(self) -> str:
        """What the address does not say: who can reach it, and that it is over TLS."""
        everywhere = "; from everywhere" if self._open is not None and self._open.is_everywhere else ""
        if not self.uses_tls or self.listener.health_path is not None:
            return everywhere
        tls_port = self.sockets[-1].getsockname()[1] if len(self.sockets) > len(self.listener.transports) else None
        return f"; over TLS{f' on {tls_port}' if tls_port else ''}{everywhere}"

    def check_reload(self, before: CollectorConfig, after: CollectorConfig) -> None:
        """Raise `ConfigError` if a new configuration has it listen elsewhere, or its certificate cannot be used."""
        listener = self.listener
        old, new = _place(listener, before), _place(listener, after)
        if old != new:
            raise ConfigError(f"receivers.{listener.name}: where it listens can only be changed by a new start")
        if (tls := listener.settings(after).tls) is not None:
            server_context(tls)

    def close(self) -> None:
        """Stop listening."""
        if self._open is not None:
            self._open.close()

    def _listen(self, settings: Listening, config: CollectorConfig) -> OpenSockets:
        if settings.tls is not None:
            server_context(settings.tls)  # raises now rather than in the intake process
        listener = self.listener
        address = Address(
            host=settings.host,
            port=settings.port,
            default_port=listener.default_port,
            transports=listener.transports,
            remedy=f"{listener.flag} or receivers.{listener.name}.port",
            is_required=listener.is_required,
        )
        found = OpenSockets(address)
        if found.sockets and (tls_port := listener.tls_port(config)) is not None:
            remedy = f"receivers.{listener.name}.tls_port"
            found.sockets.append(listen(settings.host, tls_port, remedy=remedy))
        return found


def _place(listener: Listener, config: CollectorConfig) -> tuple[object, ...]:
    settings = listener.settings(config)
    return settings.enabled, settings.host, settings.port, settings.tls is None, listener.tls_port(config)
