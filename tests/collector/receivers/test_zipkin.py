"""Spans are answered as Zipkin answers them, and each bad body gets its reason; a good one after it is taken."""

import asyncio
import gzip
from pathlib import Path
from typing import Any

import orjson
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import tests.collector.receivers.intake as intake_in_process
from clew_collector.errors import ClewError, SpoolFull, StoreUnavailable
from clew_collector.receivers.zipkin import ZipkinReceiver
from clew_collector.wire.zipkin.proto3 import ListOfSpans
from tests.collector.zipkin_builders import SPAN, TRACE, TRACE_64, a_span, body_of

DATA = Path(__file__).parents[2] / "data"
LIMIT = 200_000
JSON = {"content-type": "application/json"}
PROTOBUF = {"content-type": "application/x-protobuf"}
GZIP = {**JSON, "content-encoding": "gzip"}
V1, V2 = "/api/v1/spans", "/api/v2/spans"
GOOD = body_of(a_span())


def a_protobuf_list() -> bytes:
    message: Any = ListOfSpans()
    message.spans.add(trace_id=bytes.fromhex(TRACE_64), id=bytes.fromhex(SPAN), name="get /stock")
    return bytes(message.SerializeToString())


class Intake(intake_in_process.Intake):
    """One for ZipkinReceiver."""

    def __init__(self, error: ClewError | None = None) -> None:
        super().__init__(ZipkinReceiver, error=error, max_body_bytes=LIMIT)

    def trace_ids(self) -> set[str]:
        return {
            span.trace_id.hex()
            for payload in self.payloads
            for group in ExportTraceServiceRequest.FromString(payload.body).resource_spans
            for span in group.scope_spans[0].spans
        }


@pytest.fixture
def intake() -> Intake:
    return Intake()


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        (V2, GOOD, JSON),
        (V2, GOOD, {"content-type": "application/json; charset=utf-8"}),
        (V2, GOOD, {}),
        (V2, gzip.compress(GOOD), GZIP),
        (V2, a_protobuf_list(), PROTOBUF),
        (V2, gzip.compress(a_protobuf_list()), {**PROTOBUF, "content-encoding": "gzip"}),
        (V1, orjson.dumps([{"traceId": TRACE_64, "id": SPAN, "name": "get"}]), JSON),
    ],
    ids=["JSON", "JSON with charset", "no content type", "gzip", "protobuf", "protobuf in gzip", "v1"],
)
def test_spans_are_taken_as_otlp_and_answered_as_zipkin_does(
    intake: Intake, path: str, body: bytes, headers: dict[str, str]
) -> None:
    response = intake.send(path, body, headers)

    assert (response.status_code, response.content) == (202, b"")
    assert [(payload.signal, payload.records) for payload in intake.payloads] == [("traces", 1)]
    assert intake.trace_ids() == {TRACE}
    assert intake.counts == {}


def test_a_large_body_is_taken_as_well(intake: Intake) -> None:
    body = body_of(*(a_span(id=f"{number + 1:x}") for number in range(1000)))

    assert intake.send(V2, body, JSON).status_code == 202
    assert intake.payloads[0].records == 1000


def test_a_body_is_remembered_by_what_it_holds(intake: Intake) -> None:
    intake.send(V2, GOOD, JSON)
    intake.send(V2, gzip.compress(GOOD), GZIP)

    assert intake.payloads[0].digest == intake.payloads[1].digest


def test_a_v1_span_of_two_sides_counts_as_two(intake: Intake) -> None:
    intake.send(V1, (DATA / "train-ticket-zipkin" / "booking.json").read_bytes(), JSON)

    assert intake.payloads[0].records == 13


def test_an_empty_list_is_fine_and_nothing_is_kept(intake: Intake) -> None:
    assert intake.send(V2, b"[]", JSON).status_code == 202
    assert intake.send(V2, b"", PROTOBUF).status_code == 202
    assert intake.payloads == []


def test_health_is_what_zipkin_says(intake: Intake) -> None:
    response = intake.send("/health", b"", {}, method="GET")

    assert (response.status_code, response.json()) == (200, {"status": "UP"})


BAD: dict[str, tuple[str, bytes, dict[str, str], int, str]] = {
    "garbage": (V2, b"\xff" * 40, JSON, 400, "not JSON"),
    "truncated": (V2, GOOD[:-5], JSON, 400, "not JSON"),
    "nothing": (V2, b"", JSON, 400, "not JSON"),
    "invalid UTF-8": (V2, GOOD.replace(b"stock", b"\xff\xfe"), JSON, 400, "not JSON"),
    "half a surrogate": (V2, GOOD.replace(b"stock", b"\\ud800"), JSON, 400, "not JSON"),
    "an object": (V2, b"{}", JSON, 400, "a JSON list of spans was expected"),
    "deeply nested": (V2, b"[" * 50_000, JSON, 400, "not JSON"),
    "one bad span of two": (V2, body_of(a_span(), a_span(id="zz")), JSON, 400, "[1].id must be 1 to 16 hex digits"),
    "garbage as protobuf": (V2, b"\xff" * 40, PROTOBUF, 400, "ListOfSpans"),
    "JSON as protobuf": (V2, GOOD, PROTOBUF, 400, "ListOfSpans"),
    "protobuf as JSON": (V2, a_protobuf_list(), JSON, 400, "not JSON"),
    "v1 at v2": (V2, body_of({**a_span(), "binaryAnnotations": []}), JSON, 400, "/api/v1/spans"),
    "v2 at v1": (V1, GOOD, JSON, 400, "/api/v2/spans"),
    "thrift": (V1, b"\x0c", {"content-type": "application/x-thrift"}, 415, "must be application/json, got"),
    "a form": (V2, GOOD, {"content-type": "text/plain"}, 415, "application/json or application/x-protobuf"),
    "another encoding": (V2, GOOD, {**JSON, "content-encoding": "br"}, 415, "gzip or identity"),
    "not gzip": (V2, GOOD, GZIP, 400, "not gzip"),
    "half a gzip": (V2, gzip.compress(GOOD)[:-9], GZIP, 400, "breaks off"),
    "a gzip bomb": (V2, gzip.compress(bytes(50_000_000)), GZIP, 413, "decompresses"),
    "a body over the limit": (V2, bytes(LIMIT + 1), JSON, 413, f"the limit is {LIMIT}"),
    "another path": ("/api/v2/traces", GOOD, JSON, 404, "/api/v2/spans"),
}


@pytest.mark.parametrize(("path", "body", "headers", "status", "reason"), BAD.values(), ids=BAD.keys())
def test_a_bad_body_is_refused_with_its_reason_and_counted(
    intake: Intake, path: str, body: bytes, headers: dict[str, str], status: int, reason: str
) -> None:
    response = intake.send(path, body, headers)

    assert response.status_code == status
    assert reason in response.text
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert intake.payloads == []
    assert [outcome[:2] for outcome in intake.counts] == [("refused", "zipkin")]
    assert intake.send(V2, GOOD, JSON).status_code == 202


def test_get_is_answered_with_what_is_allowed(intake: Intake) -> None:
    response = intake.send(V2, b"", {}, method="GET")

    assert (response.status_code, response.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [(SpoolFull("full"), 429, "spool full"), (StoreUnavailable("disk full"), 503, "disk")],
    ids=["full", "disk"],
)
def test_what_cannot_be_kept_now_is_refused_so_that_the_sender_tries_again(
    error: ClewError, status: int, reason: str
) -> None:
    intake = Intake(error)

    response = intake.send(V2, GOOD, JSON)

    assert response.status_code == status
    assert int(response.headers["retry-after"]) > 0
    assert intake.counts == {("refused", "zipkin", reason): 1}


def test_a_client_that_leaves_in_the_middle_is_counted_and_nothing_is_kept(intake: Intake) -> None:
    messages = [{"type": "http.request", "body": GOOD[:10], "more_body": True}, {"type": "http.disconnect"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": V2, "headers": [(b"content-type", b"application/json")]}
    asyncio.run(intake.app(scope, receive, send))

    assert (sent, intake.payloads) == ([], [])
    assert intake.counts == {("refused", "zipkin", "client gone"): 1}
