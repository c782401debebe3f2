"""Each bad body gets the status and the body that OTLP gives it, and a good one after it is taken."""

import asyncio
import gzip
import json
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import httpx
import pytest
from google.protobuf import json_format
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

import tests.collector.receivers.intake as intake_in_process
from clew_collector.errors import BadPayload, ClewError, PayloadTooLarge, SpoolFull, StoreUnavailable
from clew_collector.receivers.body import decompressed, zstd
from clew_collector.receivers.otlp_http import OtlpHttpReceiver
from tests.collector.otlp_builders import a_log, a_span, logs, traces

LIMIT = 100_000
PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json"}
GOOD = logs(a_log("fine")).SerializeToString()


class Intake(intake_in_process.Intake):
    """One for OtlpHttpReceiver."""

    def __init__(self, error: ClewError | None = None) -> None:
        super().__init__(OtlpHttpReceiver, error=error, max_body_bytes=LIMIT)


@pytest.fixture
def intake() -> Intake:
    return Intake()


def reason_in(response: httpx.Response) -> str:
    """The message of the `google.rpc.Status` in an answer, in whichever encoding it says it has."""
    if response.headers["content-type"] == "application/json":
        return str(response.json()["message"])
    return str(Status.FromString(response.content).message)


@pytest.mark.parametrize(("path", "body"), [("/v1/logs", GOOD), ("/v1/traces", traces(a_span()).SerializeToString())])
def test_protobuf_is_taken_as_it_came_and_answered_empty(intake: Intake, path: str, body: bytes) -> None:
    response = intake.send(path, body, PROTOBUF)

    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-type"] == "application/x-protobuf"
    assert [payload.body for payload in intake.payloads] == [body]
    assert intake.payloads[0].records == 1


def test_what_was_there_already_is_answered_with_a_header_that_says_so(intake: Intake) -> None:
    answers = [intake.send("/v1/logs", GOOD, PROTOBUF) for _ in range(2)]

    assert [(answer.status_code, answer.headers.get("idempotent-replayed")) for answer in answers] == [
        (200, None),
        (200, "true"),
    ]


def test_json_is_taken_as_the_protobuf_that_it_stands_for(intake: Intake) -> None:
    request = traces(a_span(correlation_id="req-1", more={"n": 7, "f": 1.0}))
    document = json_format.MessageToDict(request)
    span = document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    span["traceId"], span["spanId"] = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    document["a field of the future"] = {"x": 1}

    response = intake.send(
        "/v1/traces", json.dumps(document).encode(), {"content-type": "application/json; charset=utf-8"}
    )

    assert (response.status_code, response.json()) == (200, {})
    assert [payload.body for payload in intake.payloads] == [request.SerializeToString()]


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstd.compress,
}


@pytest.mark.parametrize("encoding", COMPRESS)
def test_a_compressed_body_is_taken_and_remembered_by_what_it_holds(intake: Intake, encoding: str) -> None:
    intake.send("/v1/logs", GOOD, PROTOBUF)
    response = intake.send("/v1/logs", COMPRESS[encoding](GOOD), {**PROTOBUF, "content-encoding": encoding})

    assert response.status_code == 200
    assert intake.payloads[0].digest == intake.payloads[1].digest
    assert intake.payloads[1].body == GOOD


@pytest.mark.parametrize("encoding", COMPRESS)
def test_a_body_of_several_compressed_parts_is_taken_whole(intake: Intake, encoding: str) -> None:
    half = len(GOOD) // 2
    body = COMPRESS[encoding](GOOD[:half]) + COMPRESS[encoding](GOOD[half:])

    intake.send("/v1/logs", body, {**PROTOBUF, "content-encoding": encoding})

    assert [payload.body for payload in intake.payloads] == [GOOD]


def test_an_attribute_of_ninety_kilobytes_is_taken_whole(intake: Intake) -> None:
    body = logs(a_log(more={"large": "x" * 90_000})).SerializeToString()

    assert intake.send("/v1/logs", body, PROTOBUF).status_code == 200
    assert intake.payloads[0].body == body


def test_an_empty_request_is_fine_and_nothing_is_kept(intake: Intake) -> None:
    assert intake.send("/v1/logs", b"", PROTOBUF).status_code == 200
    assert intake.send("/v1/logs", b"{}", JSON).status_code == 200
    assert intake.payloads == []


@pytest.mark.parametrize("encoding", COMPRESS)
def test_a_body_that_decompresses_to_the_limit_is_read_and_one_byte_more_is_not(intake: Intake, encoding: str) -> None:
    headers = {**PROTOBUF, "content-encoding": encoding}

    at_limit = intake.send("/v1/logs", COMPRESS[encoding](bytes(LIMIT)), headers)
    over_limit = intake.send("/v1/logs", COMPRESS[encoding](bytes(LIMIT + 1)), headers)

    assert (at_limit.status_code, over_limit.status_code) == (400, 413)


@pytest.mark.parametrize("encoding", COMPRESS)
def test_of_a_bomb_no_more_than_the_limit_is_made(encoding: str) -> None:
    bomb = COMPRESS[encoding](bytes(100_000_000))
    tracemalloc.start()

    with pytest.raises(PayloadTooLarge):
        decompressed(bomb, encoding, max_bytes=LIMIT)

    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 20 * LIMIT


def test_zstd_that_asks_for_a_large_window_is_refused(intake: Intake) -> None:
    options: dict[int, int] = {zstd.CompressionParameter.window_log: 27}
    body = zstd.compress(bytes(range(256)) * (80 << 10), options=options)

    response = intake.send("/v1/logs", body, {**PROTOBUF, "content-encoding": "zstd"})

    assert (response.status_code, "too much memory" in reason_in(response)) == (400, True)


@given(encoding=st.sampled_from(list(COMPRESS)), body=st.binary(max_size=300), tail=st.binary(max_size=20))
def test_whatever_is_sent_compressed_is_read_or_refused(encoding: str, body: bytes, tail: bytes) -> None:
    for sent in (body, COMPRESS[encoding](body), COMPRESS[encoding](body) + tail, COMPRESS[encoding](body)[:-3] + tail):
        with suppress(BadPayload, PayloadTooLarge):
            assert len(decompressed(sent, encoding, max_bytes=200)) <= 200


BAD: dict[str, tuple[str, bytes, dict[str, str], int, str]] = {
    "garbage": ("/v1/logs", b"\xff" * 40, PROTOBUF, 400, "ExportLogsServiceRequest"),
    "truncated": ("/v1/logs", GOOD[:-5], PROTOBUF, 400, "ExportLogsServiceRequest"),
    "invalid UTF-8": ("/v1/logs", GOOD.replace(b"fine", b"\xff\xfe\xfd\xfc"), PROTOBUF, 400, "UTF-8"),
    "not JSON": ("/v1/logs", b"{", JSON, 400, "not JSON"),
    "JSON, but a list": ("/v1/logs", b"[]", JSON, 400, "must be an object"),
    "JSON of another shape": ("/v1/traces", b'{"resourceSpans": 7}', JSON, 400, "OTLP/JSON"),
    "an ID that is not hex": (
        "/v1/traces",
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"zz"}]}]}]}',
        JSON,
        400,
        "traceId must be 32 hex digits, got 'zz'",
    ),
    "deeply nested JSON": ("/v1/logs", b'{"a":' * 5000 + b"1" + b"}" * 5000, JSON, 400, ""),
    "no content type": ("/v1/logs", GOOD, {}, 415, "Content-Type must be"),
    "another content type": ("/v1/logs", GOOD, {"content-type": "text/plain"}, 415, "got 'text/plain'"),
    "another encoding": ("/v1/logs", GOOD, {**PROTOBUF, "content-encoding": "br"}, 415, "gzip or identity"),
    "not gzip": ("/v1/logs", GOOD, {**PROTOBUF, "content-encoding": "gzip"}, 400, "not gzip"),
    "half a gzip": (
        "/v1/logs", gzip.compress(GOOD)[:-9], {**PROTOBUF, "content-encoding": "gzip"}, 400, "breaks off",
    ),
    "not deflate": ("/v1/logs", GOOD, {**PROTOBUF, "content-encoding": "deflate"}, 400, "not deflate"),
    "not zstd": ("/v1/logs", GOOD, {**PROTOBUF, "content-encoding": "zstd"}, 400, "not zstd"),
    "half a zstd": (
        "/v1/logs", zstd.compress(GOOD)[:-9], {**PROTOBUF, "content-encoding": "zstd"}, 400, "breaks off",
    ),
    "a gzip bomb": (
        "/v1/logs", gzip.compress(bytes(50_000_000)), {**PROTOBUF, "content-encoding": "gzip"}, 413, "decompresses",
    ),
    "a body over the limit": ("/v1/logs", bytes(LIMIT + 1), PROTOBUF, 413, f"the limit is {LIMIT}"),
    "another path": ("/v1/log", GOOD, PROTOBUF, 404, "/v1/logs"),
}  # fmt: skip


@pytest.mark.parametrize(("path", "body", "headers", "status", "reason"), BAD.values(), ids=BAD.keys())
def test_a_bad_body_is_refused_with_its_reason_and_counted(
    intake: Intake, path: str, body: bytes, headers: dict[str, str], status: int, reason: str
) -> None:
    response = intake.send(path, body, headers)

    assert response.status_code == status
    assert reason in reason_in(response)
    assert intake.payloads == []
    assert sum(intake.counts.values()) == 1
    assert intake.send("/v1/logs", GOOD, PROTOBUF).status_code == 200


def test_a_refusal_is_encoded_as_the_request_was(intake: Intake) -> None:
    assert intake.send("/v1/logs", b"\xff", PROTOBUF).headers["content-type"] == "application/x-protobuf"
    assert intake.send("/v1/logs", b"\xff", JSON).headers["content-type"] == "application/json"


def test_get_is_answered_with_what_is_allowed(intake: Intake) -> None:
    response = intake.send("/v1/logs", b"", PROTOBUF, method="GET")

    assert (response.status_code, response.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("error", "status"), [(SpoolFull("full"), 429), (StoreUnavailable("disk full"), 503)], ids=["full", "disk"]
)
def test_what_cannot_be_kept_now_is_refused_so_that_the_sender_tries_again(error: ClewError, status: int) -> None:
    response = Intake(error).send("/v1/logs", GOOD, PROTOBUF)

    assert response.status_code == status
    assert int(response.headers["retry-after"]) > 0


def test_a_body_without_length_is_cut_at_the_limit() -> None:
    intake = Intake()

    async def chunks() -> Any:
        for _ in range(1000):
            yield bytes(1000)

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(intake.app), base_url="http://test") as client:
            return await client.post("/v1/logs", content=chunks(), headers=PROTOBUF)

    assert asyncio.run(send()).status_code == 413


def test_a_client_that_leaves_in_the_middle_is_counted_and_nothing_is_kept(intake: Intake) -> None:
    messages = [{"type": "http.request", "body": GOOD[:10], "more_body": True}, {"type": "http.disconnect"}]
    sent: list[Any] = []
    receive: Callable[[], Awaitable[Any]] = lambda: asyncio.sleep(0, messages.pop(0))  # noqa: E731
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/logs",
        "headers": [(b"content-type", b"application/x-protobuf")],
    }

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(intake.app(scope, receive, send))

    assert (sent, intake.payloads) == ([], [])
    assert intake.counts == {("refused", "logs", "client gone"): 1}


def a_metrics_request() -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    metrics = request.resource_metrics.add().scope_metrics.add().metrics
    for value in (1, 2):
        metrics.add(name="up").gauge.data_points.add(as_int=value)
    metrics.add(name="took").histogram.data_points.add(count=1)
    return request


def test_metrics_are_answered_with_a_partial_success_that_says_so(intake: Intake) -> None:
    response = intake.send("/v1/metrics", a_metrics_request().SerializeToString(), PROTOBUF)

    answer = ExportMetricsServiceResponse.FromString(response.content)
    assert response.status_code == 200
    assert answer.partial_success.rejected_data_points == 3
    assert "not metrics" in answer.partial_success.error_message
    assert intake.counts == {("refused", "metrics", "not kept"): 3}


def test_metrics_in_json_are_answered_in_json(intake: Intake) -> None:
    body = json_format.MessageToJson(a_metrics_request()).encode()

    answer = intake.send("/v1/metrics", body, JSON).json()

    assert answer["partialSuccess"]["rejectedDataPoints"] == "3"


def test_garbage_metrics_are_refused(intake: Intake) -> None:
    assert intake.send("/v1/metrics", b"\xff\xff", PROTOBUF).status_code == 400
    assert intake.send("/v1/metrics", b"[]", JSON).status_code == 400
