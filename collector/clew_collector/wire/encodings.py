"""Bodies by the name of their encoding, as the OpenTelemetry Collector names them."""

from collections.abc import Callable, Mapping
from typing import Final, Literal, cast

from google.protobuf.message import Message

from clew_collector.model import Signal
from clew_collector.wire.otlp.from_json import parse_json
from clew_collector.wire.otlp.payload import parse
from clew_collector.wire.zipkin.model import ZipkinSpan
from clew_collector.wire.zipkin.proto3 import decode_proto3
from clew_collector.wire.zipkin.to_otlp import encode_export_request
from clew_collector.wire.zipkin.v2_json import decode_v2_json

Encoding = Literal["otlp_proto", "otlp_json", "zipkin_proto", "zipkin_json"]
"""What a body is; those of Zipkin are for traces only."""

_ZIPKIN: Final[Mapping[Encoding, Callable[[bytes], list[ZipkinSpan]]]] = {
    "zipkin_proto": decode_proto3,
    "zipkin_json": decode_v2_json,
}


def decode_body(encoding: Encoding, signal: Signal, body: bytes, *, now_ns: int) -> Message:
    """The OTLP request that a body is or stands for; `now_ns` is the start of a Zipkin span that names no moment.

    Raises `BadPayload` if the body is not of that encoding.
    """
    if encoding == "otlp_proto":
        return parse(signal, body)
    if encoding == "otlp_json":
        return parse_json(signal, body)
    return cast(Message, encode_export_request(_ZIPKIN[encoding](body), now_ns=now_ns))
