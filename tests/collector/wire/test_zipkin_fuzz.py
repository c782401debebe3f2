"""No bytes crash a decoder of Zipkin's formats: they are refused as `BadPayload`, or become valid OTLP."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clew_collector.errors import BadPayload
from clew_collector.wire.otlp.payload import count_records, decode, parse
from clew_collector.wire.zipkin.model import ZipkinSpan
from clew_collector.wire.zipkin.proto3 import ListOfSpans, decode_proto3
from clew_collector.wire.zipkin.to_otlp import encode_export_request
from clew_collector.wire.zipkin.v1_json import decode_v1_json
from clew_collector.wire.zipkin.v2_json import decode_v2_json
from tests.collector.zipkin_builders import NOW_NS

IDS = st.sampled_from(["a", "b", "A" * 16, "c" * 32, "0", "", "xyz"])
ODD: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just([]) | st.just({})
)
TIMES = st.integers(0, 2**65) | ODD
ENDPOINTS = ODD | st.fixed_dictionaries(
    {},
    optional={
        "serviceName": st.sampled_from(["orders", "stock", ""]) | ODD,
        "ipv4": st.text(max_size=4) | ODD,
        "port": st.integers(-1, 70_000) | ODD,
    },
)
MARKS = st.sampled_from(
    ["cs", "sr", "ss", "cr", "ms", "mr", "ws", "wr", "ca", "sa", "ma", "lc", '{"a":{"b":[1]}}', "x"]
)
NOTES = st.lists(
    st.fixed_dictionaries({"value": MARKS | ODD}, optional={"timestamp": TIMES, "endpoint": ENDPOINTS, "key": MARKS}),
    max_size=5,
)
SPANS = st.fixed_dictionaries(
    {"traceId": IDS, "id": IDS},
    optional={
        "parentId": IDS | ODD,
        "kind": st.sampled_from(["CLIENT", "SERVER", "PRODUCER", "CONSUMER"]) | ODD,
        "name": st.text(max_size=5) | ODD,
        "timestamp": TIMES,
        "duration": TIMES,
        "localEndpoint": ENDPOINTS,
        "remoteEndpoint": ENDPOINTS,
        "annotations": NOTES | ODD,
        "binaryAnnotations": NOTES | ODD,
        "tags": st.dictionaries(st.sampled_from(["error", "otel.status_code", "otel.scope.name", "k"]), ODD) | ODD,
        "shared": st.booleans() | ODD,
    },
)
BODIES = st.binary(max_size=60) | (st.lists(SPANS | ODD, max_size=4) | ODD).map(lambda form: json.dumps(form).encode())


def check(decoder: Callable[[bytes], list[ZipkinSpan]], body: bytes) -> None:
    with suppress(BadPayload):
        spans = decoder(body)
        encoded = encode_export_request(spans, now_ns=NOW_NS).SerializeToString()
        assert count_records(parse("traces", encoded)) == len(spans)
        assert decode("traces", [encoded]).num_rows == 1


@pytest.mark.parametrize("decoder", [decode_v1_json, decode_v2_json], ids=["v1", "v2"])
@settings(max_examples=400, deadline=None)
@given(body=BODIES)
def test_no_json_makes_a_decoder_fail(decoder: Callable[[bytes], list[ZipkinSpan]], body: bytes) -> None:
    check(decoder, body)


@st.composite
def protobuf_bodies(draw: st.DrawFn) -> bytes:
    """A valid list with a few bytes changed, cut or repeated."""
    message: Any = ListOfSpans()
    for id in draw(st.lists(st.binary(max_size=9), min_size=1, max_size=3)):
        span = message.spans.add(trace_id=b"12345678", id=id or b"1", kind=draw(st.integers(-1, 6)))
        span.shared = draw(st.booleans())
        span.timestamp = draw(st.integers(0, 2**64 - 1))
        span.duration = draw(st.integers(0, 2**64 - 1))
        span.local_endpoint.service_name = draw(st.text(st.characters(codec="utf-8"), max_size=3))
        span.remote_endpoint.ipv6 = draw(st.binary(max_size=17))
        span.annotations.add(timestamp=1, value='{"a": {"b": 1}}')
        span.tags.add(key="error", value="x")
    body = bytearray(message.SerializeToString())
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(body)))
        body[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=3))
    return bytes(body)


@settings(max_examples=400, deadline=None)
@given(body=st.binary(max_size=60) | protobuf_bodies())
def test_no_protobuf_makes_the_decoder_fail(body: bytes) -> None:
    check(decode_proto3, body)
