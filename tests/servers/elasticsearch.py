"""Elasticsearch, one node without security."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from tests.servers.artifacts import Artifact, fetched
from tests.servers.containers import container
from tests.servers.elastic_node import HEALTH, Distribution, Node, installed
from tests.servers.missing import ServerMissingError
from tests.servers.processes import Server, answers_http

URL_VARIABLE = "CLEW_TEST_ELASTICSEARCH_URL"
_GROUP = "org.elasticsearch.distribution.integ-test-zip"
_ANY_NEWER = 100
NINE = Distribution(Artifact(_GROUP, "elasticsearch", "9.2.0", "zip"), javas=range(21, _ANY_NEWER))
EIGHT = Distribution(Artifact(_GROUP, "elasticsearch", "8.19.5", "zip"), javas=range(17, _ANY_NEWER))


def newest() -> Distribution:
    """The newest that the newest Java here can run. Raises `ServerMissingError`."""
    for distribution in (NINE, EIGHT):
        if distribution.java_home() is not None:
            return distribution
    raise ServerMissingError("Elasticsearch needs Java 17 or newer, which is not installed")


@contextmanager
def start(distribution: Distribution | None = None, *, heap_mb: int = 512) -> Iterator[Server]:
    """An empty Elasticsearch, from when it answers; the newest unless told which. Raises `ServerMissingError`."""
    if distribution is None and (given := os.environ.get(URL_VARIABLE)):
        yield Server(url=given)
        return
    try:
        fetched((distribution or newest()).artifact)
    except ServerMissingError as error:
        if distribution is not None:
            raise
        with container(
            "elasticsearch", port=9200, is_ready=lambda url: answers_http(url + HEALTH), reason=str(error)
        ) as server:
            yield server
        return
    with node(distribution, heap_mb=heap_mb) as found, found.running() as pid:
        yield Server(url=found.url, pid=pid)


@contextmanager
def node(distribution: Distribution | None = None, *, heap_mb: int = 512, settings: str = "") -> Iterator[Node]:
    """An Elasticsearch that is installed, and does not run yet. Raises `ServerMissingError`."""
    settings = f"xpack.security.enabled: false\n{settings}"
    with installed(distribution or newest(), heap_mb=heap_mb, settings=settings) as found:
        yield found
