"""What a real reporter writes is read: py_zipkin, whose protobuf code was generated from Zipkin's own definition."""

from typing import Any

import pytest

from clew_collector.wire.zipkin.model import Endpoint, ZipkinSpan
from clew_collector.wire.zipkin.proto3 import decode_proto3
from clew_collector.wire.zipkin.v1_json import decode_v1_json
from clew_collector.wire.zipkin.v2_json import decode_v2_json
from tests.collector.zipkin_builders import SPAN, T0_US, TRACE_64
from tests.needed_packages import need_package

need_package("py_zipkin")

# Below what skips without it; it exports without saying so.
from py_zipkin import Encoding, Kind  # type: ignore[attr-defined]  # noqa: E402
from py_zipkin.encoding import Endpoint as ReporterEndpoint  # type: ignore[attr-defined]  # noqa: E402
from py_zipkin.encoding import Span as ReporterSpan  # type: ignore[attr-defined]  # noqa: E402
from py_zipkin.encoding import get_encoder  # type: ignore[attr-defined]  # noqa: E402


def reporter_span(**fields: Any) -> ReporterSpan:
    """A span of py_zipkin's, whose protobuf classes were generated from Zipkin's own definition."""
    given: dict[str, Any] = {
        "trace_id": TRACE_64,
        "name": "get /stock",
        "parent_id": "b33447baae403ed6",
        "span_id": SPAN,
        "kind": Kind.CLIENT,
        "timestamp": T0_US / 1e6,
        "duration": 0.005,
        "local_endpoint": ReporterEndpoint("frontend", "192.168.0.10", None, 8080),
        "remote_endpoint": ReporterEndpoint("stock", None, "2001:db8::c001", 9000),
        "annotations": {"cache miss": T0_US / 1e6 + 1},
        "tags": {"http.method": "GET", "correlation.id": "req-1"},
        **fields,
    }
    return ReporterSpan(**given)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"shared": True, "kind": Kind.SERVER},
        {"kind": Kind.LOCAL, "tags": {}},
        {"trace_id": "f" * 32, "parent_id": None, "remote_endpoint": None},
    ],
    ids=str,
)
def test_protobuf_says_the_same_as_json(fields: dict[str, Any]) -> None:
    span = reporter_span(**fields)

    [from_proto3] = decode_proto3(encoded(span, Encoding.V2_PROTO3))

    assert [from_proto3] == decode_v2_json(encoded(span, Encoding.V2_JSON))
    assert from_proto3.name == "get /stock"


def test_v1_says_the_same_as_v2() -> None:
    span = reporter_span(remote_endpoint=None)

    [from_v1] = decode_v1_json(encoded(span, Encoding.V1_JSON))

    expected = ZipkinSpan(
        trace_id=bytes.fromhex(TRACE_64.zfill(32)),
        span_id=bytes.fromhex(SPAN),
        parent_id=bytes.fromhex("b33447baae403ed6"),
        name="get /stock",
        kind="client",
        start_us=T0_US,
        duration_us=5_000,
        local=Endpoint("frontend", "192.168.0.10", 8080),
        remote=None,
        annotations=from_v1.annotations,
        tags={"http.method": "GET", "correlation.id": "req-1"},
        shared=False,
    )
    assert from_v1 == expected
    assert [annotation.text for annotation in from_v1.annotations] == ["cache miss"]


def encoded(span: ReporterSpan, encoding: Encoding) -> bytes:
    """A list of this one span, as py_zipkin posts it."""
    encoder = get_encoder(encoding)
    body = encoder.encode_queue([encoder.encode_span(span)])
    return body.encode() if isinstance(body, str) else body
