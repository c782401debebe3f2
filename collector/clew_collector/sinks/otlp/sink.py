"""OTLP onward: the bytes that came where nothing changed them, else encoded anew."""

import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Final

import structlog

from clew_collector.model import Signal
from clew_collector.sinks.base import Outgoing, RefusedRecord, SinkRejected
from clew_collector.sinks.connections import Connections
from clew_collector.sinks.otlp.answers import BodyRefused, Partly, Transport, partial_success
from clew_collector.sinks.otlp.config import OtlpSinkConfig
from clew_collector.sinks.otlp.over_grpc import GrpcTransport
from clew_collector.sinks.otlp.over_http import HttpTransport
from clew_collector.sinks.otlp_bodies import OtlpBody, bodies_of, halves

_MAX_REFUSED: Final = 100
"""Beyond so many in one payload, each of which took a dozen requests to find, the whole payload is at fault."""

log = structlog.get_logger(__name__)


class OtlpSink:
    """Sends each payload as a request of its own, several at once.

    So a payload is the same bytes whenever it is sent, in whatever batch, and a receiver that remembers bodies, as
    clew's does for 15 minutes, keeps it once. What was acknowledged before another payload of its batch failed is not
    sent again. Raises `ConfigError` if the certificates of the configuration cannot be used.
    """

    def __init__(self, config: OtlpSinkConfig) -> None:
        self.signals: frozenset[Signal] = config.signals
        self._config = config
        self._transport: Transport = HttpTransport(config) if config.protocol == "http" else GrpcTransport(config)
        self._threads = ThreadPoolExecutor(config.connections, thread_name_prefix=f"sink-{config.name}")
        self._connections = Connections()
        self._lock = threading.Lock()
        self._done: dict[Signal, dict[int, list[RefusedRecord]]] = {signal: {} for signal in config.signals}
        self._dropped: dict[Signal, Counter[str]] = {signal: Counter() for signal in config.signals}

    @property
    def name(self) -> str:
        """See `Sink.name`."""
        return self._config.name

    def write(self, outgoing: Outgoing) -> Sequence[RefusedRecord]:
        """See `Sink.write`."""
        if outgoing.signal not in self.signals:
            return []
        done = self._done[outgoing.signal]
        bodies = (body for body in bodies_of(outgoing, self._connections) if body.payload_id not in done)
        under_way = [self._threads.submit(self._send, outgoing.signal, body) for body in bodies]
        wait(under_way, return_when=FIRST_EXCEPTION)
        begun = [each for each in under_way if not each.cancel()]
        wait(begun)
        for each in begun:
            each.result()
        return [refused for payload in outgoing.payloads for refused in done.pop(payload.id, ())]

    def take_dropped(self, signal: Signal) -> Counter[str]:
        """How many records the other side said it left out, by reason, since this was last asked."""
        with self._lock:
            dropped, self._dropped[signal] = self._dropped[signal], Counter()
        return dropped

    def close(self) -> None:
        """See `Sink.close`."""
        self._threads.shutdown(cancel_futures=True)
        self._transport.close()

    def _send(self, signal: Signal, body: OtlpBody) -> None:
        """Send a payload; halve it while it is refused, until the records at fault stand alone."""
        refused: list[RefusedRecord] = []
        waiting = [body]
        while waiting:
            body = waiting.pop()
            try:
                partly = partial_success(signal, self._transport.send(signal, body.encoded))
                if partly.rejected > 0:
                    self._note_dropped(signal, partly)
            except BodyRefused as error:
                if len(body.positions) > 1:
                    waiting += reversed(halves(signal, body))
                    continue
                refused += [RefusedRecord(body.payload_id, position, str(error)) for position in body.positions]
                if len(refused) > _MAX_REFUSED:
                    raise SinkRejected(str(error)) from error
        self._done[signal][body.payload_id] = refused

    def _note_dropped(self, signal: Signal, partly: Partly) -> None:
        with self._lock:
            self._dropped[signal]["partial success"] += partly.rejected
        log.warning(
            "records left out by the other side",
            sink=self.name,
            signal=signal,
            records=partly.rejected,
            reason=partly.reason,
        )
