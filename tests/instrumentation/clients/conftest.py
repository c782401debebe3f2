from collections.abc import Iterator

import pytest

from tests.instrumentation.clients.peer import Peer, running_peer


@pytest.fixture(scope="module")
def _peer() -> Iterator[Peer]:
    with running_peer() as peer:
        yield peer


@pytest.fixture
def peer(_peer: Peer) -> Peer:
    """A service that is called, one a module; each test finds it as new."""
    _peer.received.clear()
    _peer.counts.clear()
    _peer.arrived.clear()
    return _peer
