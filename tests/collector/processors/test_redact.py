"""What redaction takes out, wherever it stands, and what it leaves alone."""

import math
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from pydantic import ValidationError

from clew_collector.model import Value
from tests.collector.otlp_builders import T0_NS, a_log, a_span, attributes, logs, resource, traces
from tests.collector.processors.applying import configured, logs_after, spans_after

CARD = "4111111111111111"
NO_CARD = "4111111111111112"
EMAILS = {"type": "redact", "presets": ["email"]}
PASSWORDS = {"type": "redact", "keys": ["*password*"]}
SALTED = {"action": "hash", "salt": "pepper and salt"}


def attributes_after(values: dict[str, Value], **config: Any) -> dict[str, Value]:
    [log] = logs_after(logs(a_log(more=values)), {"type": "redact", **config})
    return dict(log.attributes)


def body_after(body: Value, **config: Any) -> Value:
    [log] = logs_after(logs(a_log(body)), {"type": "redact", **config})
    return log.body


@pytest.mark.parametrize("key", ["password", "user.Password", "PASSWORDS", "db.password.hash"])
def test_a_key_that_matches_a_glob_hides_its_value(key: str) -> None:
    assert attributes_after({key: "hunter2", "user": "bob"}, keys=["*password*"]) == {key: "REDACTED", "user": "bob"}


@pytest.mark.parametrize("value", ["text", 7, 2.5, True, b"\x00", ["a"], {"a": 1}, None, ""])
def test_a_value_of_any_type_is_hidden_by_its_key(value: Value) -> None:
    assert attributes_after({"password": value}, keys=["password"]) == {"password": "REDACTED"}


def test_a_glob_is_for_the_whole_key_and_its_other_characters_mean_themselves() -> None:
    values: dict[str, Value] = {"password": 1, "password_hint": 2, "a.b": 3, "axb": 4, "a[1]": 5, "a1": 6}

    after = attributes_after(values, keys=["password", "a.b", "a[1]"])

    assert after == {
        "password": "REDACTED",
        "password_hint": 2,
        "a.b": "REDACTED",
        "axb": 4,
        "a[1]": "REDACTED",
        "a1": 6,
    }


def test_the_secret_part_of_a_text_is_masked_and_the_rest_stays() -> None:
    body = f"paid by bob@example.com with {CARD}, twice by bob@example.com"

    assert body_after(body, presets=["email", "credit_card"]) == "paid by REDACTED with REDACTED, twice by REDACTED"


def test_removing_takes_the_attribute_and_empties_a_body() -> None:
    config: dict[str, Any] = {"keys": ["password"], "presets": ["email"], "action": "remove"}

    assert attributes_after({"password": 1, "to": "bob@example.com", "n": 1}, **config) == {"n": 1}
    assert body_after("to bob@example.com", **config) is None


def test_a_hash_tells_values_apart_and_is_the_same_each_time() -> None:
    values: dict[str, Value] = {"a": "bob@example.com", "b": "to bob@example.com", "c": "eve@example.com"}

    after = attributes_after(values, presets=["email"], **SALTED)

    assert str(after["a"]).startswith("sha256:")
    assert after["b"] == f"to {after['a']!s}"
    assert after["c"] != after["a"]
    assert attributes_after(values, presets=["email"], action="hash", salt="another salt")["a"] != after["a"]


def test_a_card_number_sent_as_an_int_is_found_and_another_int_stays_one() -> None:
    after = attributes_after({"card": int(CARD), "order": int(NO_CARD), "n": 3}, presets=["credit_card"])

    assert after == {"card": "REDACTED", "order": int(NO_CARD), "n": 3}


@pytest.mark.parametrize(
    "text",
    ["4111 1111 1111 1111", "4111-1111-1111-1111", "378282246310005", "3782 822463 10005", "5555555555554444",
     "6011111111111117", "3056 930902 5904", "4222222222222", "4111 1111 1111 1111 123"],
)  # fmt: skip
def test_card_numbers_are_found_as_they_are_written(text: str) -> None:
    assert body_after(f"card: {text}.", presets=["credit_card"]) == "card: REDACTED."


@pytest.mark.parametrize(
    "text", [NO_CARD, "1234567890123452", f"x{CARD}", f"{CARD}0000000", "1790000000000000000", "4111 1111 1111"]
)
def test_what_is_no_card_number_stays(text: str) -> None:
    assert body_after(f"id {text}", presets=["credit_card"]) == f"id {text}"


@pytest.mark.parametrize(
    ("preset", "secret"),
    [
        ("email", "bob.o'neil+x@mail.example.co.uk"),
        ("ipv4", "192.168.0.255"),
        ("jwt", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"),
        ("bearer_token", "Bearer abcdef.123456-_~+/=="),
        ("basic_auth", "basic Ym9iOmh1bnRlcjI="),
        ("aws_key", "AKIAIOSFODNN7EXAMPLE"),
        ("private_key", "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc+/=\n-----END RSA PRIVATE KEY-----"),
        ("private_key", "-----BEGIN PRIVATE KEY-----\nMIIE, cut off"),
        ("us_ssn", "078-05-1120"),
    ],
)
def test_each_preset_finds_what_it_is_for(preset: str, secret: str) -> None:
    assert body_after(f"<{secret}", presets=[preset]) == "<REDACTED"


def test_a_pattern_with_anchors_is_about_each_value_by_itself() -> None:
    values: dict[str, Value] = {"a": "x1", "b": "zx1", "c": "x1\ny"}

    for pattern in (r"^x\d$", r"\Ax\d\z"):
        assert attributes_after(values, patterns=[pattern]) == {"a": "REDACTED", "b": "zx1", "c": "x1\ny"}


def test_secrets_are_found_in_all_of_a_span() -> None:
    secret = "bob@example.com"
    event = Span.Event(name=f"sent to {secret}", time_unix_nano=T0_NS, attributes=attributes({"to": secret, "n": 1}))
    link = Span.Link(trace_id=b"\x01" * 16, span_id=b"\x02" * 8, attributes=attributes({"password": 3, "n": 1}))
    span = a_span(f"GET /{secret}", error=f"no {secret}", more={"to": secret}, events=[event], links=[link])
    request = traces(span, scope=secret)
    request.resource_spans[0].resource.CopyFrom(resource("mail", owner=secret))

    [after] = spans_after(request, EMAILS, PASSWORDS)

    assert secret not in repr(after)
    assert (after.name, after.status_message, after.scope) == ("GET REDACTED", "no REDACTED", "REDACTED")
    assert after.attributes == {"to": "REDACTED"}
    assert after.resource == {"service.name": "mail", "owner": "REDACTED"}
    assert (after.events[0].name, after.events[0].attributes) == ("sent to REDACTED", {"to": "REDACTED", "n": 1})
    assert (after.links[0].trace_id, after.links[0].attributes) == ("01" * 16, {"password": "REDACTED", "n": 1})
    assert (after.events[0].time_ns, after.links[0].span_id) == (T0_NS, "02" * 8)


def test_events_and_links_are_left_out_only_of_their_secret_attributes_when_removing() -> None:
    event = Span.Event(name="e", attributes=attributes({"password": "x", "n": 1}))

    [after] = spans_after(traces(a_span(events=[event])), {**PASSWORDS, "action": "remove"})

    assert after.events[0].attributes == {"n": 1}


@pytest.mark.parametrize("body", [{"password": "x"}, {"deep": {"password": 1}}, [{"password": 1}], ["bob@example.com"]])
def test_a_structured_body_with_a_secret_anywhere_in_it_is_hidden_whole(body: Value) -> None:
    assert body_after(body, keys=["password"], presets=["email"]) == "REDACTED"
    assert body_after(body, keys=["password"], presets=["email"], action="remove") is None


@pytest.mark.parametrize("length", [16, 31, 32, 48, 65, 127, 128, 300, 5_000])
def test_a_secret_at_the_very_beginning_of_a_text_in_a_list_is_found_whatever_its_length(length: int) -> None:
    text = CARD.ljust(length)

    lists: dict[str, Value] = {"a": [text], "b": {"k": text}, "c": {"k" * 50: [1, text]}, "d": ["", ":", text.encode()]}
    after = attributes_after(lists, presets=["credit_card"])

    assert after == dict.fromkeys("abcd", "REDACTED")


def test_bytes_that_hold_a_secret_are_hidden() -> None:
    after = attributes_after({"raw": b"\xff\x00 bob@example.com", "other": b"\xff\x00"}, presets=["email"])

    assert after == {"raw": "REDACTED", "other": b"\xff\x00"}


def test_what_holds_no_secret_keeps_its_type_and_its_order() -> None:
    values: dict[str, Value] = {
        "text": "naïve ☃ \x00 'quoted' %41 \\x41",
        "empty": "",
        "yes": True,
        "large": 2**63 - 1,
        "double": 0.1,
        "infinite": math.inf,
        "bytes": b"\x00\xff%,:",
        "list": ["a", 1, True, 2.5, None, b"x", ["deep", {"er": 1}], "ü" * 40],
        "map": {"k": "v", "inner": {"list": [1]}},
        "nothing": None,
        "password": "x",
    }

    after = attributes_after(values, keys=["password"], presets=["email", "credit_card", "ipv4"])

    assert after == {**values, "password": "REDACTED"}
    assert list(after) == list(values)
    assert body_after(values["map"], presets=["email"]) == values["map"]


def test_the_name_of_a_service_is_not_hidden_by_its_key_but_by_what_it_holds() -> None:
    [named] = logs_after(logs(a_log(), service="shop"), {"type": "redact", "keys": ["*name*"]})
    [mailed] = logs_after(logs(a_log(), service="bob@example.com"), EMAILS)

    assert (named.service, named.resource) == ("shop", {"service.name": "shop"})
    assert (mailed.service, mailed.resource) == ("REDACTED", {"service.name": "REDACTED"})


def test_strangers_do_not_come_to_share_a_masked_correlation_id() -> None:
    request = logs(a_log(correlation_id="bob@example.com"), a_log(correlation_id="req-1"))

    masked = logs_after(request, EMAILS)
    hashed = logs_after(request, {**EMAILS, **SALTED})
    by_key = logs_after(request, {"type": "redact", "keys": ["correlation.id"]})

    assert [log.correlation_id for log in masked] == [None, "req-1"]
    assert hashed[0].correlation_id == hashed[0].attributes["correlation.id"] != "bob@example.com"
    assert [log.correlation_id for log in by_key] == [None, None]


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({}, "keys, presets or patterns"),
        ({"patterns": ["("]}, "not a regular expression"),
        ({"patterns": ["(?=x)"]}, "not a regular expression"),
        ({"patterns": ["x*"]}, "matches the empty text"),
        ({"keys": ["a"], "action": "hash"}, "salt"),
        ({"keys": ["a"], "salt": "long enough"}, "salt"),
        ({"keys": ["a"], "action": "hash", "salt": "short"}, "at least 8"),
        ({"presets": ["cards"]}, "credit_card"),
        ({"keys": [""]}, "at least 1"),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(config: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        configured({"type": "redact", **config})
