"""Elasticsearch's own client sends to us as it does to a real Elasticsearch, and is answered alike."""

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from clew_collector.errors import SpoolFull
from tests.collector.receivers.elastic_intake import Intake
from tests.collector.receivers.serving import serving
from tests.collector.wire.elastic_bulk.documents import bulk
from tests.needed_packages import need_package

need_package("elasticsearch")

from elasticsearch import ApiError, AsyncElasticsearch, BadRequestError, Elasticsearch, helpers  # noqa: E402

NDJSON = {"content-type": "application/x-ndjson"}


class Served(Intake):
    """An intake with its address."""

    url: str


@pytest.fixture
def intake() -> Iterator[Served]:
    intake = Served()
    with serving(intake.app) as intake.url:
        yield intake


@pytest.fixture
def client(intake: Served) -> Iterator[Elasticsearch]:
    with Elasticsearch(intake.url, http_compress=True) as client:
        yield client


def documents(count: int) -> Iterator[dict[str, Any]]:
    return ({"_index": "logs", "message": str(number)} for number in range(count))


def test_helpers_bulk_sends_all_documents_in_order(intake: Served, client: Elasticsearch) -> None:
    assert helpers.bulk(client, documents(1_234), chunk_size=500) == (1_234, [])

    assert intake.bodies() == [str(number) for number in range(1_234)]


def test_streaming_bulk_is_told_about_each_document(intake: Served, client: Elasticsearch) -> None:
    actions = [{"_op_type": "create", "_index": "a", "_id": "7", "message": "x"}, {"_index": "b", "message": "y"}]

    results = list(helpers.streaming_bulk(client, actions))

    assert [(ok, next(iter(item))) for ok, item in results] == [(True, "create"), (True, "index")]
    assert results[0][1]["create"]["_id"] == "7"
    assert intake.bodies() == ["x", "y"]


def test_async_bulk_sends_all_documents(intake: Served) -> None:
    async def send() -> Any:
        async with AsyncElasticsearch(intake.url) as client:
            return await helpers.async_bulk(client, list(documents(700)), chunk_size=300)

    assert asyncio.run(send()) == (700, [])
    assert len(intake.bodies()) == 700


def test_parallel_bulk_sends_all_documents(intake: Served, client: Elasticsearch) -> None:
    results = list(helpers.parallel_bulk(client, documents(2_000), thread_count=4, chunk_size=200))

    assert all(ok for ok, _ in results)
    assert sorted(map(int, intake.bodies())) == list(range(2_000))


def test_bulk_is_told_which_documents_were_not_kept(intake: Served, client: Elasticsearch) -> None:
    actions = [{"_index": "a", "message": "x"}, {"_op_type": "delete", "_index": "a", "_id": "1"}]

    kept, errors = helpers.bulk(client, actions, raise_on_error=False)

    assert (kept, len(errors), errors[0]["delete"]["status"]) == (1, 1, 400)  # type: ignore[arg-type, index]


def test_a_full_spool_reaches_the_client_as_429() -> None:
    intake = Intake(SpoolFull("full"))

    with serving(intake.app) as url, Elasticsearch(url, max_retries=0) as client, pytest.raises(ApiError) as caught:
        helpers.bulk(client, documents(3))

    assert caught.value.status_code == 429
    assert caught.value.error == "es_rejected_execution_exception"


def test_what_applications_ask_first_is_answered(client: Elasticsearch) -> None:
    assert client.ping()
    assert client.info()["tagline"] == "You Know, for Search"
    assert client.cluster.health()["status"] == "green"
    assert client.indices.exists(index="logs")
    assert client.indices.create(index="logs")["acknowledged"]
    assert not client.indices.exists_index_template(name="logs")
    assert client.indices.put_index_template(name="logs", index_patterns=["logs"])["acknowledged"]
    assert client.ilm.put_lifecycle(name="logs", policy={"phases": {}})["acknowledged"]
    assert client.ingest.put_pipeline(id="logs", processors=[])["acknowledged"]
    assert client.index(index="logs", document={"message": "x"})["result"] == "created"


def test_a_client_that_looks_for_nodes_stays(intake: Served) -> None:
    with Elasticsearch(intake.url, sniff_on_start=True) as client:
        assert client.info()["name"] == "clew"


def test_a_search_is_refused_and_says_where_to_search(client: Elasticsearch) -> None:
    with pytest.raises(BadRequestError, match="dashboard"):
        client.search(index="logs")


BODIES = {
    "good": bulk({"message": "a"}, {"message": "b"}, action='{"index":{"_index":"clew-test"}}'),
    "with IDs": bulk({"message": "a"}, action='{"create":{"_index":"clew-test","_id":"{id}"}}'),
    "malformed documents": bulk(
        *({"message": "a"}, '{"message":', "[1]", "null", '"x"', "", "{}", '{"message":"b"} x', '{"message":NaN}'),
        action='{"create":{"_index":"clew-test"}}',
    ),
    "an empty ID": bulk({"message": "a"}, action='{"index":{"_index":"clew-test","_id":""}}'),
    "half a surrogate": bulk('{"message":"\\ud83d"}', action='{"index":{"_index":"clew-test"}}'),
    "a deep document": bulk('{"a":' * 25 + "1" + "}" * 25, action='{"index":{"_index":"clew-test"}}'),
    "CRLF and blank lines": b'\n{"index":{"_index":"clew-test"}}\r\n{"message":"a"}\r\n\n',
    "no newline": b'{"index":{"_index":"clew-test"}}\n{}',
    "nothing": b"",
    "an empty line": b"\n",
    "no index": b'{"index":{}}\n{}\n',
    "an unknown action": b'{"frob":{"_index":"clew-test"}}\n{}\n',
    "an unknown parameter": b'{"index":{"_index":"clew-test","foo":1}}\n{}\n',
    "a list for an action": b"[]\n{}\n",
    "not JSON": b"garbage\n{}\n",
}


def shape_of(form: Any) -> Any:
    """What of an answer has to be the same: keys, statuses and types of errors, not IDs and wordings of a parser."""
    if isinstance(form, list):
        return [shape_of(item) for item in form]
    if not isinstance(form, dict):
        return type(form).__name__
    kept = ("status", "result", "type", "_version", "errors")
    return {
        key: value if key in kept else shape_of(value)
        for key, value in form.items()
        if key not in ("caused_by", "took", "ingest_took")
    }


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
@pytest.mark.parametrize("filter_path", ["", "errors,items.*.error,items.*.status", "-took,-items.*._shards"])
def test_a_real_elasticsearch_gives_the_same_answer(
    intake: Served, elasticsearch_url: str, body: bytes, filter_path: str
) -> None:
    body = body.replace(b"{id}", uuid4().hex.encode())
    query = {"filter_path": filter_path} if filter_path else {}

    ours, real = (
        httpx.post(f"{url}/_bulk", params=query, content=body, headers=NDJSON, timeout=60)
        for url in (intake.url, elasticsearch_url)
    )

    assert ours.status_code == real.status_code
    assert shape_of(ours.json()) == shape_of(real.json())
    assert ours.headers["x-elastic-product"] == real.headers["x-elastic-product"]
    assert ours.headers["content-type"] == real.headers["content-type"]
