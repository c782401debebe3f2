"""A collector with nothing to do: takes whatever is posted and says 200. `running_sink()` gives its address."""

import asyncio
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_HEAD_END = b"\r\n\r\n"


class _Taking(asyncio.Protocol):
    """HTTP/1.1, as far as the peers' exporters need it: with a length or in chunks."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._request_end()) is not None:
            self._received = self._received[end:]
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")

    def _request_end(self) -> int | None:
        head_end = self._received.find(_HEAD_END)
        if head_end < 0:
            return None
        head = self._received[:head_end].lower()
        body_start = head_end + len(_HEAD_END)
        if b"transfer-encoding: chunked" in head:
            last = self._received.find(b"0\r\n\r\n", body_start)
            return None if last < 0 else last + 5
        length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")), 0)
        return body_start + length if len(self._received) >= body_start + length else None


@contextmanager
def running_sink() -> Iterator[str]:
    """The address of a sink in a thread of this process, which does nothing else while a cell is measured."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(_Taking, "127.0.0.1", 0, backlog=256))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)


if __name__ == "__main__":
    with running_sink() as url:
        print(url, flush=True)
        sys.stdin.read()
