"""OpenSearch, one node without security."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.servers.artifacts import Artifact
from tests.servers.elastic_node import Distribution, installed
from tests.servers.processes import Server

# 24 has no security manager any more, which OpenSearch 2 does not start without.
DISTRIBUTION = Distribution(
    Artifact("org.opensearch.distribution.integ-test-zip", "opensearch", "2.19.0", "zip"), javas=range(11, 24)
)


@contextmanager
def start() -> Iterator[Server]:
    """An empty OpenSearch, from when it answers. Raises `ServerMissingError`."""
    with installed(DISTRIBUTION) as node, node.running() as pid:
        yield Server(url=node.url, pid=pid)
