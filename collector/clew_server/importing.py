"""Where imported payloads go: the intake of a running `clew up`, or the data directory itself."""

import time
from pathlib import Path
from typing import Final, Protocol

import httpx

from clew_collector.errors import BadPayload, StoreUnavailable
from clew_collector.keys import bearer
from clew_collector.payload import Payload, digest_of
from clew_collector.receivers.otlp_http import PROTOBUF
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
    """Sends payloads to a running `clew up`; waits while its spool is full."""

    def __init__(self, running: Running) -> None:
        # Not verified: the address is that of a process of ours, whatever name its certificate is for.
        headers = bearer(running.key) if running.key else {}
        self._client = httpx.Client(base_url=running.otlp_url, timeout=_TIMEOUT_S, headers=headers, verify=False)

    def take(self, payload: FilePayload) -> bool:
        """See `ImportTarget.take`; the intake does not say whether it was new."""
        for _ in range(_TRIES):
            try:
                answer = self._client.post(
                    f"/v1/{payload.signal}", content=payload.body, headers={"content-type": PROTOBUF}
                )
            except httpx.HTTPError as error:
                raise StoreUnavailable(f"the running clew does not answer: {error}") from error
            if answer.is_success:
                return True
            if answer.status_code not in (429, 503):
                raise BadPayload(f"refused with status {answer.status_code}")
            time.sleep(float(answer.headers.get("retry-after", 1)))
        raise StoreUnavailable("the running clew takes nothing more: its spool stays full")

    def finish(self) -> None:
        """See `ImportTarget.finish`; the running store does it within a second."""

    def close(self) -> None:
        """See `ImportTarget.close`."""
        self._client.close()


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
