"""What shippers ask before they send is answered so that they go on, and nothing of it is pretended to be kept."""

import gzip
from typing import Any

import pytest

from tests.collector.receivers.elastic_intake import Intake

JSON = {"content-type": "application/json"}
SET_UP = [
    "/_template/filebeat",
    "/_index_template/filebeat-9.2.0",
    "/_component_template/logs@custom",
    "/_ilm/policy/filebeat",
    "/_ingest/pipeline/filebeat-9.2.0-nginx-access",
    "/_data_stream/filebeat-9.2.0",
]


@pytest.fixture
def intake() -> Intake:
    return Intake()


def ask(intake: Intake, path: str, *, method: str = "GET", body: bytes = b"") -> tuple[int, Any]:
    response = intake.send(path, body, {**JSON, "host": "logs.example:9201"}, method=method)
    assert response.headers["x-elastic-product"] == "Elasticsearch"
    return response.status_code, response.json() if response.content else None


def test_the_first_call_of_all_clients_says_elasticsearch(intake: Intake) -> None:
    status, form = ask(intake, "/")

    assert status == 200
    assert form["tagline"] == "You Know, for Search"
    assert form["version"]["build_flavor"] == "default"
    assert [int(part) for part in form["version"]["number"].split(".")] >= [9, 0, 0]
    assert ask(intake, "/", method="HEAD") == (200, None)


@pytest.mark.parametrize("path", SET_UP)
def test_what_a_shipper_sets_up_is_acknowledged_and_not_there(intake: Intake, path: str) -> None:
    assert ask(intake, path, method="HEAD") == (404, None)
    assert ask(intake, path)[0] == 404
    assert ask(intake, path, method="PUT", body=b'{"index_patterns":["filebeat-*"]}') == (200, {"acknowledged": True})
    assert ask(intake, path, method="HEAD") == (404, None)
    assert intake.payloads == []
    assert intake.counts == {}


def test_a_compressed_template_is_acknowledged_as_well(intake: Intake) -> None:
    headers = {**JSON, "content-encoding": "gzip"}

    assert intake.send("/_index_template/x", gzip.compress(b"{}"), headers, method="PUT").status_code == 200


def test_every_index_takes_documents(intake: Intake) -> None:
    assert ask(intake, "/anything", method="HEAD") == (200, None)
    assert ask(intake, "/anything", method="PUT", body=b"{}") == (
        200,
        {"acknowledged": True, "shards_acknowledged": True, "index": "anything"},
    )
    assert ask(intake, "/%3Clogs-%7Bnow%2Fd%7D%3E", method="PUT")[1]["index"] == "<logs-{now/d}>"


def test_the_licence_is_active(intake: Intake) -> None:
    assert ask(intake, "/_license")[1]["license"]["status"] == "active"
    assert ask(intake, "/_xpack")[1]["license"]["status"] == "active"


def test_the_cluster_is_well_and_its_only_node_is_where_the_client_found_it(intake: Intake) -> None:
    assert ask(intake, "/_cluster/health")[1]["status"] == "green"
    for path in ("/_nodes/http", "/_nodes/_all/http"):
        [node] = ask(intake, path)[1]["nodes"].values()
        assert node["http"]["publish_address"] == "logs.example:9201"
