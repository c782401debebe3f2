"""Zipkin v2 spans in protobuf are read as those in JSON are."""

from typing import Any

import pytest

from clew_collector.errors import BadPayload
from clew_collector.wire.zipkin.proto3 import ListOfSpans, decode_proto3
from tests.collector.zipkin_builders import SPAN, TRACE_64


def a_list(**fields: Any) -> bytes:
    message: Any = ListOfSpans()
    message.spans.add(**{"trace_id": bytes.fromhex(TRACE_64), "id": bytes.fromhex(SPAN), **fields})
    return bytes(message.SerializeToString())


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\xff" * 20, "not a zipkin.proto3.ListOfSpans"),
        (a_list()[:-3], "not a zipkin.proto3.ListOfSpans"),
        (a_list(name="get").replace(b"get", b"\xff\xfe\xfd"), "not a zipkin.proto3.ListOfSpans"),
        (a_list(trace_id=b""), "[0].trace_id must be 1 to 16 bytes, not all of them 0"),
        (a_list(trace_id=bytes(16)), "[0].trace_id must be 1 to 16 bytes, not all of them 0"),
        (a_list(id=b"x" * 9), "[0].id must be at most 8 bytes, got 9"),
        (a_list(parent_id=b"x" * 9), "[0].parent_id must be at most 8 bytes, got 9"),
    ],
    ids=["garbage", "cut off", "invalid UTF-8", "no trace ID", "zeroes", "long ID", "long parent"],
)
def test_what_is_no_protobuf_list_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(BadPayload) as refused:
        decode_proto3(body)

    assert reason in str(refused.value)


def test_a_kind_and_a_field_of_the_future_are_no_error() -> None:
    [span] = decode_proto3(a_list(kind=77, local_endpoint={"port": -1, "ipv4": b"123"}) + b"\xf2\x06\x05hello")

    assert (span.kind, span.local) == ("", None)
