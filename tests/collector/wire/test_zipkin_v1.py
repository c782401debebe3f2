"""A v1 span becomes a v2 span for each of its sides, as in Zipkin's own converter."""

from pathlib import Path
from typing import Any

import pytest

from clew_collector.errors import BadPayload
from clew_collector.wire.zipkin.model import Annotation, Endpoint, ZipkinSpan
from clew_collector.wire.zipkin.v1_json import decode_v1_json
from tests.collector.zipkin_builders import SPAN, T0_US, TRACE, TRACE_64, body_of

DATA = Path(__file__).parents[2] / "data"
ORDERS, STOCK = {"serviceName": "orders", "ipv4": "10.0.0.1"}, {"serviceName": "stock", "ipv4": "10.0.0.2", "port": 80}
AT_ORDERS, AT_STOCK = Endpoint("orders", "10.0.0.1"), Endpoint("stock", "10.0.0.2", 80)


def note(value: str, at_us: int, endpoint: dict[str, Any] | None) -> dict[str, Any]:
    return {"timestamp": T0_US + at_us, "value": value, "endpoint": endpoint}


def tag(key: str, value: Any, endpoint: dict[str, Any] | None) -> dict[str, Any]:
    return {"key": key, "value": value, "endpoint": endpoint}


def converted(*notes: dict[str, Any], tags: tuple[dict[str, Any], ...] = (), **fields: Any) -> list[ZipkinSpan]:
    form = {"traceId": TRACE_64, "id": SPAN, "name": "get", "annotations": notes, "binaryAnnotations": tags, **fields}
    return decode_v1_json(body_of(form))


def times(span: ZipkinSpan) -> tuple[int, int]:
    """Start after the first moment, and duration; 0 is not given."""
    return span.start_us and span.start_us - T0_US, span.duration_us


def test_a_client_span_has_its_kind_its_times_and_its_tags() -> None:
    [span] = converted(
        note("cs", 1, ORDERS), note("retry", 2, ORDERS), note("cr", 9, ORDERS),
        tags=(tag("http.path", "/stock", ORDERS), tag("sa", True, STOCK)),
    )  # fmt: skip

    assert (span.trace_id.hex(), span.span_id.hex(), span.name) == (TRACE, SPAN, "get")
    assert (span.kind, span.local, span.remote, span.shared) == ("client", AT_ORDERS, AT_STOCK, False)
    assert times(span) == (1, 8)
    assert span.annotations == (Annotation(time_us=T0_US + 2, text="retry"),)
    assert span.tags == {"http.path": "/stock"}


def test_a_span_of_both_sides_becomes_two_that_share_an_id() -> None:
    client, server = converted(
        note("cs", 1, ORDERS), note("sr", 3, STOCK), note("ss", 7, STOCK), note("cr", 9, ORDERS),
        tags=(tag("a", "1", ORDERS), tag("b", "2", STOCK)), timestamp=T0_US, duration=10,
    )  # fmt: skip

    assert (client.kind, client.local, client.shared, client.tags) == ("client", AT_ORDERS, False, {"a": "1"})
    assert (server.kind, server.local, server.shared, server.tags) == ("server", AT_STOCK, True, {"b": "2"})
    assert (times(client), times(server)) == ((0, 10), (3, 4))
    assert client.span_id == server.span_id


def test_a_service_that_calls_itself_has_two_sides() -> None:
    client, server = converted(
        note("cs", 1, ORDERS), note("sr", 3, ORDERS), note("ss", 7, ORDERS), note("cr", 9, ORDERS)
    )

    assert (client.kind, times(client), server.kind, times(server)) == ("client", (1, 8), "server", (3, 4))


def test_a_server_without_times_of_its_own_shares_its_clients_id() -> None:
    [reported_by_both] = converted(note("sr", 3, STOCK), note("ss", 7, STOCK))
    [own] = converted(note("sr", 3, STOCK), note("ss", 7, STOCK), timestamp=T0_US + 3, duration=4)

    assert (reported_by_both.shared, times(reported_by_both)) == (True, (3, 4))
    assert (own.shared, times(own)) == (False, (3, 4))


def test_a_call_without_answer_has_no_duration() -> None:
    client, server = converted(note("cs", 1, ORDERS), note("sr", 3, STOCK))

    assert (times(client), times(server)) == ((1, 0), (3, 0))


def test_a_lone_end_is_an_annotation_unless_it_ends_the_span() -> None:
    [unfinished] = converted(note("cr", 9, ORDERS))
    [finished] = converted(note("cr", 9, ORDERS), timestamp=T0_US, duration=9)

    assert (unfinished.kind, times(unfinished)) == ("client", (0, 0))
    assert unfinished.annotations == (Annotation(time_us=T0_US + 9, text="cr"),)
    assert (finished.kind, times(finished), finished.annotations) == ("client", (0, 9), ())


def test_both_sides_of_a_message_are_told_apart() -> None:
    producer, consumer = converted(
        note("ms", 1, ORDERS), note("ws", 2, ORDERS), note("wr", 6, STOCK), note("mr", 9, STOCK),
        tags=(tag("ma", True, {"serviceName": "kafka"}),),
    )  # fmt: skip

    assert (producer.kind, times(producer)) == ("producer", (1, 1))
    assert (consumer.kind, times(consumer), consumer.shared) == ("consumer", (6, 3), True)
    assert producer.remote == consumer.remote == Endpoint("kafka")


def test_a_local_component_is_a_span_without_kind() -> None:
    [marked] = converted(tags=(tag("lc", "", ORDERS),), timestamp=T0_US, duration=5)
    [named] = converted(tags=(tag("lc", "checkout", ORDERS),), timestamp=T0_US, duration=5)

    assert (marked.kind, marked.local, marked.tags, times(marked)) == ("", AT_ORDERS, {}, (0, 5))
    assert named.tags == {"lc": "checkout"}


def test_addresses_without_marks_name_the_other_side() -> None:
    [both] = converted(tags=(tag("ca", True, ORDERS), tag("sa", True, STOCK)))
    [called] = converted(tags=(tag("lc", "", STOCK), tag("ca", True, ORDERS)))

    assert (both.local, both.remote, both.kind) == (AT_ORDERS, AT_STOCK, "")
    assert (called.local, called.remote, called.kind) == (AT_STOCK, AT_ORDERS, "server")


def test_a_client_address_under_the_servers_name_loses_the_name() -> None:
    [span] = converted(note("sr", 1, STOCK), note("ss", 2, STOCK), tags=(tag("ca", True, {**STOCK, "port": 5000}),))

    assert span.remote == Endpoint("", "10.0.0.2", 5000)


def test_values_that_are_no_text_become_text() -> None:
    [span] = converted(tags=(tag("n", 7, ORDERS), tag("yes", True, ORDERS), tag("no", False, ORDERS)))

    assert span.tags == {"n": "7", "yes": "true", "no": "false"}


def test_the_upper_half_of_a_trace_id_may_come_apart() -> None:
    [span] = converted(traceIdHigh="f" * 16)

    assert span.trace_id.hex() == "f" * 16 + TRACE_64


def test_a_real_booking_has_a_client_and_a_server_for_each_call() -> None:
    spans = decode_v1_json((DATA / "train-ticket-zipkin" / "booking.json").read_bytes())

    assert [span.kind for span in spans] == ["server", *["client", "server"] * 6]
    by_service = [(span.service, span.kind) for span in spans[:3]]
    assert by_service == [
        ("ts-preserve-service", "server"),
        ("ts-preserve-service", "client"),
        ("ts-sso-service", "server"),
    ]
    assert (spans[2].start_us, spans[2].duration_us) == (1530611842365500, 7000)
    assert spans[2].tags["mvc.controller.method"] == "verifyLoginToken"
    assert spans[1].tags["http.method"] == "GET"


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ({"annotations": [{"timestamp": 1}]}, "[0].annotations[0].value is missing"),
        ({"binaryAnnotations": [{"key": "a"}]}, "[0].binaryAnnotations[0].value is missing"),
        ({"binaryAnnotations": [{"value": "a"}]}, "[0].binaryAnnotations[0].key is missing"),
        ({"binaryAnnotations": [{"key": "a", "value": []}]}, "[0].binaryAnnotations[0].value must be text, got a list"),
        ({"localEndpoint": {}}, "goes to /api/v2/spans"),
        ({"traceId": ""}, "[0].traceId must be 1 to 32 hex digits"),
    ],
    ids=str,
)
def test_what_is_no_v1_span_is_refused_by_name(form: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadPayload) as refused:
        decode_v1_json(body_of({"traceId": TRACE_64, "id": SPAN, **form}))

    assert reason in str(refused.value)
