"""Documents are taken and answered as by Elasticsearch; a bad one is refused by itself, a bad body as a whole."""

import asyncio
import gzip
from typing import Any

import pytest

from clew_collector.errors import ClewError, SpoolFull, StoreUnavailable
from tests.collector.receivers.elastic_intake import LIMIT, Intake
from tests.collector.wire.elastic_bulk.documents import bulk

NDJSON = {"content-type": "application/x-ndjson"}
JSON = {"content-type": "application/json"}
GOOD = bulk({"message": "a"})


def vendor(kind: str, version: int) -> dict[str, str]:
    """What Elasticsearch's own clients say since version 8."""
    accept = f"application/vnd.elasticsearch+json; compatible-with={version}"
    return {"content-type": f"application/vnd.elasticsearch+{kind}; compatible-with={version}", "accept": accept}


@pytest.fixture
def intake() -> Intake:
    return Intake()


def test_each_document_is_a_record_and_has_a_result_of_its_own(intake: Intake) -> None:
    body = bulk({"message": "a"}, {"message": "b"}) + bulk(
        {"message": "c"}, action='{"index":{"_index":"x","_id":"7"}}'
    )

    response = intake.send("/_bulk", body, NDJSON)

    form = response.json()
    assert (response.status_code, form["errors"], type(form["took"])) == (200, False, int)
    results = [
        (operation, result["_index"], result["status"]) for item in form["items"] for operation, result in item.items()
    ]
    assert results == [("create", "logs", 201), ("create", "logs", 201), ("index", "x", 201)]
    ids = [result["_id"] for item in form["items"] for result in item.values()]
    assert ids[2] == "7"
    assert len(set(ids)) == 3
    assert [(payload.signal, payload.records) for payload in intake.payloads] == [("logs", 3)]
    assert intake.bodies() == ["a", "b", "c"]
    assert intake.counts == {}


@pytest.mark.parametrize(
    ("path", "body", "headers", "method"),
    [
        ("/_bulk", GOOD, NDJSON, "PUT"),
        ("/logs/_bulk", bulk({"message": "a"}, action='{"create":{}}'), NDJSON, "POST"),
        ("/logs/_bulk?refresh=true&pipeline=p", bulk({"message": "a"}, action='{"index":{}}'), NDJSON, "PUT"),
        ("/_bulk", GOOD, JSON, "POST"),
        ("/_bulk", GOOD, {"content-type": "application/json; charset=UTF-8"}, "POST"),
        ("/_bulk", GOOD, vendor("x-ndjson", 8), "POST"),
        ("/_bulk", GOOD, vendor("json", 9), "POST"),
        ("/_bulk", gzip.compress(GOOD, mtime=0), {**NDJSON, "content-encoding": "gzip"}, "POST"),
        ("/logs/_doc", b'{"message":"a"}', JSON, "POST"),
        ("/logs/_doc/7", b'{"message":"a"}', JSON, "PUT"),
        ("/logs/_create/7", b'{"message":"a"}', vendor("json", 8), "PUT"),
        ("/logs/_create/7", b'{"message":"a"}', JSON, "POST"),
    ],
)
def test_documents_are_taken_by_every_way_in(
    intake: Intake, path: str, body: bytes, headers: dict[str, str], method: str
) -> None:
    response = intake.send(path, body, headers, method=method)

    assert response.is_success
    assert (intake.bodies(), intake.indices()) == (["a"], {"logs"})


@pytest.mark.parametrize("version", [8, 9])
def test_a_client_gets_the_content_type_that_it_asks_for(intake: Intake, version: int) -> None:
    response = intake.send("/_bulk", GOOD, vendor("x-ndjson", version))

    assert response.headers["content-type"] == f"application/vnd.elasticsearch+json;compatible-with={version}"


def test_a_single_document_is_answered_without_a_list(intake: Intake) -> None:
    response = intake.send("/logs/_create/7", b'{"message":"a"}', JSON)

    form = response.json()
    assert (response.status_code, form["_id"], form["_index"], form["result"]) == (201, "7", "logs", "created")
    assert "status" not in form


def test_an_index_with_a_slash_in_its_name_is_one_name(intake: Intake) -> None:
    intake.send("/%3Clogs-%7Bnow%2Fd%7D%3E/_bulk", bulk({"message": "a"}, action='{"create":{}}'), NDJSON)

    assert intake.indices() == {"<logs-{now/d}>"}


def test_one_bad_document_does_not_spoil_the_others(intake: Intake) -> None:
    response = intake.send("/_bulk", bulk({"message": "a"}, '{"message":', "[1]", {"message": "b"}), NDJSON)

    form = response.json()
    results = [item["create"] for item in form["items"]]
    assert (response.status_code, form["errors"]) == (200, True)
    assert [result["status"] for result in results] == [201, 400, 400, 201]
    assert [result["error"]["type"] for result in results[1:3]] == ["document_parsing_exception"] * 2
    assert intake.bodies() == ["a", "b"]
    assert intake.counts == {("refused", "logs", "bad document"): 2}


def test_what_would_change_a_document_is_refused_by_itself(intake: Intake) -> None:
    body = b'{"delete":{"_index":"x","_id":"1"}}\n{"update":{"_index":"x","_id":"1"}}\n{"doc":{}}\n' + GOOD

    form = intake.send("/_bulk", body, NDJSON).json()

    results = [(operation, result["status"]) for item in form["items"] for operation, result in item.items()]
    assert results == [("delete", 400), ("update", 400), ("create", 201)]
    assert "[delete] is not taken here" in form["items"][0]["delete"]["error"]["reason"]
    assert intake.bodies() == ["a"]
    assert intake.counts == {("refused", "logs", "update or delete"): 2}


def test_an_empty_id_is_refused_by_itself(intake: Intake) -> None:
    form = intake.send("/_bulk", bulk({}, action='{"index":{"_index":"x","_id":""}}'), NDJSON).json()

    assert form["items"][0]["index"]["error"]["reason"] == "if _id is specified it must not be empty"
    assert intake.payloads == []


def test_equal_documents_are_all_kept(intake: Intake) -> None:
    for _ in range(2):
        intake.send("/_bulk", bulk({"message": "a"}, {"message": "a"}), NDJSON)

    assert intake.bodies() == ["a"] * 4
    assert len({payload.digest for payload in intake.payloads}) == 2


def test_a_large_body_is_taken_as_well(intake: Intake) -> None:
    documents = [{"message": f"{number} {'x' * 100}"} for number in range(2_000)]

    form = intake.send("/_bulk", bulk(*documents), NDJSON).json()

    assert (len(form["items"]), intake.payloads[0].records) == (2_000, 2_000)


def test_many_large_bodies_at_once_get_ids_of_their_own(intake: Intake) -> None:
    body = bulk(*({"message": "x" * 100} for _ in range(1_000)))
    sent: list[bytes] = []

    async def send_one() -> None:
        async def receive() -> Any:
            return {"type": "http.request", "body": body}

        async def send(message: Any) -> None:
            sent.append(message.get("body", b""))

        headers = [(b"content-type", b"application/x-ndjson")]
        scope = {"type": "http", "method": "POST", "path": "/_bulk", "query_string": b"", "headers": headers}
        await intake.app(scope, receive, send)

    async def send_all() -> None:
        await asyncio.gather(*(send_one() for _ in range(8)))

    asyncio.run(send_all())
    numbers = [part.split(b",")[0] for answer in sent for part in answer.split(b'"_seq_no":')[1:]]
    assert len(set(numbers)) == 8_000
    assert len({payload.digest for payload in intake.payloads}) == 8


def test_a_client_gets_the_parts_of_the_answer_that_it_asks_for(intake: Intake) -> None:
    path = "/_bulk?filter_path=errors%2Citems.*.error,items.*.status"

    assert intake.send(path, GOOD, NDJSON).json() == {"errors": False, "items": [{"create": {"status": 201}}]}


BAD: dict[str, tuple[str, bytes, dict[str, str], int, str, str]] = {
    "a malformed action": (
        *("/_bulk", GOOD + b'{"frob":{}}\n{}\n', NDJSON, 400, "illegal_argument_exception"),
        "Malformed action/metadata line [3], expected field",
    ),
    "no newline": ("/_bulk", GOOD[:-1], NDJSON, 400, "illegal_argument_exception", "terminated by a newline"),
    "nothing": ("/_bulk", b"", NDJSON, 400, "parse_exception", "request body is required"),
    "no document": ("/logs/_doc", b"", JSON, 400, "parse_exception", "request body is required"),
    "a bad document": ("/logs/_doc", b"[1]", JSON, 400, "document_parsing_exception", "must start with an object"),
    "no index": (
        "/_bulk",
        b'{"create":{}}\n{}\n',
        NDJSON,
        400,
        "action_request_validation_exception",
        "index is missing",
    ),
    "not gzip": ("/_bulk", GOOD, {**NDJSON, "content-encoding": "gzip"}, 400, "parse_exception", "gzip"),
    "too large": ("/_bulk", bytes(LIMIT + 1), NDJSON, 413, "content_too_long_exception", f"{LIMIT}"),
    "a bomb": (
        *("/_bulk", gzip.compress(bytes(50_000_000)), {**NDJSON, "content-encoding": "gzip"}, 413),
        *("content_too_long_exception", "decompresses"),
    ),
}


@pytest.mark.parametrize(("path", "body", "headers", "status", "type", "reason"), BAD.values(), ids=BAD.keys())
def test_a_bad_request_is_refused_as_a_whole_and_counted(
    intake: Intake, path: str, body: bytes, headers: dict[str, str], status: int, type: str, reason: str
) -> None:
    response = intake.send(path, body, headers)

    form = response.json()
    assert (response.status_code, form["status"]) == (status, status)
    assert form["error"]["type"] == form["error"]["root_cause"][0]["type"] == type
    assert reason in form["error"]["reason"]
    assert intake.payloads == []
    assert sum(intake.counts.values()) == 1
    assert intake.send("/_bulk", GOOD, NDJSON).status_code == 200


UNSUPPORTED: dict[str, tuple[str, str, dict[str, str], int, str]] = {
    "text": (
        "POST",
        "/_bulk",
        {"content-type": "text/plain"},
        406,
        "Content-Type header [text/plain] is not supported",
    ),
    "no content type": ("POST", "/_bulk", {}, 406, "Content-Type header [] is not supported"),
    "another encoding": ("POST", "/_bulk", {**NDJSON, "content-encoding": "br"}, 415, "Content-Encoding must be"),
    "GET": ("GET", "/_bulk", NDJSON, 405, "Incorrect HTTP method for uri [/_bulk] and method [GET]"),
    "a search": ("POST", "/logs/_search", JSON, 400, "no handler found for uri [/logs/_search] and method [POST]"),
    "anything else": ("GET", "/_cat/indices", {}, 400, "no handler found for uri [/_cat/indices]"),
}


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "reason"), UNSUPPORTED.values(), ids=UNSUPPORTED.keys()
)
def test_what_is_not_taken_here_is_said_in_elasticsearchs_words(
    intake: Intake, method: str, path: str, headers: dict[str, str], status: int, reason: str
) -> None:
    response = intake.send(path, GOOD, headers, method=method)

    assert (response.status_code, response.json()["status"]) == (status, status)
    assert response.json()["error"].startswith(reason)
    assert response.headers["x-elastic-product"] == "Elasticsearch"
    assert intake.counts == {("refused", "logs", "unsupported"): 1}


def test_a_wrong_method_is_answered_with_what_is_allowed(intake: Intake) -> None:
    assert intake.send("/_bulk", b"", {}, method="DELETE").headers["allow"] == "POST,PUT"
    assert intake.send("/logs/_doc", b"{}", JSON, method="PUT").headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("error", "status", "type", "reason"),
    [
        (SpoolFull("full"), 429, "es_rejected_execution_exception", "spool full"),
        (StoreUnavailable("disk full"), 503, "unavailable_shards_exception", "disk"),
    ],
    ids=["full", "disk"],
)
def test_what_cannot_be_kept_now_is_refused_so_that_the_sender_tries_again(
    error: ClewError, status: int, type: str, reason: str
) -> None:
    intake = Intake(error)

    response = intake.send("/_bulk", bulk({"message": "a"}, "[1]"), NDJSON)

    assert (response.status_code, response.json()["error"]["type"]) == (status, type)
    assert int(response.headers["retry-after"]) > 0
    assert intake.counts == {("refused", "logs", reason): 1}


def test_a_client_that_leaves_in_the_middle_is_counted_and_nothing_is_kept(intake: Intake) -> None:
    messages = [{"type": "http.request", "body": GOOD[:10], "more_body": True}, {"type": "http.disconnect"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/x-ndjson")]
    scope = {"type": "http", "method": "POST", "path": "/_bulk", "query_string": b"", "headers": headers}
    asyncio.run(intake.app(scope, receive, send))

    assert (sent, intake.payloads) == ([], [])
    assert intake.counts == {("refused", "logs", "client gone"): 1}
