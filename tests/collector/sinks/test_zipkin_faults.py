"""What the Zipkin sink makes of a server that is away, slow, full, picky or broken."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from clew_collector.errors import ConfigError
from clew_collector.sinks.base import SinkRejected, SinkUnavailable
from clew_collector.sinks.zipkin import ZipkinSink, ZipkinSinkConfig
from tests.collector.certificates import Authority, Signed
from tests.collector.otlp_builders import a_span, traces
from tests.collector.sinks.outgoing import outgoing
from tests.collector.sinks.scripted_server import Answer, Received, ScriptedServer, scripted_server

MANY = 300


def a_batch(spans: int = 1) -> Any:
    return outgoing(traces(*(a_span(f"s{number}", span=f"{number + 1:016x}") for number in range(spans))))


def sink_to(url: str, **settings: Any) -> ZipkinSink:
    return ZipkinSink(ZipkinSinkConfig(url=url, **settings))  # type: ignore[arg-type]


def names_in(received: Received) -> list[str]:
    return [span["name"] for span in orjson.loads(received.body)]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        yield server


def test_bodies_are_bounded_and_hold_each_span_once(server: ScriptedServer) -> None:
    sink_to(server.url, max_body_bytes=5_000, headers={"Authorization": "Basic eDp5"}).write(a_batch(MANY))

    assert max(len(received.body) for received in server.received) <= 5_001
    assert len(server.received) > 5
    assert sorted(name for received in server.received for name in names_in(received)) == sorted(
        f"s{number}" for number in range(MANY)
    )
    assert {received.path for received in server.received} == {"/api/v2/spans"}
    assert {received.headers["Authorization"] for received in server.received} == {"Basic eDp5"}


def test_a_span_over_the_bound_is_sent_by_itself(server: ScriptedServer) -> None:
    large = a_span("large", more={"text": "x" * 5_000})

    sink_to(server.url, max_body_bytes=1_024).write(outgoing(traces(a_span("a"), large, a_span("b"))))

    assert sorted(map(names_in, server.received)) == [["a"], ["b"], ["large"]]


@pytest.mark.parametrize(("gzip", "encoding"), [(None, None), (True, "gzip"), (False, None)])
def test_bodies_for_this_machine_are_compressed_only_if_that_is_asked_for(
    server: ScriptedServer, gzip: bool | None, encoding: str | None
) -> None:
    sink_to(server.url, gzip=gzip).write(a_batch())

    [received] = server.received
    assert received.headers.get("content-encoding") == encoding
    assert names_in(received) == ["s0"]


@pytest.mark.parametrize("path", ["", "/", "/zipkin", "/zipkin/"])
def test_it_may_live_under_a_path(server: ScriptedServer, path: str) -> None:
    sink_to(server.url + path).write(a_batch())

    assert server.received[0].path == f"{path.rstrip('/')}/api/v2/spans"


UNAVAILABLE: dict[str, tuple[Answer, str, float | None]] = {
    "full": (Answer(429, {"retry-after": "7"}, b"slow\n down"), "429 Too Many Requests: slow down", 7.0),
    "away": (Answer(503), "503 Service Unavailable", None),
    "away until a date": (Answer(503, {"retry-after": "Fri, 01 Jan 2021 00:00:00 GMT"}), "503", 0.0),
    "away until nobody knows": (Answer(503, {"retry-after": "soon"}), "503", None),
    "broken": (Answer(500, body=b"NullPointerException"), "500 Internal Server Error: NullPointerException", None),
    "gateway": (Answer(502), "502", None),
    "not allowed": (Answer(403), "403 Forbidden", None),
    "elsewhere": (Answer(404), "404 Not Found", None),
    "moved": (Answer(301, {"location": "http://127.0.0.1:1/"}), "301 Moved Permanently", None),
    "too late": (Answer(is_late=True), "no answer in time", None),
}


@pytest.mark.parametrize(("answer", "reason", "retry_after_s"), UNAVAILABLE.values(), ids=UNAVAILABLE.keys())
def test_what_may_pass_is_tried_again(
    server: ScriptedServer, answer: Answer, reason: str, retry_after_s: float | None
) -> None:
    sink = sink_to(server.url, timeout_s=0.5)
    server.always(answer)

    with pytest.raises(SinkUnavailable) as caught:
        sink.write(a_batch())

    assert reason in str(caught.value)
    assert server.url in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.retry_after_s == retry_after_s


def test_after_a_failure_the_same_is_sent_byte_by_byte(server: ScriptedServer) -> None:
    sink = sink_to(server.url)
    server.always(Answer(503))
    with pytest.raises(SinkUnavailable):
        sink.write(a_batch(MANY))

    server.always(Answer())
    sink.write(a_batch(MANY))

    assert server.received[0].body == server.received[-1].body


@pytest.mark.parametrize("status", [400, 413, 422])
def test_one_bad_span_is_found_and_the_others_arrive(server: ScriptedServer, status: int) -> None:
    server.answer = lambda received: Answer(status, body=b"no") if "s77" in names_in(received) else Answer()
    taken: list[str] = []

    [refused] = sink_to(server.url).write(outgoing(*(traces(a_span(f"s{number}")) for number in range(MANY))))

    for received in server.received:
        taken += names_in(received) if "s77" not in names_in(received) else []
    assert (refused.payload_id, refused.position) == (78, 0)
    assert refused.reason.startswith(f"{status} ")
    assert refused.reason.endswith(": no")
    assert sorted(taken) == sorted(f"s{number}" for number in range(MANY) if number != 77)


def test_a_server_that_takes_smaller_bodies_only_gets_smaller_ones(server: ScriptedServer) -> None:
    server.answer = lambda received: Answer(413 if len(received.body) > 3_000 else 202)

    assert sink_to(server.url).write(a_batch(MANY)) == []
    assert sum(len(names_in(received)) for received in server.received if len(received.body) <= 3_000) == MANY


def test_a_server_that_takes_nothing_rejects_the_batch_before_each_span_was_tried(server: ScriptedServer) -> None:
    server.always(Answer(400, body=b"not here"))

    with pytest.raises(SinkRejected, match="400 Bad Request: not here"):
        sink_to(server.url).write(a_batch(10_000))

    assert len(server.received) < 1_000


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def context_of(signed: Signed, *, client_ca: Path | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(signed.certificate, signed.key)
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def test_it_shows_its_certificate_to_a_server_whose_authority_it_trusts(authority: Authority) -> None:
    ours = authority.sign("clew")
    tls = {"ca": authority.certificate, "certificate": ours.certificate, "key": ours.key}

    with scripted_server(context_of(authority.sign(), client_ca=authority.certificate)) as server:
        assert sink_to(server.url, tls=tls).write(a_batch()) == []
        with pytest.raises(SinkUnavailable, match=r"certificate|reset|closed|disconnected"):
            sink_to(server.url, tls={"ca": authority.certificate}).write(a_batch())


@pytest.mark.parametrize(
    ("names", "reason"),
    [({"ca": "missing"}, r"tls\.ca: .*missing"), ({"certificate": "ca.pem", "key": "missing"}, r"tls\.certificate")],
)
def test_certificates_that_cannot_be_used_are_known_at_the_start(
    authority: Authority, tmp_path: Path, names: dict[str, str], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        sink_to("https://127.0.0.1", tls={key: tmp_path / name for key, name in names.items()})


@pytest.mark.parametrize(
    "settings",
    [{"url": "ftp://x"}, {"name": "No"}, {"connections": 0}, {"tls": {"key": "k"}}, {"max_body_bytes": 1}, {"more": 1}],
)
def test_a_wrong_setting_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ZipkinSinkConfig.model_validate({"url": "http://x", **settings})


def test_headers_are_not_shown() -> None:
    config = ZipkinSinkConfig.model_validate({"url": "http://x", "headers": {"authorization": "Basic secret"}})

    assert "secret" not in config.model_dump_json() + repr(config)


def test_it_can_be_closed_twice(server: ScriptedServer) -> None:
    sink = sink_to(server.url)
    sink.write(a_batch())

    sink.close()
    sink.close()
