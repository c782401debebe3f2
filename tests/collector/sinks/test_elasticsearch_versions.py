"""What the sink promises holds in the oldest Elasticsearch that is tested, and in OpenSearch."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from clew_collector.model import Value
from clew_collector.sinks.base import SinkUnavailable
from clew_collector.spool import Spool
from tests.collector.otlp_builders import T0_NS, a_log, a_span, logs, traces
from tests.collector.sinks.faulty_proxy import NO_ANSWER, faulty_proxy
from tests.collector.sinks.shipment import Streams, fill, lines, shipping
from tests.conftest import _give_up
from tests.servers import elasticsearch, opensearch
from tests.servers.missing import ServerMissingError
from tests.servers.processes import Server

ODD: dict[str, Value] = {
    "": "no name",
    ".": 1,
    "a..b": 3,
    "http": "1.1",
    "http.method": "GET",
    "tags": ["a", 3],
    "nested": {"deep": [1, {"x": None}]},
    "large": 2**63 - 1,
    'quote"\\\n\u2028\x00': "\U0001f9f6",
}
MANY: dict[str, Value] = {f"field {number}": number for number in range(3_000)}


@pytest.fixture(scope="module", params=["Elasticsearch 8", "OpenSearch 2"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    try:
        with (
            elasticsearch.start(elasticsearch.EIGHT) if request.param == "Elasticsearch 8" else opensearch.start() as it
        ):
            yield it
    except ServerMissingError as error:
        _give_up(request.param, error)


@pytest.fixture
def streams(server: Server) -> "AnyStreams":
    return AnyStreams(server.url)


class AnyStreams(Streams):
    """Without Elasticsearch's client, which refuses OpenSearch."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._http = httpx.Client(base_url=url, timeout=60)

    def search(self, query: dict[str, Any], *, stream: str | None = None) -> list[dict[str, Any]]:
        """The documents that a query finds, the earliest first."""
        stream = stream or self.logs
        self.ask("POST", f"/{stream}/_refresh")
        found = self.ask("POST", f"/{stream}/_search", {"query": query, "size": 10_000, "sort": ["@timestamp"]})
        return [hit["_source"] for hit in found["hits"]["hits"]]

    def documents(self, stream: str) -> list[dict[str, Any]]:
        return self.search({"match_all": {}}, stream=stream)

    def roll_over(self) -> None:
        self.ask("POST", f"/{self.logs}/_rollover")

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._http.request(method, path, json=body)
        answer.raise_for_status()
        return answer.json()


def ship(data: Path, server: Server, streams: Streams, **how: Any) -> None:
    with shipping(data, server.url, streams, **how) as loop:
        loop.drain()


def test_a_request_is_found_by_its_ids_in_order_of_nanoseconds(
    tmp_path: Path, server: Server, streams: AnyStreams
) -> None:
    records = [a_log(f"line {n}", time_ns=T0_NS + n, correlation_id="order-17") for n in (3, 1, 2)]
    fill(Spool(tmp_path / "spool"), traces(a_span(correlation_id="order-17")), logs(*records, a_log("of another")))

    ship(tmp_path, server, streams)
    ship(tmp_path, server, streams, signal="traces")

    found = streams.search({"term": {"correlation.id": "order-17"}}, stream=f"{streams.logs},{streams.traces}")
    told = [document.get("message", document.get("span.name")) for document in found]
    assert told == ["GET /stock", "line 1", "line 2", "line 3"]


def test_odd_attributes_arrive_and_are_searched_where_they_fit(
    tmp_path: Path, server: Server, streams: AnyStreams
) -> None:
    clash = [a_log("number", more={"size": 1}), a_log("text", more={"size": "large"}), a_log(more={"size": {"x": 1}})]
    spool = Spool(tmp_path / "spool")
    fill(spool, logs(a_log("odd", more=ODD), *clash), logs(a_log("many", more=MANY)))

    ship(tmp_path, server, streams)

    assert spool.dead_letters() == []
    assert [document["message"] for document in streams.search({"term": {"attributes.http.method": "GET"}})] == ["odd"]
    [many] = streams.search({"match": {"message": "many"}})
    assert len(many["attributes"]) == len(MANY)


def test_a_rollover_after_an_answer_that_was_lost_doubles_nothing(
    tmp_path: Path, server: Server, streams: AnyStreams
) -> None:
    fill(Spool(tmp_path / "spool"), *lines(20, 100))

    with faulty_proxy(server.url) as proxy, shipping(tmp_path, proxy.url, streams) as loop:
        proxy.bulk_faults(NO_ANSWER)
        with pytest.raises(SinkUnavailable):
            loop.step()
        streams.roll_over()
        loop.drain()

    assert streams.messages() == Counter(f"line {number}" for number in range(2_000))


def test_a_document_that_is_refused_is_a_dead_letter_with_the_reason_and_the_rest_arrives(
    tmp_path: Path, server: Server, streams: AnyStreams
) -> None:
    strict = {"properties": {"correlation": {"properties": {"id": {"type": "long"}}}}}
    template = {"index_patterns": [streams.logs], "data_stream": {}, "priority": 400, "template": {"mappings": strict}}
    streams.ask("PUT", f"/_index_template/strict-{streams.logs}", template)
    spool = Spool(tmp_path / "spool")
    fill(spool, logs(a_log("good"), a_log("wrong", correlation_id="order-17")))

    ship(tmp_path, server, streams)

    [letter] = spool.dead_letters()
    assert streams.messages() == Counter(["good"])
    assert letter.records == 1
    assert "[correlation.id] of type [long]" in letter.reason
