"""`python -m clew_demo.servers.own_redis`: a Redis for a machine that has none. What it holds ends with it."""

import argparse
import signal
import threading
from typing import Any

from fakeredis import TcpFakeServer
from redis.exceptions import ResponseError

from clew_demo.settings import HOST, PORTS


class OwnRedis(TcpFakeServer):
    """Speaks the real protocol, scripts in Lua included."""

    def __init__(self, port: int) -> None:
        super().__init__((HOST, port))
        self.RequestHandlerClass = _staying_open(self.RequestHandlerClass)


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m clew_demo.servers.own_redis", description=__doc__)
    parser.add_argument("--port", type=int, default=PORTS["redis"], help="port on 127.0.0.1 (default: %(default)s)")
    with OwnRedis(parser.parse_args().port) as server:
        for number in (signal.SIGTERM, signal.SIGINT):
            # `shutdown` waits for the loop that the signal interrupts: it needs a thread of its own.
            signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
        server.serve_forever()


def _staying_open(handler: Any) -> Any:
    """A handler of connections that goes on after a refused command.

    fakeredis (2.40) hangs up after each error. A real Redis does not, and clients count on it: they learn by an error
    that a script is not known yet, and send it on the same connection.
    """

    class StayingOpen(handler):  # type: ignore[misc]  # fakeredis says only where it is used that it is a class
        def setup(self) -> None:
            super().setup()
            read_response = self.current_client.read_response

            def response_or_error() -> Any:
                try:
                    return read_response()
                except ResponseError as error:
                    return error

            self.current_client.read_response = response_or_error

    return StayingOpen


if __name__ == "__main__":
    main()
