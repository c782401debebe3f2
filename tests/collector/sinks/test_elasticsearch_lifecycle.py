"""Templates with a lifecycle policy where the cluster has index lifecycle management, and without where it has not."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clew_collector.sinks.base import SinkUnavailable
from clew_collector.sinks.elasticsearch.cluster import Cluster
from clew_collector.sinks.elasticsearch.config import ElasticsearchConfig
from clew_collector.sinks.elasticsearch.templates import Templates
from clew_collector.spool import Spool
from tests.collector.sinks.faulty_proxy import Fault, FaultyProxy, Request, faulty_proxy
from tests.collector.sinks.shipment import Streams, fill, lines, shipping

NOT_THERE = Fault(is_passed_on=False, status=404, body=b"{}")
DONE = Fault(is_passed_on=False, status=200, body=b'{"acknowledged":true}')


@pytest.fixture
def streams(elasticsearch_url: str) -> Streams:
    streams = Streams(elasticsearch_url)
    streams.logs = f"shop-{streams.logs}"
    return streams


@pytest.fixture
def proxy(elasticsearch_url: str) -> Iterator[FaultyProxy]:
    with faulty_proxy(elasticsearch_url) as proxy:
        yield proxy


@pytest.fixture
def index_template(streams: Streams) -> str:
    return f"clew-logs-{streams.logs}"


def test_a_stream_has_a_policy_if_the_cluster_has_any(tmp_path: Path, elasticsearch_url: str, streams: Streams) -> None:
    has_policies = streams.client.options(ignore_status=[400, 404, 405]).ilm.get_lifecycle().meta.status == 200
    fill(Spool(tmp_path / "spool"), *lines(1, 1))

    with shipping(tmp_path, elasticsearch_url, streams) as loop:
        loop.drain()

    [index] = streams.client.indices.get_settings(index=streams.logs, flat_settings=True).values()
    assert index["settings"].get("index.lifecycle.name") == ("clew" if has_policies else None)


def test_where_there_is_lifecycle_management_the_policy_comes_before_what_names_it(
    proxy: FaultyProxy, streams: Streams, index_template: str
) -> None:
    config = ElasticsearchConfig.model_validate({"type": "elasticsearch", "urls": [proxy.url], "logs": streams.logs})
    cluster = Cluster(config)
    sent: dict[str, Any] = {}
    proxy.fault = lambda request: played(request, sent)

    Templates(cluster, config).ensure("logs")

    cluster.close()
    assert list(sent) == [
        "/_ilm/policy/clew",
        "/_component_template/clew-lifecycle",
        f"/_index_template/{index_template}",
    ]
    policy, component, index = sent.values()
    assert policy["policy"]["phases"]["delete"]["min_age"] == "30d"
    assert component["template"]["settings"] == {"index.lifecycle.name": "clew"}
    assert index["composed_of"] == ["clew-common", "clew-attributes", "clew-logs", "clew-lifecycle"]


def played(request: Request, sent: dict[str, Any]) -> Fault | None:
    """What a cluster with lifecycle management says that has nothing of ours: the one that Maven offers lacks it."""
    method, target = request.line.split()
    if target == "/_ilm/policy":
        return DONE
    if method == "GET":
        return NOT_THERE if "lifecycle" in target or "_ilm" in target else None
    if "lifecycle" in target or "_component_template" not in target:
        sent[target] = json.loads(request.body)
        return DONE
    return None


@pytest.mark.parametrize(
    ("status", "error"),
    [(403, "security_exception"), (503, "cluster_block_exception")],
    ids=["not allowed", "not ready"],
)
def test_templates_wait_until_it_is_known_whether_there_is_lifecycle_management(
    tmp_path: Path, proxy: FaultyProxy, streams: Streams, index_template: str, status: int, error: str
) -> None:
    told = f'{{"error":{{"type":"{error}","reason":"no"}}}}'.encode()
    refused = Fault(is_passed_on=False, status=status, body=told)
    proxy.fault = lambda request: refused if "/_ilm" in request.line else None
    fill(Spool(tmp_path / "spool"), *lines(1, 1))

    with shipping(tmp_path, proxy.url, streams) as loop:
        with pytest.raises(SinkUnavailable, match=f"GET /_ilm/policy: {status} {error}: no"):
            loop.step()
        before = composition(streams, index_template)
        proxy.fault = lambda _: None
        loop.drain()

    assert before == []
    assert composition(streams, index_template) != []


def composition(streams: Streams, index_template: str) -> list[str]:
    """What an index template is made of; nothing if it is not there."""
    answer = streams.client.options(ignore_status=404).indices.get_index_template(name=index_template)
    found: list[dict[str, Any]] = answer.get("index_templates", [])
    return list(found[0]["index_template"]["composed_of"]) if found else []
