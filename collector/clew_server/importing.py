"""Where imported payloads go: the intake of a running `clew up`, or the data directory itself."""

import ssl
import time
from pathlib import Path
from typing import Final, Protocol

import httpx

from clew_collector.errors import BadPayload, StoreUnavailable
from clew_collector.keys import bearer
from clew_collector.payload import Payload, digest_of
from clew_collector.receivers.otlp_http import PROTOBUF, REPLAYED
from clew_collector.sinks.http import ClientTls, client_context
from clew_collector.spool import Spool
from clew_collector.stores.duckdb import DuckDBStore
from clew_collector.wire.otlp.files import FilePayload
from clew_server.draining import drain
from clew_server.running import DataLock, Running

_TIMEOUT_S: Final = 60.0
_TRIES: Final = 60


class ImportTarget(Protocol):
    """Takes payloads one by one and answers whether each was new; `finish` makes them queryable."""

    def take(self, payload: FilePayload) -> bool:
        """Keep a payload durably. Raises `BadPayload` if it is refused, `StoreUnavailable` if none can be kept."""
        ...

    def finish(self) -> None:
        """Store what was taken, if that is left to us."""
        ...

    def close(self) -> None:
        """Release what is held."""
        ...


class RunningTarget:
    """Sends payloads to a running `clew up`; waits while its spool is full.

    Shows the certificate in `tls`, if there is one, where clients are asked for one. Raises `ConfigError` if it cannot
    be used.
    """

    def __init__(self, running: Running, *, tls: ClientTls) -> None:
        headers = bearer(running.key) if running.key else {}
        self._url = running.otlp_url
        self._client = httpx.Client(
            base_url=self._url, timeout=_TIMEOUT_S, headers=headers, verify=_unverified_context(tls)
        )

    def take(self, payload: FilePayload) -> bool:
        """See `ImportTarget.take`."""
        for _ in range(_TRIES):
            try:
                answer = self._client.post(
                    f"/v1/{payload.signal}", content=payload.body, headers={"content-type": PROTOBUF}
                )
            except httpx.HTTPError as error:
                raise StoreUnavailable(f"the running clew does not answer: {error}{self._hint()}") from error
            if answer.is_success:
                return REPLAYED not in answer.headers
            if answer.status_code not in (429, 503):
                raise BadPayload(f"refused with status {answer.status_code}")
            time.sleep(float(answer.headers.get("retry-after", 1)))
        raise StoreUnavailable("the running clew takes nothing more: its spool stays full")

    def finish(self) -> None:
        """See `ImportTarget.finish`; the running store does it within a second."""

    def close(self) -> None:
        """See `ImportTarget.close`."""
        self._client.close()

    def _hint(self) -> str:
        """A listener breaks the connection off with whatever error: in TLS 1.3, only after its own side is done."""
        if not self._url.startswith("https://"):
            return ""
        return "; if otlp_http has a client_ca, name a certificate that it has signed with --certificate and --key"


class DirectTarget:
    """Writes to the data directory itself, through the same spool and pipeline as a running `clew up`."""

    def __init__(self, data: Path) -> None:
        self._lock = DataLock(data)
        self._spool_path = data / "spool.sqlite"
        self._spool = Spool(self._spool_path)
        self._store = DuckDBStore(data)

    def take(self, payload: FilePayload) -> bool:
        """See `ImportTarget.take`."""
        digest = digest_of(payload.signal, payload.body)
        spooled = Payload(signal=payload.signal, body=payload.body, records=payload.records, digest=digest)
        return self._spool.append([spooled])[0]

    def finish(self) -> None:
        """See `ImportTarget.finish`."""
        drain(self._spool_path, self._store)

    def close(self) -> None:
        """See `ImportTarget.close`."""
        self._spool.close()
        self._store.close()
        self._lock.release()


def _unverified_context(tls: ClientTls) -> ssl.SSLContext:
    """Checks nobody: the address is that of a process of ours, whatever name its certificate is for."""
    context = client_context(tls)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
