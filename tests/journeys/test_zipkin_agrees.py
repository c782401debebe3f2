"""A real Zipkin and clew make the same of the same v1 spans."""

import time
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from clew_collector.wire.zipkin.model import Endpoint, ZipkinSpan
from clew_collector.wire.zipkin.v1_json import decode_v1_json
from tests.collector.zipkin_builders import T0_US

DATA = Path(__file__).parents[1] / "data"
ORDERS: dict[str, Any] = {"serviceName": "orders", "ipv4": "10.0.0.1"}
STOCK: dict[str, Any] = {"serviceName": "stock", "ipv4": "10.0.0.2", "port": 80}
BROKER: dict[str, Any] = {"serviceName": "kafka"}
NOTES: dict[str, list[tuple[str, int, dict[str, Any]]]] = {
    "client": [("cs", 1, ORDERS), ("retry", 2, ORDERS), ("cr", 9, ORDERS)],
    "both": [("cs", 1, ORDERS), ("sr", 3, STOCK), ("ss", 7, STOCK), ("cr", 9, ORDERS)],
    "loopback": [("cs", 1, ORDERS), ("sr", 3, ORDERS), ("ss", 7, ORDERS), ("cr", 9, ORDERS)],
    "server": [("sr", 3, STOCK), ("ss", 7, STOCK)],
    "one way": [("cs", 1, ORDERS), ("sr", 3, STOCK)],
    "lone start": [("cs", 1, ORDERS)],
    "lone end": [("ss", 9, STOCK)],
    "message": [("ms", 1, ORDERS), ("ws", 2, ORDERS), ("wr", 6, STOCK), ("mr", 9, STOCK)],
    "received": [("mr", 9, STOCK)],
    "wire only": [("ws", 2, ORDERS), ("wr", 6, ORDERS)],
    "local": [],
}
TAGS: list[tuple[str, Any, dict[str, Any]]] = [("http.path", "/stock", ORDERS), ("db", "x", STOCK)]
ADDRESSES: list[tuple[str, Any, dict[str, Any]]] = [("ca", True, ORDERS), ("sa", True, STOCK), ("ma", True, BROKER)]


def v1_spans(*, timed: bool, binary: list[tuple[str, Any, dict[str, Any]]], base: int) -> list[dict[str, Any]]:
    """A span for each set of annotations, each in a trace of its own: Zipkin puts the spans of a trace in order."""
    return [
        {
            "traceId": f"{base + number:016x}",
            "id": f"{base + number:016x}",
            "name": "get",
            **({"timestamp": T0_US, "duration": 9} if timed else {}),
            "annotations": [{"timestamp": T0_US + at, "value": text, "endpoint": end} for text, at, end in notes],
            "binaryAnnotations": [{"key": key, "value": value, "endpoint": end} for key, value, end in binary],
        }
        for number, notes in enumerate(NOTES.values(), start=1)
    ]


CASES = {
    "with times": v1_spans(timed=True, binary=TAGS, base=0x100),
    "without times": v1_spans(timed=False, binary=TAGS, base=0x200),
    "with addresses": v1_spans(timed=True, binary=ADDRESSES, base=0x300),
    "called": v1_spans(timed=True, binary=ADDRESSES[:1], base=0x400),
    "calling": v1_spans(timed=False, binary=ADDRESSES[1:], base=0x500),
    "a real booking": orjson.loads((DATA / "train-ticket-zipkin" / "booking.json").read_bytes()),
}


def endpoint_form(endpoint: Endpoint | None) -> dict[str, Any]:
    if endpoint is None:
        return {}
    form = {"serviceName": endpoint.service, "ipv4": endpoint.address, "port": endpoint.port}
    return {name: value for name, value in form.items() if value}


def v2_form(span: ZipkinSpan) -> dict[str, Any]:
    """A span as Zipkin's API gives it; what is not known is left out."""
    form = {
        "traceId": span.trace_id.hex().removeprefix("0" * 16),
        "parentId": span.parent_id.hex(),
        "id": span.span_id.hex(),
        "kind": span.kind.upper(),
        "name": span.name,
        "timestamp": span.start_us,
        "duration": span.duration_us,
        "localEndpoint": endpoint_form(span.local),
        "remoteEndpoint": endpoint_form(span.remote),
        "annotations": sorted(({"timestamp": n.time_us, "value": n.text} for n in span.annotations), key=str),
        "tags": dict(span.tags),
        "shared": span.shared,
    }
    return {name: value for name, value in form.items() if value}


@pytest.mark.parametrize("forms", CASES.values(), ids=CASES.keys())
def test_v1_spans_are_split_as_by_a_real_zipkin(zipkin_url: str, forms: list[dict[str, Any]]) -> None:
    answer = httpx.post(f"{zipkin_url}/api/v1/spans", json=forms)
    assert answer.status_code == 202, answer.text
    ours = [v2_form(span) for span in decode_v1_json(orjson.dumps(forms))]

    ids = dict.fromkeys(form["traceId"] for form in forms)
    theirs = [span for trace_id in ids for span in trace_of(zipkin_url, trace_id)]

    assert sorted(theirs, key=_key) == sorted(ours, key=_key)


def trace_of(zipkin_url: str, trace_id: str) -> list[dict[str, Any]]:
    """The spans that Zipkin keeps of a trace, from when it has any: it stores those of one body at once."""
    deadline_s = time.monotonic() + 20
    while not (answer := httpx.get(f"{zipkin_url}/api/v2/trace/{trace_id}")).is_success:
        assert time.monotonic() < deadline_s, answer.text
        time.sleep(0.05)
    spans = [span | {"annotations": sorted(span.get("annotations", []), key=str)} for span in answer.json()]
    return [{name: value for name, value in span.items() if value} for span in spans]


def _key(span: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(span.get(name)) for name in ("traceId", "id", "shared", "kind", "localEndpoint"))
