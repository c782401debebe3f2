"""Two sides of a call that share an ID come out as parent and child, each with an ID of its own."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from clew_collector.wire.zipkin.model import ZipkinSpan
from clew_collector.wire.zipkin.shared_ids import separate
from clew_collector.wire.zipkin.v1_json import decode_v1_json
from clew_collector.wire.zipkin.v2_json import decode_v2_json
from tests.collector.zipkin_builders import a_span, attributes_of, body_of, in_otlp

DATA = Path(__file__).parents[2] / "data"
ROOT, CALL, QUERY = "0a" * 8, "0b" * 8, "0c" * 8


def at(service: str, address: str = "") -> dict[str, str]:
    return {"serviceName": service, "ipv4": address}


def client(**fields: Any) -> dict[str, Any]:
    return a_span(id=CALL, parentId=ROOT, kind="CLIENT", localEndpoint=at("orders"), **fields)


def server(**fields: Any) -> dict[str, Any]:
    return a_span(**{"id": CALL, "parentId": ROOT, "shared": True, "localEndpoint": at("stock"), **fields})


def separated(*forms: dict[str, Any]) -> list[ZipkinSpan]:
    return separate(decode_v2_json(body_of(*forms)))


def test_the_servers_half_is_the_clients_child_and_its_children_are_its_own() -> None:
    root = a_span(id=ROOT, localEndpoint=at("orders"))
    query = a_span(id=QUERY, parentId=CALL, kind="CLIENT", localEndpoint=at("stock"))
    resolve = a_span(id="0d" * 8, parentId=CALL, kind=None, localEndpoint=at("orders"))

    spans = separated(query, server(), root, client(), resolve)

    new_query, half, new_root, new_client, new_resolve = spans
    assert (new_root.parent_id, new_client.parent_id.hex(), new_client.span_id.hex()) == (b"", ROOT, CALL)
    assert (half.parent_id.hex(), half.shared_span_id.hex()) == (CALL, CALL)
    assert new_query.parent_id == half.span_id
    assert new_resolve.parent_id.hex() == CALL
    assert len({span.span_id for span in spans}) == 5


def test_the_id_that_was_shared_is_kept_as_an_attribute() -> None:
    [(_, half)] = in_otlp(decode_v2_json(body_of(server())))

    assert attributes_of(half)["zipkin.shared_span_id"] == CALL


def test_a_half_has_the_same_id_whatever_it_is_sent_with() -> None:
    [alone] = separated(server())
    _, beside = separated(client(), server(duration=7, tags={"late": "tag"}))

    assert alone.span_id == beside.span_id


def test_two_servers_of_one_call_have_ids_of_their_own_and_each_its_children() -> None:
    first, second = server(localEndpoint=at("stock", "10.0.0.1")), server(localEndpoint=at("stock", "10.0.0.2"))
    of_first = a_span(id="01", parentId=CALL, localEndpoint=at("stock", "10.0.0.1"))
    of_second = a_span(id="02", parentId=CALL, localEndpoint=at("stock", "10.0.0.2"))
    of_any = a_span(id="03", parentId=CALL, localEndpoint=at("stock"))

    one, two, its_one, its_two, its_any = separated(first, second, of_first, of_second, of_any)

    assert one.span_id != two.span_id
    assert (its_one.parent_id, its_two.parent_id, its_any.parent_id) == (one.span_id, two.span_id, one.span_id)


def test_a_half_that_is_there_twice_has_two_ids() -> None:
    one, two = separated(server(), server())

    assert one.span_id != two.span_id


def test_a_server_that_forgot_to_say_so_shares_all_the_same() -> None:
    _, half = separated(client(), server(shared=None))

    assert (half.parent_id.hex(), half.shared_span_id.hex()) == (CALL, CALL)


def test_a_service_that_calls_itself_has_two_halves() -> None:
    inner = a_span(id=QUERY, parentId=CALL, localEndpoint=at("orders"))

    call, half, its_child = separated(client(), server(localEndpoint=at("orders")), inner)

    assert (half.parent_id, its_child.parent_id) == (call.span_id, half.span_id)


@pytest.mark.parametrize("kind", ["CLIENT", "PRODUCER"])
def test_the_side_that_starts_a_call_keeps_its_id(kind: str) -> None:
    [span] = separated(client() | {"shared": True, "kind": kind})

    assert (span.span_id.hex(), span.shared_span_id) == (CALL, b"")


def test_spans_that_share_nothing_stay_as_they_are() -> None:
    spans = decode_v2_json(body_of(a_span(id=ROOT), a_span(id=CALL, parentId=ROOT)))

    assert separate(spans) == spans


@pytest.mark.parametrize(
    "name", ["zipkin/skew", "zipkin/yelp", "zipkin/ascend", "zipkin/messaging2", "train-ticket-zipkin/booking"]
)
def test_in_real_traces_no_id_is_there_twice_and_no_parent_gets_lost(name: str) -> None:
    body = (DATA / f"{name}.json").read_bytes()
    decoded = decode_v1_json(body) if "train-ticket" in name else decode_v2_json(body)
    known = {form["id"] for form in orjson.loads(body)}
    lost = {form["parentId"] for form in orjson.loads(body) if form.get("parentId") not in (None, *known)}

    spans = [span for _, span in in_otlp(decoded)]

    ids = {span.span_id for span in spans}
    assert len(ids) == len(spans) == len(decoded)
    alone = {attributes_of(span).get("zipkin.shared_span_id") for span in spans} - {s.span_id.hex() for s in spans}
    assert {span.parent_span_id.hex() for span in spans if span.parent_span_id not in ids} - {""} <= lost | alone
