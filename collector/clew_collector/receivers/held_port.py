"""Holding a port for a server that opens its listening socket itself, as gRPC's does.

The supervisor holds the port with a socket that is bound and does not listen: no connection is ever given to it. The
server binds the same port beside it, which `SO_REUSEPORT` on both allows to processes of one user. While the server is
started again, nobody else can take the port, and senders are refused and try again.
"""

import socket


def hold_port(host: str, port: int) -> socket.socket:
    """A socket that keeps a port (0: any free one) until it is closed. Raises `OSError` if the port is in use."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Another server may allow sharing as well, another clew does: only a socket that does not share finds out.
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        port = probe.getsockname()[1]
    held = socket.socket(family, socket.SOCK_STREAM)
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind((host, port))
    except OSError:
        held.close()
        raise
    return held
