"""What the Zipkin sink sends, as a real Zipkin gives it back."""

import gzip
import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from google.protobuf.message import Message
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from clew_collector.model import Value
from clew_collector.sinks.base import Outgoing
from clew_collector.sinks.connections import Connections
from clew_collector.sinks.zipkin import ZipkinSink, ZipkinSinkConfig
from clew_collector.wire.json_texts import attribute_keys, has_nested
from clew_collector.wire.otlp.from_json import parse_json
from clew_collector.wire.zipkin.to_json import MACROS, encode_v2_json
from tests.collector.otlp_builders import T0_NS, a_log, a_span, attributes, logs, traces
from tests.collector.receivers.test_zipkin import JSON, Intake
from tests.collector.sinks.outgoing import outgoing, outgoing_bodies

DATA = Path(__file__).parents[2] / "data"
DEADLINE_S = 30.0

Form = dict[str, Any]


class Zipkin:
    """A real Zipkin, and a sink that sends to it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.sink = ZipkinSink(ZipkinSinkConfig(url=url, max_body_bytes=100_000, gzip=True))  # type: ignore[arg-type]

    def post(self, spans: Sequence[Form]) -> None:
        response = httpx.post(f"{self.url}/api/v2/spans", content=orjson.dumps(spans), headers=JSON)
        assert response.status_code == 202, response.text

    def trace(self, trace_id: str, *, spans: int) -> list[Form]:
        """A trace, from when it has as many spans: Zipkin answers before it stores."""
        deadline_s = time.monotonic() + DEADLINE_S
        while True:
            answer = httpx.get(f"{self.url}/api/v2/trace/{trace_id}")
            found: list[Form] = answer.json() if answer.is_success else []
            if len(found) >= spans:
                return found
            assert time.monotonic() < deadline_s, f"{len(found)} of {spans} spans of {trace_id}"
            time.sleep(0.05)

    def links(self) -> list[Form]:
        """Which service has called which in the last minute."""
        params = {"endTs": int(time.time() * 1000) + 1000, "lookback": 60_000}
        found: list[Form] = httpx.get(f"{self.url}/api/v2/dependencies", params=params).json()
        return found


@pytest.fixture
def zipkin(zipkin_url: str) -> Iterator[Zipkin]:
    zipkin = Zipkin(zipkin_url)
    yield zipkin
    zipkin.sink.close()


def new_trace() -> str:
    """A trace ID that no other test has."""
    return f"{random.getrandbits(127) | 1 << 126:032x}"


def encoded(*requests: Message) -> list[Form]:
    """Spans as the sink would send them."""
    return encoded_batch(outgoing(*requests))


def encoded_batch(batch: Outgoing) -> list[Form]:
    texts = "".join(texts_of(batch, None))
    if not has_nested(batch.table):
        assert texts == "".join(texts_of(batch, attribute_keys(batch.table)))
    return list(orjson.loads(f"[{texts[:-1]}]"))


def texts_of(batch: Outgoing, keys: set[str] | None) -> list[str]:
    with Connections(MACROS).holding(batch) as connection:
        pieces = encode_v2_json(connection, batch.select, keys=keys)
        return [text for piece in pieces for text in piece.column("json").to_pylist()]


def only(*requests: Message) -> Form:
    [form] = encoded(*requests)
    return form


def of_attributes(kind: "Span.SpanKind.ValueType" = Span.SPAN_KIND_CLIENT, **values: Value) -> Form:
    more = {name.replace("_", "."): value for name, value in values.items()}
    return only(traces(a_span(kind=kind, more=more)))


def nezha() -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    for line in gzip.decompress((DATA / "nezha" / "traces.otlp.jsonl.gz").read_bytes()).splitlines():
        request.MergeFrom(parse_json("traces", line))  # type: ignore[arg-type]
    return request


def by_trace(request: ExportTraceServiceRequest) -> dict[str, list[tuple[str, Span]]]:
    found: dict[str, list[tuple[str, Span]]] = {}
    for group in request.resource_spans:
        [service] = [each.value.string_value for each in group.resource.attributes if each.key == "service.name"]
        for span in (span for scope in group.scope_spans for span in scope.spans):
            found.setdefault(span.trace_id.hex(), []).append((service, span))
    return found


def facts(service: str, span: Span) -> tuple[Any, ...]:
    """What Zipkin should know of a span."""
    duration_us = (span.end_time_unix_nano - span.start_time_unix_nano) // 1000
    kind = Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_")
    return (
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.name.lower(),
        service.lower(),
        kind if kind not in ("UNSPECIFIED", "INTERNAL") else None,
        span.start_time_unix_nano // 1000,
        max(1, duration_us),
    )


def facts_of(form: Form) -> tuple[Any, ...]:
    endpoint = form["localEndpoint"]["serviceName"]
    ids = form["id"], form.get("parentId", "")
    return *ids, form.get("name", ""), endpoint, form.get("kind"), form["timestamp"], form["duration"]


def test_real_spans_arrive_whole_and_once_however_often_they_are_given(zipkin: Zipkin) -> None:
    request = nezha()
    batch = outgoing(request)

    assert [list(zipkin.sink.write(batch)) for _ in range(2)] == [[], []]

    for trace_id, spans in by_trace(request).items():
        expected = Counter(facts(*span) for span in spans)
        found = Counter(map(facts_of, zipkin.trace(trace_id, spans=len(expected))))
        assert found == Counter(expected.keys()), trace_id


def moved_to(spans: Sequence[Form], trace_id: str) -> list[Form]:
    return [span | {"traceId": trace_id} for span in spans]


def through_clew(spans: Sequence[Form]) -> Outgoing:
    intake = Intake()
    assert intake.send("/api/v2/spans", orjson.dumps(spans), JSON).status_code == 202
    return outgoing_bodies("traces", [payload.body for payload in intake.payloads])


def comparable(spans: Iterable[Form]) -> list[Form]:
    """Spans without their trace, in order, and with what OpenTelemetry says of a failure beside `error`."""
    found = [{name: value for name, value in span.items() if name != "traceId"} for span in spans]
    for span in found:
        if "error" in span.get("tags", {}):
            span["tags"] = {"otel.status_code": "ERROR"} | span["tags"]
    return sorted(found, key=lambda span: (span["id"], span.get("shared", False), span["timestamp"]))


@pytest.mark.parametrize("name", ["ascend", "messaging2", "skew", "yelp"])
@pytest.mark.parametrize("digits", [16, 32])
def test_what_came_from_zipkin_is_the_same_again_in_zipkin(zipkin: Zipkin, name: str, digits: int) -> None:
    spans = orjson.loads((DATA / "zipkin" / f"{name}.json").read_bytes())
    direct, through = new_trace()[:digits], new_trace()[:digits]

    zipkin.post(moved_to(spans, direct))
    zipkin.sink.write(through_clew(moved_to(spans, through)))

    expected = zipkin.trace(direct, spans=len(spans))
    found = zipkin.trace(through, spans=len(spans))
    assert {span["traceId"] for span in found} == {through}
    assert comparable(found) == comparable(without_lost_parents(expected))


def without_lost_parents(spans: Sequence[Form]) -> list[Form]:
    """A half that shares the ID of a caller who has never reported: whose child that was is not known any more."""
    callers = {span["id"] for span in spans if span.get("kind") in ("CLIENT", "PRODUCER")}
    lost = [span.get("shared", False) and span["id"] not in callers for span in spans]
    return [
        {name: value for name, value in span.items() if not (is_lost and name == "parentId")}
        for span, is_lost in zip(spans, lost, strict=True)
    ]


def test_annotations_and_errors_of_zipkin_are_the_same_again(zipkin: Zipkin) -> None:
    direct, through = new_trace(), new_trace()
    span = {
        "id": "05e3ac9a4f6e3b90",
        "name": "get",
        "timestamp": 1_790_000_000_000_000,
        "duration": 1,
        "localEndpoint": {"serviceName": "stock", "ipv6": "2001:db8::1", "port": 80},
        "annotations": [
            {"timestamp": 1_790_000_000_000_001, "value": 'retry "2"'},
            {"timestamp": 1_790_000_000_000_002, "value": '"message":{"id":"7","is.last":true}'},
        ],
        "tags": {"error": "no stock: \u00fc \x00 \U0001f600 \\ \n", "": "empty"},
    }

    zipkin.post(moved_to([span], direct))
    zipkin.sink.write(through_clew(moved_to([span], through)))

    assert comparable(zipkin.trace(through, spans=1)) == comparable(zipkin.trace(direct, spans=1))


def test_zipkin_counts_failed_spans_and_shows_the_status_message(zipkin: Zipkin) -> None:
    trace_id = new_trace()
    zipkin.sink.write(outgoing(traces(a_span(trace=trace_id, error="no stock", start_ns=time.time_ns()))))

    [span] = zipkin.trace(trace_id, spans=1)
    query = {"annotationQuery": "error=no stock", "serviceName": "inventory", "limit": "1000"}
    found = httpx.get(f"{zipkin.url}/api/v2/traces", params=query).json()

    assert span["tags"]["error"] == "no stock"
    assert trace_id in {each["traceId"] for spans in found for each in spans}


def test_the_graph_of_services_is_known_from_the_callers_spans_alone(zipkin: Zipkin) -> None:
    names = [f"{name}-{random.getrandbits(32):x}" for name in ("shop", "stock")]
    call = a_span(
        "GET",
        trace=new_trace(),
        kind=Span.SPAN_KIND_CLIENT,
        start_ns=time.time_ns(),
        more={"peer.service": names[1], "network.peer.address": "10.1.2.3", "network.peer.port": 8080},
    )
    zipkin.sink.write(outgoing(traces(call, service=names[0])))

    [span] = zipkin.trace(call.trace_id.hex(), spans=1)

    assert span["remoteEndpoint"] == {"serviceName": names[1], "ipv4": "10.1.2.3", "port": 8080}
    assert {"parent": names[0], "child": names[1], "callCount": 1} in zipkin.links()


def test_a_half_and_its_caller_in_two_batches_are_one_call_in_zipkin(zipkin: Zipkin) -> None:
    trace_id = new_trace()
    names = [f"{name}-{random.getrandbits(32):x}" for name in ("shop", "stock")]
    common = {"id": "0b" * 8, "parentId": "0a" * 8, "timestamp": time.time_ns() // 1000, "duration": 5}
    call = {**common, "kind": "CLIENT", "localEndpoint": {"serviceName": names[0]}}
    half = {**common, "kind": "SERVER", "shared": True, "localEndpoint": {"serviceName": names[1]}}

    for span in (half, call):
        zipkin.sink.write(through_clew(moved_to([span], trace_id)))

    zipkin.trace(trace_id, spans=2)
    assert {"parent": names[0], "child": names[1], "callCount": 1} in zipkin.links()


def test_a_child_of_the_servers_half_keeps_its_parent_and_the_half_its_callers() -> None:
    common = {"traceId": "5aab74dbb904746b", "duration": 5, "timestamp": 1_790_000_000_000_000}
    entry = {**common, "id": "0" * 15 + "1", "kind": "SERVER", "shared": True, "localEndpoint": {"serviceName": "a"}}
    call = {
        **common,
        "id": "0" * 15 + "2",
        "parentId": entry["id"],
        "kind": "CLIENT",
        "localEndpoint": {"serviceName": "a"},
    }
    half = {**call, "kind": "SERVER", "shared": True, "localEndpoint": {"serviceName": "b"}}
    child = {**common, "id": "0" * 15 + "3", "parentId": call["id"], "localEndpoint": {"serviceName": "b"}}

    found = encoded_batch(through_clew([entry, call, half, child]))

    assert {(span["id"], span.get("parentId"), span.get("shared", False)) for span in found} == {
        (entry["id"], None, True),
        (call["id"], entry["id"], False),
        (call["id"], entry["id"], True),
        (child["id"], call["id"], False),
    }
    assert not any("tags" in span for span in found)


def test_attributes_become_tags_as_text_and_arrays_and_maps_as_json() -> None:
    values: Mapping[str, Value] = {
        "text": 'a "b"',
        "int": 7,
        "bool": True,
        "double": 0.5,
        "bytes": b"\x00\xff",
        "empty": None,
        "array": ["a", 1, 1.5, True, None, b"\x01", ["deep"], {"k": []}],
        "map": {"k": {"deeper": [1, 2]}, "": None},
        "none": [],
    }
    same = traces(a_span(more=values), a_span(more={"text": "b"}), a_span(more={"array": ["c"], "map": {}}))

    first, _, last = (span["tags"] for span in encoded(same))

    assert {name: first[name] for name in values} == {
        "text": 'a "b"',
        "int": "7",
        "bool": "true",
        "double": "0.5",
        "bytes": "AP8=",
        "empty": "",
        "array": '["a",1,1.5,true,null,"AQ==",["deep"],{"k":[]}]',
        "map": '{"k":{"deeper":[1,2]},"":null}',
        "none": "[]",
    }
    assert (last["array"], last["map"]) == ('["c"]', "{}")


def test_what_is_known_of_the_resource_and_the_scope_is_in_tags_but_a_span_knows_better() -> None:
    request = traces(a_span(more={"host.name": "here"}), scope="orders.http")
    request.resource_spans[0].resource.attributes.extend(attributes({"host.name": "there", "cmd": ["a", "b"]}))

    assert only(request)["tags"] == {"host.name": "here", "cmd": '["a","b"]', "otel.scope.name": "orders.http"}


def test_events_become_annotations_with_their_attributes() -> None:
    span = a_span(
        events=[
            Span.Event(time_unix_nano=T0_NS + 1_999, name="cache miss"),
            Span.Event(
                time_unix_nano=T0_NS,
                name='a "b"',
                attributes=attributes({"n": 1, "ok": False, "text": "é", "list": ["x"], "far": float("inf")}),
            ),
        ]
    )

    first, second = only(traces(span))["annotations"]

    assert first == {"timestamp": T0_NS // 1000 + 1, "value": "cache miss"}
    assert second == {
        "timestamp": T0_NS // 1000,
        "value": '"a \\"b\\"":{"n":1,"ok":false,"text":"é","list":["x"],"far":"inf"}',
    }


def an_exception(**values: Value) -> Span.Event:
    named = {f"exception.{name}": value for name, value in values.items()}
    return Span.Event(time_unix_nano=T0_NS, name="exception", attributes=attributes(named))


@pytest.mark.parametrize(
    ("span", "tags"),
    [
        (a_span(error="declined", events=[an_exception(type="E")]), {"otel.status_code": "ERROR", "error": "declined"}),
        (
            a_span(error="", events=[an_exception(type="A"), an_exception(type="KeyError", message="7")]),
            {"otel.status_code": "ERROR", "error": "KeyError: 7"},
        ),
        (
            a_span(error="", events=[an_exception(type="KeyError", message="")]),
            {"otel.status_code": "ERROR", "error": "KeyError"},
        ),
        (
            a_span(error="", more={"error.type": "500"}),
            {"error.type": "500", "otel.status_code": "ERROR", "error": "500"},
        ),
        (a_span(error=""), {"otel.status_code": "ERROR", "error": "true"}),
        (a_span(error="", more={"error": "false"}), {"otel.status_code": "ERROR", "error": "false"}),
        (a_span(more={"error": False}), {}),
        (a_span(more={"error": "later"}), {"error": "later"}),
        (
            Span(trace_id=b"t" * 16, span_id=b"s" * 8, status=Status(code=Status.STATUS_CODE_OK)),
            {"otel.status_code": "OK"},
        ),
    ],
    ids=["message", "exception", "type alone", "error.type", "nothing", "false", "no error", "only a tag", "ok"],
)
def test_a_failed_span_has_the_tag_that_zipkin_shows_in_red(span: Span, tags: dict[str, str]) -> None:
    assert only(traces(span, scope="")).get("tags", {}) == tags


@pytest.mark.parametrize(
    ("values", "endpoint"),
    [
        ({"peer_service": "stock", "server_address": "stock.local"}, {"serviceName": "stock"}),
        ({"server_address": "stock.local", "server_port": 80}, {"serviceName": "stock.local", "port": 80}),
        ({"server_address": "10.0.0.1", "server_port": 80}, {"ipv4": "10.0.0.1", "port": 80}),
        (
            {"server_address": "db", "network_peer_address": "::1", "network_peer_port": 5432},
            {"serviceName": "db", "ipv6": "::1", "port": 5432},
        ),
        ({"db_namespace": "orders", "db_system_name": "postgresql"}, {"serviceName": "orders"}),
        ({"messaging_system": "kafka"}, {"serviceName": "kafka"}),
        ({"server_address": ["a"], "server_port": "http"}, {"serviceName": '["a"]'}),
        ({"url_full": "http://x"}, None),
    ],
)
def test_the_other_side_of_a_call_is_found_in_the_semantic_conventions(values: Any, endpoint: Form | None) -> None:
    assert of_attributes(**values).get("remoteEndpoint") == endpoint


def test_a_server_knows_its_own_address_and_its_clients() -> None:
    values: Any = {"server_address": "10.0.0.9", "server_port": 443, "client_address": "192.0.2.7"}
    span = of_attributes(Span.SPAN_KIND_SERVER, **values)

    assert span["localEndpoint"] == {"serviceName": "inventory", "ipv4": "10.0.0.9", "port": 443}
    assert span["remoteEndpoint"] == {"ipv4": "192.0.2.7"}
    assert span["tags"]["client.address"] == "192.0.2.7"


def test_times_that_zipkin_cannot_say_are_left_out() -> None:
    unknown = a_span(start_ns=0, duration_ns=0)
    never_ended = Span(trace_id=b"t" * 16, span_id=b"s" * 8, start_time_unix_nano=T0_NS)
    instant = a_span(duration_ns=0)
    backwards = a_span(duration_ns=-5_000_000)

    found = encoded(traces(unknown, never_ended, instant, backwards))

    assert [(span.get("timestamp"), span.get("duration")) for span in found] == [
        (None, None),
        (T0_NS // 1000, None),
        (T0_NS // 1000, 1),
        (T0_NS // 1000, 1),
    ]


def test_logs_are_left_alone(zipkin: Zipkin) -> None:
    assert zipkin.sink.signals == {"traces"}
    assert zipkin.sink.write(outgoing(logs(a_log()))) == []


def test_a_batch_without_spans_is_nothing(zipkin: Zipkin) -> None:
    assert zipkin.sink.write(outgoing(ExportTraceServiceRequest())) == []


def test_spans_without_an_id_are_refused_one_by_one(zipkin: Zipkin) -> None:
    trace_id = new_trace()
    nameless = Span(trace_id=bytes(16), span_id=b"s" * 8, name="lost")
    first = traces(a_span(trace=trace_id))
    second = traces(a_span(trace=trace_id, span="0a" * 8), nameless)

    [refused] = zipkin.sink.write(outgoing(first, second, first_id=7))

    assert (refused.payload_id, refused.position) == (8, 1)
    assert refused.reason.startswith("no trace or span ID")
    assert len(zipkin.trace(trace_id, spans=2)) == 2
